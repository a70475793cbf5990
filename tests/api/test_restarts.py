"""Restarts as a user of the API sees them: the real reconciler over the fake runtime, one tick at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.api.details import status_desc
from headrace.api.savepoints import MAGIC
from headrace.api.wire import MAX_STATUS_DESC
from headrace.domain.job import Goal, Job, JobSpec, Phase, Record
from tests.support.living import Living

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/flink-jobs"
MINUTE_MS = 60_000
UNKNOWN = "The cause is not known. Flink says: "
"""Which words stand before a cause is the diagnosis's matter."""
ON = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": 3}


@pytest.fixture
def living(stand: Stand) -> Living:
    return Living(stand)


def events(stand: Stand, job_id: int, query: str = "") -> list[dict[str, Any]]:
    return list(stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/events{query}")["events"])


def update(stand: Stand, job_id: int, **fields: Any) -> None:
    stand.ok("PUT", f"{JOBS}/{job_id}", fields)


def shown(stand: Stand, job_id: int) -> tuple[str, int]:
    job = stand.show(job_id)
    listed = next(
        one for one in stand.ok("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["jobs"] if one["job_id"] == job_id
    )
    fields = ("status", "status_desc", "restart_times")
    assert [listed[field] for field in fields] == [job[field] for field in fields]
    return job["status"], job["restart_times"]


# -- what is shown ----------------------------------------------------------------------------------------------------


def test_what_a_job_shows_while_it_is_restarted(stand: Stand, living: Living, golden: Any) -> None:
    """The words of each step; and status and count, which list and details have alike."""
    job_id = living.running(obs_bucket="b", checkpoint_enabled=True, **ON)
    living.runtime.complete_checkpoint(living.name(job_id))
    told = {}

    def tell(step: str, status: str, restarts: int) -> None:
        assert shown(stand, job_id) == (status, restarts), step
        told[step] = stand.show(job_id)["status_desc"].replace(UNKNOWN, "")

    tell("running", "job_running", 0)
    living.runtime.restart_in_place(living.name(job_id), cause="java.lang.IllegalStateException: it broke")
    living.tick(job_id)
    tell("Flink restarted it in place", "job_running", 1)
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.CLEARING)
    tell("its processes are being ended", "job_submitting", 2)
    living.until(job_id, Phase.RESTARTING)
    tell("it waits for its next try", "job_submitting", 2)
    living.let_pass(1000)
    for phase in (Phase.PREPARING, Phase.WAITING, Phase.STARTING):
        living.until(job_id, phase)
        tell(f"its next attempt is {phase}", "job_submitting", 2)
    living.until(job_id, Phase.RUNNING)
    tell("it runs again", "job_running", 2)
    living.runtime.lose_taskmanager(living.name(job_id))
    living.reach(job_id, lambda job: job.record.replacements == 1)
    tell("a TaskManager is replaced", "job_running", 2)
    living.runtime.kill(living.name(job_id))
    living.again(job_id)
    tell("it runs for the third time", "job_running", 3)
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.FAILED)
    tell("the cap is reached", "job_running_exception", 3)
    golden("status_desc_restarts", told)
    assert all(len(text) <= MAX_STATUS_DESC for text in told.values())


def test_the_journal_of_a_restart(stand: Stand, living: Living, golden: Any) -> None:
    """It answers: why was it restarted, how often, from what, on which engine, and who asked for what."""
    job_id = living.running(obs_bucket="b", checkpoint_enabled=True, **ON)
    living.runtime.complete_checkpoint(living.name(job_id))
    living.runtime.fail(living.name(job_id))
    living.again(job_id)
    update(stand, job_id, resume_max_num=-1, smn_topic="alarm")
    stand.ok("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint", {"action": "TRIGGER"})
    living.until(job_id, Phase.SAVING)
    living.until(job_id, Phase.RUNNING)
    stand.stop(job_id, trigger_savepoint=True)
    living.until(job_id, Phase.STOPPED)
    told = events(stand, job_id)
    golden("events", {"job_id": job_id, "events": told})
    moves = stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/history")["moves"]
    moved = [event for event in told if event["kind"] == "moved"]
    assert [(move["phase"], move["status_desc"]) for move in moves] == [(one["phase"], one["note"]) for one in moved]


