"""Bytes on a socket: what no client library would send."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Reply:
    """One answer, as it came; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def refusal(self) -> tuple[int, str]:
        """(status, DLI's code) of an answer that must be a refusal in DLI's shape."""
        told = json.loads(self.body)
        assert set(told) == {"error_code", "error_msg"}, told
        assert self.headers["content-type"] == "application/json"
        assert len(self.headers["x-request-id"]) == 32
        return self.status, str(told["error_code"])


class Line:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        """Sends these bytes and no others."""
        self._connection.sendall(data)

    def close(self) -> None:
        """Lets go of the connection."""
        self._file.close()
        self._connection.close()

    def is_answered(self, within_s: float) -> bool:
        """Whether the server has answered or closed by then."""
        return bool(select.select([self._connection], [], [], within_s)[0])

    def trickle(self, piece: bytes, pause_s: float) -> int:
        """Sends the piece again and again until the server answers or closes; returns how often."""
        times = 0
        while not self.is_answered(pause_s):
            self.send(piece)
            times += 1
        return times

    def end(self) -> None:
        """Nothing more is sent."""
        self._connection.shutdown(socket.SHUT_WR)

    def reply(self) -> Reply:
        """The next answer."""
        first = self._file.readline()
        assert first, "the connection was closed without an answer"
        headers: dict[str, str] = {}
        while (line := self._file.readline().rstrip(b"\r\n")) != b"":
            name, _, value = line.decode("latin-1").partition(":")
            assert name.lower() not in headers, f"{name} comes twice"
            headers[name.lower()] = value.strip()
        body = self._file.read(int(headers.get("content-length", 0)))
        return Reply(int(first.split()[1]), headers, body)

    def is_closed(self) -> bool:
        """Waits until the server answers or closes; whether it has closed without an answer."""
        try:
            return self._file.peek(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False


@contextmanager
def line(url: str) -> Iterator[Line]:
    """A connection to the server at this URL."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as connection:
        found = Line(connection)
        try:
            yield found
        finally:
            found.close()


def head(method: str, target: str, *more: str, token: str = "token of AK") -> bytes:
    """A request's first line and headers, as they are given."""
    lines = [f"{method} {target} HTTP/1.1", "Host: testserver", f"X-Auth-Token: {token}", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def ask(url: str, method: str, target: str, *more: str, body: Any = None) -> Reply:
    """One request and its answer, on a connection of their own; ``body``: bytes, or JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    with line(url) as connection:
        fields = (f"Content-Type: {kind}", f"Content-Length: {len(content)}", "Connection: close", *more)
        connection.send(head(method, target, *fields) + content)
        return connection.reply()
