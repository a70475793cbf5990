"""Clients that are slow, break off, or do not speak HTTP: on a real socket, with short patience."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.settings import Settings
from tests.api.conftest import PROJECT
from tests.support.raw import Reply, ask, head, line
from tests.support.server import wait_until

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PATIENCE_S = 0.4
MOST = 30
LIST = f"/v1.0/{PROJECT}/streaming/jobs"
QUEUES = f"/v1.0/{PROJECT}/queues"
OBJECT = f"/headrace/v1/{PROJECT}/objects/b/slow"
OCTETS = "Content-Type: application/octet-stream"
SLOW = (408, "DLI.0019")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        max_body_kb=64,
        max_object_mb=2,
        body_timeout_seconds=PATIENCE_S,
        head_timeout_seconds=PATIENCE_S,
        max_connections=MOST,
    )


@pytest.fixture(autouse=True)
def goes_on(stand: Stand, url: str) -> Iterator[None]:
    """Whatever a client does, nothing of it is stored, and others are served."""
    rows, stored = stand.rows(), objects(stand)
    yield
    assert served(url)
    wait_until("no upload is left", lambda: objects(stand) == stored, patience_s=30)
    assert stand.rows() == rows


def objects(stand: Stand) -> set[str]:
    return {path.name for path in (stand.home / "objects" / "b").rglob("*")}


def served(url: str) -> bool:
    return ask(url, "GET", LIST).status == 200


def post(length: int) -> bytes:
    return head("POST", QUEUES, "Content-Type: application/json", f"Content-Length: {length}")


def put(length: int) -> bytes:
    return head("PUT", OBJECT, OCTETS, f"Content-Length: {length}")


@pytest.mark.parametrize(
    "begun", [post(1000), post(1000) + b'{"queue_name": ', put(100_000), put(100_000) + b"x" * 500]
)
def test_a_body_that_stops_coming(url: str, begun: bytes) -> None:
    with line(url) as slow:
        slow.send(begun)
        assert served(url)  # meanwhile
        reply = slow.reply()
        assert reply.refusal() == SLOW
        assert reply.headers["connection"] == "close"
        assert slow.is_closed()


@pytest.mark.parametrize("begun", [post(60_000), put(100_000)])
def test_a_body_that_comes_byte_by_byte(url: str, begun: bytes) -> None:
    with line(url) as slow:
        slow.send(begun)
        assert 3 < slow.trickle(b"x", pause_s=0.02) < 1000
        assert slow.reply().refusal() == SLOW
        assert slow.is_closed()


def test_a_chunked_body_that_comes_byte_by_byte(url: str) -> None:
    with line(url) as slow:
        slow.send(head("PUT", OBJECT, OCTETS, "Transfer-Encoding: chunked"))
        slow.trickle(b"1\r\nx\r\n", pause_s=0.02)
        assert slow.reply().refusal() == SLOW


def test_an_object_that_comes_slowly_but_steadily_is_stored(stand: Stand, url: str) -> None:
    pieces = 8
    with line(url) as steady:
        steady.send(put(pieces * 2048))
        for _ in range(pieces):
            assert not steady.is_answered(PATIENCE_S / 4)
            steady.send(b"x" * 2048)
        assert json.loads(steady.reply().body)["size"] == pieces * 2048
    assert (stand.home / "objects" / "b" / "slow").stat().st_size == pieces * 2048
    (stand.home / "objects" / "b" / "slow").unlink()


@pytest.mark.parametrize("begun", [post(1000) + b"{", put(1000) + b"x" * 999, put(1_500_000) + b"x" * 1_400_000])
def test_a_client_that_leaves_in_the_middle(url: str, begun: bytes) -> None:
    with line(url) as leaving:
        leaving.send(begun)
        leaving.end()
        assert leaving.is_closed()


def test_a_head_that_does_not_come(url: str) -> None:
    with line(url) as silent:
        assert silent.is_closed()


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\n", head("GET", LIST)[:-2]])
def test_a_head_that_stops_coming(url: str, begun: bytes) -> None:
    with line(url) as slow:
        slow.send(begun)
        assert served(url)
        assert slow.reply().refusal() == SLOW
        assert slow.is_closed()


def test_a_head_that_comes_byte_by_byte(url: str) -> None:
    with line(url) as slow:
        slow.send(b"GET / HTTP/1.1\r\nX-A: ")
        assert slow.trickle(b"x", pause_s=0.02) < 1000
        assert slow.reply().refusal() == SLOW


def test_the_second_request_of_a_connection_has_no_more_time(url: str) -> None:
    with line(url) as slow:
        for _ in range(3):
            slow.send(head("GET", LIST))
            assert slow.reply().status == 200
        slow.send(head("GET", LIST)[:20])
        assert slow.reply().refusal() == SLOW
        assert slow.is_closed()


def test_a_body_that_nobody_reads_is_not_taken_for_ever(url: str) -> None:
    """The refusal comes at once; the rest of the body is let pass for a while, so that the client can read it."""
    with line(url) as slow:
        slow.send(head("PUT", OBJECT, OCTETS, "Content-Length: 1000000", token="wrong") + b"x" * 1000)
        assert slow.reply().refusal() == (401, "DLI.0013")
        slow.send(b"x" * 1000)
        assert slow.is_closed()


def refused(url: str, data: bytes) -> Reply:
    with line(url) as connection:
        connection.send(data)
        reply = connection.reply()
        assert reply.headers["connection"] == "close"
        assert connection.is_closed()
        return reply


NO_HTTP = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500,
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two lengths": head("POST", QUEUES, "Content-Length: 1", "Content-Length: 2"),
    "a length below nothing": head("POST", QUEUES, "Content-Length: -1"),
    "a length that is none": head("POST", QUEUES, "Content-Length: 0x10"),
    "a length without end": head("POST", QUEUES, f"Content-Length: {'9' * 400}"),
    "an unknown coding": head("POST", QUEUES, "Transfer-Encoding: gzip, chunked"),
    "a bare line feed in the target": b"GET /a\nb HTTP/1.1\r\nHost: a\r\n\r\n",
    "a blank in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a long line": b"GET /" + b"x" * 100_000,
    "a long header": b"GET / HTTP/1.1\r\nX-A: " + b"x" * 100_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"X-A: x\r\n" * 20_000,
}


@pytest.mark.parametrize("kind", NO_HTTP)
def test_what_is_no_http(url: str, kind: str) -> None:
    assert refused(url, NO_HTTP[kind]).refusal() == (400, "DLI.0001")


def test_a_chunk_that_is_none(url: str) -> None:
    for begun in (
        head("POST", QUEUES, "Transfer-Encoding: chunked"),
        head("PUT", OBJECT, OCTETS, "Transfer-Encoding: chunked"),
    ):
        assert refused(url, begun + b"5\r\nhello\r\nxyz\r\n").refusal() == (400, "DLI.0001")


def test_a_chunked_body_over_the_limit(url: str) -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    for target, times in ((QUEUES, 3), (OBJECT, 70)):
        method = "POST" if target == QUEUES else "PUT"
        with line(url) as connection:
            connection.send(head(method, target, OCTETS, "Transfer-Encoding: chunked") + chunk * times)
            assert connection.reply().refusal() == (413, "DLI.0009")


def test_a_length_over_the_limit(url: str) -> None:
    for begun in (post(65_537), put(2 * 1024 * 1024 + 1), post(10**17), put(10**17)):
        with line(url) as connection:
            connection.send(begun)
            assert connection.reply().refusal() == (413, "DLI.0009")


def test_a_length_that_is_too_small(url: str) -> None:
    """What is left over is the next request, and is none."""
    with line(url) as connection:
        connection.send(post(2) + b'{}{"queue_name": "smuggled", "cu_count": 16}\r\n\r\n')
        assert connection.reply().refusal() == (400, "DLI.0001")
        assert connection.reply().refusal() == (400, "DLI.0001")
        assert connection.is_closed()


def test_length_and_chunks_at_once(url: str) -> None:
    """The chunks count, as RFC 9112 says, and nothing behind them is taken for a request."""
    smuggled = head("DELETE", f"{QUEUES}/q")
    begun = head("POST", QUEUES, "Content-Type: application/json", "Content-Length: 4", "Transfer-Encoding: chunked")
    with line(url) as connection:
        connection.send(begun + b"2\r\n{}\r\n0\r\n\r\n" + smuggled[:10])
        assert connection.reply().refusal() == (400, "DLI.0001")
        assert connection.reply().refusal() == SLOW


def test_no_websocket(url: str) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA==")
    with line(url) as connection:
        connection.send(head("GET", "/v1.0/nothing", *upgrade))
        assert connection.reply().refusal() == (404, "DLI.0023")


def test_more_connections_than_there_may_be(url: str) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(line(url)) for _ in range(MOST + 5)]
        replies = [connection.reply() for connection in lines if not connection.is_closed()]
    wait_until("there is a place again", lambda: served(url), patience_s=30)
    assert [reply.refusal() for reply in replies] == [(503, "DLI.0999")] * 5


def test_idle_connections_do_not_hold_up_others(url: str) -> None:
    with ExitStack() as stack:
        for _ in range(MOST - 5):
            stack.enter_context(line(url)).send(post(1000) + b"{")
        assert served(url)
