from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Stand

LIST = "/v1.0/{p}/streaming/jobs"
ROUTES = [
    ("GET", LIST),
    ("POST", "/v1.0/{p}/streaming/flink-jobs"),
    ("GET", "/v1.0/{p}/queues"),
    ("GET", "/v2.0/{p}/resources"),
    ("GET", "/headrace/v1/{p}/buckets"),
    ("PUT", "/headrace/v1/{p}/objects/b/k"),
    ("GET", "/nothing"),
    ("POST", "/healthz"),
    ("GET", "/docs"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_needs_a_signature(bare: Stand, method: str, path: str) -> None:
    status, code, message = bare.refused(method, path, unsigned=True)
    assert (status, code) == (401, "DLI.0013")
    assert "X-Auth-Token" in message
    assert "SDK-HMAC-SHA256" in message


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_wrong_secret_or_an_unknown_key(bare: Stand, method: str, path: str) -> None:
    wrong = bare.refused(method, path, {"a": 1}, secret="wrong")
    unknown = bare.refused(method, path, {"a": 1}, ak="NOBODY")
    assert wrong[:2] == unknown[:2] == (401, "DLI.0013")


def test_an_authorization_that_is_no_text(bare: Stand) -> None:
    header = b"SDK-HMAC-SHA256 Access=\xff, SignedHeaders=x-sdk-date, Signature=" + b"0" * 64
    answer = bare.client.get(
        "/v1.0/x/queues", headers=[(b"Authorization", header), (b"X-Sdk-Date", b"20261122T110000Z")]
    )
    assert (answer.status_code, answer.json()["error_code"]) == (401, "DLI.0013")


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_stale_date(bare: Stand, seconds: int) -> None:
    status, code, message = bare.refused("GET", LIST, at_ms=bare.clock.ms + seconds * 1000)
    assert (status, code) == (401, "DLI.0013")
    assert "clock" in message


def test_a_changed_body(bare: Stand) -> None:
    answer = bare.send("POST", "/v1.0/{p}/queues", {"queue_name": "q"})
    headers = {name: answer.request.headers[name] for name in ("authorization", "x-sdk-date", "content-type", "host")}
    path = str(answer.request.url)
    changed = bare.client.post(path, content=b'{"queue_name": "r"}', headers=headers)
    assert (changed.status_code, changed.json()["error_code"]) == (401, "DLI.0013")


@pytest.mark.parametrize(
    "path",
    [
        LIST,
        "/v1.0/{p}/streaming/jobs/1",
        "/v1.0/{p}/queues",
        "/v2.0/{p}/resources/x",
        "/headrace/v1/{p}/buckets",
        "/headrace/v1/{p}/objects/b/k",
        "/v1.0/%7Bp%7D/streaming/jobs",
    ],
)
def test_another_projects_path(stand: Stand, path: str) -> None:
    status, code, _ = stand.refused("GET", path, ak="OTHER")
    assert (status, code) == (403, "DLI.0016")


def test_another_projects_job(stand: Stand) -> None:
    job_id = stand.create()
    path = f"/v1.0/fedcba9876543210fedcba9876543210/streaming/jobs/{job_id}"
    assert stand.refused("GET", path, ak="OTHER")[:2] == (400, "DLI.16001")
    assert stand.refused("DELETE", path, ak="OTHER")[:2] == (400, "DLI.16001")
    assert stand.show(job_id)["status"] == "job_init"


def test_only_health_is_anonymous(bare: Stand) -> None:
    answer = bare.send("GET", "/healthz", unsigned=True)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert len(answer.headers["X-Request-Id"]) == 32


def test_each_answer_has_an_id_of_its_own(bare: Stand) -> None:
    ids = {bare.send("GET", LIST).headers["X-Request-Id"] for _ in range(3)}
    ids |= {
        bare.send("GET", LIST, unsigned=True).headers["X-Request-Id"],
        bare.send("GET", "/x").headers["X-Request-Id"],
    }
    assert len(ids) == 5


@pytest.mark.parametrize("unsigned", [True, False])
def test_a_body_of_100_mb_is_not_read(bare: Stand, *, unsigned: bool) -> None:
    before = bare.rows()
    content = b"x" * 100 * 1024 * 1024
    status, code, message = bare.refused("POST", "/v1.0/{p}/queues", content=content, unsigned=unsigned)
    assert (status, code) == (413, "DLI.0009")
    assert "65536 bytes" in message
    assert bare.rows() == before


def test_a_body_without_a_length_is_counted(bare: Stand) -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 10_000, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1.0/p/queues",
        "raw_path": b"/v1.0/p/queues",
        "query_string": b"",
        "headers": [],
        "app": bare.app,
    }
    asyncio.run(bare.app(scope, receive, send))
    assert sent[0]["status"] == 413
    assert taken == 7


@pytest.mark.parametrize("length", [b"-1", b"x", b"9" * 30])
def test_a_length_that_is_none(bare: Stand, length: bytes) -> None:
    headers = {"content-length": length.decode()}
    answer = bare.client.request("POST", "/v1.0/p/queues", headers=headers, content=b"")
    assert answer.status_code == 413
