from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.errors import Unavailable
from headrace.domain.job import Desired, Goal, Job, Phase
from headrace.runtimes.base import Records
from headrace.store.jobs import StaleJob

if TYPE_CHECKING:
    from tests.api.conftest import Stand

STREAMING = "/v1.0/{p}/streaming/jobs"
STOPPABLE = [
    Phase.PREPARING,
    Phase.WAITING,
    Phase.STARTING,
    Phase.RUNNING,
    Phase.SAVING,
    Phase.STOP_FAILED,
    Phase.RESTARTING,
]
ACTIVE = [*STOPPABLE, Phase.SAVEPOINTING]


def test_run_records_the_request_and_nudges(stand: Stand) -> None:
    job_id = stand.create()
    answer = stand.run(job_id, resume_savepoint=False)
    assert answer.json() == [
        {"is_success": "true", "message": "The request for submitting DLI jobs is successfully delivered."}
    ]
    assert stand.job(job_id).desired == Desired(Goal.RUN, 1, requested_ms=stand.clock.ms)
    assert stand.nudged == [job_id]
    assert stand.show(job_id)["status"] == "job_submitting"


def test_several_jobs_in_order_each_once(stand: Stand) -> None:
    first, second = stand.create(name="one"), stand.create(name="two", queue_name="")
    answer = stand.run(first, second, first, 99)
    assert answer.status_code == 200
    body = answer.json()
    assert [element["is_success"] for element in body] == ["true", "false", "true", "false"]
    assert [element.get("error_code") for element in body] == [None, "DLI.13024", None, "DLI.16001"]
    assert body[1]["message"] == body[1]["error_msg"]
    assert stand.job(first).desired.request_no == 1
    assert stand.nudged == [first]


def test_for_a_topic_is_asked_once_in_a_batch(stand: Stand) -> None:
    """It may be elsewhere, where each answer takes its time."""
    asked: list[str] = []

    def topic_exists(project_id: str, name: str) -> bool:
        asked.append(name)
        return name == "here"

    stand.app.state.services = replace(stand.services, topic_exists=topic_exists)
    for batch in "ab":  # and what was said once is not kept
        names = [(topic, f"{topic}-{batch}-{number}") for number in range(3) for topic in ("here", "gone")]
        said = stand.run(*(stand.create(name=name, smn_topic=topic) for topic, name in names)).json()
        assert [element.get("error_code") for element in said] == [None, "DLI.0002"] * 3
    assert asked == ["here", "gone"] * 2


def test_all_refused_is_an_array_with_status_400(stand: Stand) -> None:
    job_id = stand.create(queue_name="")
    answer = stand.run(job_id)
    assert answer.status_code == 400
    assert answer.json() == [
        {
            "error_code": "DLI.13024",
            "error_msg": "No job-running queue selected. Please select a queue for your job.",
        }
    ]
    for action in ("run", "stop", "delete"):
        answer = stand.send("POST", f"{STREAMING}/{action}", {"job_ids": [98, 99]})
        assert (answer.status_code, [error["error_code"] for error in answer.json()]) == (400, ["DLI.16001"] * 2)


@pytest.mark.parametrize("action", ["run", "stop", "delete", "metrics"])
@pytest.mark.parametrize(
    "body",
    [{}, {"job_ids": []}, {"job_ids": None}, {"job_ids": ["1"]}, {"job_ids": 1}, {"job_ids": [1] * 101}, {"x": 1}],
)
def test_a_bad_batch(stand: Stand, action: str, body: dict[str, Any]) -> None:
    assert stand.refused("POST", f"{STREAMING}/{action}", body)[:2] == (400, "DLI.0001")


