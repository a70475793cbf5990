"""Stops with savepoint on real Flink: whatever happens between the request and the answer, a savepoint is not lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.client import ApiError
from headrace.flink.engines import EngineStore
from headrace.runtimes.processes import Life
from tests.support.promises import figure, promise
from tests.support.server import BUCKET, processes_of, wait_until
from tests.support.stage import Playing, Stage, since_boot, staged, together

pytestmark = pytest.mark.flink

PATIENCE_S = 5.0
ON: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True}


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    environment = {"HEADRACE_SAVEPOINT_PATIENCE_SECONDS": str(PATIENCE_S)}
    with staged(request, tmp_path_factory.mktemp("stops"), engine_store, environment) as one:
        yield one


def on_disk(one: Playing, path: str) -> Path:
    return one.home / "objects" / path.removeprefix("obs://")


@together
@promise(
    "Each stop with savepoint has a folder of its own, leaves no JobManager behind, and the next run goes on from it"
)
def test_each_stop_has_its_folder(stage: Stage) -> None:
    with stage.counter("stops") as one:
        folders = []
        for _ in range(2):
            one.stop(savepoint=True)
            folders.append(on_disk(one, one.until("job_cancel_success")["savepoint_path"]).parent)
            assert processes_of(one.folder()) == []
            one.run(resume=True)
            one.until("job_running")
            one.grows(20)
        assert folders[0] != folders[1]
        assert all(len(list(folder.iterdir())) == 1 for folder in folders)
        assert all(folder.parent == on_disk(one, f"obs://{BUCKET}/jobs/savepoint/{one.job_id}") for folder in folders)
        figure(f"{one.ends_exactly()} records over 3 runs, each once")


@together
@promise("A savepoint that was made although the stop failed is used, and the job does not linger")
def test_a_stop_that_fails_after_its_savepoint(stage: Stage) -> None:
    with stage.job("close", "--when close", checkpoint_interval=3600, **ON) as one:
        one.run()
        one.until("job_running")
        one.stop(savepoint=True)
        stopped = one.until("job_cancel_success")
        assert (on_disk(one, stopped["savepoint_path"]) / "_metadata").is_file()
        assert processes_of(one.folder()) == []
        one.run(resume=True)
        one.until("job_running")
        assert one.restored().rstrip("/") == stopped["savepoint_path"]


@together
@promise("A stop with savepoint has its own deadline: the job runs on, and a savepoint that comes late is used")
def test_a_stop_that_takes_too_long(stage: Stage) -> None:
    stall = stage.home.parent / "stall"
    with stage.job("stall", f"--when stall '{stall}'", **ON) as one:
        one.run()
        one.until("job_running")
        stall.touch()
        asked = since_boot()
        one.stop(savepoint=True)
        given_up = one.until("job_cancel_fail")
        assert since_boot() - asked >= PATIENCE_S
        figure(f"job_cancel_fail after {since_boot() - asked:.1f} s")
        assert "The job still runs" in given_up["status_desc"]
        assert one.kept("jobmanager").life is Life.RUNS
        stall.unlink()
        stopped = wait_until(
            "it stops after all", lambda: (now := one.detail())["status"] == "job_cancel_success" and now
        )
        assert (on_disk(one, stopped["savepoint_path"]) / "_metadata").is_file()


@together
@promise("resume_savepoint without a savepoint is a clear error, and nothing is started")
def test_there_is_nothing_to_resume(stage: Stage) -> None:
    with stage.job("nothing", "--when none") as one:
        with pytest.raises(ApiError, match="savepoint"):
            one.run(resume=True)
        assert one.detail()["status"] == "job_init"


@promise(
    "A job that ends by itself while it is to be stopped is job_finish",
    seam="Seams.step of headrace.main names the step before the request to Flink; the SIGKILL there is real",
)
def test_a_job_that_ends_by_itself_meanwhile(stage: Stage) -> None:
    with stage.job("ends", "--when none --rate 20 --records 160") as one:
        one.run()
        one.until("job_running")
        (stage.server.orders / "crash").write_text(json.dumps({"steps": ["before StopWithSavepoint"], "skip": 0}))
        with suppress(ApiError):  # the answer may be lost
            one.stop(savepoint=True)
        assert stage.server.process is not None
        assert stage.server.process.wait(60) < 0
        one.ended("jobmanager")
        stage.start()
        one.jobs = stage.jobs()
        one.until("job_finish")
        assert "job_savepointing" in one.jobs.path(one.job_id)
        assert processes_of(one.home / "deployments") == []
        assert one.jobs.client.call("GET", "/v1.0/{p}/queues/q")["used_cu"] == 0