def test_the_journal_tells_what_a_run_was_resumed_from(stand: Stand, living: Living) -> None:
    job_id = living.running(obs_bucket="b")
    stand.stop(job_id, trigger_savepoint=True)
    path = living.until(job_id, Phase.STOPPED).record.savepoint_path
    living.run(job_id, resume_savepoint=True)
    notes = [event["note"] for event in events(stand, job_id) if event["attempt"] == 2]
    assert notes[0] == f"Attempt 2 goes on from {path}."
    assert notes[-1] == f"All its tasks run, restored from {path} (compared with Flink's own record)."


def test_the_journal_tells_why_a_job_waits(stand: Stand, living: Living) -> None:
    for number in range(8):
        living.running(name=f"first-{number}")  # 2 CUs each
    job_id = stand.create(name="waits")
    stand.run(job_id)
    living.reach(job_id, lambda job: bool(job.record.note) and "CU" in job.record.note)
    last = events(stand, job_id)[-1]
    assert (last["kind"], last["phase"], last["status"]) == ("waiting", "waiting", "job_submitting")
    assert last["note"] == stand.show(job_id)["status_desc"]
    assert "CU" in last["note"]


def test_a_part_of_the_journal(stand: Stand, living: Living) -> None:
    job_id = living.running()
    told = events(stand, job_id)
    assert len(told) > 4
    assert events(stand, job_id, "?limit=2") == told[-2:]
    assert events(stand, job_id, "?limit=2&after=0") == told[:2]
    assert events(stand, job_id, f"?after={told[2]['id']}") == told[3:]
    assert events(stand, job_id, f"?after={told[-1]['id']}") == []
    for query in ("limit=0", "limit=2001", "after=-1", "after=x", "before=1"):
        path = f"/headrace/v1/{{p}}/jobs/{job_id}/events?{query}"
        assert stand.refused("GET", path)[:2] == (400, "DLI.0001"), query


def test_an_import_and_a_change_are_in_the_journal(stand: Stand) -> None:
    stand.put_object("b", "s/_metadata", MAGIC)
    job_id = stand.create()
    update(stand, job_id, desc="")
    update(stand, job_id, desc="new", entrypoint_args="--password hidden")
    body = {"job_id": job_id, "savepoint_path": "obs://b/s/"}
    stand.ok("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/import-savepoint", body)
    assert [(event["kind"], event["note"]) for event in events(stand, job_id)[1:]] == [
        ("asked", "tester changed desc, entrypoint_args."),
        ("asked", "tester imported obs://b/s: what resume_savepoint goes on from."),
    ]


def test_a_long_status_desc_loses_its_middle() -> None:
    def job(text: str) -> Job:
        return Job(1, "p", JobSpec("n"), record=Record(note=text))

    fits = "x" * MAX_STATUS_DESC
    assert status_desc(job(fits)) == fits
    cut = status_desc(job("The cause. " + "x" * 5000 + " The remedy."))
    assert len(cut) == MAX_STATUS_DESC
    assert cut.startswith("The cause. x")
    assert " […] " in cut
    assert cut.endswith("x The remedy.")


# -- what can be asked of a job that is restarted ---------------------------------------------------------------------

ON_THE_WAY = (Phase.CLEARING, Phase.RESTARTING, Phase.PREPARING, Phase.WAITING, Phase.STARTING)


@pytest.fixture(params=ON_THE_WAY)
def restarting(request: pytest.FixtureRequest, stand: Stand, living: Living) -> tuple[int, str]:
    """A job at one step of its restart, and the checkpoint that it goes back to."""
    job_id = living.running(obs_bucket="b", **ON)
    path = living.runtime.complete_checkpoint(living.name(job_id))
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.CLEARING)
    if request.param is not Phase.CLEARING:
        living.until(job_id, Phase.RESTARTING)
    if request.param not in (Phase.CLEARING, Phase.RESTARTING):
        living.let_pass(MINUTE_MS)
        living.until(job_id, request.param)
    assert stand.job(job_id).record.phase is request.param
    assert stand.show(job_id)["status"] == "job_submitting"
    return job_id, path


