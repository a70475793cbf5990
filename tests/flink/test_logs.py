"""Logs of real Flink jobs in their bucket: complete, while the job runs and after its parts were killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.segments import in_order
from tests.support.server import BUCKET, wait_until
from tests.support.stage import Playing, Stage, since_boot, staged

pytestmark = pytest.mark.flink

WITHIN_S = 10.0


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    with staged(request, tmp_path_factory.mktemp("logs"), engine_store) as one:
        yield one


def kept(one: Playing, attempt: int, role: str, name: str) -> bytes:
    """What is in the bucket of one log."""
    folder = one.home / "objects" / BUCKET / "jobs" / "logs" / str(one.job_id)
    parts = folder.glob(f"*/attempt-{attempt}-{role}/{name}*")
    return b"".join(path.read_bytes() for path in sorted(parts, key=lambda path: in_order(str(path))))


def on_the_machine(one: Playing, attempt: int, role: str, suffix: str = ".log") -> bytes:
    return (one.folder(attempt) / "log" / f"{role}{suffix}").read_bytes()


def complete(one: Playing, attempt: int) -> bool:
    return all(
        kept(one, attempt, role, f"{role.partition('-')[0]}.log") == on_the_machine(one, attempt, role)
        for role in ("jobmanager", "taskmanager-1")
    )


@promise("Killed one second after it runs, JobManager and TaskManager have their last lines in the bucket within 10 s")
def test_the_last_words_of_the_killed(stage: Stage) -> None:
    with stage.counter("killed", log_enabled=True, restart_when_exception=False) as one:
        struck = one.strike("taskmanager-1")
        one.strike("jobmanager")
        one.ended("jobmanager")
        one.ended("taskmanager-1")
        wait_until("the logs are complete", lambda: complete(one, 1), 60)
        assert since_boot() - struck < WITHIN_S
        one.until("job_running_exception")
        wait_until("its exit is told", lambda: b'"code": -9' in kept(one, 1, "jobmanager", "exit.json"), 60)
        wait_until("its garbage collector's too", lambda: kept(one, 1, "taskmanager-1", "gc.log"), 60)
        submission = one.home / "objects" / BUCKET / "jobs" / "logs" / str(one.job_id) / "submit-client"
        wait_until("why is told", lambda: "SIGKILL" in (submission / "attempt-1.log").read_text(), 60)
        assert "RUNNING" in headrace(stage.home, "jobs", "logs", str(one.job_id), "taskmanager-1.log")
        assert "Pause Young" in headrace(stage.home, "jobs", "logs", str(one.job_id), "jobmanager.gc.log")


@promise("Logs go on where they were when Headrace was killed: nothing is missing and nothing is there twice")
def test_headrace_is_killed_meanwhile(stage: Stage) -> None:
    with stage.counter("goes-on", log_enabled=True) as one:
        wait_until("some of it is kept", lambda: kept(one, 1, "jobmanager", "jobmanager.log"))
        stage.server.kill()
        stage.start()
        one.jobs = stage.jobs()
        one.grows(1)
        one.stop()
        one.until("job_cancel_success")
        wait_until("the logs are complete", lambda: complete(one, 1), 60)


def test_without_log_enabled_nothing_is_kept(stage: Stage) -> None:
    with stage.counter("private") as one:
        one.stop()
        one.until("job_cancel_success")
        assert not (one.home / "objects" / BUCKET / "jobs" / "logs" / str(one.job_id)).exists()


def headrace(home: Path, *words: str) -> str:
    command = [sys.executable, "-m", "headrace", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
