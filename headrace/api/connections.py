"""Connections, below HTTP: how long a request's head may take, how many there may be, and DLI's words for bad HTTP.

uvicorn waits for a head as long as the client likes, takes as many connections as the system has files, and answers in
words of its own. The limits that it has are set here too.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from types import FrameType
from uuid import uuid4

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from headrace.domain.errors import HomeUnusable
from headrace.settings import Settings

log = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024
"""A key of 1024 bytes, percent-encoded, beside a token of 8 KB; h11's own limit is 16 KB."""

KEEP_ALIVE_S = 75
"""How long an idle connection stays open. Who asks again at the moment when it is closed is told of an error, and
uvicorn's own 5 s is how often many ask.
"""

_REASONS = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application; the listening socket is the caller's."""
    return uvicorn.Config(
        app,
        http=_protocol(settings),
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=settings.public_url is not None,  # else any local process could name another address as its own
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
    )


def _protocol(settings: Settings) -> type[Connection]:
    class Limited(Connection):
        head_seconds = settings.head_timeout_seconds
        body_seconds = settings.body_timeout_seconds
        most = settings.max_connections

    return Limited


class Connection(H11Protocol):
    """uvicorn's, with limits.

    Attributes:
        head_seconds: how long a head may take, from the connection's beginning or the head's first byte.
        body_seconds: how long the rest of a body that nobody reads is taken, once the request is answered.
        most: how many connections there are at once.
    """

    head_seconds: float
    body_seconds: float
    most: int

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(503, "DLI.0999", f"There are {self.most} connections already. Close some, or try again later.")
        else:
            self._timer = self.loop.call_later(self.head_seconds, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        super().data_received(data)
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._stop_timer()
        elif self._timer is None:  # a further request has begun on this connection
            self._timer = self.loop.call_later(self.head_seconds, self._late)

    def on_response_complete(self) -> None:
        """The request is answered, though its body may still be on the way."""
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self.loop.call_later(self.body_seconds, self._give_up, self.cycle)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] and self._timer is None:
            self._timer = self.loop.call_later(self.head_seconds, self._late)  # the next head came with this request

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP, or no longer."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # whoever reads the body learns of it
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.close()
                return
        self._refuse(400, "DLI.0001", f"{msg} Send well-formed HTTP/1.1 with one Content-Length that is right.")

    def _give_up(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()

    def _late(self) -> None:
        self._timer = None
        if self.conn.trailing_data[0]:
            text = f"The request's first line and headers did not come within {self.head_seconds:g} s."
            self._refuse(408, "DLI.0019", text)
        else:
            self.transport.close()

    def _refuse(self, status: int, code: str, text: str) -> None:
        """Answers in DLI's words, past h11, and closes."""
        request_id = uuid4().hex
        log.info("request %s: refused with %s: %s", request_id, status, text)
        body = json.dumps({"error_code": code, "error_msg": text}).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class HttpServer(uvicorn.Server):
    """uvicorn, but a signal only asks it to leave: its own way raises the signal again and would end us half-way."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing to capture: ``serve`` has set the handlers."""
        yield

    def leave(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.should_exit = True


@contextlib.contextmanager
def listening(settings: Settings) -> Iterator[socket.socket]:
    """A socket at the address of the settings.

    Raises:
        HomeUnusable: it cannot be used.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            raise HomeUnusable(
                f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Choose another --port; 0 takes "
                "a free one."
            ) from error
        listener.listen(512)
        yield listener
