"""Where a request's key or token is looked up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Protocol

from headrace.domain.rights import Principal, SignedKey
from headrace.identity.vault import Vault
from headrace.store.identity import IdentityStore
from headrace.store.keys import KeyStore, Token


class TokenSource(Protocol):
    """Knows tokens."""

    def token(self, token: str) -> Principal | None:
        """Whose valid token this is, None if nobody's; raises Unavailable if that cannot be found out now."""


class Directory:
    """Keys of this server's own users; tokens of them, or those of an external Keystone."""

    def __init__(
        self,
        users: IdentityStore,
        keys: KeyStore,
        vault: Vault,
        now_ms: Callable[[], int],
        external: TokenSource | None = None,
    ) -> None:
        """``external``: knows all tokens there are; None = those that this server has issued."""
        self._users = users
        self._keys = keys
        self._vault = vault
        self._now_ms = now_ms
        self._external = external

    def key(self, access_key: str) -> SignedKey | None:
        """The key; None if there is none, or it has expired, or it or its user may not do anything."""
        key = self._keys.find(access_key) if access_key.isascii() else None
        if key is None or not key.enabled or (key.expires_ms is not None and key.expires_ms <= self._now_ms()):
            return None
        principal = self._principal(key.user_id, key.project_id)
        if principal is None:
            return None
        if key.expires_ms is not None:  # made to be handed on: must not lead to what lasts longer, for anybody
            principal = replace(principal, is_system_admin=False)
        return SignedKey(access_key, self._vault.open(key.sealed_secret, access_key), principal, key.token_hash or "")

    def token(self, token: str) -> Principal | None:
        """Whose valid token this is; one without a project opens none."""
        if self._external is not None:
            return self._external.token(token)
        found = self.issued(token)
        return None if found is None else self.principal(found)

    def role(self, project_id: str, user_name: str) -> str | None:
        """The role of the enabled user of this name in the project, None if it has no such user."""
        found = self._users.users(name=user_name)
        principal = self._principal(found[0].id, project_id) if found else None
        return None if principal is None else principal.role_in(project_id)

    def issued(self, token: str) -> Token | None:
        """What this server has recorded of a token that it has issued and that has not expired."""
        return self._keys.find_token(token_hash(token), now_ms=self._now_ms())

    def principal(self, token: Token) -> Principal | None:
        """Whose token it is, None if they may not do anything (any more)."""
        principal = self._principal(token.user_id, token.project_id)
        if principal is None or token.project_id:
            return principal
        return Principal(principal.user_id, principal.user_name, principal.is_system_admin, {})

    def _principal(self, user_id: str, project_id: str | None) -> Principal | None:
        principal = self._users.principal(user_id, project_id or "")
        if principal is None or (project_id and principal.role_in(project_id) is None):
            return None
        return principal


def token_hash(token: str) -> str:
    """What is stored of a token: 384 random bits need no slow hash."""
    return sha256(token.encode(errors="backslashreplace")).hexdigest()
