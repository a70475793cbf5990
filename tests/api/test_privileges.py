"""Granting, revoking and showing privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Stand

CHANGE = "/v1.0/{p}/user-authorization"
SHOW = "/v1.0/{p}/authorization/privileges?object="


def change(stand: Stand, name: str, privileges: list[str], action: str = "grant", **options: Any) -> Any:
    user = options.pop("user", "sub")
    body = {"user_name": user, "action": action, "privileges": [{"object": name, "privileges": privileges}]}
    return stand.send("PUT", CHANGE, body, **options)


def held(stand: Stand, name: str) -> dict[str, list[str]]:
    found = stand.ok("GET", SHOW + name)
    assert found["count"] == len(found["privileges"])
    assert {entry["object"] for entry in found["privileges"]} <= {name}
    return {entry["user_name"]: entry["privileges"] for entry in found["privileges"]}


def test_granted_shown_replaced_and_revoked(stand: Stand, golden: Any) -> None:
    name = f"jobs.flink.{stand.create()}"
    assert held(stand, name) == {"tester": ["ALL"]}
    assert change(stand, name, ["GET", "START"]).status_code == 200
    assert change(stand, name, ["START"]).status_code == 200  # twice is once
    golden("privileges", stand.ok("GET", SHOW + name))
    assert change(stand, name, ["STOP"], "update").status_code == 200
    assert held(stand, name)["sub"] == ["STOP"]
    assert change(stand, name, ["STOP", "GET"], "revoke").status_code == 200
    assert held(stand, name) == {"tester": ["ALL"]}
    assert change(stand, name, ["ALL"]).status_code == 200
    assert held(stand, name)["sub"] == sorted(
        ["GET", "UPDATE", "DELETE", "START", "STOP", "EXPORT", "GRANT_PRIVILEGE", "REVOKE_PRIVILEGE", "SHOW_PRIVILEGES"]
    )
    assert change(stand, name, [], "update").status_code == 200
    assert held(stand, name) == {"tester": ["ALL"]}


def test_the_creator_and_administrators_cannot_lose_theirs(stand: Stand) -> None:
    name = f"jobs.flink.{stand.create()}"
    assert change(stand, name, ["ALL"], "revoke", user="tester").status_code == 200
    assert held(stand, name) == {"tester": ["ALL"]}
    assert stand.show(int(name.rpartition(".")[2]))["user_name"] == "tester"


def test_nobody_grants_what_they_do_not_hold(stand: Stand) -> None:
    name = f"jobs.flink.{stand.create()}"
    change(stand, name, ["GRANT_PRIVILEGE", "GET"])
    assert change(stand, name, ["GET"], user="sub2", ak="SUB").status_code == 200
    assert change(stand, name, ["DELETE"], user="sub2", ak="SUB").json()["error_code"] == "DLI.0016"
    assert change(stand, name, ["ALL"], user="sub", ak="SUB").json()["error_code"] == "DLI.0016"
    assert change(stand, name, ["GET"], "revoke", user="sub2", ak="SUB").json()["error_code"] == "DLI.0016"
    assert change(stand, name, ["GET"], "update", user="sub2", ak="SUB").json()["error_code"] == "DLI.0016"
    assert change(stand, "jobs.flink.*", ["GET"], user="sub", ak="SUB").json()["error_code"] == "DLI.0016"
    assert held(stand, name) == {"tester": ["ALL"], "sub": ["GET", "GRANT_PRIVILEGE"], "sub2": ["GET"]}


@pytest.mark.parametrize(
    ("name", "privileges", "code"),
    [
        ("jobs.flink.99", ["GET"], "DLI.16001"),
        ("jobs.flink.x", ["GET"], "DLI.0001"),
        ("jobs.flink.²", ["GET"], "DLI.0001"),
        ("jobs.flink." + "9" * 30, ["GET"], "DLI.0001"),
        ("jobs.sql.1", ["GET"], "DLI.0001"),
        ("queues.nowhere", ["SUBMIT_JOB"], "DLI.0002"),
        ("queues.q", ["GET"], "DLI.0001"),
        ("queues.q", ["CREATE_QUEUE"], "DLI.0001"),
        ("queues.", ["SUBMIT_JOB"], "DLI.0001"),
        ("databases.d", ["SELECT"], "DLI.0001"),
        ("resources.g/none.jar", ["GET_RESOURCE"], "DLI.12002"),
        ("groups.none", ["GET_GROUP"], "DLI.12002"),
        ("queues.q", ["SUBMIT_JOB", "no such"], "DLI.0001"),
    ],
)
def test_what_cannot_be_granted(stand: Stand, name: str, privileges: list[str], code: str) -> None:
    before = stand.rows()
    answer = change(stand, name, privileges)
    assert (answer.status_code, answer.json()["error_code"]) == (400, code)
    assert stand.rows() == before


def test_all_objects_of_a_request_or_none(stand: Stand) -> None:
    wanted = [{"object": "queues.q", "privileges": ["SUBMIT_JOB"]}, {"object": "queues.none", "privileges": []}]
    body = {"user_name": "sub", "action": "grant", "privileges": wanted}
    assert stand.refused("PUT", CHANGE, body)[:2] == (400, "DLI.0002")
    assert held(stand, "queues.q") == {"tester": ["ALL"]}
    body["privileges"] = [wanted[0], wanted[0]]
    assert "twice" in stand.refused("PUT", CHANGE, body)[2]


def test_only_users_of_the_project(stand: Stand) -> None:
    for user in ("nobody", "stranger"):
        assert "user_name" in change(stand, "queues.q", ["SUBMIT_JOB"], user=user).json()["error_msg"]


def test_the_newer_address_and_that_of_queues(stand: Stand) -> None:
    wanted = {"user_name": "sub", "action": "grant", "privileges": [{"object": "queues.q", "privileges": ["RESTART"]}]}
    stand.ok("PUT", "/v1.0/{p}/authorization", wanted)
    elsewhere = {**wanted, "projectId": "p2"}
    assert stand.refused("PUT", "/v1.0/{p}/authorization", elsewhere)[:2] == (400, "DLI.0007")
    nobody = {"action": "grant", "privileges": wanted["privileges"]}
    assert "user_name" in stand.refused("PUT", "/v1.0/{p}/authorization", nobody)[2]
    body = {"queue_name": "q", "user_name": "sub2", "action": "grant", "privileges": ["SUBMIT_JOB"]}
    stand.ok("PUT", "/v1.0/{p}/queues/user-authorization", body)
    users = stand.ok("GET", "/v1.0/{p}/queues/q/users")
    assert users["queue_name"] == "q"
    assert {entry["user_name"]: entry["privileges"] for entry in users["privileges"]} == {
        "tester": ["ALL"],
        "sub": ["RESTART"],
        "sub2": ["SUBMIT_JOB"],
    }
    assert [entry["is_admin"] for entry in users["privileges"]] == [True, False, False]


def test_what_is_deleted_takes_its_grants_along(stand: Stand) -> None:
    stand.ok("POST", "/v1.0/{p}/queues", {"queue_name": "gone", "queue_type": "general", "cu_count": 1})
    change(stand, "queues.gone", ["SUBMIT_JOB"])
    stand.ok("DELETE", "/v1.0/{p}/queues/gone")
    stand.ok("POST", "/v1.0/{p}/queues", {"queue_name": "gone", "queue_type": "general", "cu_count": 1})
    assert held(stand, "queues.gone") == {"tester": ["ALL"]}
    stand.ok("POST", "/v2.0/{p}/resources/jars", {"paths": ["obs://b/app.jar"], "group": "g"}, status=201)
    change(stand, "resources.g/app.jar", ["USE_RESOURCE"])
    stand.send("DELETE", "/v2.0/{p}/resources/app.jar?group=g")
    stand.ok("POST", "/v2.0/{p}/resources/jars", {"paths": ["obs://b/app.jar"], "group": "g"}, status=201)
    assert held(stand, "resources.g/app.jar") == {"tester": ["ALL"]}


def test_names_of_users_are_told_only_to_who_may_grant(stand: Stand) -> None:
    name = f"jobs.flink.{stand.create()}"
    for user in ("tester", "nobody"):
        assert change(stand, name, ["GET"], user=user, ak="SUB").json()["error_code"] == "DLI.16001"
    change(stand, name, ["GET"])
    for user in ("tester", "nobody"):
        assert change(stand, name, ["GET"], user=user, ak="SUB").json()["error_code"] == "DLI.0016"
