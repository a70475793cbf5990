"""Savepoints of running jobs, and jobs that begin from what another one has left, on real Flink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from headrace.flink.catalog import TESTED
from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.server import BUCKET, Jobs, ServerUnderTest, wait_until

pytestmark = pytest.mark.flink

KEYS = 4
"""Of StatefulCounter."""


def trigger(jobs: Jobs, job_id: int, path: str = "") -> dict[str, Any]:
    """Asks for a savepoint; the job's details when it is done or has failed."""
    body = {"action": "TRIGGER", **({"savepoint_path": path} if path else {})}
    jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint", body)
    return jobs.until(job_id, "job_running")


def import_into(jobs: Jobs, job_id: int, path: str) -> None:
    body = {"job_id": job_id, "savepoint_path": path}
    jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/import-savepoint", body)


def goes_on(jobs: Jobs, folder: str) -> Callable[[], bool]:
    before = len(jobs.counted(folder))
    return lambda: len(jobs.counted(folder)) > before


def written(jobs: Jobs, folder: str) -> Counter[int]:
    """How often each number is there; fails if one was not counted from its key's state."""
    lines = [line.split() for text in jobs.texts(f"{folder}/") for line in text.splitlines()]
    assert all(int(count) == int(number) // KEYS + 1 for _, count, number in lines)
    return Counter(int(number) for _, _, number in lines)


def continued_from(jobs: Jobs, of_first: list[int]) -> int:
    """The first number that another job wrote, which began from the state of one that went on to write ``of_first``.

    Where the files are is in the state too: both write to the first one's folder. So each number from there to the
    end of the first is there twice, and all others once.
    """
    wait_until("the state is continued", lambda: max(written(jobs, "first")) > len(of_first) + 20)
    both = written(jobs, "first")
    twice = sorted(number for number, times in both.items() if times == 2)
    assert twice
    assert twice == list(range(twice[0], len(of_first)))
    assert sorted(both) == list(range(len(both))), "a number is missing"
    assert max(both.values()) == 2
    return twice[0]


def objects(jobs: Jobs, prefix: str) -> list[str]:
    answer = jobs.client.call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}", query={"prefix": prefix})
    return [entry["key"] for entry in answer["objects"]]


def laid_out(server: ServerUnderTest, engine_store: EngineStore, flink: str) -> Jobs:
    engine_store.install(flink)
    jobs = Jobs(server.start(), flink)
    jobs.lay_out()
    return jobs


def running_counter(jobs: Jobs, name: str) -> int:
    job_id = jobs.counter(name)
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    wait_until("something was counted", lambda: jobs.counted(name))
    return job_id


@pytest.mark.parametrize("flink", TESTED)
@promise("A savepoint is made while the job runs on, and another job goes on from it (import-savepoint)")
def test_saved_while_it_runs_and_continued_by_another_job(
    server: ServerUnderTest, engine_store: EngineStore, flink: str
) -> None:
    jobs = laid_out(server, engine_store, flink)
    first = running_counter(jobs, "first")
    failed = trigger(jobs, first, f"{BUCKET}/declaration.txt/not-a-folder")
    assert not failed["has_savepoint"]
    assert "could not be made" in failed["status_desc"]

    saved = trigger(jobs, first, f"obs://{BUCKET}/my sävepoints/")
    path = saved["savepoint_path"]
    assert path.startswith(f"obs://{BUCKET}/my sävepoints/savepoint-")
    assert (saved["has_savepoint"], saved["status_desc"]) == (True, "")
    wait_until("it goes on", goes_on(jobs, "first"))
    jobs.stop(first)
    stopped = jobs.until(first, "job_cancel_success")
    assert stopped["savepoint_path"] == path
    end = ["job_running", "job_savepointing", "job_running", "job_canceling", "job_cancel_success"]
    assert jobs.path(first)[-len(end) :] == end
    of_first = jobs.counted("first")

    second = jobs.counter("second")
    import_into(jobs, second, f"{path}/")
    assert jobs.detail(second)["savepoint_path"] == path
    jobs.run(second, resume=True)
    jobs.until(second, "job_running")
    assert 0 < continued_from(jobs, of_first) < len(of_first)
    jobs.delete(second)
    assert objects(jobs, path.removeprefix(f"obs://{BUCKET}/"))  # what it began from is not its own


@promise("import-savepoint takes a checkpoint too, and a run goes on from it")
def test_a_checkpoint_is_imported_too(jobs: Jobs) -> None:
    first = running_counter(jobs, "first")
    jobs.stop(first)
    assert not jobs.until(first, "job_cancel_success")["has_savepoint"]
    kept = [key for key in objects(jobs, f"jobs/checkpoint/{first}/") if key.endswith("/_metadata")]
    latest = max(kept, key=lambda key: int(key.split("/")[-2].removeprefix("chk-")))
    second = jobs.counter("second")
    import_into(jobs, second, f"{BUCKET}/{latest.removesuffix('/_metadata')}")
    jobs.run(second, resume=True)
    jobs.until(second, "job_running")
    end = len(jobs.counted("first"))  # where the files are is in the state too
    wait_until("the state is continued", lambda: len(jobs.counted("first")) > end + 20)


@pytest.mark.parametrize("sign", ["", "savepoint-2.intent.json", "savepoint-2.answer.json", "savepoint-2.done.json"])
@promise("Killed while it makes a savepoint, Headrace makes one: not none, not two")
def test_killed_while_it_makes_a_savepoint_it_makes_one(server: ServerUnderTest, jobs: Jobs, sign: str) -> None:
    """Killed as soon as this file of the deployment is there ("" = as soon as the request was accepted)."""
    job_id = running_counter(jobs, "counter")
    jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint", {"action": "TRIGGER"})
    deployment = server.home / "deployments" / f"job-{job_id}-1"
    if sign:
        wait_until(f"{sign} is there", (deployment / sign).exists)
    server.kill()
    again = Jobs(server.start())
    saved = again.until(job_id, "job_running")
    assert saved["savepoint_path"].startswith(f"obs://{BUCKET}/jobs/savepoint/{job_id}/")
    made = [key for key in objects(again, f"jobs/savepoint/{job_id}/") if key.endswith("/_metadata")]
    assert [f"obs://{BUCKET}/{key}" for key in made] == [f"{saved['savepoint_path']}/_metadata"]
    wait_until("it goes on", goes_on(again, "counter"))


@promise("A stop with savepoint follows the savepoint that is being made")
def test_a_stop_with_savepoint_follows_the_one_that_is_made(jobs: Jobs) -> None:
    job_id = running_counter(jobs, "counter")
    jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{job_id}/savepoint", {"action": "TRIGGER"})
    jobs.stop(job_id, savepoint=True)
    stopped = jobs.until(job_id, "job_cancel_success")
    assert stopped["has_savepoint"] is True
    before = jobs.counted()
    jobs.run(job_id, resume=True)
    jobs.until(job_id, "job_running")
    wait_until("it goes on from its end", lambda: len(jobs.counted()) > len(before) + 20)
