"""Headrace is killed, stopped and started again; jobs do not notice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.promises import promise
from tests.support.server import BUCKET, Jobs, ServerUnderTest, is_jvm, processes_of, wait_until

pytestmark = pytest.mark.flink


def jvms(server: ServerUnderTest, deployment: str = "*") -> dict[str, int]:
    """{role: pid} of the deployment, or of the one that there is."""
    found = server.home.glob(f"deployments/{deployment}/*/process.json")
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


ROUNDS = {
    # the file of the deployment at which Headrace is killed ("" = as soon as the request was accepted)
    "": "",
    "prepared.json": "savepoint-*.intent.json",
    "ports.json": "savepoint-*.answer.json",
    "jobmanager/process.json": "removed",
    "started.json": "gone",
}


class Phoenix:
    """A job that is started and stopped again and again, while Headrace is killed."""

    def __init__(self, server: ServerUnderTest) -> None:
        self.server = server
        self.jobs = server.jobs()
        self.id = self.jobs.counter("phoenix")
        self.before: list[int] = []
        """What had been counted when it was last at rest."""

    @property
    def deployment(self) -> Path:
        """Folder of the one that is live, or of the next one."""
        live = self.status not in ("job_init", "job_cancel_success")
        attempt = self.jobs.path(self.id).count("job_submitting") + (not live)
        return self.server.home / "deployments" / f"job-{self.id}-{attempt}"

    @property
    def status(self) -> str:
        return str(self.jobs.detail(self.id)["status"])

    def run(self) -> None:
        self.before = self.jobs.counted("phoenix")
        self.jobs.run(self.id, resume=bool(self.before))

    def runs(self) -> None:
        """Waits until it runs, and goes on from its state."""
        self.jobs.until(self.id, "job_running")
        enough = len(self.before) + 20
        wait_until("it goes on from its state", lambda: self.written() > enough)

    def written(self) -> int:
        """Lines in its finished files: cheaper than ``counted``, which must hold whenever it is at rest."""
        folder = self.server.home / "objects" / BUCKET / "phoenix"
        found = [path for path in folder.glob("*") if not path.name.startswith(".")]
        return sum(path.read_bytes().count(b"\n") for path in found)

    def kill_headrace_at(self, deployment: Path, sign: str) -> None:
        if sign:
            wait_until(f"{sign} is there", lambda: list(deployment.glob(sign)))
        self.server.kill()
        self.jobs = Jobs(self.server.start())


@pytest.fixture(scope="module")
def phoenix(server: ServerUnderTest) -> Phoenix:
    """It is deleted with the jobs of the next test."""
    return Phoenix(server)


@pytest.fixture(scope="module", params=ROUNDS, ids=[f"{start}+{stop}" for start, stop in ROUNDS.items()])
def sign(request: pytest.FixtureRequest) -> str:
    """Of the start; a round is a start and a stop."""
    return str(request.param)


@promise("Headrace that is killed while it starts a job starts it once")
def test_killed_while_it_starts_a_job_it_starts_it_once(phoenix: Phoenix, sign: str) -> None:
    deployments = phoenix.server.home / "deployments"
    new = phoenix.deployment
    phoenix.run()
    phoenix.kill_headrace_at(new, sign)
    phoenix.jobs.until(phoenix.id, "job_running")
    rest = "job_cancel_success" if phoenix.before else "job_init"
    assert phoenix.jobs.path(phoenix.id)[-3:] == [rest, "job_submitting", "job_running"]
    assert phoenix.deployment == new
    running = [pid for pid in processes_of(deployments) if is_jvm(pid)]
    assert sorted(running) == sorted(jvms(phoenix.server, new.name).values())
    assert len(running) == 2
    phoenix.runs()


@promise("Killed between the request of a stop with savepoint and its answer, Headrace finds the savepoint again")
def test_killed_while_it_stops_a_job_it_stops_it_with_its_savepoint(phoenix: Phoenix, sign: str) -> None:
    if phoenix.status != "job_running":  # this test alone
        phoenix.run()
        phoenix.runs()
    live = phoenix.deployment
    saved = phoenix.server.home / "objects" / BUCKET / "jobs" / "savepoint" / str(phoenix.id)
    before = set(saved.glob("*/savepoint-*/_metadata"))
    phoenix.jobs.stop(phoenix.id, savepoint=True)
    phoenix.kill_headrace_at(live, ROUNDS[sign])
    stopped = phoenix.jobs.until(phoenix.id, "job_cancel_success")
    assert stopped["has_savepoint"] is True
    [made] = set(saved.glob("*/savepoint-*/_metadata")) - before
    assert stopped["savepoint_path"] == f"obs://{made.parent.relative_to(phoenix.server.home / 'objects')}"
    assert phoenix.jobs.path(phoenix.id)[-3:] == ["job_savepointing", "job_canceling", "job_cancel_success"]
    assert processes_of(live.parent) == []
    phoenix.jobs.counted("phoenix")
    if sign == list(ROUNDS)[-1]:  # after the others the next round does it
        phoenix.run()
        phoenix.runs()


@promise("A deployment whose folder was moved away is told to have vanished, and leaves no process")
def test_a_deployment_whose_folder_was_moved_away_leaves_nothing(server: ServerUnderTest, jobs: Jobs) -> None:
    job_id = jobs.create("none", "failOnDemand.jar", "--when none")
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    pids = jvms(server)
    (server.home / "deployments" / f"job-{job_id}-1").rename(server.home.parent / "moved")
    assert "vanished" in jobs.until(job_id, "job_running_exception")["status_desc"]
    assert processes_of(server.home / "deployments") == []
    # The keepers are dead too, so init reaps the JVMs, in its own time.
    wait_until("they are reaped", lambda: not [pid for pid in pids.values() if os.path.exists(f"/proc/{pid}")])


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
    server.client()
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
