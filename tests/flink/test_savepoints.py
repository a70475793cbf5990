"""Savepoints of running jobs, and jobs that begin from what another one has left, on real Flink."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.flink.catalog import TESTED
from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.server import BUCKET, Jobs, wait_until
from tests.support.stage import Playing, Stage, staged, together

pytestmark = pytest.mark.flink

KEYS = 4
"""Of StatefulCounter."""


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    for version in TESTED:
        engine_store.install(version)
    folder = tmp_path_factory.mktemp("savepoints")
    with staged(request, folder, engine_store, home="a hôme", seamed=False) as one:
        yield one


@contextmanager
def defined(stage: Stage, name: str, flink: str = "1.20") -> Iterator[Playing]:
    with stage.job(name, f"--rate 50 --output obs://{BUCKET}/{name}", flink=flink, jar="statefulCounter.jar") as one:
        yield one


@contextmanager
def running(stage: Stage, name: str, flink: str = "1.20") -> Iterator[Playing]:
    with defined(stage, name, flink) as one:
        one.run()
        one.until("job_running")
        one.grows(1)
        yield one


def trigger(one: Playing, path: str = "") -> None:
    body = {"action": "TRIGGER", **({"savepoint_path": path} if path else {})}
    one.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{one.job_id}/savepoint", body)


def saved(one: Playing, path: str) -> dict[str, Any]:
    """The job's details when its savepoint is done or has failed."""
    trigger(one, path)
    return one.until("job_running")


def import_into(one: Playing, path: str) -> None:
    body = {"job_id": one.job_id, "savepoint_path": path}
    one.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{one.job_id}/import-savepoint", body)


def written(jobs: Jobs, folder: str) -> Counter[int]:
    """How often each number is there; fails if one was not counted from its key's state."""
    lines = [line.split() for text in jobs.texts(f"{folder}/") for line in text.splitlines()]
    assert all(int(count) == int(number) // KEYS + 1 for _, count, number in lines)
    return Counter(int(number) for _, _, number in lines)


def continued_from(jobs: Jobs, folder: str, of_first: list[int]) -> int:
    """The first number that another job wrote, which began from the state of one that went on to write ``of_first``.

    Where the files are is in the state too: both write to the first one's folder. So each number from there to the
    end of the first is there twice, and all others once.
    """
    wait_until("the state is continued", lambda: max(written(jobs, folder)) > len(of_first) + 20, 420)
    both = written(jobs, folder)
    twice = sorted(number for number, times in both.items() if times == 2)
    assert twice
    assert twice == list(range(twice[0], len(of_first)))
    assert sorted(both) == list(range(len(both))), "a number is missing"
    assert max(both.values()) == 2
    return twice[0]


def objects(jobs: Jobs, prefix: str) -> list[str]:
    answer = jobs.client.call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}", query={"prefix": prefix})
    return [entry["key"] for entry in answer["objects"]]


@pytest.mark.parametrize("flink", TESTED)
@together
@promise("A savepoint is made while the job runs on, and another job goes on from it (import-savepoint)")
def test_saved_while_it_runs_and_continued_by_another_job(stage: Stage, flink: str) -> None:
    line = flink.replace(".", "-")
    name = f"first-{line}"
    with running(stage, name, flink) as first, defined(stage, f"second-{line}", flink) as second:
        jobs, place = first.jobs, f"obs://{BUCKET}/my sävepoints/{flink}/"
        failed = saved(first, f"{BUCKET}/declaration.txt/not-a-folder")
        assert not failed["has_savepoint"]
        assert "could not be made" in failed["status_desc"]

        done = saved(first, place)
        path = done["savepoint_path"]
        assert path.startswith(f"{place}savepoint-")
        assert (done["has_savepoint"], done["status_desc"]) == (True, "")
        first.grows(1)
        first.stop()
        stopped = first.until("job_cancel_success")
        assert stopped["savepoint_path"] == path
        end = ["job_running", "job_savepointing", "job_running", "job_canceling", "job_cancel_success"]
        assert jobs.path(first.job_id)[-len(end) :] == end
        of_first = jobs.counted(name)

        import_into(second, f"{path}/")
        assert second.detail()["savepoint_path"] == path
        second.run(resume=True)
        second.until("job_running")
        assert 0 < continued_from(jobs, name, of_first) < len(of_first)
        jobs.delete(second.job_id)
        assert objects(jobs, path.removeprefix(f"obs://{BUCKET}/"))  # what it began from is not its own


@together
@promise("import-savepoint takes a checkpoint too, and a run goes on from it")
def test_a_checkpoint_is_imported_too(stage: Stage) -> None:
    with running(stage, "checkpointed") as first, defined(stage, "second") as second:
        jobs = first.jobs
        first.stop()
        assert not first.until("job_cancel_success")["has_savepoint"]
        kept = [key for key in objects(jobs, f"jobs/checkpoint/{first.job_id}/") if key.endswith("/_metadata")]
        latest = max(kept, key=lambda key: int(key.split("/")[-2].removeprefix("chk-")))
        import_into(second, f"{BUCKET}/{latest.removesuffix('/_metadata')}")
        second.run(resume=True)
        second.until("job_running")
        end = len(jobs.counted(first.output))  # where the files are is in the state too
        wait_until("the state is continued", lambda: len(jobs.counted(first.output)) > end + 20)


@together
@promise("A stop with savepoint follows the savepoint that is being made")
def test_a_stop_with_savepoint_follows_the_one_that_is_made(stage: Stage) -> None:
    with running(stage, "followed") as one:
        trigger(one)
        one.stop(savepoint=True)
        stopped = one.until("job_cancel_success")
        assert stopped["has_savepoint"] is True
        before = one.exact()
        one.run(resume=True)
        one.until("job_running")
        wait_until("it goes on from its end", lambda: one.exact() > before + 20)


@pytest.fixture(scope="module")
def survivor(stage: Stage) -> Iterator[Playing]:
    """A job that goes on whenever Headrace is killed. The first test that wants it comes when all others have ended."""
    with running(stage, "survivor") as one:
        yield one


@pytest.mark.parametrize("sign", ["", "intent", "answer", "done"])
@promise("Killed while it makes a savepoint, Headrace makes one: not none, not two")
def test_killed_while_it_makes_a_savepoint_it_makes_one(stage: Stage, survivor: Playing, sign: str) -> None:
    """Killed as soon as this file of the savepoint is there ("" = as soon as the request was accepted)."""
    one, place = survivor, f"jobs/savepoint/{survivor.job_id}/"

    def made() -> set[str]:
        return {f"obs://{BUCKET}/{key}" for key in objects(one.jobs, place) if key.endswith("/_metadata")}

    def signs() -> set[str]:
        return {path.name for path in one.folder(1).glob(f"savepoint-*.{sign}.json")}

    before, made_before, signs_before = one.detail()["savepoint_path"], made(), signs()
    trigger(one)
    if sign:
        wait_until(f"savepoint-*.{sign}.json is there", lambda: signs() - signs_before)
    stage.server.kill()
    stage.start()
    one.jobs = stage.jobs()

    def newer() -> str:
        path = one.until("job_running", "job_savepointing")["savepoint_path"]
        return str(path) if path != before else ""

    path = wait_until("the savepoint is made", newer)
    one.until("job_running")
    assert path.startswith(f"obs://{BUCKET}/{place}")
    assert made() - made_before == {f"{path}/_metadata"}
    one.grows(1)
    assert one.exact()
    assert one.attempt == 1