@pytest.mark.parametrize("phase", [*ACTIVE, Phase.CANCELING, Phase.CLEARING])
def test_an_active_job_cannot_be_run(stand: Stand, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    answer = stand.run(job_id)
    assert (answer.status_code, answer.json()[0]["error_code"]) == (400, "DLI.0007")


def test_a_job_cannot_be_run_twice(stand: Stand) -> None:
    job_id = stand.create()
    assert stand.run(job_id).status_code == 200
    assert stand.run(job_id).json()[0]["error_code"] == "DLI.0007"
    assert stand.job(job_id).desired.request_no == 1


@pytest.mark.parametrize("end", [Phase.STOPPED, Phase.FINISHED, Phase.SUBMIT_FAILED, Phase.FAILED])
def test_a_job_at_rest_can_be_run_again(stand: Stand, end: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.RUNNING)
    stand.move(job_id, Phase.CLEARING, end)
    assert stand.run(job_id).status_code == 200
    assert stand.job(job_id).desired.request_no == 2


def test_run_validates_again(stand: Stand) -> None:
    job_id = stand.create()
    stand.services.objects.delete("b", "app.jar")
    assert stand.run(job_id).json()[0]["error_code"] == "DLI.12002"
    stand.put_object("b", "app.jar", b"no jar")
    assert stand.run(job_id).json()[0]["error_code"] == "DLI.0001"
    assert stand.job(job_id).desired.request_no == 0
    assert stand.nudged == []


def test_run_needs_a_jar_and_the_queue(stand: Stand) -> None:
    job_id = stand.create(entrypoint="")
    assert "entrypoint" in stand.run(job_id).json()[0]["error_msg"]
    stand.ok("DELETE", "/v1.0/{p}/queues/q")
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", {"queue_name": ""})
    other = stand.create(name="other", queue_name="")
    assert stand.run(other).json()[0]["error_code"] == "DLI.13024"


def test_a_job_that_never_fits(stand: Stand) -> None:
    too_many = stand.create(name="cus", cu_number=20, parallel_number=76)
    assert stand.run(too_many).json()[0]["error_code"] == "DLI.0009"
    stand.ok("POST", "/v1.0/{p}/queues", {"queue_name": "large", "queue_type": "general", "cu_count": 64})
    too_large = stand.create(name="memory", queue_name="large", cu_number=20, parallel_number=76)
    answer = stand.run(too_large)
    assert answer.json()[0]["error_code"] == "DLI.0009"
    assert "memory" in answer.json()[0]["error_msg"]


def test_resume_needs_a_savepoint(stand: Stand) -> None:
    job_id = stand.create()
    assert stand.run(job_id, resume_savepoint=True).json()[0]["error_code"] == "DLI.0007"
    stand.bring(job_id, Phase.CANCELING, savepoint_path="obs://b/savepoint-1")
    stand.move(job_id, Phase.STOPPED)
    shown = stand.show(job_id)
    assert (shown["has_savepoint"], shown["savepoint_path"]) == (True, "obs://b/savepoint-1")
    assert stand.run(job_id, resume_savepoint=True).status_code == 200
    assert stand.job(job_id).desired.resume_savepoint


@pytest.mark.parametrize("phase", STOPPABLE)
@pytest.mark.parametrize("savepoint", [True, False])
def test_stop(stand: Stand, phase: Phase, *, savepoint: bool) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    answer = stand.stop(job_id, trigger_savepoint=savepoint)
    assert answer.json() == [
        {"is_success": "true", "message": "The request for stopping DLI jobs is successfully delivered."}
    ]
    desired = stand.job(job_id).desired
    assert (desired.goal, desired.request_no, desired.trigger_savepoint) == (Goal.STOP, 2, savepoint)
    assert stand.nudged[-1] == job_id


def test_a_stop_that_is_repeated_is_one_request(stand: Stand) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.RUNNING)
    stand.stop(job_id, trigger_savepoint=True)
    stand.stop(job_id)
    desired = stand.job(job_id).desired
    assert (desired.request_no, desired.trigger_savepoint) == (2, False)


def test_a_run_that_nobody_saw_can_be_stopped(stand: Stand) -> None:
    job_id = stand.create()
    stand.run(job_id)
    assert stand.stop(job_id).status_code == 200
    assert stand.job(job_id).desired.request_no == 2


