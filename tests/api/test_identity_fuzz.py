"""Whatever is sent for credentials: only the right ones let in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from headrace import signing
from headrace.api.app import create_app
from headrace.settings import Settings
from tests.api.conftest import PROJECT, Clock, Stand

PATH = f"/v1.0/{PROJECT}/streaming/jobs"
TOKEN = "token of tester"
DATE = signing.timestamp(datetime.fromtimestamp(Clock.ms / 1000, UTC))
SIGNED = signing.sign(
    signing.SignedRequest("GET", PATH, "", [("host", "testserver"), ("x-sdk-date", DATE)]),
    "KEY-tester",
    "secret of KEY-tester",
)
many = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
header_text = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=200)
"""What a header can hold on the wire, as latin-1."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "db.sqlite").write_bytes(migrated.read_bytes())
    stand = Stand(folder, Settings(home=folder))
    services = replace(stand.services, directory=stand.services.accounts.directory)
    yield TestClient(create_app(services))
    stand.database.close()


def ask(client: TestClient, **headers: str) -> Any:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return client.get(PATH, headers=[(b"host", b"testserver"), *raw])


@st.composite
def changed(draw: st.DrawFn, right: str) -> str:
    """``right`` with a few characters replaced, removed, doubled or of another case."""
    text = list(right)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text) - 1))
        other_case = text[at].encode("latin-1").swapcase().decode("latin-1")  # a text's own would lead out of latin-1
        text[at] = draw(st.sampled_from(["", text[at] * 2, other_case]) | header_text.map(lambda more: more[:3]))
    return "".join(text)


def test_the_right_ones_let_in(client: TestClient) -> None:
    assert ask(client, authorization=SIGNED, x_sdk_date=DATE).status_code == 200
    assert ask(client, x_auth_token=TOKEN).status_code == 200


@many
@given(header_text | changed(TOKEN))
def test_no_other_token_lets_in(client: TestClient, token: str) -> None:
    if token != TOKEN:
        assert ask(client, x_auth_token=token).status_code == 401


def same_signature(authorization: str) -> bool:
    """Whether it says the same with other blanks or another case of the names of headers."""
    try:
        given, right = signing.parse_authorization(authorization), signing.parse_authorization(SIGNED)
    except Exception:  # noqa: BLE001
        return False
    return given == right


@many
@given(header_text | changed(SIGNED))
def test_no_other_signature_lets_in(client: TestClient, authorization: str) -> None:
    answer = ask(client, authorization=authorization, x_sdk_date=DATE)
    assert answer.status_code == (200 if same_signature(authorization) else 401)


@many
@given(header_text | changed(DATE))
def test_no_other_date_lets_in(client: TestClient, date: str) -> None:
    if date.strip() != DATE:
        assert ask(client, authorization=SIGNED, x_sdk_date=date).status_code == 401


@many
@given(
    st.dictionaries(
        st.sampled_from(["authorization", "x_auth_token", "x_security_token", "x_subject_token", "x_sdk_date"]),
        header_text | st.just(TOKEN[:-1]) | st.just(SIGNED[:-1] + "0") | st.just(DATE),
    )
)
def test_no_mixture_lets_in(client: TestClient, headers: dict[str, str]) -> None:
    if headers.get("authorization") != SIGNED:
        assert ask(client, **headers).status_code == 401


KNOWN = ["tester", "id-of-tester", "nobody", "one", PROJECT, "default", "Default", "", TOKEN[:-1]]
names = st.sampled_from(KNOWN) | st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
user_fields = st.dictionaries(st.sampled_from(["id", "name", "domain", "password", "x"]), values, max_size=4)
methods = st.lists(st.sampled_from(["password", "token"]), max_size=2)
proofs = {
    "password": st.fixed_dictionaries({"user": user_fields}) | values,
    "token": st.fixed_dictionaries({"id": names}) | values,
}
scopes = st.dictionaries(st.sampled_from(["project", "domain", "unscoped", "system"]), values) | values
wishes = st.fixed_dictionaries(
    {"identity": st.fixed_dictionaries({"methods": methods}, optional=proofs) | values}, optional={"scope": scopes}
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.fixed_dictionaries({"auth": wishes | values}) | values)
def test_nobody_signs_in_without_a_password(client: TestClient, body: Any) -> None:
    answer = client.post("/v3/auth/tokens", json=body)
    assert answer.status_code in (400, 401, 429), answer.text
    assert "X-Subject-Token" not in answer.headers
    assert set(answer.json()) == {"error", "error_code", "error_msg"}
