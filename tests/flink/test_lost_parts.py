"""Every part of a job is lost once, on real Flink: what follows, how soon, and that each record is counted once."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.client import ApiError
from headrace.faults.flink_headrace import HOURS_MS, change_boot, limit_files
from headrace.flink.engines import EngineStore
from headrace.runtimes import files
from headrace.runtimes.processes import Life
from tests.support.promises import figure, promise
from tests.support.seamed import BUSY_TIMEOUT_MS
from tests.support.server import processes_of, wait_until
from tests.support.stage import Playing, Stage, since_boot, staged, together

pytestmark = pytest.mark.flink

UNRESPONSIVE_S = 8.0
SILENT_S = 8.0
"""More than a JVM takes to end that has called System.exit, which Flink's own hooks hold up for 5 s."""
HEARTBEAT_S = 5.0
"""When Flink gives up a TaskManager that is frozen."""
OPTIONS = f"heartbeat.timeout={HEARTBEAT_S * 1000:.0f}\nexecution.checkpointing.tolerable-failed-checkpoints=20"
ON: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": -1}


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    environment = {
        "HEADRACE_UNRESPONSIVE_AFTER_SECONDS": str(UNRESPONSIVE_S),
        "HEADRACE_TASKMANAGER_SILENT_AFTER_SECONDS": str(SILENT_S),
        "HEADRACE_SIGNATURE_SKEW_SECONDS": str(2 * HOURS_MS // 1000),  # its clock jumps, the clients' does not
    }
    with staged(request, tmp_path_factory.mktemp("parts"), engine_store, environment) as one:
        yield one


@pytest.fixture(scope="module")
def witness(stage: Stage) -> Iterator[Playing]:
    """A job that lives through all that strikes Headrace itself."""
    with stage.counter("witness", runtime_config=OPTIONS) as one:
        yield one


def runs_again(one: Playing, attempt: int) -> Callable[[], bool]:
    return lambda: one.attempt == attempt and one.detail()["status"] == "job_running"


def goes_on_exactly(one: Playing, attempt: int, since: float | None = None) -> None:
    """It runs as this attempt, goes on, and has counted each record once."""
    wait_until(f"attempt {attempt} runs", runs_again(one, attempt))
    wait_until("Flink runs it", lambda: one.flink().jobs()[0]["state"] == "RUNNING")
    one.grows(1)
    if since is not None:
        figure(f"counts again after {since_boot() - since:.1f} s")
    figure(f"{one.exact()} records, each once")


# -- the JobManager ---------------------------------------------------------------------------------------------------


@together
@promise("A JobManager that is killed is followed by a new deployment, which goes on from the newest checkpoint")
def test_a_killed_jobmanager(stage: Stage) -> None:
    with stage.counter("jm-killed") as one:
        struck = one.strike("jobmanager")
        goes_on_exactly(one, 2, struck)
        assert one.kept("jobmanager", 1).code == -signal.SIGKILL
        assert one.journal("SIGKILL")


@together
@promise("A JobManager that is frozen is ended after unresponsive_after_seconds, its end is seen, and the job goes on")
def test_a_frozen_jobmanager(stage: Stage) -> None:
    with stage.counter("jm-frozen") as one:
        struck = one.strike("jobmanager", signal.SIGSTOP)
        goes_on_exactly(one, 2, struck)
        ended = one.kept("jobmanager", 1)
        assert ended.code == -signal.SIGKILL
        assert ended.ended_at is not None
        assert ended.ended_at - struck >= UNRESPONSIVE_S
        assert one.journal("does not answer")


@together
@promise("A JobManager that runs out of memory is followed by a new deployment, and the cause is told")
def test_a_jobmanager_out_of_memory(stage: Stage) -> None:
    trigger = stage.home.parent / "fill the heap"
    with stage.job("jm-oom", f"--when oom-main '{trigger}'", **ON) as one:
        one.run()
        one.until("job_running")
        trigger.touch()
        one.ended("jobmanager", 1)
        trigger.unlink()
        wait_until("attempt 2 runs", runs_again(one, 2))
        assert one.journal("heap")
        assert one.detail()["restart_times"] == 1


@together
@promise("Silence is not failure: nothing is done to a job whose REST hangs for less than its deadline")
def test_rest_that_hangs(stage: Stage) -> None:
    with stage.counter("rest-hangs") as one:
        struck = one.strike("jobmanager", signal.SIGSTOP)
        before = one.kept("jobmanager").identity
        shown = set()

        def over() -> bool:
            shown.add(one.detail()["status"])
            return since_boot() - struck > UNRESPONSIVE_S - 1

        wait_until("it has hung for long", over)
        one.strike("jobmanager", signal.SIGCONT)
        goes_on_exactly(one, 1)
        assert shown == {"job_running"}
        assert one.kept("jobmanager").identity == before
        assert one.detail()["restart_times"] == 0


@together
@promise("System.exit(0) of main() while its job runs is no job_finish")
def test_exit_of_main_while_its_job_runs(stage: Stage) -> None:
    trigger = stage.home.parent / "exit"
    with stage.job("exit0", f"--when exit0 '{trigger}'") as one:
        one.run()
        one.until("job_running")
        trigger.touch()
        assert "System.exit()" in one.until("job_running_exception")["status_desc"]
        assert one.kept("jobmanager").code == 0


# -- TaskManagers -----------------------------------------------------------------------------------------------------


HALTED = 239
"""Flink's own exit code (-17) when something goes wrong while the JVM is on its way out (FatalExitExceptionHandler)."""


def replaced(one: Playing, struck: float, *codes: int) -> None:
    """Its TaskManager has ended like that; another one is there, and the deployment is still the first."""
    goes_on_exactly(one, 1, struck)
    first = one.kept("taskmanager-1")
    assert first.code in codes
    assert one.kept("taskmanager-2").life is Life.RUNS
    assert first.ended_at is not None
    gap = files.read(one.folder() / "taskmanager-2" / "process.json")["at"] - first.ended_at
    assert gap < 45.0  # of a busy machine; on an idle one the figure tells
    figure(f"the next one was started {gap:.1f} s after its end")
    assert one.detail()["restart_times"] == 1
    assert one.journal("another one is started in its place")


@together
@promise("A lost TaskManager is replaced without waiting for heartbeats")
def test_a_killed_taskmanager(stage: Stage) -> None:
    with stage.counter("tm-killed", runtime_config="heartbeat.timeout=600000") as one:
        replaced(one, one.strike("taskmanager-1"), -signal.SIGKILL)


@together
@promise("A TaskManager that exits by itself is replaced, and its exit code is told")
def test_a_taskmanager_that_exits(stage: Stage) -> None:
    with stage.counter("tm-exits", runtime_config=OPTIONS) as one:
        one.order("exit")
        replaced(one, since_boot(), 17, HALTED)
        assert one.journal(f"exit code {one.kept('taskmanager-1').code}")


@together
@promise("A TaskManager that runs out of memory is replaced, and the cause is told")
def test_a_taskmanager_out_of_memory(stage: Stage) -> None:
    with stage.counter("tm-oom", runtime_config=OPTIONS) as one:
        one.order("oom")
        replaced(one, since_boot(), 3)


@together
@promise("A TaskManager that is frozen is ended after taskmanager_silent_after_seconds, and replaced")
def test_a_frozen_taskmanager(stage: Stage) -> None:
    with stage.counter("tm-frozen", runtime_config=OPTIONS) as one:
        struck = one.strike("taskmanager-1", signal.SIGSTOP)
        wait_until("another one is there", lambda: one.kept("taskmanager-2").life is Life.RUNS)
        replaced(one, struck, -signal.SIGKILL)
        assert one.journal("was silent")


@together
@promise("JobManager and TaskManager that are killed at once are followed by a new deployment")
def test_both_killed_at_once(stage: Stage) -> None:
    with stage.counter("both") as one:
        one.strike("taskmanager-1")
        goes_on_exactly(one, 2, one.strike("jobmanager"))
        assert one.detail()["restart_times"] == 1


# -- what Headrace itself stands on: one after the other, as each strikes all jobs ------------------------------------


def refused(call: Callable[[], Any]) -> ApiError:
    """The error of a call that cannot be answered now."""
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value


@promise(
    "A full disk harms nothing that is on record: what was lost meanwhile is replaced when there is room again",
    seam="RLIMIT_FSIZE of all processes: the kernel refuses writes with EFBIG in place of ENOSPC",
)
def test_a_full_disk(stage: Stage, witness: Playing) -> None:
    attempt, times = witness.attempt, witness.detail()["restart_times"]
    assert stage.server.process is not None
    all_processes = [stage.server.process.pid, *processes_of(stage.home)]
    for pid in all_processes:
        limit_files(pid, 0)
    lost = max(int(role.name.rpartition("-")[2]) for role in witness.folder().glob("taskmanager-*"))
    witness.strike(f"taskmanager-{lost}")
    wait_until("the TaskManager has ended", lambda: witness.kept(f"taskmanager-{lost}").life is not Life.RUNS)
    error = refused(lambda: witness.change(desc="on a full disk"))
    assert error.status == 503
    assert witness.detail()["status"] == "job_running"
    for pid in [*all_processes, *processes_of(stage.home)]:
        limit_files(pid, None)
    wait_until("another one is there", lambda: witness.kept(f"taskmanager-{lost + 1}").life is Life.RUNS)
    goes_on_exactly(witness, attempt)
    assert witness.detail()["restart_times"] == times + 1
    witness.change(desc="there is room again")


@promise("A locked database holds everything up and loses nothing: what was killed meanwhile is restarted afterwards")
def test_a_locked_database(stage: Stage, witness: Playing) -> None:
    attempt, times = witness.attempt, witness.detail()["restart_times"]
    with closing(sqlite3.connect(stage.home / "headrace.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = since_boot()
        witness.strike("jobmanager")
        error = refused(lambda: witness.change(desc="while it is locked"))
        assert error.status == 503
        assert since_boot() - locked >= BUSY_TIMEOUT_MS / 1000
        assert witness.detail()["status"] == "job_running"  # the last known state, which is read as ever
        assert witness.attempt == attempt
        other.execute("ROLLBACK")
    goes_on_exactly(witness, attempt + 1)
    assert witness.detail()["restart_times"] == times + 1


@promise("A database that is gone for a while is not made anew; Headrace goes on when it is back")
def test_a_database_that_is_gone(stage: Stage, witness: Playing) -> None:
    attempt, database = witness.attempt, stage.home / "headrace.db"
    lost = max(int(role.name.rpartition("-")[2]) for role in witness.folder().glob("taskmanager-*"))
    away = database.with_name("away.db")
    database.rename(away)
    gone = since_boot()
    witness.strike(f"taskmanager-{lost}")
    wait_until("it was gone for a while", lambda: since_boot() - gone > 3)
    assert not database.exists()
    away.rename(database)
    wait_until("another one is there", lambda: witness.kept(f"taskmanager-{lost + 1}").life is Life.RUNS)
    goes_on_exactly(witness, attempt)
    assert stage.server.process is not None
    assert stage.server.process.poll() is None


@promise("The hour of restarts does not go by the wall clock", seam="Seams.now_ms of headrace.main")
def test_a_clock_that_jumps(stage: Stage, witness: Playing) -> None:
    with stage.counter("clock", resume_max_num=1) as one:
        one.strike("jobmanager")
        wait_until("attempt 2 runs", runs_again(one, 2))
        set_clock(stage, HOURS_MS)
        one.grows(1)
        one.strike("jobmanager")
        ended = one.until("job_running_exception")
        set_clock(stage, -HOURS_MS)
        goes_on_exactly(witness, witness.attempt)
        one.run()
        one.until("job_running")
        set_clock(stage, 0)
    assert "1 of 1 within an hour" in ended["status_desc"]


def set_clock(stage: Stage, ms: int) -> None:
    """The server's wall clock, so far from the true one."""
    new = stage.server.orders / "clock.new"
    new.write_text(str(ms))
    new.rename(stage.server.orders / "clock")


@promise("What was counted of the hour survives a SIGKILL of Headrace")
def test_the_budget_survives_a_killed_headrace(stage: Stage, witness: Playing) -> None:
    with stage.counter("survives", resume_max_num=1) as one:
        one.order("throw")
        wait_until("it is counted", lambda: one.detail()["restart_times"] == 1)
        one.grows(1)
        stage.server.kill()
        one.strike("jobmanager")
        one.ended("jobmanager")
        stage.start()
        one.jobs = stage.jobs()
        ended = one.until("job_running_exception")
        assert ended["restart_times"] == 1
        assert "1 of 1 within an hour" in ended["status_desc"]
        figure(f"{one.exact()} records, each once")
    witness.jobs = stage.jobs()
    goes_on_exactly(witness, witness.attempt)


@promise(
    "After a reboot of the machine each job goes on from its newest checkpoint, or is told to have ended with it",
    seam="SIGKILL of all processes, keepers first; then the boot ids on record are changed, in place of the kernel's",
)
def test_a_reboot(stage: Stage, witness: Playing) -> None:
    attempt = witness.attempt
    with stage.job("reboot-off", "--when none") as off:
        off.run()
        off.until("job_running")
        stage.server.kill()
        deployments = stage.home / "deployments"
        while found := processes_of(deployments):
            for pid in sorted(found, key=lambda one: b"keeper.py" not in command(one)):
                end(pid)
        change_boot(stage.home, stage.home / "headrace.db")
        booted = since_boot()
        stage.start()
        witness.jobs = off.jobs = stage.jobs()
        assert "started anew" in off.until("job_running_exception")["status_desc"]
        goes_on_exactly(witness, attempt + 1, booted)
        assert witness.journal("started anew")


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended with another one


@promise("Everything of a deployment is gone before the next one starts: never two deployments of one job")
def test_never_two_deployments_of_one_job(stage: Stage, witness: Playing) -> None:
    stage.watch.check()
    assert stage.watch.samples > 50
    figure(f"{stage.watch.samples} looks at all processes")
    witness.stop()
    witness.until("job_cancel_success")
    assert processes_of(witness.folder()) == []
    wait_until("no CU is held", lambda: witness.jobs.client.call("GET", "/v1.0/{p}/queues/q")["used_cu"] == 0)