def test_a_savepoint_under_way_can_be_given_up(stand: Stand) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.SAVEPOINTING)
    assert stand.stop(job_id, trigger_savepoint=True).json()[0]["error_code"] == "DLI.0007"
    assert stand.stop(job_id, trigger_savepoint=False).status_code == 200


@pytest.mark.parametrize("phase", [Phase.DRAFT, Phase.CANCELING, Phase.CLEARING])
def test_what_does_not_run_cannot_be_stopped(stand: Stand, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    assert stand.stop(job_id).json()[0]["error_code"] == "DLI.0007"


@pytest.mark.parametrize("phase", [Phase.DRAFT, *ACTIVE, Phase.CANCELING, Phase.CLEARING])
def test_delete_in_any_state(stand: Stand, phase: Phase) -> None:
    job_id = stand.create()
    stand.bring(job_id, phase)
    answer = stand.ok("POST", f"{STREAMING}/delete", {"job_ids": [job_id]})
    assert answer == [{"is_success": "true", "message": "The job is successfully deleted."}]
    assert stand.job(job_id).desired.goal is Goal.DELETE
    assert stand.nudged[-1] == job_id


def test_a_write_that_was_overtaken_is_begun_anew(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = stand.create()
    jobs, real, faults = stand.services.jobs, stand.services.jobs.request, [StaleJob("x"), StaleJob("y")]

    def request(*args: Any, **more: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(*args, **more)

    monkeypatch.setattr(jobs, "request", request)
    assert stand.run(job_id).status_code == 200
    assert stand.job(job_id).desired.request_no == 1
    faults.extend(StaleJob("again") for _ in range(50))
    answer = stand.stop(job_id)
    assert (answer.status_code, answer.json()["error_code"]) == (503, "DLI.0999")


def test_a_part_that_does_not_answer_is_asked_once(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further job would wait as long for the same; what was done before stays done."""
    first, second, third = (stand.create(name=name) for name in ("one", "two", "three"))
    jobs, real, asked = stand.services.jobs, stand.services.jobs.request, list[int]()

    def request(job: Job, *args: Any, **more: Any) -> Any:
        asked.append(job.id)
        if job.id == second:
            raise Unavailable("The database does not answer.")
        return real(job, *args, **more)

    monkeypatch.setattr(jobs, "request", request)
    answer = stand.run(first, second, third)
    assert (answer.status_code, asked) == (200, [first, second])
    assert [element.get("error_code") for element in answer.json()] == [None, "DLI.0999", "DLI.0999"]
    assert stand.job(third).desired == Desired()
    answer = stand.run(99, second, third)
    assert (answer.status_code, answer.json()["error_code"]) == (503, "DLI.0999")
    assert answer.json()["error_msg"] == "The database does not answer."


def test_execute_graph(stand: Stand) -> None:
    job_id = stand.create()
    path = f"{STREAMING}/{job_id}/execute-graph"
    assert stand.refused("GET", path)[:2] == (400, "DLI.0007")
    stand.bring(job_id, Phase.RUNNING)
    assert stand.refused("GET", path)[:2] == (400, "DLI.0007")
    graph = {"jid": "0" * 32, "isStoppable": False, "start-time": 1, "end-time": -1, "vertices": [], "plan": {}}
    stand.runtime.graphs[f"job-{job_id}-1"] = graph
    assert stand.ok("GET", path) == {
        "is_success": "true",
        "message": "The job execution stream graph is successfully queried.",
        "execute_graph": graph,
    }


def test_metrics(stand: Stand, golden: Any) -> None:
    running, draft = stand.create(), stand.create(name="draft")
    stand.bring(running, Phase.RUNNING)
    stand.runtime.counted[f"job-{running}-1"] = Records({"Source: a": 10, "Source: b": None}, {"Sink": 9}, 2.5, None)
    golden("metrics", stand.ok("POST", f"{STREAMING}/metrics", {"job_ids": [running, draft]}))
    assert stand.refused("POST", f"{STREAMING}/metrics", {"job_ids": [running, 99]})[:2] == (400, "DLI.16001")
