"""One HTTP exchange with a server of strangers, over a connection that we opened ourselves to a judged address.

The standard library's ``http.client`` is given the socket: nothing in it resolves a name, knows a proxy, follows a
redirect or tries again. A timer cuts the connection at the deadline: a socket's own timeout counts anew with each byte.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from headrace.notify.addresses import Target

MAX_ANSWER = 64 * 1024
"""So many bytes of an answer's body are read, out of politeness: some servers take a hang-up for a withdrawal."""
POLITE_SECONDS = 1.0
"""So long it is waited for them: who has said yes, and never ends the body, holds nobody up by it."""
MAX_ADDRESSES = 4
"""So many addresses of one name are tried: strangers' name servers list as many as they like."""


class Deadline:
    """A moment that nothing outlives."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until it, never negative."""
        return max(0.0, self._at - time.monotonic())

    @contextlib.contextmanager
    def cuts(self, connection: socket.socket) -> Iterator[None]:
        """Within, the connection is shut when the time is up, whatever is being done with it."""
        lifeline = connection.dup()  # stays ours when TLS takes the socket over
        with lifeline:
            timer = threading.Timer(self.left, _shut, (lifeline,))
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()


def _shut(lifeline: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed by the other side already
        lifeline.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Answer:
    """What came back: the status, and where to go instead ("" unless a redirect)."""

    status: int
    location: str


@dataclass(frozen=True)
class Request:
    """What is sent; the header Host comes from the target."""

    method: str
    target: Target
    headers: Mapping[str, str]
    body: bytes | None


def post(request: Request, addresses: Sequence[str], tls: ssl.SSLContext, deadline: Deadline) -> Answer:
    """What its status line and headers answer; of the body is read a little, and thrown away. Raises as ``asked``."""
    with asked(request, addresses, tls, deadline) as (answer, line):
        politeness = Deadline(min(POLITE_SECONDS, deadline.left))
        # The status has said it all.
        with politeness.cuts(line), contextlib.suppress(OSError, http.client.HTTPException):
            answer.read(MAX_ANSWER)
        return Answer(answer.status, answer.getheader("Location") or "")


@contextlib.contextmanager
def asked(
    request: Request, addresses: Sequence[str], tls: ssl.SSLContext, deadline: Deadline
) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
    """Asks the first of ``addresses`` that takes the connection: (answer without its body, what shuts the connection).

    The deadline is for all of it: connection, TLS, request, headers, and what the caller reads of the body within.

    Raises:
        OSError: no connection, or it broke or was cut before an answer; ssl.SSLError among them.
        http.client.HTTPException: what came is no HTTP.
    """
    target = request.target
    # A second hold of the connection, as TLS takes the first one over.
    with connect(addresses, target.port, deadline) as raw, raw.dup() as line, deadline.cuts(line):
        secure = target.scheme == "https"
        # The certificate must be the name's, whatever address we connect to.
        connection = tls.wrap_socket(raw, server_hostname=target.host.rstrip(".")) if secure else raw
        with connection:
            exchange = http.client.HTTPConnection(target.host, target.port)
            exchange.sock = connection
            headers = {"Host": target.authority, "Connection": "close", **request.headers}
            exchange.request(request.method, target.path, request.body, headers)
            yield exchange.getresponse(), line


def connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first of ``addresses`` that takes one; raises OSError if none does before the deadline.

    Only MAX_ADDRESSES are tried.
    """
    failed: OSError = TimeoutError("no time was left to connect")
    tried = _some(addresses)
    for count, address in enumerate(tried):
        share = deadline.left / (len(tried) - count)
        if share <= 0:
            break
        try:
            connection = socket.create_connection((address, port), timeout=share)
        except OSError as error:
            failed = error
        else:
            connection.settimeout(max(deadline.left, 0.001))
            return connection
    raise failed


def _some(addresses: Sequence[str]) -> list[str]:
    """The first of them, and one of the other IP version, if there is any: it may be the one that works from here."""
    first, rest = list(addresses[:MAX_ADDRESSES]), addresses[MAX_ADDRESSES:]
    versions = {":" in address for address in first}
    other = [address for address in rest if (":" in address) not in versions]
    return [*first[:-1], other[0]] if other else first
