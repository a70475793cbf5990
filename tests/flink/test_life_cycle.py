"""The life of a job on real Flink, on every engine that is tested."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.flink.catalog import TESTED
from headrace.flink.engines import EngineStore
from tests.support.server import BUCKET, EXAMPLES, Jobs, processes_of, wait_until
from tests.support.stage import Stage, staged, together

pytestmark = pytest.mark.flink


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    """``headrace serve`` on a home whose name has a blank."""
    for version in TESTED:
        engine_store.install(version)
    folder = tmp_path_factory.mktemp("life")
    with staged(request, folder, engine_store, home="a hôme", seamed=False) as one:
        yield one


PLAIN: dict[str, Any] = {"obs_bucket": "", "checkpoint_enabled": False}
"""A job without checkpoints, as the fields are if a user leaves them out."""


class Watcher:
    """A client that polls all the time, and remembers every status it saw."""

    def __init__(self, jobs: Jobs, job_id: int) -> None:
        self.seen: list[str] = []
        self._jobs, self._job_id = jobs, job_id
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            status = self._jobs.detail(self._job_id)["status"]
            if not self.seen or self.seen[-1] != status:
                self.seen.append(status)


@pytest.mark.parametrize("flink", TESTED)
@together
def test_created_run_counted_stopped_resumed_deleted(stage: Stage, flink: str) -> None:
    name = f"counter-{flink.replace('.', '-')}"
    args = f"--rate 50 --output obs://{BUCKET}/{name}"
    with stage.job(name, args, flink=flink, jar="statefulCounter.jar") as one:
        jobs, job_id = one.jobs, one.job_id
        assert one.detail()["status"] == "job_init"
        with Watcher(stage.jobs(), job_id) as watcher:
            wait_until("the watcher looks", lambda: watcher.seen)
            one.run()
            one.until("job_running")
            wait_until("records are counted", lambda: (jobs.records(job_id) or 0) > 50)
            one.stop(savepoint=True)
            stopped = one.until("job_cancel_success")
        documented = [
            "job_init",
            "job_submitting",
            "job_running",
            "job_savepointing",
            "job_canceling",
            "job_cancel_success",
        ]
        assert jobs.path(job_id) == documented
        assert [status for status in documented if status in watcher.seen] == watcher.seen
        assert stopped["has_savepoint"] is True
        assert stopped["savepoint_path"].startswith(f"obs://{BUCKET}/jobs/savepoint/{job_id}/")
        assert processes_of(one.folder()) == []

        before = jobs.counted(name)
        assert before
        one.run(resume=True)
        one.until("job_running")
        wait_until("the counter goes on from its state", lambda: len(jobs.counted(name)) > len(before) + 100)
        graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
        assert graph["state"] == "RUNNING"
        assert graph["end-time"] == -1
        jobs.delete(job_id)
        wait_until("nothing of it is left", lambda: not one.attempt)
        assert processes_of(stage.home / "deployments" / f"job-{job_id}-") == []


@pytest.mark.parametrize("flink", TESTED)
@together
def test_a_bounded_job_finishes_with_the_right_answer(stage: Stage, flink: str) -> None:
    name = f"words-{flink.replace('.', '-')}"
    args = f"--input obs://{BUCKET}/declaration.txt --output obs://{BUCKET}/{name}"
    with stage.job(name, args, flink=flink, jar="wordCount.jar", **PLAIN) as one:
        one.run()
        finished = one.until("job_finish")
        assert finished["status_desc"] == ""
        assert one.jobs.path(one.job_id) == ["job_init", "job_submitting", "job_running", "job_finish"]
        counted = sorted("".join(one.jobs.texts(f"{name}/")).split("\n"))
        expected = (EXAMPLES / "data" / "declaration.expected.tsv").read_text().replace("\t", " ").split("\n")
        assert counted == sorted(expected)
        path = f"/v1.0/{{p}}/streaming/jobs/{one.job_id}/execute-graph"
        assert one.jobs.client.call("GET", path)["execute_graph"]["state"] == "FINISHED"


@together
def test_a_batch_job_runs_stage_by_stage(stage: Stage) -> None:
    """Later stages are not deployed until the first has ended; the job runs all the same."""
    options = (
        '[{"key":"execution.runtime-mode","value":"BATCH"},'
        '{"key":"execution.batch.adaptive.auto-parallelism.enabled","value":"false"}]'
    )
    args = f"--input obs://{BUCKET}/gettysburg.txt --output obs://{BUCKET}/batch"
    with stage.job("batch", args, jar="wordCount.jar", runtime_config=options, **PLAIN) as one:
        one.run()
        one.until("job_running", "job_finish")
        one.until("job_finish")


@together
def test_a_job_chained_into_one_vertex_is_counted(stage: Stage) -> None:
    """Its vertex says 0 for ever; "not known yet" is not 0."""
    with stage.job("chained", "--when none --rate 20", **PLAIN) as one:
        jobs, job_id = one.jobs, one.job_id
        one.run()
        one.until("job_running")
        counts = []

        def counted() -> bool:
            counts.append(jobs.records(job_id))
            return (counts[-1] or 0) > 30

        wait_until("records are counted", counted)
        known = [count for count in counts if count is not None]
        assert known == sorted(known)
        graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
        assert len(graph["vertices"]) == 1
        one.stop()
        one.until("job_cancel_success")
