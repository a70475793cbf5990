"""What no well-meant request holds: each is refused in DLI's words, changes nothing, and the server goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from headrace.api.sound import MAX_DEPTH
from headrace.settings import Settings
from tests.api.conftest import PROJECT, Stand
from tests.support import contract
from tests.support.raw import ask

JOBS = "/v1.0/{p}/streaming/flink-jobs"
GOOD = {"name": "job", "queue_name": "q", "entrypoint": "obs://b/app.jar"}
WRONG = (400, "DLI.0001")


@pytest.fixture(autouse=True)
def unchanged(stand: Stand) -> Iterator[None]:
    """Whatever a test of this file sends, nothing is stored, and the next request is served."""
    before = stand.rows()
    yield
    assert stand.rows() == before
    stand.create(name="afterwards")


def told(stand: Stand, content: bytes, content_type: str = "application/json", path: str = JOBS) -> str:
    """The message of a refusal of this body."""
    status, code, message = stand.refused("POST", path, content=content, content_type=content_type)
    assert (status, code) == WRONG, message
    return message


HUGE = {
    b"1" + b"0" * 400: "10000000000000000000… of 401 characters",
    b"-1" + b"0" * 5000: "-1000000000000000000… of 5002 characters",
    b"9223372036854775808": "9223372036854775808",
    b"-9223372036854775809": "-9223372036854775809",
    b"1e400": "1e400",
    b"-1.5E+9999": "-1.5E+9999",
}


@pytest.mark.parametrize("number", HUGE, ids=lambda number: number[:12].decode())
@pytest.mark.parametrize("field", ["cu_number", "unknown", "name"])
def test_a_huge_number(stand: Stand, number: bytes, field: str) -> None:
    message = told(stand, b'{"desc": "", "' + field.encode() + b'": ' + number + b"}")
    assert message == f"{field}={HUGE[number]}: is too large a number"


def test_a_huge_number_in_an_array(stand: Stand) -> None:
    path = "/v1.0/{p}/streaming/jobs/run"
    assert told(stand, b'{"job_ids": [1, 1' + b"0" * 30 + b"]}", path=path).startswith("job_ids.1=1000")


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_is_no_number_of_json(stand: Stand, constant: bytes) -> None:
    message = told(stand, b'{"name": "job", "resource_config": {"max_slot": ' + constant + b"}}")
    assert constant.decode() in message


def test_minus_nothing(stand: Stand) -> None:
    assert told(stand, b'{"name": "job", "cu_number": -0}').startswith("cu_number=0:")
    assert told(stand, b'{"name": "job", "cu_number": -0.0}').startswith("cu_number=-0.0:")


IDS = ["0", "-1", "9" * 19, "9" * 20, "9" * 5000, "1e3", "0x1", "%2B", "1%00", "NaN", "1.5", "\u0661", "1_0"]


@pytest.mark.parametrize("number", IDS, ids=lambda number: number[:20])
def test_an_id_in_the_path(stand: Stand, number: str) -> None:
    for method, path in (
        ("GET", f"/v1.0/{{p}}/streaming/jobs/{quote(number, safe='%')}"),
        ("DELETE", f"/v1.0/{{p}}/streaming/jobs/{quote(number, safe='%')}"),
        ("PUT", f"{JOBS}/{quote(number, safe='%')}"),
        ("GET", f"/v1.0/{{p}}/streaming/jobs/{quote(number, safe='%')}/execute-graph"),
        ("GET", f"/headrace/v1/{{p}}/jobs/{quote(number, safe='%')}/history"),
        ("GET", f"/v3/{{p}}/dli_flink_job/{quote(number, safe='%')}/tags"),
    ):
        status, code, _ = stand.refused(method, path, {} if method == "PUT" else None)
        assert (status, code) in (WRONG, (400, "DLI.16001"), (400, "DLI.0002")), (method, path, code)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 20, "1e400", "-1", "NaN", "", "\u0661\u0662\u0663 "])
def test_a_number_in_the_query(stand: Stand, number: str) -> None:
    for name in ("limit", "offset", "root_job_id"):
        if (name, number) != ("root_job_id", "-1"):
            status, code, message = stand.refused("GET", f"/v1.0/{{p}}/streaming/jobs?{name}={quote(number)}")
            assert (status, code) == WRONG
            assert message.startswith(f"{name}=")


DEEP = {
    "arrays": (b"[", b"]"),
    "objects": (b'{"a":', b"}"),
    "open": (b"[", b""),
    "mixed": (b'[{"a":', b"}]"),
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 900, 3_000, 30_000])
def test_deep_json(stand: Stand, kind: str, levels: int) -> None:
    opening, closing = DEEP[kind]
    levels = min(levels, 60_000 // len(opening + closing))
    text = opening * levels + b"1" * (kind != "open") + closing * levels
    assert "deeper" in told(stand, text) or kind == "open"
    assert "deeper" in told(stand, b'{"name": ' + text + b"}") or kind == "open"


def test_100000_brackets(stand: Stand, tmp_path: Path) -> None:
    for field in ("runtime_config", "flink_log_config"):  # texts that are parsed later
        body = {**GOOD, field: "[" * 25_000 + "]" * 25_000}
        assert stand.refused("POST", JOBS, body)[:2] == WRONG
    (tmp_path / "roomy").mkdir()
    roomy = Stand(tmp_path / "roomy", Settings(home=tmp_path / "roomy", max_body_kb=1024))
    began = time.monotonic()
    for opening, closing in DEEP.values():
        text = opening * 100_000 + b"1" + closing * 100_000
        told(roomy, text)
        told(roomy, b'{"name": ' + text + b"}")
    assert time.monotonic() - began < 10
    roomy.client.close()
    roomy.database.close()


def test_json_as_deep_as_a_person_nests_is_read(stand: Stand) -> None:
    nested: Any = 1
    for _ in range(MAX_DEPTH - 2):
        nested = [nested]
    assert "edge_group_ids" in told(stand, json.dumps({**GOOD, "edge_group_ids": nested}).encode())


TWICE = [
    b'{"name": "a", "name": "b"}',
    b'{"name": "a", "name": "a"}',
    b'{"name": "job", "resource_config": {"max_slot": 1, "max_slot": 2}}',
    b'{"name": "job", "tags": [{"key": "a", "value": "1", "key": "b"}]}',
    b'{"name": "job", "\\u006eame": "b"}',
]


@pytest.mark.parametrize("content", TWICE)
def test_a_field_that_is_given_twice(stand: Stand, content: bytes) -> None:
    assert "twice" in told(stand, content)


def test_a_parameter_that_is_given_twice(stand: Stand) -> None:
    for query in ("limit=1&limit=2", "limit=1&limit=1", "name=a&%6eame=b"):
        status, code, message = stand.refused("GET", f"/v1.0/{{p}}/streaming/jobs?{query}")
        assert (status, code) == WRONG
        assert "twice" in message


ENCODED = [
    '{"name": "job"}'.encode("utf-16"),
    '{"name": "job"}'.encode("utf-16-le"),
    '{"name": "job"}'.encode("utf-32"),
    b"\xef\xbb\xbf" + b'{"name": "job"}',
    '{"name": "größe"}'.encode("latin-1"),
    b'{"name": "\xed\xa0\x80"}',
    b'{"name": "\xc0\xaf"}',
    b'{"name": "\xff"}',
    b'\x00{"name": "job"}',
    b'{"name": "job"}\x00',
    b'{"name": "a\x00b"}',
    b'{"name": "job"}{"name": "job"}',
    b'{"name": "job",}',
    b"{'name': 'job'}",
    b'{"name": "job" /* */}',
    b"\x1f\x8b\x08\x00" + b"\x00" * 20,
]


@pytest.mark.parametrize("content", ENCODED)
def test_a_body_in_another_encoding(stand: Stand, content: bytes) -> None:
    assert told(stand, content).startswith("The format of message is error: the body")


TYPES = [
    "text/plain",
    "application/xml",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/json/x",
    "application/jsonp",
    "text/json",
    "json",
    "",
    ";",
    "application",
]


@pytest.mark.parametrize("content_type", TYPES)
def test_a_body_of_another_type(stand: Stand, content_type: str) -> None:
    content = json.dumps(GOOD).encode()
    # Without a token: a body that is not JSON can be signed, and one of no type counts as JSON for the signature.
    answer = stand.client.post(
        JOBS.replace("{p}", PROJECT),
        content=content,
        headers={"Content-Type": content_type, "X-Auth-Token": "token of AK"},
    )
    assert (answer.status_code, answer.json()["error_code"]) == WRONG
    assert "application/json" in answer.json()["error_msg"]


@pytest.mark.parametrize("charset", ["utf-16", "latin-1", '"utf-7"', "utf-8-sig", "x" * 300])
def test_a_charset_that_json_does_not_have(stand: Stand, charset: str) -> None:
    answer = stand.client.post(
        JOBS.replace("{p}", PROJECT),
        content=json.dumps(GOOD).encode(),
        headers={"Content-Type": f"application/json; charset={charset}", "X-Auth-Token": "token of AK"},
    )
    assert (answer.status_code, answer.json()["error_code"]) == WRONG


@pytest.mark.parametrize(
    "kind", ["application/json;charset=UTF-8", 'Application/JSON ; Charset="utf-8"', "application/a+json"]
)
def test_json_by_another_name_is_read(stand: Stand, kind: str) -> None:
    answer = stand.client.post(
        JOBS.replace("{p}", PROJECT),
        content=b'{"name": ""}',
        headers={"Content-Type": kind, "X-Auth-Token": "token of AK"},
    )
    assert answer.json()["error_msg"].startswith("name=''")


def texts_of_bodies() -> list[tuple[str, str, str]]:
    """(method, path, field) of every field at the top of every JSON body."""
    document = contract.document()
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            model = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], {})
            found += [(method.upper(), path, name) for name in model.get("properties", {})]
    return found


def code_of(answer: Any) -> str:
    """DLI's code; SMN's for a request that is wrong stand for the same."""
    body = answer.json()
    return "DLI.0001" if str(body.get("code", "")).startswith("SMN.0") else str(body["error_code"])


def test_nul_and_halves_of_surrogate_pairs_in_every_field(stand: Stand) -> None:
    fields = texts_of_bodies()
    assert len(fields) > 100
    for method, path, name in fields:
        target = contract.filled(path, PROJECT)
        for escape in ("\\u0000", "\\ud800", "\\uDFFF", "\\udc00\\ud800"):
            for content in (f'{{"{name}": "a{escape}"}}', f'{{"{name}": ["a{escape}"]}}', f'{{"{name}{escape}": 1}}'):
                answer = stand.send(method, target, content=content.encode(), ak="ADMIN")
                assert (answer.status_code, code_of(answer)) == WRONG, (method, path, content, answer.text)
                assert "surrogate" in answer.text


def test_a_whole_surrogate_pair_is_a_letter(stand: Stand) -> None:
    body = '{"name": "job", "desc": "\\ud83d\\ude00", "cu_number": 1}'
    assert told(stand, body.encode()).startswith("cu_number")


IN_TEXT = ["%00", "a%00b", "%ff", "%ed%a0%80", "%c0%af", "%0d%0aX-Injected:%20yes", "%0a", "%7f", "%1b%5b31m"]


@pytest.mark.parametrize("text", IN_TEXT)
def test_every_query_and_every_path(stand: Stand, text: str) -> None:
    asked = 0
    for path, methods in contract.document()["paths"].items():
        for method, operation in methods.items():
            target = contract.filled(path, PROJECT)
            names = [entry["name"] for entry in operation["parameters"] if entry.get("in") == "query"]
            targets = [f"{target}?{name}={text}" for name in (*names, "unknown")] + [f"{target}?{text}=1"]
            if target != path:
                targets.append(f"{target[: target.rindex('/')]}/{text}")
            for wrong in targets:
                answer = stand.send(method.upper(), wrong, ak="ADMIN", content_type="text/plain")
                asked += 1
                assert answer.status_code == 400, (method, wrong, answer.text)
                assert "x-injected" not in answer.headers
                assert method == "head" or code_of(answer) == "DLI.0001", (method, wrong, answer.text)
    assert asked > 200


def test_a_query_of_64_kb(stand: Stand) -> None:
    status, code, _ = stand.refused("GET", f"/v1.0/{{p}}/streaming/jobs?name={'x' * 60_000}")
    assert (status, code) == WRONG
    status, code, _ = stand.refused("GET", "/v1.0/{p}/streaming/jobs?" + "&".join(f"a{n}=1" for n in range(5_000)))
    assert (status, code) == WRONG


def test_headers_of_the_client_are_not_echoed(stand: Stand, url: str) -> None:
    mine = ("X-Request-Id: mine", "Location: mine", "X-Language: zh-cn\tmine", "X-Forwarded-Host: mine", "Origin: mine")
    reply = ask(url, "GET", f"/v1.0/{PROJECT}/streaming/jobs/7", *mine)
    assert reply.status == 400
    assert not [name for name, value in reply.headers.items() if "mine" in value]
    assert set(reply.headers) == {"date", "content-length", "content-type", "x-request-id", "connection"}


@pytest.mark.parametrize(
    "line", ["X-Language: a\rX-Injected: yes", "X-Language: a\nX-Injected: yes", "X-A: \x00", "X A: 1", ": 1"]
)
def test_broken_headers(stand: Stand, url: str, line: str) -> None:
    reply = ask(url, "GET", f"/v1.0/{PROJECT}/streaming/jobs/7", line)
    assert "x-injected" not in reply.headers
    assert reply.refusal()[0] == 400


def test_a_host_that_is_none_is_not_repeated(stand: Stand, url: str) -> None:
    for host in ('x"><script>', "a b", "evil.example/%2e%2e", "x" * 5000):
        reply = ask(url, "GET", "/v3", f"X-Host: {host}")
        assert host.encode() not in reply.body
