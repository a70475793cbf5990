"""The TaskManagers of a deployment, as real processes: lost ones, silent ones, and how soon another one is started."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.domain.observation import LostTaskManager
from headrace.flink.command import Layout
from headrace.runtimes import processes, taskmanagers
from headrace.runtimes.processes import Life
from headrace.runtimes.taskmanagers import NEVER_HEARD_S, SHORT_S, Hearing
from tests.support.promises import promise
from tests.support.server import wait_until

NAME = "job-1-1"
LONG = SHORT_S + 1


class Deployment:
    """Role folders below a home, with plain programs instead of JVMs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.layout = Layout(home / "deployments" / NAME)
        self.layout.log.mkdir(parents=True)

    def folder(self, number: int) -> Path:
        folder = self.layout.role(taskmanagers.role(number))
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, number: int, script: str = "sleep 1000") -> None:
        folder = self.folder(number)
        command = {
            "argv": ["/bin/sh", "-c", f"touch {folder}/runs; {script}"],
            "env": {},
            "cwd": str(folder),
            "output": str(self.layout.log / f"{taskmanagers.role(number)}.out"),
            "fence": str(self.layout.folder),
            "holds": [],
        }
        (folder / "command.json").write_text(json.dumps(command))
        processes.start(folder)
        wait_until("it runs", (folder / "runs").exists, 60)

    def ended(self, number: int, *, lived_s: float, ago_s: float, code: int = 1) -> None:
        """The records of one that a keeper has seen end."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        identity = {"pid": 2**22 + number, "start_time": 1, "boot_id": processes.boot_id()}
        begun = {**identity, "at": now - ago_s - lived_s, "keeper": identity}
        (self.folder(number) / "process.json").write_text(json.dumps(begun))
        exit_record = {"code": code, "error": "", "at": now - ago_s, "oom_kills": 0}
        (self.folder(number) / "exit.json").write_text(json.dumps(exit_record))

    def unstartable(self, number: int, *, ago_s: float) -> None:
        """The record of one that a keeper could not start."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        exit_record = {"code": 127, "error": "the process could not be started", "at": now - ago_s, "oom_kills": 0}
        (self.folder(number) / "exit.json").write_text(json.dumps(exit_record))

    def end(self, number: int) -> None:
        wait_until("it is ended", lambda: processes.end(processes.look(self.folder(number)), force=True), 60)

    def life(self, number: int) -> Life:
        return processes.look(self.folder(number)).life

    def lost(self) -> tuple[LostTaskManager, ...]:
        return taskmanagers.lost(self.layout, self.home)

    def numbers(self) -> list[int]:
        return [lost.number for lost in self.lost()]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    for number in taskmanagers.numbers(made.layout):
        made.end(number)


# -- lost -------------------------------------------------------------------------------------------------------------


def test_all_that_run_are_not_lost(deployment: Deployment) -> None:
    deployment.start(1)
    deployment.start(2)
    deployment.folder(3)  # about to be started
    assert deployment.lost() == ()
    assert taskmanagers.numbers(deployment.layout) == [1, 2, 3]
    assert taskmanagers.started(deployment.layout) == [1, 2]


@promise("A TaskManager that cannot even be started is tried again with a backoff.")
def test_those_that_cannot_be_started_wait_for_their_turn(deployment: Deployment) -> None:
    deployment.unstartable(1, ago_s=9)
    deployment.unstartable(2, ago_s=0)
    assert deployment.numbers() == [1]
    deployment.unstartable(2, ago_s=3)
    assert deployment.numbers() == [1, 2]
    assert taskmanagers.started(deployment.layout) == [1, 2]


def test_numbers_are_numbers(deployment: Deployment) -> None:
    for number in (10, 9, 1):
        deployment.folder(number)
    assert taskmanagers.numbers(deployment.layout) == [1, 9, 10]


@promise("A TaskManager that is killed is seen at once, without a heartbeat of Flink's.")
def test_killed(deployment: Deployment) -> None:
    deployment.start(1)
    identity = processes.look(deployment.folder(1)).identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    (lost,) = wait_until("it is lost", deployment.lost, 60)
    assert (lost.number, lost.exit_code, lost.silent, lost.oom_killed) == (1, -signal.SIGKILL, False, False)
    assert lost.log == f"deployments/{NAME}/log/taskmanager-1.log"


def test_ended_by_itself_it_tells_why(deployment: Deployment) -> None:
    deployment.start(1, "echo 'Error: could not find or load main class' >&2; exit 1")
    (lost,) = wait_until("it is lost", deployment.lost, 60)
    assert lost.exit_code == 1
    assert "could not find or load main class" in lost.evidence
    assert lost.log.endswith("taskmanager-1.out")


def test_the_kernel_was_short_of_memory(deployment: Deployment) -> None:
    deployment.ended(1, lived_s=LONG, ago_s=0, code=-9)
    record = deployment.folder(1) / "exit.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "oom_kills": 1}))
    assert deployment.lost()[0].oom_killed


