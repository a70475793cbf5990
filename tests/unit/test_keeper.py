"""The keeper: one process, started once, its end on record, nothing left of it. With plain programs instead of JVMs."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from headrace.runtimes import processes
from headrace.runtimes.processes import Kept, Life
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
