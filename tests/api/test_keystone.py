"""The built-in Keystone: who gets a token, what it opens, and when it no longer does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from headrace.api import keystone_answers as told
from headrace.api.access_keys import KeysAnswer
from headrace.api.app import create_app
from tests.api.conftest import OTHER, PROJECT, Stand
from tests.support.people import PASSWORD, accounts_of

TOKENS = "/v3/auth/tokens"
JOBS = "/v1.0/{p}/streaming/jobs"
HOUR = 3_600_000


@pytest.fixture
def iam(bare: Stand) -> Stand:
    """A server that knows the people of the store, and nobody else."""
    bare.services = replace(bare.services, directory=bare.services.accounts.directory)
    bare.app = create_app(bare.services)
    bare.client = TestClient(bare.app)
    return bare


def wish(user: Any, scope: Any = None, password: str = PASSWORD) -> Any:
    """The body of a request for a token; ``user`` is a name or the fields."""
    fields = {"name": user, "domain": {"name": "Default"}} if isinstance(user, str) else user
    auth: dict[str, Any] = {
        "identity": {"methods": ["password"], "password": {"user": {**fields, "password": password}}}
    }
    if scope is not None:
        auth["scope"] = scope
    return {"auth": auth}


def sign_in(iam: Stand, user: Any, scope: Any = None, password: str = PASSWORD) -> Any:
    return iam.send("POST", TOKENS, wish(user, scope, password), unsigned=True)


def token_of(iam: Stand, user: Any, scope: Any = None) -> str:
    answer = sign_in(iam, user, scope)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["X-Subject-Token"])


def with_token(iam: Stand, method: str, path: str, token: str, body: Any = None, **more: str) -> Any:
    return iam.send(method, path, body, unsigned=True, more={"X-Auth-Token": token, **more})


def refusal(answer: Any) -> tuple[int, str]:
    """(status, message) of an error that every client can read."""
    body = answer.json()
    assert set(body) == {"error", "error_code", "error_msg"}
    assert set(body["error"]) == {"code", "message", "title"}
    assert (body["error"]["code"], body["error"]["message"]) == (answer.status_code, body["error_msg"])
    return answer.status_code, body["error_msg"]


@pytest.mark.parametrize(
    "user", ["tester", {"name": "tester"}, {"id": "id-of-tester"}, {"name": "tester", "domain": {"id": "default"}}]
)
@pytest.mark.parametrize(
    "scope",
    [
        None,
        {"project": {"id": PROJECT}},
        {"project": {"name": "one"}},
        {"project": {"name": "one", "domain": {"name": "Default"}}},
        {"project": {"name": "one", "domain": {"id": "default"}}},
    ],
)
def test_a_token_for_a_password(iam: Stand, user: Any, scope: Any) -> None:
    answer = sign_in(iam, user, scope)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    token = answer.json()["token"]
    assert (token["project"]["id"], token["user"]["name"]) == (PROJECT, "tester")
    assert with_token(iam, "GET", JOBS, answer.headers["X-Subject-Token"]).status_code == 200


@pytest.mark.parametrize("scope", ["unscoped", {"unscoped": {}}, {"domain": {"name": "Default"}}, None])
def test_a_token_for_no_project_opens_none_and_can_be_exchanged(iam: Stand, scope: Any) -> None:
    token = token_of(iam, "both", scope)
    assert with_token(iam, "GET", JOBS, token).status_code == 403
    assert refusal(with_token(iam, "GET", "/v3/auth/catalog", token))[0] == 403
    mine = with_token(iam, "GET", "/v3/auth/projects", token).json()["projects"]
    assert [project["id"] for project in mine] == [PROJECT, OTHER]
    wanted = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": {"project": {"name": "two"}}}
    answer = iam.send("POST", TOKENS, {"auth": wanted}, unsigned=True)
    assert answer.json()["token"]["project"]["id"] == OTHER
    scoped = answer.headers["X-Subject-Token"]
    assert with_token(iam, "GET", JOBS.replace("{p}", OTHER), scoped).status_code == 200
    assert with_token(iam, "GET", JOBS, scoped).status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (wish("tester", password="wrong"), 401, "wrong"),
        (wish("nobody"), 401, "wrong"),
        (wish({"id": "nobody"}), 401, "wrong"),
        (wish("tester", {"project": {"name": "two"}}), 401, "no role"),
        (wish("tester", {"project": {"id": OTHER}}), 401, "no role"),
        (wish("tester", {"project": {"id": "nothing"}}), 401, "no such project"),
        (wish({"name": "tester", "domain": {"name": "OTC"}}), 401, "only one domain"),
        (wish("tester", {"project": {"name": "one", "domain": {"id": "x"}}}), 401, "only one domain"),
        (wish({}), 400, "name"),
        (wish("tester", {"project": {}}), 400, "name or id"),
        (wish("tester", {}), 400, "exactly one"),
        (wish("tester", {"system": {"all": True}}), 400, "system"),
        (wish("tester", {"project": {"id": PROJECT}, "domain": {"id": "default"}}), 400, "exactly one"),
        (wish("tester", "everything"), 400, "scope"),
        ({"auth": {"identity": {"methods": ["totp"]}}}, 400, "methods"),
        ({"auth": {"identity": {"methods": ["password"]}}}, 400, "password"),
        ({"auth": {"identity": {"methods": ["token"]}}}, 400, "token"),
        ({"auth": {"identity": {"methods": ["token"], "token": {"id": "x"}}}}, 401, "expired"),
        ({"auth": {}}, 400, "identity"),
        ({}, 400, "auth"),
        ([], 400, "object"),
        (wish({"name": "a\x00b"}), 400, "control"),
        (wish("tester", password="x" * 2000), 400, "1024"),
    ],
)
def test_who_gets_no_token(iam: Stand, body: Any, status: int, said: str) -> None:
    before = iam.rows()
    answer = iam.send("POST", TOKENS, body, unsigned=True)
    found, message = refusal(answer)
    assert (found, said in message) == (status, True), message
    assert "X-Subject-Token" not in answer.headers
    assert PASSWORD not in message
    assert iam.rows() == before


def test_guessing_is_slow_for_users_and_for_nobody(iam: Stand) -> None:
    for user in ("tester", "nobody"):
        for _ in range(5):
            assert sign_in(iam, user, password="wrong").status_code == 401
        answer = sign_in(iam, user)
        status, message = refusal(answer)
        assert status == 429, message
        assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert sign_in(iam, "sub").status_code == 201
    assert iam.send("GET", JOBS, ak="KEY-tester").status_code == 200, "keys and tokens go on to work"


def test_a_token_ends_when_it_should(iam: Stand) -> None:
    token = token_of(iam, "tester")
    iam.clock.ms += 23 * HOUR
    later = iam.send(
        "POST", TOKENS, {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}, unsigned=True
    )
    assert later.json()["token"]["expires_at"] == "2026-09-22T14:13:20.000000Z"
    restarted = accounts_of(iam.database, iam.services.settings, iam.clock)
    assert restarted.directory.token(token) is not None
    iam.clock.ms += HOUR
    for ended in (token, later.headers["X-Subject-Token"]):
        assert with_token(iam, "GET", JOBS, ended).status_code == 401
        assert restarted.directory.token(ended) is None


def test_a_token_ends_with_what_it_stands_for(iam: Stand) -> None:
    users = iam.services.accounts.users

    def ends(change: Any) -> bool:
        token = token_of(iam, "sub")
        assert with_token(iam, "GET", JOBS, token).status_code == 200
        change()
        answer = with_token(iam, "GET", JOBS, token)
        return bool(answer.status_code == 401)

    project, sub = users.project(PROJECT), users.user("id-of-sub")
    assert ends(lambda: iam.ok("PATCH", f"/v3/projects/{PROJECT}", {"project": {"enabled": False}}, ak="KEY-boss"))
    users.change_project(project)
    assert ends(lambda: iam.ok("PATCH", "/v3/users/id-of-sub", {"user": {"enabled": False}}, ak="KEY-boss"))
    assert iam.send("GET", JOBS, ak="KEY-sub").status_code == 401
    users.change_user(sub.id, enabled=True)
    assert iam.send("GET", JOBS, ak="KEY-sub").status_code == 200
    new = {"user": {"password": "another password"}}
    assert ends(lambda: iam.ok("PATCH", "/v3/users/id-of-sub", new, ak="KEY-boss"))
    assert sign_in(iam, "sub").status_code == 401
    back = {"user": {"original_password": "another password", "password": PASSWORD}}
    iam.ok("POST", "/v3/users/id-of-sub/password", back, status=204, ak="KEY-sub")
    path = f"/v3/projects/{PROJECT}/users/id-of-sub/roles/member"
    assert ends(lambda: iam.ok("DELETE", path, status=204, ak="KEY-boss"))
    iam.ok("PUT", path, status=204, ak="KEY-boss")
    assert ends(lambda: iam.ok("DELETE", "/v3/users/id-of-sub", status=204, ak="KEY-boss"))
    assert iam.send("GET", JOBS, ak="KEY-sub").status_code == 401


def test_tokens_are_shown_and_revoked_by_their_user_and_administrators(iam: Stand) -> None:
    token = token_of(iam, "tester")
    shown = with_token(iam, "GET", TOKENS, token, **{"X-Subject-Token": token})
    assert shown.json()["token"]["user"]["id"] == "id-of-tester"
    assert shown.headers["X-Subject-Token"] == token
    assert with_token(iam, "HEAD", TOKENS, token, **{"X-Subject-Token": token}).status_code == 200
    stranger = token_of(iam, "stranger")
    for subject in (token, "nothing", token + "x"):
        assert refusal(with_token(iam, "GET", TOKENS, stranger, **{"X-Subject-Token": subject}))[0] == 404
        assert with_token(iam, "DELETE", TOKENS, stranger, **{"X-Subject-Token": subject}).status_code == 404
    assert refusal(with_token(iam, "GET", TOKENS, stranger))[0] == 400
    boss = token_of(iam, "boss")
    assert with_token(iam, "GET", TOKENS, boss, **{"X-Subject-Token": token}).status_code == 200
    assert with_token(iam, "DELETE", TOKENS, token, **{"X-Subject-Token": token}).status_code == 204
    assert with_token(iam, "GET", JOBS, token).status_code == 401


def test_two_credentials_are_none(iam: Stand) -> None:
    token = token_of(iam, "tester")
    assert iam.send("GET", JOBS, ak="KEY-tester", more={"X-Auth-Token": token}).status_code == 401


def test_what_is_told(iam: Stand, golden: Any) -> None:
    for name, user in (("token", "tester"), ("unscoped_token", "both")):
        token = sign_in(iam, user).json()
        told.TokenAnswer.model_validate(token)
        golden(f"keystone_{name}", {"token": {**token["token"], "audit_ids": ["…"]}})
    models: dict[str, tuple[str, type[BaseModel]]] = {
        "versions": ("/", told.VersionsAnswer),
        "version": ("/v3", told.VersionAnswer),
        "projects": ("/v3/projects?name=one", told.ProjectsAnswer),
        "project": (f"/v3/projects/{PROJECT}", told.ProjectAnswer),
        "domains": ("/v3/auth/domains", told.DomainsAnswer),
        "user": ("/v3/users/id-of-tester", told.UserAnswer),
        "roles": ("/v3/roles", told.RolesAnswer),
        "keys": ("/v3.0/OS-CREDENTIAL/credentials", KeysAnswer),
    }
    for name, (path, model) in models.items():
        body = iam.send("GET", path, ak="KEY-tester").json()
        model.model_validate(body)
        golden(f"keystone_{name}", body)
    told.IdentityError.model_validate(sign_in(iam, "nobody").json())


def test_a_member_sees_only_themselves(iam: Stand) -> None:
    users = iam.ok("GET", "/v3/users", ak="KEY-sub")["users"]
    assert [user["name"] for user in users] == ["sub"]
    projects = iam.ok("GET", "/v3/projects", ak="KEY-sub")["projects"]
    assert [project["name"] for project in projects] == ["one"]
    for path in (
        "/v3/users/id-of-tester",
        "/v3/users/id-of-tester/projects",
        f"/v3/projects/{OTHER}",
        "/v3.0/OS-CREDENTIAL/credentials?user_id=id-of-tester",
        "/v3.0/OS-CREDENTIAL/credentials/KEY-tester",
    ):
        assert refusal(iam.send("GET", path, ak="KEY-sub"))[0] == 404, path
    assert refusal(iam.send("GET", f"/v3/projects/{PROJECT}/users/id-of-tester/roles", ak="KEY-sub"))[0] == 403
    body = {"credential": {"user_id": "id-of-tester"}}
    before = iam.rows()
    assert refusal(iam.send("POST", "/v3.0/OS-CREDENTIAL/credentials", body, ak="KEY-sub"))[0] == 404
    for method in ("DELETE", "PUT"):
        change = {"credential": {"status": "inactive"}} if method == "PUT" else None
        path = "/v3.0/OS-CREDENTIAL/credentials/KEY-tester"
        assert refusal(iam.send(method, path, change, ak="KEY-sub"))[0] == 404
    assert iam.rows() == before
    assert iam.send("GET", JOBS, ak="KEY-tester").status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        wish("tester", password="hunter\x002"),
        wish("tester", password="hunter2" * 1000),
        {"auth": {"identity": {"methods": ["password"], "password": "hunter2"}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": ["hunter2"]}}}}},
        {"auth": {"identity": {"methods": ["token"], "token": "hunter2"}}},
    ],
)
def test_an_error_does_not_repeat_a_secret(iam: Stand, body: Any) -> None:
    answer = iam.send("POST", TOKENS, body, unsigned=True)
    assert answer.status_code == 400
    assert "hunter" not in answer.text
    named = iam.send("POST", "/v3/users", {"user": {"name": "eve", "password": "hunter2"}}, ak="KEY-boss")
    assert (named.status_code, "hunter" in named.text, "8 to 128" in named.text) == (400, False, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v3/users", {"user": {"name": "tester"}}, 409, "never used twice"),
        ("POST", "/v3/users", {"user": {"name": "TESTER"}}, 409, "never used twice"),
        ("POST", "/v3/users", {"user": {"name": "a b"}}, 400, "name"),
        ("POST", "/v3/users", {"user": {"name": "../x"}}, 400, "name"),
        ("POST", "/v3/users", {"user": {"name": "eve", "email": "e@x"}}, 400, "email"),
        ("POST", "/v3/users", {"user": {"name": "eve", "domain_id": "x"}}, 400, "domain_id"),
        ("POST", "/v3/users", {"user": {"name": "eve", "password": "short"}}, 400, "8"),
        (
            "POST",
            "/v3/users",
            {"user": {"name": "evelyn-x", "password": "Evelyn-X"}},
            400,
            "must not be the user's name",
        ),
        ("PATCH", "/v3/users/id-of-sub", {"user": {"name": "other"}}, 400, "never change"),
        ("PATCH", "/v3/users/nobody", {"user": {"description": "x"}}, 404, "nobody"),
        ("PATCH", "/v3/users/id-of-boss", {"user": {"enabled": False}}, 409, "last administrator"),
        ("DELETE", "/v3/users/id-of-boss", None, 409, "last administrator"),
        ("DELETE", "/v3/system/users/id-of-boss/roles/admin", None, 409, "last administrator"),
        ("PUT", "/v3/system/users/id-of-sub/roles/member", None, 404, "system role"),
        ("PUT", f"/v3/projects/{PROJECT}/users/id-of-sub/roles/king", None, 404, "king"),
        ("PUT", f"/v3/projects/{PROJECT}/users/nobody/roles/admin", None, 404, "nobody"),
        ("PUT", "/v3/projects/nowhere/users/id-of-sub/roles/admin", None, 404, "nowhere"),
        ("DELETE", f"/v3/projects/{PROJECT}/users/id-of-sub/roles/admin", None, 404, "does not have"),
        ("POST", "/v3/projects", {"project": {"name": "one"}}, 409, "one"),
        ("POST", "/v3/projects", {"project": {"name": "a/b"}}, 400, "name"),
        ("POST", "/v3/projects", {"project": {"name": "x", "is_domain": True}}, 400, "is_domain"),
        ("POST", "/v3/projects", {"project": {"name": "x", "parent_id": PROJECT}}, 400, "domain_id"),
        ("PATCH", f"/v3/projects/{PROJECT}", {"project": {"name": "two"}}, 409, "two"),
        ("PATCH", "/v3/projects/nowhere", {"project": {"enabled": True}}, 404, "nowhere"),
        ("GET", "/v3/projects/nowhere", None, 404, "nowhere"),
        ("GET", "/v3/projects?page=2", None, 400, "page"),
        ("GET", "/v3/domains/other", None, 404, "other"),
        ("GET", "/v3/roles/king", None, 404, "king"),
        ("GET", "/v3.0/OS-CREDENTIAL/credentials/NONE", None, 404, "NONE"),
        ("GET", "/v3.0/OS-CREDENTIAL/credentials/%C3%A4", None, 404, "access key"),
        ("GET", "/v3.0/nothing", None, 404, "no such path"),
        ("DELETE", f"/v3/projects/{PROJECT}", None, 405, "method"),
        (
            "POST",
            "/v3/users/id-of-sub/password",
            {"user": {"original_password": "x", "password": "long enough"}},
            401,
            "wrong",
        ),
        (
            "POST",
            "/v3/users/nobody/password",
            {"user": {"original_password": "x", "password": "long enough"}},
            401,
            "wrong",
        ),
    ],
)
def test_what_an_administrator_cannot_do(iam: Stand, method: str, path: str, body: Any, status: int, said: str) -> None:
    before = iam.rows()
    found, message = refusal(iam.send(method, path, body, ak="KEY-boss"))
    assert (found, said in message) == (status, True), message
    assert iam.rows() == before


def test_keys_are_made_shown_made_inactive_and_removed(iam: Stand) -> None:
    path = "/v3.0/OS-CREDENTIAL/credentials"
    body = {"credential": {"user_id": "id-of-sub", "description": "for CI"}}
    answer = iam.send("POST", path, body, ak="KEY-sub")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.json()["credential"]
    assert (made["status"], made["description"], len(made["access"]), len(made["secret"])) == (
        "active",
        "for CI",
        20,
        40,
    )
    mine = {"ak": made["access"], "secret": made["secret"]}
    assert iam.send("GET", JOBS, **mine).status_code == 200
    listed = iam.ok("GET", path, ak="KEY-sub")["credentials"]
    assert [key["access"] for key in listed] == ["KEY-sub", made["access"]]
    assert not any("secret" in key for key in listed)
    one = f"{path}/{made['access']}"
    inactive = {"credential": {"status": "inactive"}}
    assert iam.ok("PUT", one, inactive, ak="KEY-sub")["credential"]["status"] == "inactive"
    assert iam.send("GET", JOBS, **mine).status_code == 401
    assert iam.ok("GET", one, ak="KEY-sub")["credential"]["status"] == "inactive"
    iam.ok("PUT", one, {"credential": {"status": "active"}}, ak="KEY-boss")
    assert iam.send("GET", JOBS, **mine).status_code == 200
    iam.ok("DELETE", one, status=204, ak="KEY-sub")
    assert iam.send("GET", JOBS, **mine).status_code == 401


def test_a_user_who_is_made_gets_in_once_they_are_a_member(iam: Stand) -> None:
    body = {"user": {"name": "eve", "password": "an eve's password", "description": "new"}}
    eve = iam.ok("POST", "/v3/users", body, status=201, ak="KEY-boss")["user"]
    assert "password" not in eve
    assert "project" not in sign_in(iam, "eve", password="an eve's password").json()["token"]
    iam.ok("PUT", f"/v3/projects/{PROJECT}/users/{eve['id']}/roles/member", status=204, ak="KEY-boss")
    token = sign_in(iam, "eve", password="an eve's password")
    assert token.json()["token"]["roles"] == [{"id": "member", "name": "member"}]
    queue = {"queue_name": "q", "queue_type": "general", "cu_count": 16}
    assert with_token(iam, "POST", "/v1.0/{p}/queues", token.headers["X-Subject-Token"], queue).status_code == 403
    iam.ok("PUT", f"/v3/projects/{PROJECT}/users/{eve['id']}/roles/admin", status=204, ak="KEY-boss")
    assert with_token(iam, "POST", "/v1.0/{p}/queues", token.headers["X-Subject-Token"], queue).status_code == 200


def test_a_user_without_a_password_has_none_that_opens(iam: Stand) -> None:
    iam.ok("POST", "/v3/users", {"user": {"name": "robot"}}, status=201, ak="KEY-boss")
    for guess in ("", "robot", "None", "external"):
        assert sign_in(iam, "robot", password=guess).status_code == 401


def test_it_is_on_the_trail(iam: Stand) -> None:
    token_of(iam, "tester")
    user = iam.ok("POST", "/v3/users", {"user": {"name": "eve"}}, status=201, ak="KEY-boss")["user"]
    iam.ok("DELETE", f"/v3/users/{user['id']}", status=204, ak="KEY-boss")
    server = iam.ok("GET", "/headrace/v1/audit", ak="KEY-boss")["traces"]
    assert [(one["user_name"], one["trace_name"], one["resource_name"]) for one in server] == [
        ("boss", "deleteUser", "eve"),
        ("boss", "createUser", "eve"),
    ]
    project = iam.ok("GET", "/headrace/v1/{p}/audit", ak="KEY-tester")["traces"]
    assert [(one["user_name"], one["trace_name"]) for one in project] == [("tester", "createTokenByPwd")]


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("iam.example.com:8443", "http://iam.example.com:8443"),
        ("[::1]:7373", "http://[::1]:7373"),
        ("evil/../x", "http://127.0.0.1:7373"),
        ("a b", "http://127.0.0.1:7373"),
        ("x" * 300, "http://127.0.0.1:7373"),
    ],
)
def test_the_url_of_the_catalog(iam: Stand, host: str, base: str) -> None:
    answer = iam.client.get("/v3", headers={"host": host})
    assert answer.json()["version"]["links"] == [{"rel": "self", "href": f"{base}/v3/"}]


def test_the_url_behind_a_proxy(iam: Stand) -> None:
    settings = iam.services.settings.model_copy(update={"public_url": "https://dli.example.com/"})
    iam.client = TestClient(create_app(replace(iam.services, settings=settings)))
    [dli] = [entry for entry in sign_in(iam, "tester").json()["token"]["catalog"] if entry["type"] == "dli"]
    assert dli["endpoints"][0]["url"] == f"https://dli.example.com/v1.0/{PROJECT}"


def test_a_temporary_key_administers_no_server(iam: Stand) -> None:
    """It is made to be handed on, and an administrator could make users and passwords that last."""
    token = token_of(iam, "boss", {"project": {"id": PROJECT}})
    wanted = {"auth": {"identity": {"methods": ["token"], "token": {"id": token, "duration_seconds": 900}}}}
    made = with_token(iam, "POST", "/v3.0/OS-CREDENTIAL/securitytokens", token, wanted).json()["credential"]
    mine: Any = {"ak": made["access"], "secret": made["secret"], "more": {"X-Security-Token": made["securitytoken"]}}
    assert iam.send("GET", JOBS, **mine).status_code == 200
    before = iam.rows()
    calls: tuple[tuple[str, str, Any], ...] = (
        ("POST", "/v3/users", {"user": {"name": "mole", "password": "long enough"}}),
        ("PATCH", "/v3/users/id-of-boss", {"user": {"password": "long enough"}}),
        ("PUT", "/v3/system/users/id-of-sub/roles/admin", None),
        ("PUT", f"/v3/projects/{OTHER}/users/id-of-sub/roles/admin", None),
        ("GET", "/headrace/v1/audit", None),
        ("GET", JOBS.replace("{p}", OTHER), None),
    )
    for method, path, body in calls:
        assert iam.send(method, path, body, **mine).status_code == 403, path
    assert iam.rows() == before
    assert sign_in(iam, "boss").status_code == 201
