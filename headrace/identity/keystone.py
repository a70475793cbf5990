"""An external Keystone v3 that issues the tokens: each is shown to it, and believed for some seconds."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import urllib3

from headrace.domain.errors import Unavailable
from headrace.domain.rights import Principal
from headrace.identity.directory import token_hash
from headrace.settings import Settings
from headrace.store.outsiders import Outsider, OutsiderStore

MAX_BYTES = 1024 * 1024
"""Of an answer; one without a catalog has some KB."""
MAX_SECONDS = 10.0
"""For the whole body of an answer."""
AT_ONCE = 16
"""Tokens that are shown to it at once: a Keystone that hangs must not hold all threads of this server."""
_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_REMEMBERED = 10_000


@dataclass(frozen=True)
class _Known:
    outsider: Outsider
    until: float
    expires_ms: int


class ExternalKeystone:
    """Validates tokens at ``GET /v3/auth/tokens``. What it does not answer is never taken for a yes."""

    def __init__(
        self,
        settings: Settings,
        outsiders: OutsiderStore,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        """``settings.keystone_url`` must be set."""
        self._url = api_url(settings.keystone_url or "")
        self._admin_roles = frozenset(settings.keystone_admin_roles)
        self._cache_seconds = settings.keystone_cache_seconds
        self._outsiders = outsiders
        self._now_ms = now_ms
        self._monotonic = monotonic
        ca = str(settings.keystone_ca_file) if settings.keystone_ca_file else None
        timeout = urllib3.Timeout(connect=3, read=10)
        self._pool = urllib3.PoolManager(maxsize=AT_ONCE, retries=False, timeout=timeout, ca_certs=ca)
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def token(self, token: str) -> Principal | None:
        """Whose valid token this is, None if nobody's.

        Raises:
            Unavailable: the Keystone does not answer, or not as one does.
        """
        if _TOKEN.fullmatch(token) is None:
            return None
        hashed = token_hash(token)
        with self._lock:
            known = self._known.get(hashed)
        if known is None or known.until <= self._monotonic() or known.expires_ms <= self._now_ms():
            known = self._ask(token)
            self._remember(hashed, known)
            return None if known is None else self._outsiders.admit(known.outsider, now_ms=self._now_ms())
        return self._outsiders.known(known.outsider)  # who is disabled here is so at once

    def _ask(self, token: str) -> _Known | None:
        asked = self._monotonic()
        body = self._show(token)
        if body is None:
            return None
        try:
            outsider, expires_ms = parse(body, self._admin_roles)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            told = repr(error)[:200]
            raise Unavailable(f"The Keystone at {self._url} answers with what is no token: {told}.") from error
        if expires_ms <= self._now_ms():
            return None
        return _Known(outsider, asked + self._cache_seconds, expires_ms)

    def _show(self, token: str) -> Any:
        """The parsed answer, None if the token is not valid."""
        if not self._places.acquire(blocking=False):
            raise Unavailable(f"The Keystone at {self._url} answers slowly: {AT_ONCE} tokens wait for it. Try again.")
        try:
            status, content = self._fetch(token)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"The Keystone at {self._url} does not answer: {type(error).__name__}.") from error
        finally:
            self._places.release()
        if status in (401, 404):
            return None
        if status != 200:
            raise Unavailable(f"The Keystone at {self._url} answers with status {status}. Try again.")
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Unavailable(f"The Keystone at {self._url} does not answer with JSON.") from error

    def _fetch(self, token: str) -> tuple[int, bytes]:
        """(status, body): never more of it than MAX_BYTES, nor for longer than MAX_SECONDS; raises HTTPError."""
        answer = self._pool.request(
            "GET",
            f"{self._url}/auth/tokens?nocatalog",
            headers={"X-Auth-Token": token, "X-Subject-Token": token, "Accept": "application/json"},
            redirect=False,
            preload_content=False,
            decode_content=False,  # none was asked for, and what unpacks may have any size
        )
        began, content, whole = time.monotonic(), b"", False
        try:
            while len(content) <= MAX_BYTES and time.monotonic() - began <= MAX_SECONDS and not whole:
                chunk = answer.read1(MAX_BYTES + 1 - len(content))
                content, whole = content + chunk, not chunk
        finally:
            (answer.release_conn if whole else answer.close)()
        if not whole:
            raise urllib3.exceptions.HTTPError("the answer is too long, or comes too slowly")
        return answer.status, content

    def _remember(self, hashed: str, known: _Known | None) -> None:
        with self._lock:
            self._known.pop(hashed, None)
            if known is None:
                return
            while len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[hashed] = known


def api_url(url: str) -> str:
    """The URL of the version 3, whether ``url`` names the version or not."""
    plain = url.rstrip("/")
    return plain if plain.endswith("/v3") else f"{plain}/v3"


def parse(body: Any, admin_roles: Collection[str]) -> tuple[Outsider, int]:
    """(whom the token is of and for, when it expires in epoch milliseconds).

    Raises:
        KeyError, TypeError, ValueError: this is no token.
    """
    token = body["token"]
    user, project = token["user"], token.get("project") or {}
    names = {str(role["name"]) for role in token.get("roles") or ()}
    outsider = Outsider(
        user_id=_checked(user["id"]),
        user_name=_name(user["name"]),
        domain_id=_checked(user["domain"]["id"]),
        project_id=_checked(project["id"]) if project else "",
        project_name=_name(project["name"]) if project else "",
        role="admin" if names & set(admin_roles) else "member",
    )
    expires = datetime.fromisoformat(str(token["expires_at"]).replace("Z", "+00:00"))
    if expires.tzinfo is None:
        expires = expires.replace(tzinfo=UTC)
    return outsider, int(expires.timestamp() * 1000)


def _checked(identifier: object) -> str:
    if not isinstance(identifier, str) or _ID.fullmatch(identifier) is None:
        raise ValueError(f"id {identifier!r}")
    return identifier


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= 255 or not name.isprintable():
        raise ValueError(f"name {name!r}")
    return name
