"""Headrace kills itself at a step of real lives on real Flink, is started again, and all ends as it would have."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

import pytest

from headrace.cli.client import ApiError
from headrace.domain.job import Phase
from headrace.faults.flink import FlinkWorld
from headrace.faults.subject import Shape, Subject, strike
from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.server import processes_of, wait_until

pytestmark = pytest.mark.flink

PROMISE = "Headrace killed at any step of a life: it converges to what was asked, nothing is lost, nothing is run twice"
COMMIT = ("before commit", "after commit")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore) -> Iterator[FlinkWorld]:
    """One job that lives through all of it, in one home."""
    engine_store.install("1.20.5")
    one = FlinkWorld(tmp_path_factory.mktemp("crashes"), "1.20", [Shape("counter-1")])
    one.begin()
    yield one
    one.clear()


def crash_at(world: FlinkWorld, ask: Callable[[], object], *steps: str) -> None:
    """Has Headrace kill itself at the first of the steps that follows from what is asked, starts it again for the next
    one, and in the end for good.
    """
    world.down = True
    for number, step in enumerate(steps):
        world.served.order_crash((step,), 0)
        if number:
            world.served.start()
        else:
            with contextlib.suppress(ApiError):  # the answer is lost with the server
                ask()
        wait_until(f"it was killed {step}", lambda: bool(world.served.crashed) and not world.served.alive)
        assert world.served.crashed == step
    world.start()


def until(subject: Subject, *phases: Phase) -> None:
    def reached() -> bool:
        recorded = subject.recorded
        return recorded.phase in phases and not recorded.pending

    wait_until(f"the job is {phases}", reached)


def runs_well(world: FlinkWorld) -> None:
    """It runs whole, and its sink grows."""
    world.expect()
    wait_until("all is well", lambda: world.well(0))
    world.look()


def kill(subject: Subject, role: str) -> None:
    kept = subject.kept(role)[role]
    assert kept.identity is not None
    strike(kept.identity, signal.SIGKILL)


@promise(PROMISE)
@pytest.mark.parametrize(
    ("role", "step"),
    [
        ("jobmanager", "before Remove"),
        ("jobmanager", "after Prepare"),
        ("jobmanager", "before Deploy"),
        ("jobmanager", "after Deploy"),
        ("taskmanager-1", "after commit"),
        ("taskmanager-1", "before ReplaceTaskManagers"),
        ("taskmanager-1", "after ReplaceTaskManagers"),
    ],
)
def test_a_restart(world: FlinkWorld, role: str, step: str) -> None:
    subject = world.subjects[0]
    runs_well(world)
    role = role if role == "jobmanager" else next(name for name in subject.kept("taskmanager-*"))
    before = subject.recorded
    crash_at(world, lambda: kill(subject, role), step)
    runs_well(world)
    assert subject.recorded.attempt == before.attempt + (role == "jobmanager"), "one new deployment, or none"


@promise(PROMISE)
@pytest.mark.parametrize("step", ["before TriggerSavepoint", "after TriggerSavepoint"])
def test_a_savepoint(world: FlinkWorld, step: str) -> None:
    subject = world.subjects[0]
    runs_well(world)
    before = subject.recorded.savepoint_path
    crash_at(world, subject.save, step)
    until(subject, Phase.RUNNING)
    made = subject.recorded.savepoint_path
    assert made != before
    assert (world.served.local(made) / "_metadata").exists()
    runs_well(world)


@promise(PROMISE)
@pytest.mark.parametrize(
    ("stop_at", "run_at"),
    [
        ("before StopWithSavepoint", "before commit"),
        ("after StopWithSavepoint", "before Prepare"),
        ("after Remove", "after commit"),
    ],
)
def test_a_stop_with_savepoint_and_a_run_from_it(world: FlinkWorld, stop_at: str, run_at: str) -> None:
    subject = world.subjects[0]
    runs_well(world)
    crash_at(world, subject.stop, stop_at)
    until(subject, Phase.STOPPED)
    assert world.book.grants() == {}, "no CU stays held"
    assert subject.kept() == {}, "no process lingers"
    asked = subject.recorded.requests
    crash_at(world, lambda: subject.run(resume=True), run_at)
    if subject.recorded.requests == asked:
        subject.run(resume=True)  # killed before it was on record: its user has no answer, and asks again
    runs_well(world)


@promise(PROMISE)
def test_a_delete(world: FlinkWorld) -> None:
    subject = world.subjects[0]
    runs_well(world)
    delete = f"/v1.0/{{p}}/streaming/jobs/{subject.job_id}"
    crash_at(world, lambda: world.served.call("DELETE", delete), "before Cancel", "after Remove", "before Erase")
    wait_until("the job is deleted", lambda: subject.recorded.phase is Phase.DELETED)
    subject.count()
    assert len(subject.tally.numbers) > 0
    subject.tally.complete()
    assert world.book.grants() == {}
    assert list((world.served.home / "deployments").glob("job-*")) == []
    assert processes_of(world.served.home / "deployments") == []
    world.watch.check()
