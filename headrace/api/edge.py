"""The outermost layer: a request id on every answer, an answer to every error, and the language of both."""

from __future__ import annotations

import logging
from collections.abc import Callable
from uuid import uuid4

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api.language import CHINESE

log = logging.getLogger(__name__)

REQUEST_ID = "headrace.request_id"


class Edge:
    """Pure ASGI middleware. The one place besides the driver's loop that catches whatever comes."""

    def __init__(self, app: ASGIApp, answer: Callable[[Exception, str, str], Response]) -> None:
        """``answer`` is the table of errors: (exception, path, request id) -> response."""
        self.app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        language = next((value for name, value in scope["headers"] if name == b"x-language"), b"")
        before = CHINESE.set(language.strip().lower() == b"zh-cn")
        try:
            await self._serve(scope, receive, send)
        finally:
            CHINESE.reset(before)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid4().hex
        scope[REQUEST_ID] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            response = self._answer(error, scope["path"], request_id)
            if response.status_code >= 500:
                log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
            if started:
                raise  # the answer has begun already; the server breaks the connection off
            await response(scope, receive, send_with_id)