def test_a_stop_of_a_restarting_job(stand: Stand, living: Living, restarting: tuple[int, str]) -> None:
    job_id, _ = restarting
    assert stand.stop(job_id).status_code == 200
    stopped = living.until(job_id, Phase.STOPPED)
    assert (stopped.record.savepoint_path, stopped.record.note) == ("", "")
    assert stand.show(job_id)["status"] == "job_cancel_success"
    assert living.runtime.live() == ()
    living.let_pass(60 * MINUTE_MS)
    assert living.tick(job_id).record.phase is Phase.STOPPED


def test_a_stop_with_savepoint_of_a_restarting_job(stand: Stand, living: Living, restarting: tuple[int, str]) -> None:
    """No savepoint can be made of what does not run: its newest checkpoint stands for it."""
    job_id, path = restarting
    assert stand.stop(job_id, trigger_savepoint=True).status_code == 200
    living.until(job_id, Phase.STOPPED)
    found = stand.show(job_id)
    assert (found["status"], found["has_savepoint"], found["savepoint_path"]) == ("job_cancel_success", True, path)
    assert "No savepoint could be made" in found["status_desc"]
    living.run(job_id, resume_savepoint=True)
    assert living.plans[living.name(job_id)].restore_path == path
    assert shown(stand, job_id) == ("job_running", 0)  # a new run counts anew


def test_a_delete_of_a_restarting_job(stand: Stand, living: Living, restarting: tuple[int, str]) -> None:
    job_id, _ = restarting
    stand.ok("DELETE", f"/v1.0/{{p}}/streaming/jobs/{job_id}")
    assert stand.refused("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}")[:2] == (400, "DLI.16001")
    living.until(job_id, Phase.DELETED)
    assert living.runtime.live() == ()
    assert not living.runtime.remains(job_id)
    assert stand.services.queues.held_by(job_id) is None


def test_what_a_restarting_job_refuses(stand: Stand, restarting: tuple[int, str]) -> None:
    job_id, _ = restarting
    stand.put_object("b", "s/_metadata", MAGIC)
    before = stand.job(job_id)
    path = f"/v1.0/{{p}}/streaming/jobs/{job_id}"
    status, code, message = stand.refused("POST", f"{path}/savepoint", {"action": "TRIGGER"})
    assert (status, code) == (400, "DLI.0007")
    assert "is being restarted" in message
    assert "trigger_savepoint=true" in message
    body = {"job_id": job_id, "savepoint_path": "b/s"}
    status, code, message = stand.refused("POST", f"{path}/import-savepoint", body)
    assert (status, code) == (400, "DLI.0007")
    assert "job_submitting" in message
    assert stand.run(job_id).json()[0]["error_code"] == "DLI.0007"
    assert stand.refused("PUT", f"{JOBS}/{job_id}", {"cu_number": 4})[:2] == (400, "DLI.0007")
    assert stand.job(job_id) == before


def test_the_queue_of_a_restarting_job_cannot_be_deleted(
    stand: Stand, living: Living, restarting: tuple[int, str]
) -> None:
    job_id, _ = restarting
    assert stand.refused("DELETE", "/v1.0/{p}/queues/q")[:2] == (400, "DLI.0007")
    assert living.stand.services.queues.held_by(job_id) is not None


def test_a_stop_that_is_asked_for_twice_is_one(stand: Stand, living: Living, restarting: tuple[int, str]) -> None:
    job_id, path = restarting
    stand.stop(job_id)
    stand.stop(job_id, trigger_savepoint=True)
    desired = stand.job(job_id).desired
    assert (desired.goal, desired.request_no, desired.trigger_savepoint) == (Goal.STOP, 2, True)
    assert living.until(job_id, Phase.STOPPED).record.savepoint_path == path


def test_a_job_that_has_ended_for_good_is_not_restarting(stand: Stand, living: Living) -> None:
    job_id = living.running()
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.CLEARING)
    path = f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint"
    assert "just ended" in stand.refused("POST", path, {"action": "TRIGGER"})[2]
    assert "just ended" in stand.stop(job_id).json()[0]["error_msg"]
