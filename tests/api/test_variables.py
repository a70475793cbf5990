from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from headrace.domain.deployment import plan
from headrace.domain.job import Phase
from headrace.store.audit import AuditFilter
from headrace.store.schema import variables
from tests.api.conftest import OTHER, PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand

VARIABLES = "/v1.0/{p}/variables"
DONE = {"is_success": True, "message": ""}


def make(stand: Stand, name: str, value: str = "v", **more: Any) -> None:
    ak = more.pop("ak", "AK")
    assert stand.ok("POST", VARIABLES, {"var_name": name, "var_value": value, **more}, ak=ak) == DONE


def stored(stand: Stand, name: str) -> str:
    with stand.database.read() as connection:
        return str(connection.execute(select(variables.c.value).where(variables.c.name == name)).scalar_one())


def names(stand: Stand, query: str = "") -> list[str]:
    return [found["var_name"] for found in stand.ok("GET", f"{VARIABLES}?{query}")["global_vars"]]


def test_create_list_update_delete(bare: Stand, golden: Any) -> None:
    make(bare, "topic", "orders")
    make(bare, "password", "secret", is_sensitive=True, ak="SUB")
    bare.clock.ms += 1000
    assert bare.ok("PUT", f"{VARIABLES}/topic", {"var_value": "orders-2"}) == DONE
    golden("variables", bare.ok("GET", VARIABLES))
    assert bare.ok("DELETE", f"{VARIABLES}/topic") == DONE
    assert names(bare) == ["password"]


def test_pages(bare: Stand) -> None:
    for number in range(103):
        make(bare, f"v{number}")
    assert len(names(bare)) == 100
    assert names(bare, "offset=100") == ["v100", "v101", "v102"]
    assert names(bare, "limit=2&offset=1") == ["v1", "v2"]
    assert bare.ok("GET", f"{VARIABLES}?limit=1&offset=500") == {**DONE, "count": 103, "global_vars": []}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "offset=-1", "offset=9999999999999", "limit=x", "name=a"])
def test_wrong_pages(bare: Stand, query: str) -> None:
    assert bare.refused("GET", f"{VARIABLES}?{query}")[:2] == (400, "DLI.0001")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"var_name": ""}, "var_name"),
        ({"var_name": "_a"}, "var_name"),
        ({"var_name": "12"}, "var_name"),
        ({"var_name": "a-b"}, "var_name"),
        ({"var_name": "x" * 129}, "var_name"),
        ({"var_name": "a\n"}, "var_name"),
        ({"var_name": None}, "var_name"),
        ({"var_value": None}, "var_value"),
        ({"var_value": 1}, "var_value"),
        ({"is_sensitive": "true"}, "is_sensitive"),
        ({"value": "x"}, "value"),
    ],
)
def test_wrong_bodies(bare: Stand, changes: dict[str, Any], field: str) -> None:
    body = {"var_name": "a", "var_value": "v", **changes}
    status, code, message = bare.refused("POST", VARIABLES, body)
    assert (status, code) == (400, "DLI.0001")
    assert field in message
    assert names(bare) == []


@pytest.mark.parametrize("value", ["x\x00", "x\ud800", 1, None])
def test_values_that_are_no_text(bare: Stand, value: Any) -> None:
    make(bare, "a")
    for method, path, body in (("POST", VARIABLES, {"var_name": "b"}), ("PUT", f"{VARIABLES}/a", {})):
        assert bare.refused(method, path, {**body, "var_value": value})[:2] == (400, "DLI.0001")
    assert names(bare) == ["a"]
    assert stored(bare, "a") == "v"


@pytest.mark.parametrize("value", ["secret" + "x" * 10_000, "secret\x1b"])
def test_a_wrong_value_is_not_shown(bare: Stand, value: str) -> None:
    status, code, message = bare.refused("POST", VARIABLES, {"var_name": "a", "var_value": value})
    assert (status, code) == (400, "DLI.0001")
    assert "var_value" in message
    assert "secret" not in message
    make(bare, "a")
    assert bare.refused("PUT", f"{VARIABLES}/a", {"var_value": value})[:2] == (400, "DLI.0001")
    assert stored(bare, "a") == "v"


@pytest.mark.parametrize("value", ["", "x" * 10_000, "a\tb\nc", "{{b}}", "中"])
def test_right_values(bare: Stand, value: str) -> None:
    make(bare, "a", value)
    assert bare.ok("GET", VARIABLES)["global_vars"][0]["var_value"] == value


def test_a_name_is_taken_once_in_a_project(bare: Stand) -> None:
    make(bare, "a", "first")
    status, code, message = bare.refused("POST", VARIABLES, {"var_name": "a", "var_value": "second"})
    assert (status, code) == (400, "DLI.0999")
    assert message.startswith("The object exists.")
    assert stored(bare, "a") == "first"
    path = f"/v1.0/{OTHER}/variables"
    bare.ok("POST", path, {"var_name": "a", "var_value": "other"}, ak="OTHER")
    assert [found["var_value"] for found in bare.ok("GET", path, ak="OTHER")["global_vars"]] == ["other"]


@pytest.mark.parametrize("name", ["b", "_a", "A", "a b", "%2e%2e"])
def test_what_is_not_there(bare: Stand, name: str) -> None:
    make(bare, "a")
    for method, body in (("PUT", {"var_value": "w"}), ("DELETE", None)):
        assert bare.refused(method, f"{VARIABLES}/{name}", body)[:2] == (400, "DLI.12004")
    assert stored(bare, "a") == "v"


