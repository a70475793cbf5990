"""Savepoints on demand: what is asked for, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkdli.v1 import DliClient, model  # type: ignore[import-untyped]

from headrace.api.savepoints import MAGIC
from headrace.domain.job import AT_REST, Goal, Phase
from tests.api.conftest import OTHER, PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand

RUNS = "A savepoint is made of a job that is job_running."
SUCCESS = {
    "is_success": "true",
    "message": '{"is_success":"true","message":"api.msg.deal_savepoint_success"}',
}


def trigger(job_id: int) -> str:
    return f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint"


def import_into(job_id: int) -> str:
    return f"/v1.0/{{p}}/streaming/jobs/{job_id}/import-savepoint"


@pytest.fixture
def running(stand: Stand) -> int:
    job_id = stand.create(obs_bucket="b")
    stand.bring(job_id, Phase.RUNNING)
    return job_id


@pytest.fixture
def saved(stand: Stand) -> str:
    """The folder of a savepoint."""
    stand.put_object("b", "dir/savepoint-1/_metadata", MAGIC + b"\x00\x00\x00\x04")
    return "obs://b/dir/savepoint-1"


# -- trigger ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "target"),
    [
        ({}, ""),
        ({"savepoint_path": None}, ""),
        ({"savepoint_path": ""}, ""),
        ({"savepoint_path": "obs://b/dir/savepoint/"}, "obs://b/dir/savepoint"),
        ({"savepoint_path": "b/dir/savepoint/"}, "obs://b/dir/savepoint"),
        ({"savepoint_path": "b/my savepöints"}, "obs://b/my savepöints"),
    ],
)
def test_a_savepoint_is_asked_for(stand: Stand, running: int, golden: Any, given: Any, target: str) -> None:
    stand.clock.ms += 5
    answer = stand.ok("POST", trigger(running), {"action": "TRIGGER", **given})
    golden("savepoint", answer)
    assert answer == SUCCESS
    desired = stand.job(running).desired
    assert (desired.goal, desired.request_no, desired.savepoint_target) == (Goal.SAVEPOINT, 2, target)
    assert desired.requested_ms == stand.clock.ms
    assert stand.nudged[-1] == running


def test_it_is_savepointing_until_it_is_made(stand: Stand, running: int) -> None:
    stand.ok("POST", trigger(running), {"action": "TRIGGER"})
    assert stand.show(running)["status"] == "job_savepointing"  # at once: a poller never takes it for done
    stand.move(running, Phase.SAVING)
    shown = stand.show(running)
    assert (shown["status"], shown["has_savepoint"], shown["savepoint_path"]) == ("job_savepointing", False, "")
    stand.move(running, Phase.RUNNING, savepoint_path="obs://b/dir/savepoint-1")
    shown = stand.show(running)
    assert (shown["status"], shown["has_savepoint"]) == ("job_running", True)
    assert shown["savepoint_path"] == "obs://b/dir/savepoint-1"
    moves = stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{running}/history")["moves"]
    assert [move["status"] for move in moves[-3:]] == ["job_running", "job_savepointing", "job_running"]


def test_its_failure_is_read_in_status_desc(stand: Stand, running: int) -> None:
    stand.ok("POST", trigger(running), {"action": "TRIGGER"})
    stand.move(running, Phase.SAVING)
    stand.move(running, Phase.RUNNING, note="The savepoint could not be made (no space left).")
    shown = stand.show(running)
    assert (shown["status"], shown["has_savepoint"]) == ("job_running", False)
    assert "no space left" in shown["status_desc"]
    assert stand.ok("POST", trigger(running), {"action": "TRIGGER"}) == SUCCESS


def test_the_list_knows_it_as_savepointing(stand: Stand, running: int) -> None:
    stand.ok("POST", trigger(running), {"action": "TRIGGER"})
    for status, count in (("job_savepointing", 1), ("job_running", 0)):
        found = stand.ok("GET", f"/v1.0/{{p}}/streaming/jobs?status={status}")["job_list"]
        assert found["total_count"] == count


@pytest.mark.parametrize("savepoint", [True, False])
def test_it_can_be_stopped_meanwhile(stand: Stand, running: int, *, savepoint: bool) -> None:
    """The savepoint that is made still goes where it was to go."""
    stand.ok("POST", trigger(running), {"action": "TRIGGER", "savepoint_path": "b/there/"})
    stand.move(running, Phase.SAVING)
    assert stand.stop(running, trigger_savepoint=savepoint).status_code == 200
    desired = stand.job(running).desired
    assert (desired.goal, desired.request_no, desired.trigger_savepoint) == (Goal.STOP, 3, savepoint)
    assert desired.savepoint_target == "obs://b/there"
    assert stand.stop(running).status_code == 200
    assert stand.job(running).desired.savepoint_target == "obs://b/there"
    assert stand.refused("POST", trigger(running), {"action": "TRIGGER"})[:2] == (400, "DLI.0007")


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in (Phase.RUNNING, Phase.DELETED)])
def test_only_a_running_job_is_saved(stand: Stand, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    before = stand.job(job_id)
    status, code, message = stand.refused("POST", trigger(job_id), {"action": "TRIGGER"})
    assert (status, code) == (400, "DLI.0007")
    words = {Phase.CLEARING: "just ended", Phase.RESTARTING: "is being restarted"}
    assert words.get(phase, RUNS) in message
    assert stand.job(job_id) == before


def test_a_job_that_is_about_to_be_stopped_stays_so(stand: Stand, running: int) -> None:
    stand.stop(running)
    assert stand.show(running)["status"] == "job_running"
    before = stand.job(running)
    assert stand.refused("POST", trigger(running), {"action": "TRIGGER"})[:2] == (400, "DLI.0007")
    assert stand.job(running) == before


def test_a_second_trigger_is_refused_while_the_first_is_not_done(stand: Stand, running: int) -> None:
    stand.ok("POST", trigger(running), {"action": "TRIGGER"})
    before = stand.job(running)
    refused = stand.refused("POST", trigger(running), {"action": "TRIGGER"})
    assert refused[:2] == (400, "DLI.0007")
    assert "job_savepointing" in refused[2]
    assert stand.job(running) == before


WRONG_PATHS = [
    "b",
    "b/",
    "obs://b",
    "obs://b/",
    "/b/dir",
    "b//dir",
    "b/dir//",
    "b/../b/dir",
    "b/dir/..",
    "obs://b/./dir",
    "s3n://b/dir",
    "obs://../dir",
    "b/di\x00r",
    "b/dir\n",
    "b/\ud800",
    "b/" + "x" * 241,
    "b/" + "x/" * 600,
    7,
    ["b/dir"],
]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "trigger"},
        {"action": "STOP"},
        {"action": None},
        {"action": "TRIGGER", "savepoint": "b/dir"},
        *({"action": "TRIGGER", "savepoint_path": path} for path in (*WRONG_PATHS, "b/app.jar")),
    ],
)
def test_a_wrong_trigger(stand: Stand, running: int, body: Any) -> None:
    before = stand.job(running)
    status, code, message = stand.refused("POST", trigger(running), body)
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith(("savepoint=", "savepoint_path", "action="))
    assert stand.job(running) == before


def test_a_bucket_that_is_not_there(stand: Stand, running: int) -> None:
    body = {"action": "TRIGGER", "savepoint_path": "nowhere/dir"}
    assert stand.refused("POST", trigger(running), body)[:2] == (400, "DLI.11016")


def test_a_link_leads_out_of_no_bucket(stand: Stand, running: int) -> None:
    """A running job can write a symbolic link into its bucket."""
    (stand.home / "objects" / "b" / "out").symlink_to(stand.home)
    asked = {"action": "TRIGGER", "savepoint_path": "b/out"}
    assert stand.refused("POST", trigger(running), asked)[:2] == (400, "DLI.12002")
    (stand.home / "_metadata").write_bytes(MAGIC)
    other = stand.create(name="other")
    body = {"job_id": other, "savepoint_path": "b/out"}
    assert stand.refused("POST", import_into(other), body)[:2] == (400, "DLI.0001")


# -- import -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spell", ["{}", "{}/"])
@pytest.mark.parametrize("scheme", ["obs://", ""])
def test_a_savepoint_is_imported(stand: Stand, saved: str, golden: Any, spell: str, scheme: str) -> None:
    job_id = stand.create()
    stand.clock.ms += 7
    body = {"job_id": job_id, "savepoint_path": spell.format(scheme + saved.removeprefix("obs://"))}
    golden("import_savepoint", stand.ok("POST", import_into(job_id), body))
    shown = stand.show(job_id)
    assert (shown["status"], shown["has_savepoint"], shown["savepoint_path"]) == ("job_init", True, saved)
    assert shown["update_time"] == stand.clock.ms
    assert stand.run(job_id, resume_savepoint=True).status_code == 200


@pytest.mark.parametrize("phase", sorted(AT_REST))
def test_into_every_job_at_rest(stand: Stand, saved: str, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase, savepoint_path="obs://b/older") if phase is not Phase.DRAFT else None
    before = stand.job(job_id)
    stand.ok("POST", import_into(job_id), {"job_id": job_id, "savepoint_path": saved})
    after = stand.job(job_id)
    assert after.record == replace(before.record, savepoint_path=saved)  # the phase is the reconciler's alone
    assert after.desired == before.desired


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in AT_REST and phase is not Phase.DELETED])
def test_not_into_a_job_that_is_active(stand: Stand, saved: str, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    body = {"job_id": job_id, "savepoint_path": saved}
    assert stand.refused("POST", import_into(job_id), body)[:2] == (400, "DLI.0007")
    assert stand.job(job_id).record.savepoint_path == ""


def test_not_into_a_job_that_is_about_to_run(stand: Stand, saved: str) -> None:
    job_id = stand.create()
    stand.run(job_id)
    body = {"job_id": job_id, "savepoint_path": saved}
    assert stand.refused("POST", import_into(job_id), body)[:2] == (400, "DLI.0007")


@pytest.mark.parametrize("path", [*WRONG_PATHS, "", None])
def test_a_wrong_import(stand: Stand, path: Any) -> None:
    job_id = stand.create()
    before = stand.job(job_id)
    refused = stand.refused("POST", import_into(job_id), {"job_id": job_id, "savepoint_path": path})
    assert refused[:2] == (400, "DLI.0001")
    assert "savepoint_path" in refused[2]
    assert stand.job(job_id) == before


@pytest.mark.parametrize("given", [8, "1", 1.0, True, None, 0, -1, 2**63])
def test_the_job_of_the_body_is_that_of_the_path(stand: Stand, saved: str, given: Any) -> None:
    job_id = stand.create()
    refused = stand.refused("POST", import_into(job_id), {"job_id": given, "savepoint_path": saved})
    assert refused[:2] == (400, "DLI.0001")
    assert "job_id" in refused[2]
    assert not stand.show(job_id)["has_savepoint"]


def no_metadata(stand: Stand) -> None:
    stand.put_object("b", "dir/other", MAGIC)


def other_metadata(stand: Stand) -> None:
    stand.put_object("b", "dir/_metadata", b"data")


def empty_metadata(stand: Stand) -> None:
    stand.put_object("b", "dir/_metadata", b"")


def a_folder(stand: Stand) -> None:
    stand.put_object("b", "dir/_metadata/_metadata", MAGIC)


@pytest.mark.parametrize("made", [no_metadata, other_metadata, empty_metadata, a_folder])
def test_what_flink_could_not_restore_is_refused(stand: Stand, made: Callable[[Stand], None]) -> None:
    made(stand)
    job_id = stand.create()
    refused = stand.refused("POST", import_into(job_id), {"job_id": job_id, "savepoint_path": "b/dir"})
    assert refused[:2] == (400, "DLI.0001")
    assert refused[2].startswith("savepoint_path='b/dir': ")
    assert "_metadata" in refused[2]
    assert not stand.show(job_id)["has_savepoint"]


# -- who --------------------------------------------------------------------------------------------------------------


def test_a_bucket_of_another_project_is_not_there(stand: Stand, running: int, saved: str) -> None:
    stand.ok("PUT", f"/headrace/v1/{OTHER}/buckets/theirs", status=201, ak="OTHER")
    path = f"/headrace/v1/{OTHER}/objects/theirs/dir/_metadata"
    stand.ok("PUT", path, content=MAGIC, content_type="application/octet-stream", ak="OTHER", status=201)
    asked = {"action": "TRIGGER", "savepoint_path": "theirs/dir"}
    assert stand.refused("POST", trigger(running), asked)[:2] == (400, "DLI.11016")
    job_id = stand.create(name="mine")
    body = {"job_id": job_id, "savepoint_path": "theirs/dir"}
    assert stand.refused("POST", import_into(job_id), body)[:2] == (400, "DLI.11016")
    of_other = {"name": "theirs"}
    theirs = stand.ok("POST", f"/v1.0/{OTHER}/streaming/flink-jobs", of_other, ak="OTHER")["job"]["job_id"]
    body = {"job_id": theirs, "savepoint_path": saved}
    path = f"/v1.0/{OTHER}/streaming/jobs/{theirs}/import-savepoint"
    assert stand.refused("POST", path, body, ak="OTHER")[:2] == (400, "DLI.11016")


def test_each_is_a_line_of_the_trail(stand: Stand, running: int, saved: str) -> None:
    stand.ok("POST", trigger(running), {"action": "TRIGGER"})
    other = stand.create(name="other")
    stand.ok("POST", import_into(other), {"job_id": other, "savepoint_path": saved})
    stand.refused("POST", import_into(other), {"job_id": other, "savepoint_path": "b/nowhere"})
    found = stand.ok("GET", "/headrace/v1/{p}/audit?trace_name=dealSavepoint")
    assert [line["resource_id"] for line in found["traces"]] == [str(other), str(running)]


@pytest.mark.parametrize("path", ["savepoint", "import-savepoint"])
@pytest.mark.parametrize("job_id", ["99", "0", "9" * 30])
def test_a_job_that_is_not_there(stand: Stand, path: str, job_id: str) -> None:
    body = {"action": "TRIGGER"} if path == "savepoint" else {"job_id": 99, "savepoint_path": "b/dir"}
    refused = stand.refused("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/{path}", body)
    assert refused[:2] == (400, "DLI.16001")


def test_the_vendors_client(stand: Stand, url: str, running: int, saved: str) -> None:
    credentials = BasicCredentials("AK", "secret of AK", PROJECT)
    client = DliClient.new_builder().with_credentials(credentials).with_endpoints([url]).build()
    body = model.ExecuteFlinkJobSavepointRequestBody(action="TRIGGER", savepoint_path="obs://b/dir/")
    asked = client.execute_flink_job_savepoint(model.ExecuteFlinkJobSavepointRequest(job_id=str(running), body=body))
    assert asked.is_success == "true"
    assert asked.message == SUCCESS["message"]
    other = stand.create(name="other")
    body = model.ImportFlinkJobSavepointRequestBody(job_id=other, savepoint_path=f"{saved}/")
    done = client.import_flink_job_savepoint(model.ImportFlinkJobSavepointRequest(job_id=str(other), body=body))
    assert (done.is_success, done.message) == ("true", "The job is updated successfully.")
    assert stand.show(other)["savepoint_path"] == saved