@pytest.mark.parametrize(
    ("ended", "due"),
    [
        ([(LONG, 0)], [1]),
        ([(1, 0)], [1]),  # the first one is replaced at once,
        ([(1, 9), (1, 0)], [1]),  # the next one after 2 s,
        ([(1, 9), (1, 1.5)], [1]),
        ([(1, 9), (1, 3)], [1, 2]),
        ([(1, 30), (1, 20), (1, 3)], [1, 2]),  # and after 4 s.
        ([(1, 30), (1, 20), (1, 5)], [1, 2, 3]),
        ([(1, 30), (LONG, 10), (1, 0)], [1, 2, 3]),  # One that lived for long forgets them.
        ([(1, 500)] * 8 + [(1, 40)], [1, 2, 3, 4, 5, 6, 7, 8]),  # It never takes longer
        ([(1, 500)] * 8 + [(1, 61)], [1, 2, 3, 4, 5, 6, 7, 8, 9]),  # than a minute.
    ],
)
@promise("A TaskManager that never comes up is started again and again with a backoff, up to a minute.")
def test_those_that_live_only_shortly_are_replaced_later(
    deployment: Deployment, ended: list[tuple[float, float]], due: list[int]
) -> None:
    for number, (lived_s, ago_s) in enumerate(ended, 1):
        deployment.ended(number, lived_s=lived_s, ago_s=ago_s)
    assert deployment.numbers() == due


def test_after_a_boot_nobody_waits(deployment: Deployment) -> None:
    """Seconds since boot begin anew: what ended in another boot ended long ago, or so it must seem."""
    for number in (1, 2):
        deployment.ended(number, lived_s=1, ago_s=-5000)
    assert deployment.numbers() == [1, 2]


def test_before_the_jobmanager(deployment: Deployment) -> None:
    deployment.ended(1, lived_s=LONG, ago_s=10, code=3)
    deployment.ended(2, lived_s=LONG, ago_s=0)
    folder = deployment.layout.role("jobmanager")
    folder.mkdir()
    record = json.loads((deployment.folder(1) / "exit.json").read_text())
    (folder / "process.json").write_text((deployment.folder(1) / "process.json").read_text())
    (folder / "exit.json").write_text(json.dumps({**record, "at": record["at"] + 5}))
    found = taskmanagers.lost_before(deployment.layout, deployment.home, processes.look(folder))
    assert [(lost.number, lost.exit_code) for lost in found] == [(1, 3)]


# -- silent -----------------------------------------------------------------------------------------------------------


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_silent_past_the_deadline(deployment: Deployment, clock: Clock) -> None:
    deployment.start(1)
    deployment.start(2)
    hearing, both = Hearing(30.0, clock), frozenset({f"{NAME}-taskmanager-1", f"{NAME}-taskmanager-2"})
    one = frozenset({f"{NAME}-taskmanager-1"})
    assert hearing.silent(deployment.layout, both) == ()
    clock.now_s += 100
    assert hearing.silent(deployment.layout, one) == ()  # silent since now
    clock.now_s += 30
    assert hearing.silent(deployment.layout, one) == ()
    clock.now_s += 1
    assert hearing.silent(deployment.layout, one) == (2,)
    assert hearing.silent(deployment.layout, both) == ()  # it was heard of again
    clock.now_s += 20
    assert hearing.silent(deployment.layout, one) == ()


def test_one_that_was_never_heard_of_may_still_be_starting(deployment: Deployment, clock: Clock) -> None:
    deployment.start(1)
    hearing = Hearing(30.0, clock)
    assert hearing.silent(deployment.layout, frozenset()) == ()
    clock.now_s += NEVER_HEARD_S / 2
    assert hearing.silent(deployment.layout, frozenset()) == ()
    clock.now_s += NEVER_HEARD_S / 2 + 1
    assert hearing.silent(deployment.layout, frozenset()) == (1,)


@promise("A TaskManager that froze while Headrace was down is given no longer than another that freezes.")
def test_one_that_started_long_ago_has_no_time_to_start(deployment: Deployment, clock: Clock) -> None:
    deployment.start(1)
    record = deployment.folder(1) / "process.json"
    begun = json.loads(record.read_text())
    record.write_text(json.dumps({**begun, "at": begun["at"] - NEVER_HEARD_S}))
    hearing = Hearing(30.0, clock)
    assert hearing.silent(deployment.layout, frozenset()) == ()
    clock.now_s += 31
    assert hearing.silent(deployment.layout, frozenset()) == (1,)


def test_one_that_has_ended_is_lost_and_not_silent(deployment: Deployment, clock: Clock) -> None:
    deployment.ended(1, lived_s=LONG, ago_s=0)
    hearing = Hearing(30.0, clock)
    hearing.silent(deployment.layout, frozenset())
    clock.now_s += 1000
    assert hearing.silent(deployment.layout, frozenset()) == ()


@promise("A frozen TaskManager is ended past its deadline, and told as that.")
def test_a_frozen_one_is_ended_and_told_as_silent(deployment: Deployment) -> None:
    deployment.start(1)
    deployment.start(2)
    identity = processes.look(deployment.folder(1)).identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGSTOP)
    taskmanagers.silence(deployment.layout, (1,))
    (lost,) = wait_until("it is lost", deployment.lost, 60)
    assert (lost.number, lost.silent, lost.exit_code) == (1, True, -signal.SIGKILL)
    taskmanagers.silence(deployment.layout, (1,))  # twice is once
    assert deployment.life(2) is Life.RUNS
