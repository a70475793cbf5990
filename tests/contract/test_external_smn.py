"""An SMN elsewhere, as a real HTTP server that verifies signatures with the project's own verifier."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from headrace import signing
from headrace.domain.errors import BadField, NotAuthenticated
from headrace.notify.base import Undelivered
from headrace.notify.external import MAX_MESSAGE, ExternalSmn
from headrace.settings import load_settings
from tests.support.certificates import Authority
from tests.support.listening import HttpListener

PROJECT, ACCESS_KEY, SECRET_KEY = "0123456789abcdef0123456789abcdef", "AKIDEXAMPLE", "SKEXAMPLE-never-told"
NOW_MS = 1_795_859_100_000


class Smn(HttpListener):
    """Topics in pages, and what was published; ``broken`` is answered instead, if it is set.

    Each answer takes ``slow_s``; of one that drips, the bytes with the numbers ``drips`` 0.05 s each.
    """

    def __init__(self, topics: int, page_limit: int = 100, tls: ssl.SSLContext | None = None) -> None:
        self.topics = [{"name": f"topic-{n}", "topic_urn": f"urn:smn:r:{PROJECT}:topic-{n}"} for n in range(topics)]
        self.page_limit = page_limit
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.asked: list[str] = []
        self.broken: tuple[int, bytes] | None = None
        self.slow_s = 0.0
        self.drips = range(0)
        self.missing = 0
        super().__init__(_Handler, {"smn": self}, tls)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        self.asked.append(f"{method} {target}")
        parts = urlsplit(target)
        prefix = f"/gate/v2/{PROJECT}/notifications/topics"
        if (method, parts.path) == ("GET", prefix):
            query = {name: int(values[0]) for name, values in parse_qs(parts.query).items()}
            offset, limit = query["offset"], min(query["limit"], self.page_limit)
            return 200, {"topic_count": len(self.topics), "topics": self.topics[offset : offset + limit]}
        urn = unquote(parts.path.removeprefix(prefix + "/").removesuffix("/publish"))
        if method == "POST" and urn in {topic["topic_urn"] for topic in self.topics}:
            self.published.append((urn, json.loads(body)))
            return 200, {"request_id": "r", "message_id": f"theirs-{len(self.published)}"}
        return 404, {"request_id": "r", "code": "SMN.00010008", "message": "Topic not found."}


class _Handler(BaseHTTPRequestHandler):
    smn: Smn

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def _serve(self, method: str) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path, _, query = self.path.partition("?")
        headers = [(name.lower(), value) for name, value in self.headers.items()]
        request = signing.SignedRequest(method, path, query, headers, sha256(body).hexdigest())
        given = signing.parse_authorization(self.headers["Authorization"])
        now = datetime.fromtimestamp(NOW_MS / 1000, UTC)
        try:
            signing.verify(request, given, SECRET_KEY, now=now, skew_seconds=0)
            assert given.access_key == ACCESS_KEY
            assert self.headers["X-Project-Id"] == PROJECT
            status, answer = self.smn.answer(method, self.path, body)
            content = json.dumps(answer).encode()
        except NotAuthenticated as error:
            status, content = 401, json.dumps({"error_code": "APIG.0301", "error_msg": str(error)}).encode()
        if self.smn.broken == (0, b""):
            self.smn.released.wait()
        status, content = self.smn.broken or (status, content)
        self.smn.released.wait(self.smn.slow_s)
        self._say(
            b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status or 200, len(content) + self.smn.missing, content)
        )

    def _say(self, answer: bytes) -> None:
        drips = self.smn.drips
        with suppress(OSError):  # whoever asked has had enough
            self.wfile.write(answer[: drips.start])
            for number in drips:
                self.wfile.write(answer[number : number + 1])
                self.smn.released.wait(0.05)
            self.wfile.write(answer[drips.stop :])


@pytest.fixture
def smn() -> Iterator[Smn]:
    with Smn(topics=250) as one:
        yield one


def client(smn: Smn, home: Path, **settings: Any) -> ExternalSmn:
    values = {"smn_project_id": PROJECT, "smn_access_key": ACCESS_KEY, "smn_secret_key": SECRET_KEY, **settings}
    return ExternalSmn(load_settings(home, smn_endpoint=f"{smn.url}/gate/", **values), lambda: NOW_MS)


def test_a_topic_is_found_by_its_very_name_on_any_page(smn: Smn, tmp_path: Path) -> None:
    one = client(smn, tmp_path)
    assert one.topic_urn("topic-0") == f"urn:smn:r:{PROJECT}:topic-0"
    assert one.topic_urn("topic-249") == f"urn:smn:r:{PROJECT}:topic-249"
    assert one.topic_urn("topic-24") == f"urn:smn:r:{PROJECT}:topic-24"
    assert one.topic_urn("topic") is None
    assert len(smn.asked) == 1 + 3 + 1 + 3


def test_pages_that_are_shorter_than_asked_for_are_not_the_last(tmp_path: Path) -> None:
    with Smn(topics=25, page_limit=10) as smn:
        assert client(smn, tmp_path).topic_urn("topic-24") is not None
        assert client(smn, tmp_path).topic_urn("topic-25") is None
    with Smn(topics=0) as empty:
        assert client(empty, tmp_path).topic_urn("topic-0") is None


def test_a_message_is_published_with_our_id_in_it(smn: Smn, tmp_path: Path) -> None:
    urn = f"urn:smn:r:{PROJECT}:topic-7"
    assert client(smn, tmp_path).publish(urn, "Задание упало", "Причина: 内存不足 💥", "6f1c") == "theirs-1"
    assert client(smn, tmp_path).publish(urn, "Задание упало", "Причина: 内存不足 💥", "6f1c") == "theirs-2"
    assert (
        smn.published
        == [(urn, {"subject": "Задание упало", "message": "Причина: 内存不足 💥\n\nmessage id: 6f1c"})] * 2
    )


def test_what_is_too_long_for_smn_is_cut(smn: Smn, tmp_path: Path) -> None:
    client(smn, tmp_path).publish(f"urn:smn:r:{PROJECT}:topic-7", "s" * 600, "ß" * MAX_MESSAGE, "6f1c")
    [(_, body)] = smn.published
    assert len(body["subject"]) == 512
    assert len(body["message"].encode()) <= MAX_MESSAGE
    assert body["message"].endswith("ß\n\nmessage id: 6f1c")


def test_an_unknown_topic_and_a_wrong_key_are_told_in_smns_words(smn: Smn, tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match=r"404 \(SMN.00010008: Topic not found"):
        client(smn, tmp_path).publish("urn:smn:r:p:gone", "s", "m", "6f1c")
    with pytest.raises(Undelivered, match=r"401 \(APIG.0301: The signature does not match") as caught:
        client(smn, tmp_path, smn_secret_key="wrong-secret").topic_urn("topic-1")
    assert "wrong-secret" not in caught.value.reason
    assert not caught.value.final


@pytest.mark.parametrize(
    "broken",
    [(200, b"no JSON"), (200, b"[]"), (200, b'{"topics": 1}'), (200, b"[" * 100_000), (502, b"<html>"), (302, b"{}")],
)
def test_an_answer_that_is_none(smn: Smn, tmp_path: Path, broken: tuple[int, bytes]) -> None:
    smn.broken = broken
    with pytest.raises(Undelivered, match="external SMN"):
        client(smn, tmp_path).topic_urn("topic-1")
    with pytest.raises(Undelivered, match="external SMN"):
        client(smn, tmp_path).publish(f"urn:smn:r:{PROJECT}:topic-7", "s", "m", "6f1c")


def test_silence_is_left(smn: Smn, tmp_path: Path) -> None:
    smn.broken = (0, b"")
    with pytest.raises(Undelivered, match="does not answer"):
        client(smn, tmp_path, notice_timeout_seconds=0.5).topic_urn("topic-1")
    smn.released.set()
    smn.broken = (200, b"x" * (5 * 1024 * 1024))
    with pytest.raises(Undelivered, match="does not answer"):
        client(smn, tmp_path).topic_urn("topic-1")


@pytest.mark.parametrize("drips", [range(5, 30), range(41, 66)], ids=["headers", "body"])
def test_an_answer_that_drips_is_cut(smn: Smn, tmp_path: Path, drips: range) -> None:
    """Each byte comes well within the time for one notice, and with all of them it would be a yes."""
    smn.drips = drips
    with pytest.raises(Undelivered, match="does not answer: the time is up"):
        client(smn, tmp_path, notice_timeout_seconds=0.5).topic_urn("topic-1")
    with pytest.raises(Undelivered, match="does not answer: the time is up"):
        client(smn, tmp_path).topic_urn("topic-1", 0.5)
    with pytest.raises(Undelivered, match="does not answer: the time is up"):
        client(smn, tmp_path, notice_timeout_seconds=0.5).publish(f"urn:smn:r:{PROJECT}:topic-7", "s", "m", "6f1c")


def test_the_time_is_for_all_pages_together(tmp_path: Path) -> None:
    with Smn(topics=250, page_limit=10) as smn:
        smn.slow_s = 0.2
        with pytest.raises(Undelivered, match="the time is up"):
            client(smn, tmp_path).topic_urn("topic-249", 1.0)
        assert len(smn.asked) < 25


def test_an_answer_that_breaks_off_is_none(smn: Smn, tmp_path: Path) -> None:
    smn.missing = 1
    with pytest.raises(Undelivered, match="breaks off"):
        client(smn, tmp_path).topic_urn("topic-1")


def test_an_address_that_is_not_written_as_one_is_no_endpoint(tmp_path: Path) -> None:
    values = {"smn_project_id": PROJECT, "smn_access_key": ACCESS_KEY, "smn_secret_key": SECRET_KEY}
    with pytest.raises(BadField, match="smn_endpoint"):
        ExternalSmn(load_settings(tmp_path, smn_endpoint="https://10.1", **values), lambda: NOW_MS)


def test_over_tls_the_certificate_must_be_one_that_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Smn(topics=1, tls=authority.context("127.0.0.1")) as smn:
        assert client(smn, tmp_path, smn_ca_file=authority.file).topic_urn("topic-0") is not None
        with pytest.raises(Undelivered, match="certificate"):
            client(smn, tmp_path).topic_urn("topic-0")


def test_the_secret_key_is_shown_nowhere(smn: Smn, tmp_path: Path) -> None:
    one = client(smn, tmp_path)
    assert SECRET_KEY not in repr(vars(one))
