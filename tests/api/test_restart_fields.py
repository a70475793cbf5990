"""The fields of restarts: what is taken, where checkpoints go, and from when on a change of a running job counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.job import Phase
from tests.support.living import Living

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/flink-jobs"
ON = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": 3}


@pytest.fixture
def living(stand: Stand) -> Living:
    return Living(stand)


def config(stand: Stand, job_id: int) -> dict[str, Any]:
    return dict(stand.show(job_id)["job_config"])


def update(stand: Stand, job_id: int, **fields: Any) -> None:
    stand.ok("PUT", f"{JOBS}/{job_id}", fields)


# -- the fields -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, -2, 2**31, "3", 1.5, True])
def test_resume_max_num_is_no_limit_or_at_least_one(stand: Stand, number: Any) -> None:
    body = {"name": "n", "resume_max_num": number}
    status, code, message = stand.refused("POST", JOBS, body)
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith("resume_max_num")


@pytest.mark.parametrize("number", [-1, 1, 2**31 - 1])
def test_any_other_resume_max_num_is_taken(stand: Stand, number: int) -> None:
    job_id = stand.create(resume_max_num=number)
    assert config(stand, job_id)["resume_max_num"] == number


@pytest.mark.parametrize("path", ["bucket", "obs://b", "b/", "/x", "s3n://b/x", "b/../x"])
def test_a_checkpoint_path_is_a_folder_in_a_bucket(stand: Stand, path: str) -> None:
    status, code, message = stand.refused("POST", JOBS, {"name": "n", "checkpoint_path": path})
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith("checkpoint_path")


@pytest.mark.parametrize("path", ["none/x", "obs://none/x", "theirs/x"])
def test_the_bucket_of_a_checkpoint_path_is_the_projects(stand: Stand, living: Living, path: str) -> None:
    """At create, and at an update at rest or not."""
    other = "/headrace/v1/fedcba9876543210fedcba9876543210/buckets/theirs"
    stand.ok("PUT", other, ak="OTHER", status=201)
    assert stand.refused("POST", JOBS, {"name": "n", "checkpoint_path": path})[:2] == (400, "DLI.11016")
    job_id = stand.create(checkpoint_path="b/x")
    assert stand.refused("PUT", f"{JOBS}/{job_id}", {"checkpoint_path": path})[:2] == (400, "DLI.11016")
    living.run(job_id)
    assert stand.refused("PUT", f"{JOBS}/{job_id}", {"checkpoint_path": path})[:2] == (400, "DLI.11016")
    assert config(stand, job_id)["checkpoint_path"] == "b/x"


@pytest.mark.parametrize(
    ("fields", "shown_path", "directory"),
    [
        ({}, "", ""),
        ({"obs_bucket": "b"}, "", "obs://b/jobs/checkpoint/1"),
        ({"obs_bucket": "b", "checkpoint_enabled": True}, "b/jobs/checkpoint/1", "obs://b/jobs/checkpoint/1"),
        ({"checkpoint_path": "b/own/"}, "b/own/", "obs://b/own"),
        (
            {"obs_bucket": "b", "checkpoint_enabled": True, "checkpoint_path": "obs://b/own"},
            "obs://b/own",
            "obs://b/own",
        ),
    ],
)
def test_where_checkpoints_go(
    stand: Stand, living: Living, fields: dict[str, Any], shown_path: str, directory: str
) -> None:
    job_id = living.running(**fields)
    assert living.plans[living.name(job_id)].checkpoint_dir == directory
    assert config(stand, job_id)["checkpoint_path"] == shown_path


# -- changes of a job that runs ---------------------------------------------------------------------------------------


def test_restarts_that_are_switched_on_count_from_the_next_failure(stand: Stand, living: Living) -> None:
    job_id = living.running()
    update(stand, job_id, restart_when_exception=True, resume_max_num=1)
    living.runtime.fail(living.name(job_id))
    assert living.again(job_id).record.phase is Phase.RUNNING
    living.runtime.fail(living.name(job_id))
    assert living.again(job_id).record.phase is Phase.FAILED
    assert stand.show(job_id)["restart_times"] == 1


def test_restarts_that_are_switched_off_end_the_job_at_the_next_failure(stand: Stand, living: Living) -> None:
    job_id = living.running(**ON)
    update(stand, job_id, restart_when_exception=False)
    living.tick(job_id)
    assert stand.show(job_id)["status"] == "job_running"
    living.runtime.restart_in_place(living.name(job_id))  # Flink was started with leave to do so
    living.until(job_id, Phase.FAILED)
    told = stand.show(job_id)["status_desc"]
    assert "Flink restarted the job in place, but restart_when_exception is off" in told


def test_a_restart_that_is_under_way_is_made_though_restarts_are_switched_off(stand: Stand, living: Living) -> None:
    job_id = living.running(**ON)
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.RESTARTING)
    update(stand, job_id, restart_when_exception=False)
    assert living.again(job_id).record.phase is Phase.RUNNING
    living.runtime.fail(living.name(job_id))
    assert living.until(job_id, Phase.FAILED, Phase.RESTARTING).record.phase is Phase.FAILED


def test_a_new_cap_counts_from_the_next_failure(stand: Stand, living: Living) -> None:
    job_id = living.running(**ON)
    living.runtime.fail(living.name(job_id))
    living.again(job_id)
    update(stand, job_id, resume_max_num=1)
    assert living.tick(job_id).record.phase is Phase.RUNNING  # what was restarted before is not held against it
    update(stand, job_id, resume_max_num=2)
    living.runtime.fail(living.name(job_id))
    assert living.again(job_id).record.phase is Phase.RUNNING
    update(stand, job_id, resume_max_num=1)
    living.runtime.fail(living.name(job_id))
    assert living.again(job_id).record.phase is Phase.FAILED
    assert "2 of 1 within an hour" in stand.show(job_id)["status_desc"]


@pytest.mark.parametrize("resume", [True, False])
def test_resume_checkpoint_counts_from_the_next_attempt(stand: Stand, living: Living, *, resume: bool) -> None:
    job_id = living.running(obs_bucket="b", **{**ON, "resume_checkpoint": not resume})
    path = living.runtime.complete_checkpoint(living.name(job_id))
    living.runtime.fail(living.name(job_id))
    living.until(job_id, Phase.RESTARTING)
    update(stand, job_id, resume_checkpoint=resume)
    living.again(job_id)
    assert living.plans[living.name(job_id)].restore_path == (path if resume else "")
    assert living.plans[living.name(job_id)].restarts_left == (2 if resume else 0)


def test_another_bucket_counts_from_the_next_savepoint_and_the_next_attempt(stand: Stand, living: Living) -> None:
    stand.ok("PUT", "/headrace/v1/{p}/buckets/b2", status=201)
    job_id = living.running(obs_bucket="b", checkpoint_enabled=True, **ON)
    first = living.name(job_id)
    path = living.runtime.complete_checkpoint(first)
    update(stand, job_id, obs_bucket="b2")
    living.tick(job_id)
    assert config(stand, job_id)["obs_bucket"] == "b2"
    assert living.plans[first].checkpoint_dir == f"obs://b/jobs/checkpoint/{job_id}"
    living.runtime.fail(first)
    living.again(job_id)
    second = living.plans[living.name(job_id)]
    assert (second.checkpoint_dir, second.restore_path) == (f"obs://b2/jobs/checkpoint/{job_id}", path)
    update(stand, job_id, obs_bucket="b")
    stand.stop(job_id, trigger_savepoint=True)
    living.until(job_id, Phase.STOPPED)
    assert stand.show(job_id)["savepoint_path"].startswith(f"obs://b/jobs/savepoint/{job_id}/")


def test_another_checkpoint_path_counts_from_the_next_attempt(stand: Stand, living: Living) -> None:
    job_id = living.running(checkpoint_path="b/one", **ON)
    path = living.runtime.complete_checkpoint(living.name(job_id))
    update(stand, job_id, checkpoint_path="b/two")
    living.runtime.kill(living.name(job_id))
    living.again(job_id)
    second = living.plans[living.name(job_id)]
    assert (second.checkpoint_dir, second.restore_path) == ("obs://b/two", path)
    assert config(stand, job_id)["checkpoint_path"] == "b/two"
