"""The keeper: one process, started once, its end on record, nothing left of it. With plain programs instead of JVMs."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from headrace.runtimes import keeper, logfiles, processes
from headrace.runtimes.logfiles import LogFile
from headrace.runtimes.processes import Kept, Life
from tests.support.promises import promise
from tests.support.server import wait_until


@pytest.fixture
def role(tmp_path: Path) -> Path:
    folder = tmp_path / "job-1-1" / "jobmanager"
    folder.mkdir(parents=True)
    return folder


def order(role: Path, script: str, **more: Any) -> None:
    command = {
        "argv": ["/bin/sh", "-c", script],
        "env": {"ONLY": "this"},
        "cwd": str(role),
        "output": str(role / "out"),
        "fence": str(role.parent),
        "holds": [str(role.parent.parent / "locks" / "flink.lock")],
        **more,
    }
    (role / "command.json").write_text(json.dumps(command))


def ended(role: Path) -> Kept:
    def look() -> Kept | None:
        kept = processes.look(role)
        return kept if kept.life is Life.ENDED else None

    return wait_until("it has ended", look, 60)


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
def test_the_end_is_on_record(role: Path, script: str, code: int) -> None:
    order(role, script)
    processes.start(role)
    assert ended(role).code == code


def test_it_gets_its_environment_and_folder_and_nothing_else(role: Path) -> None:
    order(role, "/usr/bin/env; pwd; ls -l /proc/$$/fd | grep -c -e json -e lock")
    processes.start(role)
    ended(role)
    lines = (role / "out").read_text().splitlines()
    assert {line for line in lines if "=" in line} <= {"ONLY=this", f"PWD={role}", "_=/usr/bin/env", "OLDPWD=/"}
    assert lines[-2:] == [str(role), "0"]


def test_started_at_once_by_several_it_is_started_once(role: Path) -> None:
    order(role, "echo here >> started; sleep 1000")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: processes.start(role), range(8)))
    wait_until("it has started", (role / "started").exists, 60)
    kept = processes.look(role)
    assert kept.life is Life.RUNS
    processes.end(kept, force=True)
    assert ended(role).code == -signal.SIGKILL
    processes.start(role)
    assert (role / "started").read_text() == "here\n"


def test_behind_the_fence_nothing_is_started(role: Path) -> None:
    order(role, "touch started")
    (role.parent / "removed").touch()
    processes.start(role)
    assert processes.look(role).life is Life.NEVER
    assert not (role / "started").exists()


def test_a_program_that_cannot_be_started_is_told_of(role: Path) -> None:
    order(role, "", argv=["/no/such/java"])
    processes.start(role)
    assert ended(role).code == 127
    assert "/no/such/java" in (role / "out").read_text()


@pytest.mark.parametrize("content", ["{", "{}", json.dumps({"argv": ["\ud800"], "holds": []})])
def test_whatever_stops_the_keeper_is_on_record(role: Path, content: str) -> None:
    (role / "command.json").write_text(content)
    processes.start(role)
    kept = ended(role)
    assert kept.code == 127
    assert "could not be started" in kept.error


def test_what_the_program_leaves_behind_ends_with_it(role: Path) -> None:
    order(role, "setsid sleep 1000 & echo $! > child; exit 0")
    processes.start(role)
    ended(role)
    child = int((role / "child").read_text())
    wait_until("the child has ended", lambda: not os.path.exists(f"/proc/{child}"), 60)


def test_a_program_that_ignores_sigterm_is_ended(role: Path) -> None:
    order(role, "trap '' TERM; touch ready; while true; do sleep 1; done")
    processes.start(role)
    wait_until("it is ready", (role / "ready").exists, 60)
    kept = processes.look(role)
    assert not processes.end(kept, force=False)
    assert not processes.end(kept, force=True)
    wait_until("nothing of it lives", lambda: processes.end(processes.look(role), force=True), 60)
    assert processes.look(role).code == -signal.SIGKILL


def test_another_process_of_the_same_pid_is_not_ours(role: Path) -> None:
    order(role, "sleep 1000")
    processes.start(role)
    kept = processes.look(role)
    assert kept.identity is not None
    for changed in ({"start_time": 1}, {"boot_id": "another boot"}):
        record = json.loads((role / "process.json").read_text()) | changed
        other = role.parent / f"other-{next(iter(changed))}"
        other.mkdir()
        record["keeper"] = {"pid": kept.identity.pid, "start_time": 1}
        (other / "process.json").write_text(json.dumps(record))
        stranger = processes.look(other)
        assert (stranger.life, stranger.code) == (Life.ENDED, None)
        processes.end(stranger, force=True)
        assert kept.identity.lives()
    wait_until("it is ended", lambda: processes.end(processes.look(role), force=True), 60)


def test_when_it_began_and_ended_is_on_record(role: Path) -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    order(role, "exit 3")
    processes.start(role)
    kept = ended(role)
    assert kept.started_at is not None
    assert kept.ended_at is not None
    assert before <= kept.started_at <= kept.ended_at <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert not kept.oom_killed
    assert not kept.rebooted


@pytest.mark.parametrize(
    ("code", "kills", "oom_killed"), [(-9, 1, True), (-9, 0, False), (-15, 1, False), (1, 1, False), (137, 2, False)]
)
def test_killed_for_want_of_memory(role: Path, code: int, kills: int, oom_killed: bool) -> None:
    record = {"code": code, "error": "", "at": 1.0, "oom_kills": kills}
    (role / "exit.json").write_text(json.dumps(record))
    assert processes.look(role).oom_killed is oom_killed


def test_the_kernel_tells_how_many_it_has_killed(tmp_path: Path) -> None:
    proc, cgroups = tmp_path / "cgroup", tmp_path / "cgroups"
    group = cgroups / "user.slice" / "headrace"
    group.mkdir(parents=True)
    proc.write_text("1:name=systemd:/old\n0::/user.slice/headrace\n")
    assert keeper._oom_kills(proc, cgroups) == 0  # an older kernel
    (cgroups / "memory.events").write_text("low 0\noom 1\noom_kill 4\n")
    assert keeper._oom_kills(proc, cgroups) == 4  # a container, which does not see its own path
    (group / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n")
    assert keeper._oom_kills(proc, cgroups) == 2
    (group / "memory.events").write_text("nonsense")
    assert keeper._oom_kills(proc, cgroups) == 0
    assert keeper._oom_kills(tmp_path / "missing", cgroups) == 0


@promise("After a reboot of the machine nobody waits for an exit that nobody saw.", seam="the boot id on record")
def test_of_an_earlier_boot(role: Path) -> None:
    order(role, "sleep 1000")
    processes.start(role)
    record = json.loads((role / "process.json").read_text())
    other = role.parent / "taskmanager-1"
    other.mkdir()
    (other / "process.json").write_text(json.dumps({**record, "boot_id": "an earlier one"}))
    kept = processes.look(other)
    assert (kept.life, kept.code, kept.rebooted) == (Life.ENDED, None, True)
    assert processes.end(kept, force=True)
    assert processes.look(role).life is Life.RUNS
    wait_until("it is ended", lambda: processes.end(processes.look(role), force=True), 60)


@promise("A keeper that was stopped by a signal is woken to write down how its program ended.")
def test_a_frozen_keeper_is_woken(role: Path) -> None:
    order(role, "sleep 1000")
    processes.start(role)
    kept = processes.look(role)
    assert kept.keeper is not None
    assert kept.identity is not None
    os.kill(kept.keeper.pid, signal.SIGSTOP)
    os.kill(kept.identity.pid, signal.SIGKILL)
    assert ended(role).code == -signal.SIGKILL


def test_nobody_saw_its_end(role: Path) -> None:
    order(role, "exec sleep 1000")  # a child of the shell would be left behind
    processes.start(role)
    kept = processes.look(role)
    assert kept.keeper is not None
    assert kept.identity is not None
    os.kill(kept.keeper.pid, signal.SIGKILL)
    os.kill(kept.identity.pid, signal.SIGKILL)
    seen = ended(role)
    assert (seen.code, seen.ended_at, seen.rebooted, seen.oom_killed) == (None, None, False, False)


def test_of_a_log_only_the_newest_bytes_stay_and_offsets_stay_what_they_are(role: Path) -> None:
    size, limit = 200_000 * 8, 256 << 10
    out = role / "out"
    order(role, "seq 1000000 1199999; sleep 1000", spool={"files": [str(out)], "bytes": limit})
    processes.start(role)
    log = LogFile("r", "out", out, role / "spool.json")
    gone = wait_until("the oldest are gone", lambda: log.gone, 60)
    wait_until("not more stays", lambda: out.stat().st_blocks * 512 < 2 * limit, 60)
    wait_until("all is written", lambda: log.size == size, 60)
    assert 0 < gone <= size - limit
    assert log.read(size - 16, size) == b"1199998\n1199999\n"
    processes.end(processes.look(role), force=True)
    ended(role)


def test_a_killed_keepers_logs_are_bounded_by_headrace(tmp_path: Path) -> None:
    role = tmp_path / "job-1-1" / "jobmanager"
    role.mkdir(parents=True)
    out, limit = role / "out", 256 << 10
    order(role, "sleep 1000", spool={"files": [str(out)], "bytes": limit})
    processes.start(role)
    its_keeper = processes.look(role).keeper
    assert its_keeper is not None
    os.kill(its_keeper.pid, signal.SIGKILL)
    wait_until("the keeper is gone", lambda: not its_keeper.lives(), 60)
    out.write_bytes(b"x" * (4 << 20))
    logfiles.bound_unkept(tmp_path)
    assert out.stat().st_blocks * 512 < 2 * limit
    first = LogFile("r", "out", out, role / "spool.json").gone
    assert first > 0
    with out.open("ab") as file:
        file.write(b"x" * (4 << 20))
    logfiles.bound_unkept(tmp_path)
    assert LogFile("r", "out", out, role / "spool.json").gone == first + (4 << 20)
    processes.end(processes.look(role), force=True)


def big_log(role: Path) -> Path:
    out = role / "out"
    out.write_bytes(b"x" * (1 << 20))
    return out


def test_where_a_file_system_cannot_free_the_oldest_none_is_called_gone(
    role: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, record = big_log(role), role / "spool.json"
    gone: dict[str, int] = {}

    def cannot(path: str, end: int) -> None:
        assert LogFile("r", "out", Path(path), record).gone == end, "on record before it goes"
        raise OSError(errno.EOPNOTSUPP, "cannot")

    monkeypatch.setattr(keeper, "_punch", cannot)
    with pytest.raises(OSError, match="cannot"):
        keeper._free_oldest(record, gone, str(out), 64 << 10)
    assert gone == {}
    assert LogFile("r", "out", out, record).gone == 0


def test_on_a_full_disk_the_oldest_go_before_they_are_on_record(role: Path) -> None:
    """A folder stands where the record is to be written, until there is room."""
    out, record = big_log(role), role / "spool.json"
    (role / "spool.tmp").mkdir()
    gone: dict[str, int] = {}
    spool = {"files": [str(out)], "bytes": 64 << 10}
    keeper.free_all(record, gone, spool)
    assert gone == {str(out): (1 << 20) - (64 << 10)}
    assert out.stat().st_blocks * 512 < 128 << 10
    assert not record.exists()
    (role / "spool.tmp").rmdir()
    keeper.free_all(record, gone, spool)
    assert LogFile("r", "out", out, record).gone == (1 << 20) - (64 << 10)


def test_while_the_disk_is_full_the_keeper_waits_to_write_its_record(role: Path) -> None:
    """A folder stands where the record is to be written: it is as good as a full disk."""
    order(role, "touch runs; while [ -e runs ]; do sleep 0.05; done; exit 7")
    processes.start(role)
    wait_until("it runs", (role / "runs").exists, 60)
    (role / "exit.tmp").mkdir()
    (role / "runs").unlink()
    kept = processes.look(role)
    assert kept.identity is not None
    wait_until("it has ended", lambda: not kept.identity.lives() if kept.identity else None, 60)
    assert processes.look(role).life is Life.ENDING
    (role / "exit.tmp").rmdir()
    assert ended(role).code == 7
