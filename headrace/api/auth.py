"""Who asks: every request is authenticated before its body is parsed. What they may do is ``headrace.api.access``'s."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace import signing
from headrace.api.access import PRINCIPAL
from headrace.api.services import Directory
from headrace.api.sound import BODY
from headrace.domain.errors import BodyTooLarge, BodyTooSlow, NotAuthenticated
from headrace.domain.rights import Principal, SignedKey
from headrace.settings import Settings

_UPLOAD = re.compile(r"/headrace/v1/[^/]+/objects/[^/]+/.+")
_NO_SUCH_SECRET = "0" * 40
_PROGRESS = 1024
_WRONG = "The signature does not match the request."


class Gate:
    """Pure ASGI middleware: limit, then signature or token, for all routes but the public ones."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        directory: Directory,
        now_ms: Callable[[], int],
        is_public: Callable[[str, str], bool],
    ) -> None:
        """``is_public``: whether (method, path) needs no credentials."""
        self.app = app
        self._directory = directory
        self._now_ms = now_ms
        self._is_public = is_public
        self._skew = settings.signature_skew_seconds
        self._max_body = settings.max_body_kb * 1024
        self._max_object = settings.max_object_mb * 1024 * 1024
        self._body_seconds = settings.body_timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or raises why not."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            raise NotAuthenticated("Only HTTP requests are served.")
        headers = [(name.decode("latin-1").lower(), _text(value)) for name, value in scope["headers"]]
        upload = scope["method"] == "PUT" and _UPLOAD.fullmatch(scope["path"]) is not None
        _check_length(headers, self._max_object if upload else self._max_body)
        body = None if upload else await self._read(receive)
        scope[BODY] = body
        if not self._is_public(scope["method"], scope["path"]):
            scope[PRINCIPAL] = await run_in_threadpool(self._authenticate, scope, headers, body)
        await self.app(scope, self._hurried(receive) if body is None else _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes:
        """The whole body, within the limits of size and time."""
        try:
            with anyio.fail_after(self._body_seconds):
                return await _read(receive, self._max_body)
        except TimeoutError as error:
            raise self._too_slow(f"did not come within {self._body_seconds:g} s") from error

    def _hurried(self, receive: Receive) -> Receive:
        """An upload may take long as a whole, but is never waited for so long without ``_PROGRESS`` bytes."""
        left, came = self._body_seconds, 0

        async def hurried() -> Message:
            nonlocal left, came
            began = anyio.current_time()
            try:
                with anyio.fail_after(left):
                    message = await receive()
            except TimeoutError as error:
                raise self._too_slow(f"brought only {came} bytes within {self._body_seconds:g} s") from error
            left -= anyio.current_time() - began
            came += len(message.get("body", b""))
            if came >= _PROGRESS:
                left, came = self._body_seconds, 0
            return message

        return hurried

    def _too_slow(self, what: str) -> BodyTooSlow:
        return BodyTooSlow(f"The request's body {what}; nothing was changed. Send it faster, or in smaller requests.")

    def _authenticate(self, scope: Scope, headers: list[tuple[str, str]], body: bytes | None) -> Principal:
        signatures = [value for name, value in headers if name == "authorization"]
        tokens = [value for name, value in headers if name == "x-auth-token"]
        match signatures, tokens:
            case [signature], []:
                return self._by_signature(signature, scope, headers, body)
            case [], [token]:
                return self._by_token(token)
            case [], []:
                raise NotAuthenticated(
                    "X-Auth-Token is not defined in request. It is mandatory. Send one, or sign the request with an "
                    "access key and its secret key (SDK-HMAC-SHA256)."
                )
            case _:
                raise NotAuthenticated("The request has more than one of Authorization and X-Auth-Token. Send one.")

    def _by_token(self, token: str) -> Principal:
        principal = self._directory.token(token)
        if principal is None:
            raise NotAuthenticated("X-Auth-Token is wrong or has expired. Get a new one from POST /v3/auth/tokens.")
        return principal

    def _by_signature(
        self, signature: str, scope: Scope, headers: list[tuple[str, str]], body: bytes | None
    ) -> Principal:
        given = signing.parse_authorization(signature)
        key = self._directory.key(given.access_key)
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
            raise NotAuthenticated(_WRONG)
        _check_security_token(key, headers)
        return key.principal


def _check_security_token(key: SignedKey, headers: list[tuple[str, str]]) -> None:
    """A temporary key comes with its token, which Go's clients add after they have signed."""
    sent = [value for name, value in headers if name == "x-security-token"]
    if not key.token_hash:
        if sent:
            raise NotAuthenticated("X-Security-Token belongs to temporary access keys, and this key is none.")
        return
    hashed = sha256(sent[0].encode("utf-8", "surrogateescape")).hexdigest() if len(sent) == 1 else ""
    if not hmac.compare_digest(hashed, key.token_hash):
        raise NotAuthenticated("X-Security-Token is missing or is not that of this temporary access key.")


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
