from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import signing
from headrace.domain.errors import NotAuthenticated
from headrace.signing import Authorization, SignedRequest

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("signature-vectors.json").read_text("utf-8"))
NOW = datetime(2026, 11, 22, 11, 0, 0, tzinfo=UTC)
SECRET = VECTORS[0]["sk"]


def request_of(vector: dict[str, Any]) -> SignedRequest:
    path, _, query = vector["request_target"].partition("?")
    headers = [(name.lower(), value) for name, value in vector["headers"].items()]
    return SignedRequest(vector["method"], path, query, headers, sha256(vector["body"].encode()).hexdigest())


def authorization_of(vector: dict[str, Any]) -> Authorization:
    return signing.parse_authorization(vector["headers"]["Authorization"])


def check(request: SignedRequest, given: Authorization, **changes: Any) -> None:
    options = {"secret_key": SECRET, "now": NOW, "skew_seconds": 900, **changes}
    signing.verify(request, given, **options)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_vectors(vector: dict[str, Any]) -> None:
    request, authorization = request_of(vector), authorization_of(vector)
    headers = dict(request.headers)
    payload = headers.get(signing.PAYLOAD, request.body_hash)
    assert payload is not None
    canonical = signing.canonical_request(request, authorization.signed_headers, headers, payload)
    assert canonical == vector["canonical_request"]
    assert signing.string_to_sign(canonical, headers[signing.DATE]) == vector["string_to_sign"]
    assert authorization.access_key == vector["ak"]
    check(request, authorization)
    with pytest.raises(NotAuthenticated):
        check(request, authorization, secret_key=SECRET + "x")


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["name"] for vector in VECTORS])
def test_what_we_sign_is_what_the_vectors_say(vector: dict[str, Any]) -> None:
    request = request_of(vector)
    unsigned = replace(request, headers=[pair for pair in request.headers if pair[0] != "authorization"])
    assert signing.sign(unsigned, vector["ak"], vector["sk"]) == vector["headers"]["Authorization"]


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/v1.0/other/streaming/flink-jobs"},
        {"query": "a=b"},
        {"body_hash": sha256(b"{}").hexdigest()},
    ],
)
def test_every_part_is_signed(change: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated, match="does not match"):
        check(replace(request_of(VECTORS[1]), **change), authorization_of(VECTORS[1]))


@pytest.mark.parametrize("seconds", [901, -901, 100_000])
def test_a_stale_request_is_refused(seconds: int) -> None:
    with pytest.raises(NotAuthenticated, match="X-Sdk-Date"):
        check(request_of(VECTORS[1]), authorization_of(VECTORS[1]), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [900, -900])
def test_a_clock_may_be_a_little_wrong(seconds: int) -> None:
    check(request_of(VECTORS[1]), authorization_of(VECTORS[1]), now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("date", ["", "now", "20261122", "20261322T110000Z", "99999999T999999Z"])
def test_a_date_that_is_none(date: str) -> None:
    request = SignedRequest("GET", "/", "", [("x-sdk-date", date)])
    with pytest.raises(NotAuthenticated):
        check(request, signing.parse_authorization(signing.sign(request, "AK", SECRET)))


def test_the_date_must_be_signed() -> None:
    request = request_of(VECTORS[0])
    authorization = replace(authorization_of(VECTORS[0]), signed_headers=("host",))
    with pytest.raises(NotAuthenticated, match="x-sdk-date must be sent and signed"):
        check(request, authorization)


def test_a_signed_header_must_be_there_once() -> None:
    request, authorization = request_of(VECTORS[0]), authorization_of(VECTORS[0])
    without = [pair for pair in request.headers if pair[0] != "host"]
    with pytest.raises(NotAuthenticated, match="host must be sent"):
        check(replace(request, headers=without), authorization)
    with pytest.raises(NotAuthenticated, match="twice"):
        check(replace(request, headers=[*request.headers, ("host", "other")]), authorization)


def test_go_signs_no_host_and_adds_headers_later() -> None:
    headers = [("accept", "*/*"), ("content-type", "application/json"), ("x-sdk-date", "20261122T110000Z")]
    request = SignedRequest("GET", "/v1.0/p/streaming/jobs", "name=a+b&limit=1", headers)
    authorization = signing.parse_authorization(signing.sign(request, "AK", SECRET))
    check(replace(request, headers=[*headers, ("host", "h"), ("x-project-id", "p")]), authorization)
    check(replace(request, query="limit=1&name=a%20b"), authorization)


@pytest.mark.parametrize("content_type", ["application/json", "application/json;charset=utf8", "a/b+json", ""])
def test_json_is_never_unsigned(content_type: str) -> None:
    headers = [("content-type", content_type), ("x-sdk-content-sha256", signing.UNSIGNED)]
    request = SignedRequest("POST", "/x", "", [*headers, ("x-sdk-date", "20261122T110000Z")], sha256(b"{}").hexdigest())
    authorization = signing.parse_authorization(signing.sign(request, "AK", SECRET))
    with pytest.raises(NotAuthenticated):
        check(request, authorization)


def test_an_unsigned_payload_must_be_said_in_a_signed_header() -> None:
    vector = VECTORS[4]
    request = request_of(vector)
    hidden = [pair for pair in request.headers if pair[0] not in ("authorization", "x-sdk-content-sha256")]
    authorization = signing.parse_authorization(signing.sign(replace(request, headers=hidden), "AK", SECRET))
    with pytest.raises(NotAuthenticated):
        check(request_of({**vector, "body": "other"}), authorization)


def test_a_body_that_was_not_read_must_be_unsigned() -> None:
    request = replace(request_of(VECTORS[1]), body_hash=None)
    with pytest.raises(NotAuthenticated, match="UNSIGNED-PAYLOAD"):
        check(request, authorization_of(VECTORS[1]))
    check(replace(request_of(VECTORS[4]), body_hash=None), authorization_of(VECTORS[4]))


@pytest.mark.parametrize(
    "text", ["", "Basic x", "SDK-HMAC-SHA256", "V11-HMAC-SHA256 Access=a, SignedHeaders=b, Signature=c"]
)
def test_an_authorization_that_is_none(text: str) -> None:
    with pytest.raises(NotAuthenticated):
        signing.parse_authorization(text)


@given(st.text(min_size=1), st.text(), st.binary())
def test_whatever_is_signed_verifies(path: str, value: str, body: bytes) -> None:
    encoded = "/" + quote(path.encode("utf-8", "surrogatepass"), safe="/")
    query = "k=" + quote(value.encode("utf-8", "surrogatepass"))
    headers = [("x-sdk-date", "20261122T110000Z"), ("host", "h")]
    request = SignedRequest("POST", encoded, query, headers, sha256(body).hexdigest())
    check(request, signing.parse_authorization(signing.sign(request, "AK", SECRET)))
