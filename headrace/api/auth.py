"""Who asks: every request is authenticated before its body is parsed, and authorised for the project of its path."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api import signing
from headrace.api.services import AccessKeys
from headrace.domain.errors import BodyTooLarge, NotAuthenticated, NotAuthorised
from headrace.settings import Settings

CALLER = "headrace.caller"
HEALTH_PATH = "/healthz"
_PROJECT = re.compile(r"/(?:v[0-9.]+|headrace/v1)/([^/]+)(?:/|$)")
_UPLOAD = re.compile(r"/headrace/v1/[^/]+/objects/[^/]+/.+")
_NO_SUCH_SECRET = "0" * 40


@dataclass(frozen=True)
class Caller:
    """The owner of a valid signature."""

    project_id: str
    user_name: str


class Gate:
    """Pure ASGI middleware: limit, signature, project; in this order. Only ``GET /healthz`` needs no signature."""

    def __init__(self, app: ASGIApp, settings: Settings, access: AccessKeys, now_ms: Callable[[], int]) -> None:
        self.app = app
        self._access = access
        self._now_ms = now_ms
        self._skew = settings.signature_skew_seconds
        self._max_body = settings.max_body_kb * 1024
        self._max_object = settings.max_object_mb * 1024 * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or raises why not."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and _is_health(scope)):
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise NotAuthenticated("Only HTTP requests are served.")
        headers = [(name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]]
        upload = scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]) is not None
        _check_length(headers, self._max_object if upload else self._max_body)
        body = None if upload else await _read(receive, self._max_body)
        scope[CALLER] = self._authenticate(scope, headers, body)
        _authorise(scope, scope[CALLER])
        await self.app(scope, receive if body is None else _replay(body, receive), send)

    def _authenticate(self, scope: Scope, headers: list[tuple[str, str]], body: bytes | None) -> Caller:
        sent = [value for name, value in headers if name == "authorization"]
        if len(sent) != 1:
            raise NotAuthenticated(
                "The request is not signed. Sign it with an access key and its secret key (SDK-HMAC-SHA256); "
                "X-Auth-Token is not supported."
            )
        given = signing.parse_authorization(sent[0])
        key = self._access.find(given.access_key)
        request = signing.SignedRequest(
            method=scope["method"],
            path=_raw_path(scope),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body_hash=None if body is None else sha256(body).hexdigest(),
        )
        # An unknown key costs the same time and gives the same answer as a wrong secret.
        secret = key.secret_key if key else _NO_SUCH_SECRET
        now = datetime.fromtimestamp(self._now_ms() / 1000, UTC)
        signing.verify(request, given, secret, now=now, skew_seconds=self._skew)
        if key is None:
            raise NotAuthenticated("The signature does not match the request.")
        return Caller(key.project_id, key.user_name)


def caller(request: Request, project_id: str) -> Caller:
    """The caller, for routes; ``project_id`` is the path's.

    Raises:
        NotAuthorised: the path is another project's. The Gate has refused that already; two look, as nothing else
            keeps projects apart.
    """
    found: Caller = request.scope[CALLER]
    if found.project_id != project_id:
        raise _other_project(project_id)
    return found


Signed = Annotated[Caller, Depends(caller)]


def _authorise(scope: Scope, owner: Caller) -> None:
    match = _PROJECT.match(scope["path"])
    if match is not None and match[1] != owner.project_id:
        raise _other_project(match[1])


def _other_project(project_id: str) -> NotAuthorised:
    return NotAuthorised(f"project_id={project_id[:64]!r}: the access key belongs to another project.")


def _is_health(scope: Scope) -> bool:
    return bool(scope["path"] == HEALTH_PATH and scope["method"] == "GET")


def _raw_path(scope: Scope) -> str:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("latin-1")


def _text(value: bytes) -> str:
    """Header values are signed as UTF-8."""
    return value.decode("utf-8", "surrogateescape")


def _check_length(headers: list[tuple[str, str]], limit: int) -> None:
    for name, value in headers:
        if name == "content-length" and (not value.isdecimal() or len(value) > 18 or int(value) > limit):
            raise _too_large(limit)


async def _read(receive: Receive, limit: int) -> bytes:
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise NotAuthenticated("The connection ended before the request did.")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request's body is larger than {limit} bytes. Send less, or raise the server's limit.")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
