"""Signing in, and what users get for it: tokens, keys, passwords."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.domain.errors import IdentityNotFound, NotAuthenticated, NotSupported
from headrace.domain.rights import Principal
from headrace.identity.directory import token_hash
from headrace.identity.founding import Identity
from headrace.identity.generated import new_access_key, new_id, new_secret_key
from headrace.identity.passwords import Attempts, check_password
from headrace.settings import Settings
from headrace.store.audit import Trace
from headrace.store.identity import Project, User
from headrace.store.keys import AccessKey, Token

WRONG = "The user or the password is wrong, or the user is disabled."
"""One answer to all of them, so that nobody learns which names there are."""


@dataclass(frozen=True)
class Scope:
    """What a token is wanted for: a project by id or name; neither = the user's only project, if it is one.

    Attributes:
        unscoped: for no project at all, asked in so many words.
    """

    project_id: str = ""
    project_name: str = ""
    unscoped: bool = False


@dataclass(frozen=True)
class Issued:
    """A token, told this once; ``stored`` is what is kept."""

    text: str
    stored: Token
    principal: Principal


@dataclass(frozen=True)
class NewKey:
    """A key pair, told this once; ``security_token`` comes with a temporary one."""

    stored: AccessKey
    secret_key: str
    security_token: str = ""


@dataclass(frozen=True)
class _Proof:
    """What a token is issued for: it must hold still when the token is stored."""

    password_hash: str | None = None
    token_hash: str | None = None


class Accounts:
    """What users do with what proves who they are. Managing users is the store's: ``users``, ``keys``."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self.users = identity.users
        self.keys = identity.keys
        self.directory = identity.directory
        self._vault = identity.vault
        self._passwords = identity.passwords
        self._attempts = Attempts(monotonic)
        self._settings = settings
        self._now_ms = now_ms

    def require_local(self) -> None:
        """Raises NotSupported: an external Keystone issues the tokens."""
        if self._settings.keystone_url:
            raise NotSupported(
                f"This server takes its tokens from {self._settings.keystone_url}. Get one there, and send it here as "
                "X-Auth-Token."
            )

    def sign_in(
        self, *, name: str, user_id: str, password: str, address: str, scope: Scope, trace: Trace | None = None
    ) -> Issued:
        """A token for a password.

        Args:
            name: of the user; or
            user_id: of the user.
            password: of the user.
            address: from which the request came; counts wrong passwords.
            scope: what the token is for.
            trace: of the audit trail; the user's name is filled in here.

        Raises:
            NotAuthenticated: no such user, or another password; or the scope is none of theirs.
            TooManyAttempts: wrong too often, or too many at once.
            NotSupported: an external Keystone issues the tokens.
        """
        self.require_local()
        user = self._find(name, user_id)
        proof = self._prove(user, name or user_id, password, address)
        if user is None or (principal := self.users.principal(user.id)) is None:
            raise NotAuthenticated(WRONG)
        wanted = self._project(principal, scope)
        life_ms = self._settings.token_hours * 3_600_000
        return self._issue(principal, wanted, life_ms, _Proof(password_hash=proof), trace)

    def rescope(self, text: str, scope: Scope, trace: Trace | None = None) -> Issued:
        """Another token for a token, which ends when the first one does.

        Raises:
            NotAuthenticated: the token is wrong or has expired; or the scope is none of the user's.
            NotSupported: an external Keystone issues the tokens.
        """
        self.require_local()
        found = self.directory.issued(text)
        principal = self.users.principal(found.user_id) if found is not None else None
        if found is None or principal is None:
            raise NotAuthenticated("The token is wrong or has expired. Sign in with a password.")
        wanted = self._project(principal, scope)
        life_ms = found.expires_ms - self._now_ms()
        return self._issue(principal, wanted, life_ms, _Proof(token_hash=found.token_hash), trace)

    def add_user(self, name: str, password: str | None, description: str, *, enabled: bool, trace: Trace) -> User:
        """Raises BadField: the password is too weak; IdentityConflict: the name is or was somebody's."""
        if password is not None:
            check_password(password, name)
        user = User(new_id(), name, description, is_admin=False, enabled=enabled, created_ms=self._now_ms())
        self.users.add_user(user, "" if password is None else self._passwords.hash(password), trace=trace)
        return user

    def add_project(self, name: str, description: str, *, enabled: bool, trace: Trace) -> Project:
        """Raises IdentityConflict: the name is another project's."""
        project = Project(new_id(), name, description, enabled, self._now_ms())
        self.users.add_project(project, trace=trace)
        return project

    def set_password(self, user: User, password: str, *, trace: Trace) -> None:
        """Ends the user's tokens and temporary keys.

        Raises:
            BadField: it is too weak.
            NotSupported: the user is one of an external Keystone.
        """
        self._require_own(user)
        check_password(password, user.name)
        self.users.set_password(user.id, self._passwords.hash(password), trace=trace)

    def change_password(self, user_id: str, original: str, password: str, *, address: str, trace: Trace) -> None:
        """For whoever knows the password so far.

        Raises:
            BadField: the new one is too weak.
            NotAuthenticated, TooManyAttempts: the old one is wrong, or there is no such user.
        """
        user = self._find("", user_id)
        check_password(password, user.name if user else "")
        self._prove(user, user_id, original, address)
        if user is None:
            raise NotAuthenticated(WRONG)
        self.set_password(user, password, trace=trace)

    def add_key(self, user: User, description: str, *, trace: Trace) -> NewKey:
        """A permanent key pair.

        Raises:
            IdentityConflict: the user has enough of them.
            NotSupported: the user is one of an external Keystone.
        """
        self._require_own(user)
        return self._add_key(user.id, description, trace)

    def add_temporary_key(self, text: str, seconds: int, *, trace: Trace) -> NewKey:
        """A key pair for ``seconds``, of the user and good for the project of the token ``text``.

        Raises:
            NotAuthenticated: the token is wrong or has expired.
            NotSupported: an external Keystone issues the tokens.
        """
        self.require_local()
        found = self.directory.issued(text)
        principal = self.directory.principal(found) if found is not None else None
        if found is None or principal is None:
            raise NotAuthenticated("The token is wrong or has expired. Get a new one from POST /v3/auth/tokens.")
        who = replace(trace, user_name=principal.user_name)
        return self._add_key(found.user_id, "", who, seconds, found)

    def _require_own(self, user: User) -> None:
        """What lasts here would not end when that Keystone lets the user go."""
        if self.users.is_external(user.id):
            raise NotSupported(
                f"The user {user.name} belongs to the external Keystone, which would not know of it. Make a "
                "user of this server instead (headrace users add)."
            )

    def _add_key(
        self, user_id: str, description: str, trace: Trace, seconds: int = 0, token: Token | None = None
    ) -> NewKey:
        now, access_key, secret_key = self._now_ms(), new_access_key(), new_secret_key()
        security_token = secrets.token_urlsafe(96) if seconds else ""
        key = AccessKey(
            access_key,
            user_id,
            self._vault.seal(secret_key, access_key),
            description,
            enabled=True,
            published=False,
            created_ms=now,
            expires_ms=now + seconds * 1000 if seconds else None,
            token_hash=token_hash(security_token) if seconds else None,
            project_id=token.project_id if token else None,
        )
        self.keys.add(key, now_ms=now, parent=token.token_hash if token else None, trace=trace)
        return NewKey(key, secret_key, security_token)

    def _find(self, name: str, user_id: str) -> User | None:
        if name:
            found = self.users.users(name=name)
            return found[0] if found else None
        try:
            return self.users.user(user_id)
        except IdentityNotFound:
            return None

    def _prove(self, user: User | None, shown: str, password: str, address: str) -> str:
        """The hash that the password fits to; takes as long where there is no such user."""
        who = user.name if user else shown[:64]
        self._attempts.check(who, address)
        with self._passwords.turn():
            self._attempts.check(who, address)  # others have tried while this one waited
            stored = self.users.password_hash(user.id) if user else ""
            if not self._passwords.verify(stored, password):
                self._attempts.wrong(who, address)
                raise NotAuthenticated(WRONG)
        self._attempts.right(who, address)
        return stored

    def _project(self, principal: Principal, scope: Scope) -> str | None:
        """The id of the project that the token is for."""
        roles = principal.roles or {}
        if scope.unscoped:
            return None
        if not scope.project_id and not scope.project_name:
            return next(iter(roles)) if len(roles) == 1 else None
        named = [scope.project_id] if scope.project_id else []
        if scope.project_name:
            named = [project.id for project in self.users.projects(name=scope.project_name)]
        found = [project_id for project_id in named if project_id in roles]
        if not found:
            raise NotAuthenticated(
                f"project={(scope.project_id or scope.project_name)[:80]!r}: there is no such project, or it is "
                f"disabled, or the user {principal.user_name} has no role in it."
            )
        return found[0]

    def _issue(
        self, principal: Principal, project_id: str | None, life_ms: float, proof: _Proof, trace: Trace | None
    ) -> Issued:
        now, text = self._now_ms(), secrets.token_urlsafe(48)
        token = Token(token_hash(text), principal.user_id, project_id, now, now + int(life_ms))
        if trace is not None:
            trace = replace(trace, user_name=principal.user_name, project_id=project_id or "")
        self.keys.add_token(token, proof=proof.password_hash, parent=proof.token_hash, trace=trace)
        found = self.directory.principal(token)
        if found is None:
            raise NotAuthenticated(WRONG)  # disabled just now
        return Issued(text, token, found)
