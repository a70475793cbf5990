"""The life of a job on real Flink, on every engine that is tested."""

from __future__ import annotations

import threading

import pytest

from headrace.flink.catalog import TESTED
from headrace.flink.engines import EngineStore
from tests.support.server import BUCKET, EXAMPLES, Jobs, ServerUnderTest, processes_of, wait_until

pytestmark = pytest.mark.flink


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
        while not self._done.wait(0.02):
            status = self._jobs.detail(self._job_id)["status"]
            if not self.seen or self.seen[-1] != status:
                self.seen.append(status)


@pytest.mark.parametrize("flink", TESTED)
def test_created_run_counted_stopped_resumed_deleted(
    server: ServerUnderTest, engine_store: EngineStore, flink: str
) -> None:
    engine_store.install(flink)
    jobs = Jobs(server.start(), flink)
    jobs.lay_out()
    job_id = jobs.counter()
    assert jobs.detail(job_id)["status"] == "job_init"
    with Watcher(jobs, job_id) as watcher:
        wait_until("the watcher looks", lambda: watcher.seen)
        jobs.run(job_id)
        jobs.until(job_id, "job_running")
        wait_until("records are counted", lambda: (jobs.records(job_id) or 0) > 50)
        jobs.stop(job_id, savepoint=True)
        stopped = jobs.until(job_id, "job_cancel_success")
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
    assert processes_of(server.home / "deployments") == []

    before = jobs.counted()
    assert before
    jobs.run(job_id, resume=True)
    jobs.until(job_id, "job_running")
    wait_until("the counter goes on from its state", lambda: len(jobs.counted()) > len(before) + 100)
    graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
    assert graph["state"] == "RUNNING"
    assert graph["end-time"] == -1
    jobs.delete(job_id)
    wait_until("nothing of it is left", lambda: not list((server.home / "deployments").iterdir()))
    assert processes_of(server.home / "deployments") == []


@pytest.mark.parametrize("flink", TESTED)
def test_a_bounded_job_finishes_with_the_right_answer(
    server: ServerUnderTest, engine_store: EngineStore, flink: str
) -> None:
    engine_store.install(flink)
    jobs = Jobs(server.start(), flink)
    jobs.lay_out()
    job_id = jobs.create(
        "words", "wordCount.jar", f"--input obs://{BUCKET}/declaration.txt --output obs://{BUCKET}/words"
    )
    jobs.run(job_id)
    finished = jobs.until(job_id, "job_finish")
    assert finished["status_desc"] == ""
    assert jobs.path(job_id) == ["job_init", "job_submitting", "job_running", "job_finish"]
    counted = sorted("".join(jobs.texts("words/")).split("\n"))
    expected = (EXAMPLES / "data" / "declaration.expected.tsv").read_text().replace("\t", " ").split("\n")
    assert counted == sorted(expected)
    graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
    assert graph["state"] == "FINISHED"


def test_a_batch_job_runs_stage_by_stage(jobs: Jobs) -> None:
    """Later stages are not deployed until the first has ended; the job runs all the same."""
    options = (
        '[{"key":"execution.runtime-mode","value":"BATCH"},'
        '{"key":"execution.batch.adaptive.auto-parallelism.enabled","value":"false"}]'
    )
    args = f"--input obs://{BUCKET}/gettysburg.txt --output obs://{BUCKET}/words"
    job_id = jobs.create("batch", "wordCount.jar", args, runtime_config=options)
    jobs.run(job_id)
    jobs.until(job_id, "job_running", "job_finish")
    jobs.until(job_id, "job_finish")


def test_a_job_chained_into_one_vertex_is_counted(jobs: Jobs) -> None:
    """Its vertex says 0 for ever; "not known yet" is not 0."""
    job_id = jobs.create("failing", "failOnDemand.jar", "--when none --rate 20")
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    counts = []

    def counted() -> bool:
        counts.append(jobs.records(job_id))
        return (counts[-1] or 0) > 30

    wait_until("records are counted", counted)
    known = [count for count in counts if count is not None]
    assert known == sorted(known)
    graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
    assert len(graph["vertices"]) == 1
    jobs.stop(job_id)
    jobs.until(job_id, "job_cancel_success")
