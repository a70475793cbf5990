"""A real HTTP proxy, in threads: forwards plain requests, tunnels others, and keeps a record of both.

It also stands in for the DNS: a domain that it was told of, and every name below it, is an address of this machine.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import quote, urlsplit

PIECE = 1 << 16
BETWEEN_TWO = frozenset({"connection", "expect", "keep-alive", "proxy-authorization", "proxy-connection"})
"""Headers that are not for the server behind."""


@dataclass(frozen=True)
class Passed:
    """One request that was let through.

    Attributes:
        method: "CONNECT" of a tunnel, of whose content nothing is known.
        host: the name that the client wanted, without a port.
        path: with its query; "" of a tunnel.
        part: what the header ``Range`` says, "" = all of it.
    """

    method: str
    host: str
    path: str = ""
    part: str = ""


@dataclass
class Proxy:
    """Reaches the domains of ``domains`` and names below them at the address given there, and nothing else but numbers.

    Attributes:
        login: "user:password" that it wants, "" = none.
        passed: what was let through, oldest first.
        hold: is called with a plain request that is about to go on; it goes on when that returns.
        sent: is called with the size of each piece of a plain request's body; the next one is taken when that returns.
        came: the same of its answer.
    """

    domains: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    login: str = ""
    passed: list[Passed] = field(default_factory=list)
    hold: Callable[[Passed], None] = lambda _: None
    sent: Callable[[int], None] = lambda _: None
    came: Callable[[int], None] = lambda _: None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """What clients are told, with the login."""
        user, _, password = self.login.partition(":")
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if self.login else ""
        return f"http://{login}127.0.0.1:{self._server.server_port}"

    @property
    def hosts(self) -> set[str]:
        """All names that were wanted so far."""
        return {one.host for one in list(self.passed)}

    def address(self, host: str, port: int) -> tuple[str, int] | None:
        """Where a name is; None = nobody knows it."""
        for domain, place in self.domains.items():
            if host == domain or host.endswith(f".{domain}"):
                return place
        return (host, port) if host == "127.0.0.1" else None

    def lets_in(self, authorization: str | None) -> bool:
        """Whether the login is right."""
        wanted = base64.b64encode(self.login.encode()).decode()
        return not self.login or authorization == f"Basic {wanted}"


class _Handler(BaseHTTPRequestHandler):
    proxy: Proxy
    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        behind = self._reached(Passed("CONNECT", host), int(port))
        if behind is None:
            return
        with behind:
            self.send_response_only(200, "Connection established")
            self.end_headers()
            back = threading.Thread(target=_pump, args=(behind, self.connection), daemon=True)
            back.start()
            _pump(self.connection, behind)
            back.join()
        self.close_connection = True

    def _forward(self) -> None:
        """One request for each connection behind: so its end is the answer's end, whatever the answer is."""
        url = urlsplit(self.path)
        path = self.path.partition("://")[2].partition("/")[2]
        wanted = Passed(self.command, url.hostname or "", f"/{path}", self.headers.get("Range", ""))
        behind = self._reached(wanted, url.port or 80)
        if behind is None:
            return
        self.proxy.hold(wanted)
        kept = [f"{name}: {value}\r\n" for name, value in self.headers.items() if name.lower() not in BETWEEN_TWO]
        head = f"{self.command} /{path} HTTP/1.1\r\n{''.join(kept)}Connection: close\r\n\r\n"
        with behind:
            left = int(self.headers.get("Content-Length", 0))
            with suppress(OSError):  # an answer may come before the whole body is taken, and no more of it then
                behind.sendall(head.encode("latin-1"))
                while left > 0 and (piece := self.rfile.read(min(PIECE, left))):
                    behind.sendall(piece)
                    left -= len(piece)
                    self.proxy.sent(len(piece))
            _pump(behind, self.connection, self.proxy.came)
        self.close_connection = True

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815

    def _reached(self, wanted: Passed, port: int) -> socket.socket | None:
        """A connection to what is wanted; None if the refusal was said."""
        if not self.proxy.lets_in(self.headers["Proxy-Authorization"]):
            self._refuse(407, "Proxy-Authenticate", 'Basic realm="proxy"')
            return None
        address = self.proxy.address(wanted.host, port)
        try:
            if address is None:
                raise ConnectionRefusedError(wanted.host)
            behind = socket.create_connection(address, 10)
        except OSError:
            self._refuse(502)
            return None
        behind.settimeout(None)
        self.proxy.passed.append(wanted)
        return behind

    def _refuse(self, status: int, *header: str) -> None:
        self.send_response(status)
        if header:
            self.send_header(*header)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def _pump(source: socket.socket, sink: socket.socket, passed: Callable[[int], None] = lambda _: None) -> None:
    """All that comes, until it ends."""
    with suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)
            passed(len(piece))
    for end, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with suppress(OSError):
            end.shutdown(how)
