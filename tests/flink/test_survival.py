"""Headrace is killed, stopped and started again; jobs do not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.promises import promise
from tests.support.server import Jobs, ServerUnderTest, is_jvm, processes_of, wait_until

pytestmark = pytest.mark.flink


def jvms(server: ServerUnderTest) -> dict[str, int]:
    """{role: pid} of the one deployment."""
    found = server.home.glob("deployments/*/*/process.json")
    return {path.parent.name: json.loads(path.read_text())["pid"] for path in found}


@promise("A Headrace that is killed and comes back finds its jobs again, which have not noticed")
def test_a_killed_headrace_finds_its_job_again(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.counter()
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    before = wait_until("records are counted", lambda: jobs.records(job_id))
    pids = jvms(server)
    assert set(pids) == {"jobmanager", "taskmanager-1"}
    server.kill()
    again = Jobs(server.start())
    assert again.detail(job_id)["status"] == "job_running"
    after = wait_until("records are known again", lambda: again.records(job_id))
    assert after >= before
    assert jvms(server) == pids
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids.values())
    assert again.path(job_id) == ["job_init", "job_submitting", "job_running"]
    again.stop(job_id, savepoint=True)
    again.until(job_id, "job_cancel_success")
    assert again.counted()


@pytest.mark.parametrize("sign", ["", "prepared.json", "ports.json", "jobmanager/process.json", "started.json"])
@promise("Headrace that is killed while it starts a job starts it once")
def test_killed_while_it_starts_a_job_it_starts_it_once(server: ServerUnderTest, jobs: Jobs, sign: str) -> None:
    """Killed as soon as this file of the deployment is there ("" = as soon as the run was accepted)."""
    job_id = jobs.counter()
    jobs.run(job_id)
    deployment = server.home / "deployments" / f"job-{job_id}-1"
    if sign:
        wait_until(f"{sign} is there", (deployment / sign).exists)
    server.kill()
    again = Jobs(server.start())
    again.until(job_id, "job_running")
    assert again.path(job_id) == ["job_init", "job_submitting", "job_running"]
    assert [folder.name for folder in (server.home / "deployments").iterdir()] == [deployment.name]
    running = [pid for pid in processes_of(deployment) if is_jvm(pid)]
    assert sorted(running) == sorted(jvms(server).values())
    assert len(running) == 2
    again.stop(job_id, savepoint=True)
    again.until(job_id, "job_cancel_success")
    again.counted()


@pytest.mark.parametrize("sign", ["", "savepoint-2.intent.json", "savepoint-2.answer.json", "removed", "gone"])
@promise("Killed between the request of a stop with savepoint and its answer, Headrace finds the savepoint again")
def test_killed_while_it_stops_a_job_it_stops_it_with_its_savepoint(
    server: ServerUnderTest, jobs: Jobs, sign: str
) -> None:
    job_id = jobs.counter()
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    wait_until("something was counted", jobs.counted)
    jobs.stop(job_id, savepoint=True)
    deployment = server.home / "deployments" / f"job-{job_id}-1"
    if sign:
        wait_until(f"{sign} is there", (deployment / sign).exists)
    server.kill()
    again = Jobs(server.start())
    stopped = again.until(job_id, "job_cancel_success")
    assert stopped["has_savepoint"] is True
    assert again.path(job_id)[-3:] == ["job_savepointing", "job_canceling", "job_cancel_success"]
    assert processes_of(server.home / "deployments") == []
    before = again.counted()
    again.run(job_id, resume=True)
    again.until(job_id, "job_running")
    wait_until("it goes on from its state", lambda: len(again.counted()) > len(before) + 20)


@promise("A deployment whose folder was moved away is told to have vanished, and leaves no process")
def test_a_deployment_whose_folder_was_moved_away_leaves_nothing(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.create("none", "failOnDemand.jar", "--when none")
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    pids = jvms(server)
    (server.home / "deployments" / f"job-{job_id}-1").rename(server.home.parent / "moved")
    assert "vanished" in jobs.until(job_id, "job_running_exception")["status_desc"]
    assert processes_of(server.home / "deployments") == []
    assert not [pid for pid in pids.values() if os.path.exists(f"/proc/{pid}")]


@promise("What became of jobs while Headrace was down is told rightly")
def test_what_happened_while_headrace_was_down_is_told_rightly(server: ServerUnderTest, jobs: Jobs) -> None:
    trigger = server.home.parent / "trigger"
    killed = jobs.create("killed", "failOnDemand.jar", "--when none --rate 10")
    failed = jobs.create("failed", "failOnDemand.jar", f"--when trigger-file {trigger}")
    for job_id in (killed, failed):
        jobs.run(job_id)
    for job_id in (killed, failed):
        jobs.until(job_id, "job_running")
    server.kill()
    jobmanager = server.home / "deployments" / f"job-{killed}-1" / "jobmanager"
    os.kill(json.loads((jobmanager / "process.json").read_text())["pid"], signal.SIGKILL)
    trigger.touch()
    other = server.home / "deployments" / f"job-{failed}-1" / "jobmanager" / "exit.json"
    wait_until("both have ended", lambda: other.exists() and (jobmanager / "exit.json").exists())
    again = Jobs(server.start())
    assert "SIGKILL" in again.until(killed, "job_running_exception")["status_desc"]
    assert "Failed on demand because of" in again.until(failed, "job_running_exception")["status_desc"]


@promise("A job that finished while Headrace was down is job_finish, by its exit code and Flink's archive")
def test_a_job_that_finished_while_headrace_was_down_is_finished(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.create(
        "words", "wordCount.jar", "--input obs://test-bucket/gettysburg.txt --output obs://test-bucket/words"
    )
    jobs.run(job_id)
    started = server.home / "deployments" / f"job-{job_id}-1" / "started.json"
    wait_until("it was started", started.exists)
    server.kill()
    ended = started.parent / "jobmanager" / "exit.json"
    wait_until("it has ended", ended.exists)
    again = Jobs(server.start())
    again.until(job_id, "job_finish")
    assert again.path(job_id) == ["job_init", "job_submitting", "job_running", "job_finish"]


@promise("SIGTERM of Headrace leaves jobs running; headrace down ends them, with a savepoint if asked")
def test_sigterm_leaves_jobs_running_and_down_ends_them(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.counter()
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    pids = jvms(server)
    assert server.terminate() == 0
    assert not (server.home / "server.json").exists()
    assert all(os.path.exists(f"/proc/{pid}") for pid in pids.values())
    told = server.down("--savepoint")
    assert f"job {job_id} (counter): stopped" in told
    assert processes_of(server.home) == []
    again = Jobs(server.start())
    stopped = again.detail(job_id)
    assert stopped["status"] == "job_cancel_success"
    assert stopped["has_savepoint"] is True


def test_down_ends_a_serving_headrace_too(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.create("none", "failOnDemand.jar", "--when none")
    jobs.run(job_id)
    jobs.until(job_id, "job_submitting", "job_running")
    server.down()
    assert processes_of(server.home) == []


def test_a_second_serve_on_one_home_is_refused(server: ServerUnderTest) -> None:
    server.start()
    assert server.process is not None
    second = subprocess.run(
        [sys.executable, "-m", "headrace", "serve", "--home", str(server.home), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert f"pid {server.process.pid}" in second.stderr


def test_nothing_of_headrace_reaches_user_code(server: ServerUnderTest, jobs: Jobs) -> None:
    server.environment["A_SECRET_OF_THE_OPERATOR"] = "s3cr3t"
    server.terminate()
    again = Jobs(server.start())
    keys = json.loads((server.home / "server.json").read_text())
    job_id = again.create("none", "failOnDemand.jar", "--when none")
    again.run(job_id)
    again.until(job_id, "job_running")
    for pid in jvms(server).values():
        said = b""
        for name in ("environ", "cmdline"):
            with open(f"/proc/{pid}/{name}", "rb") as file:
                said += file.read()
        assert b"s3cr3t" not in said
        assert b"HEADRACE" not in said
        assert keys["secret_key"].encode() not in said
        folder = os.readlink(f"/proc/{pid}/cwd")
        assert os.listdir(folder) == ["userData"]
        opened = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert not [path for path in opened if path.endswith((".db", ".json", ".key", ".lock", "-wal"))]
    assert (server.home.stat().st_mode & 0o777) == 0o700
    for secret in ("server.json", "secrets.key", "headrace.db"):
        assert ((server.home / secret).stat().st_mode & 0o777) == 0o600
