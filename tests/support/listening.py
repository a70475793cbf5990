"""A real HTTP server of this machine, in a thread."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class HttpListener:
    """Serves while it is entered.

    Attributes:
        released: set at the end; a handler that hangs waits for it.
        url: without a slash at its end.
    """

    def __init__(
        self,
        handler: type[BaseHTTPRequestHandler],
        known: Mapping[str, object],
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        """``known``: attributes that the handlers have besides; they do not write of their requests."""
        self.released = threading.Event()
        silent = {"log_message": lambda *_: None}
        self._server = ThreadingHTTPServer((host, 0), type("Handler", (handler,), {**silent, **known}))
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.port = int(self._server.server_address[1])
        self.authority = f"{host}:{self.port}"
        self.url = f"{'https' if tls else 'http'}://{self.authority}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