def test_only_its_creator_and_administrators_change_it(bare: Stand) -> None:
    make(bare, "mine", ak="SUB")
    for method, body in (("PUT", {"var_value": "w"}), ("DELETE", None)):
        status, code, message = bare.refused(method, f"{VARIABLES}/mine", body, ak="SUB2")
        assert (status, code) == (403, "DLI.0016")
        assert "created by sub." in message
    assert stored(bare, "mine") == "v"
    assert bare.ok("PUT", f"{VARIABLES}/mine", {"var_value": "w"}, ak="SUB") == DONE
    assert bare.ok("PUT", f"{VARIABLES}/mine", {"var_value": "x"}) == DONE
    assert bare.ok("DELETE", f"{VARIABLES}/mine", ak="SUB") == DONE
    assert bare.ok("GET", VARIABLES, ak="SUB2")["count"] == 0


def test_who_did_it(bare: Stand) -> None:
    make(bare, "a", ak="SUB")
    bare.ok("PUT", f"{VARIABLES}/a", {"var_value": "w"})
    bare.ok("DELETE", f"{VARIABLES}/a")
    bare.refused("DELETE", f"{VARIABLES}/a")
    _, lines = bare.services.audit.search(PROJECT, AuditFilter(resource_type="variable"), limit=9, offset=0)
    assert [(line.user_name, line.trace_name, line.resource_id) for line in reversed(lines)] == [
        ("sub", "createGlobalVariable", "a"),
        ("tester", "updateGlobalVariable", "a"),
        ("tester", "deleteGlobalVariable", "a"),
    ]


# -- sensitive variables ----------------------------------------------------------------------------------------------


def test_a_sensitive_value_is_sealed_and_never_shown(bare: Stand, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    make(bare, "password", "Tr0ub4dor", is_sensitive=True)
    first = stored(bare, "password")
    bare.ok("PUT", f"{VARIABLES}/password", {"var_value": "c0rrect h0rse"})
    second = stored(bare, "password")
    assert bare.services.vault.open(second, f"variable {PROJECT} password") == "c0rrect h0rse"
    assert first != second
    answer = bare.send("GET", VARIABLES).text
    for text in (answer, first, second, caplog.text):
        assert "Tr0ub4dor" not in text
        assert "c0rrect" not in text
    assert bare.ok("GET", VARIABLES)["global_vars"][0]["is_sensitive"] is True


# -- in jobs ----------------------------------------------------------------------------------------------------------


def test_a_job_may_come_before_its_variables(stand: Stand) -> None:
    job_id = stand.create(
        entrypoint_args="--topic {{topic}}",
        runtime_config="taskmanager.memory.process.size={{size}}\nk={{topic}}",
    )
    answer = stand.run(job_id)
    assert answer.status_code == 400
    assert answer.json()[0]["error_code"] == "DLI.0001"
    assert "no global variable topic" in answer.json()[0]["error_msg"]
    make(stand, "topic", "two words")
    assert "no global variable size" in stand.run(job_id).json()[0]["error_msg"]
    assert not stand.job(job_id).request_pending
    make(stand, "size", "6 GB")
    assert stand.run(job_id).status_code == 200
    stand.move(job_id, Phase.PREPARING)
    made = plan(stand.job(job_id), "1.20.5", 4096)
    assert made.args == ("--topic", "two words")
    assert made.options == {"taskmanager.memory.process.size": "6 GB", "k": "two words"}
    shown = stand.show(job_id)
    assert shown["entrypoint_args"] == "--topic {{topic}}"
    assert "{{size}}" in shown["job_config"]["runtime_config"]


def test_a_sensitive_variable_is_not_put_in(stand: Stand) -> None:
    make(stand, "password", "Tr0ub4dor", is_sensitive=True)
    job_id = stand.create(entrypoint_args="--password {{password}}")
    answer = stand.run(job_id)
    assert answer.status_code == 400
    assert "password" in answer.json()[0]["error_msg"]
    assert "Tr0ub4dor" not in answer.text


def test_the_variables_of_another_project_are_not_put_in(stand: Stand) -> None:
    stand.ok("POST", f"/v1.0/{OTHER}/variables", {"var_name": "topic", "var_value": "theirs"}, ak="OTHER")
    assert stand.run(stand.create(entrypoint_args="{{topic}}")).status_code == 400


@pytest.mark.parametrize(
    ("value", "refused"),
    [("3 GB", ""), ("1 GB", "taskmanager.memory.process.size"), ("much", "size"), ("3\nGB", "runtime_config")],
)
def test_values_are_checked_as_if_they_stood_there(stand: Stand, value: str, refused: str) -> None:
    make(stand, "size", value)
    body = {
        "name": "job",
        "queue_name": "q",
        "entrypoint": "obs://b/app.jar",
        "runtime_config": "taskmanager.memory.process.size={{size}}",
    }
    path = "/v1.0/{p}/streaming/flink-jobs"
    if refused:
        status, code, message = stand.refused("POST", path, body)
        assert (status, code) == (400, "DLI.0001")
        assert refused in message
    else:
        assert stand.ok("POST", path, body)["job"]["status_name"] == "job_init"


def test_a_variable_in_use_can_be_deleted(stand: Stand) -> None:
    make(stand, "topic", "orders")
    job_id = stand.create(entrypoint_args="{{topic}}")
    stand.bring(job_id, Phase.RUNNING)
    stand.ok("DELETE", f"{VARIABLES}/topic")
    assert plan(stand.job(job_id), "1.20.5", 4096).args == ("orders",)
    stand.move(job_id, Phase.CLEARING, Phase.FINISHED)
    assert stand.run(job_id).status_code == 400
