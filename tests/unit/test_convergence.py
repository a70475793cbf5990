"""Whatever calls are lost and whatever dies, with a fresh reconciler each tick: it ends where asked.

Real stores on SQLite, the fake runtime with a lagging view, and all that can happen in any order, the clocks of the
machine included. What must never be is checked after each step; where it must end, whenever the faults end.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import event

from headrace.domain.job import AT_REST, Phase, deployment_name
from headrace.runtimes.fake import Lost
from headrace.store.database import Database
from tests.unit.oracle import MOVES, Oracle
from tests.unit.world import ACCIDENTS, ASKED, JOBS, World

EXAMPLES = int(os.environ.get("HEADRACE_TEST_EXAMPLES", "50"))
"""More of them for a deeper search: HEADRACE_TEST_EXAMPLES=2000."""

CALLS = (
    "prepare",
    "preparation",
    "deploy",
    "observe",
    "stop_with_savepoint",
    "trigger_savepoint",
    "end_taskmanagers",
    "replace_taskmanagers",
    "newest_state",
    "cancel",
    "remove",
    "remains",
    "erase",
    "names",
)
RARE = {(phase, after) for phase in AT_REST for after in (Phase.PREPARING, Phase.DELETED)}
"""Moves that a search may miss."""
FAULTS = tuple(ACCIDENTS)
SETTLE = "settle"
STEPS: dict[str, tuple[int, Callable[[World, int, int], None]]] = {
    "tick all": (9, lambda world, _, many: world.tick_all(many % 4 + 1)),
    "tick": (6, lambda world, job_id, many: world.tick_often(job_id, many % 3 + 1)),
    "tick impatiently": (2, lambda world, job_id, _: world.tick_impatiently(job_id)),
    "schedule": (1, lambda world, _job, _many: world.schedule()),
    "ask": (9, lambda world, job_id, which: world.ask(job_id, ASKED[which % len(ASKED)])),
    "ask in the midst": (3, lambda world, job_id, which: world.ask_in_the_midst(job_id, ASKED[which % len(ASKED)])),
    "disturb": (5, lambda world, job_id, which: world.disturb(job_id, FAULTS[which % len(FAULTS)])),
    "hide": (1, lambda world, job_id, _: world.hide(job_id)),
    "show": (1, lambda world, _job, _many: world.show()),
    "lose": (4, lambda world, _, which: world.runtime.lose(CALLS[which % len(CALLS)], tuple(Lost)[which % 2])),
    "weather": (2, lambda world, _, which: world.weather(which)),
    "trigger": (5, lambda world, job_id, many: world.trigger_for_a_while(job_id, many)),
    "save": (6, lambda world, job_id, many: world.save_for_a_while(job_id, many)),
    "restart": (6, lambda world, job_id, many: world.restart_for_a_while(job_id, many)),
    "checkpoint": (3, lambda world, job_id, _: world.complete(job_id)),
    "lose a state": (1, lambda world, job_id, which: world.lose_state(job_id, which)),
    "restore wrongly": (2, lambda world, job_id, _: world.restore_wrongly(job_id)),
    "reboot": (1, lambda world, _job, _many: world.reboot()),
    "set the clock": (1, lambda world, _, how: world.machine.set_wall((how - 512) * 600_000)),
    "wait": (3, lambda world, _, many: world.machine.let_pass(many**2 * 4)),
    "sweep": (1, lambda world, _job, _many: world.sweep_orphans()),
}
"""What can happen: (how often, what it does with a job and a number)."""


def some_steps(seed: int, length: int) -> Iterator[tuple[str, int, int]]:
    """By a generator of its own, evenly: left to itself Hypothesis prefers short and repeated things."""
    chance = random.Random(seed)
    names = [name for name, (weight, _) in STEPS.items() for _ in range(weight)] + [SETTLE]
    for _ in range(length):
        yield chance.choice(names), chance.randrange(len(JOBS)), chance.randrange(1024)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("convergence") / "headrace.db"
    made = Database(path)
    event.listen(made._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    made._engine.dispose()
    yield made
    made.close()


def test_it_ends_where_asked(database: Database) -> None:
    moves: Counter[tuple[Phase, Phase]] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(lag=st.integers(0, 3), seed=st.integers(0, 2**64), length=st.integers(1, 150))
    def whatever_happens(lag: int, seed: int, length: int) -> None:
        world = World(database, lag, seed)
        oracle = Oracle(world)
        for name, job, number in some_steps(seed, length):
            note(f"{name}, job {job}, {number}")
            if name == SETTLE:
                oracle.settle()
            else:
                STEPS[name][1](world, world.ids[job], number)
            oracle.check_always()
        oracle.settle()
        moves.update(oracle.moves)

    whatever_happens()
    possible = {(before, after) for before, afters in MOVES.items() for after in afters}
    assert possible - moves.keys() <= RARE  # the search has been everywhere


@pytest.mark.parametrize("lag", [0, 3])
def test_all_jobs_that_fit_run_and_the_others_follow(database: Database, lag: int) -> None:
    world = World(database, lag)
    oracle = Oracle(world)
    for job_id in world.ids:
        world.ask(job_id, "run")
    oracle.settle()
    assert _phases(world) == [Phase.RUNNING, Phase.RUNNING, Phase.WAITING, Phase.WAITING]  # CUs, memory
    quiet, small, large, other = world.ids
    world.disturb(quiet, "finish")
    world.disturb(small, "kill")
    oracle.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.RUNNING, Phase.WAITING]
    assert [notice["job_id"] for notice in world.jobs.notices()] == [small]
    world.ask(large, "save")
    oracle.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.STOPPED, Phase.RUNNING]
    world.ask(large, "resume")
    world.ask(other, "delete")
    oracle.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.RUNNING, Phase.DELETED]
    restored = world.jobs.get(large).record.restore_path
    assert f"savepoint-{deployment_name(large, 1)}-" in restored
    assert world.plans[deployment_name(large, 2)].restore_path == restored


def _phases(world: World) -> list[Phase]:
    return [world.jobs.get(job_id).record.phase for job_id in world.ids]


def test_a_delete_is_completed_though_the_server_ends_in_the_middle_of_it(database: Database) -> None:
    world = World(database)
    oracle = Oracle(world)
    job_id = world.ids[0]
    world.ask(job_id, "run")
    oracle.settle()
    world.ask(job_id, "delete")
    while world.jobs.get(job_id).record.phase is not Phase.STOPPED:
        world.tick(job_id)
    assert job_id in world.jobs.unsettled()
    oracle.settle()
    assert world.jobs.get(job_id).record.phase is Phase.DELETED


def test_a_stop_that_meets_the_end_of_its_job_starts_nothing(database: Database) -> None:
    world = World(database)
    oracle = Oracle(world)
    job_id = world.ids[0]
    world.ask(job_id, "run")
    oracle.settle()
    world.disturb(job_id, "finish")
    world.ask(job_id, "stop")
    oracle.settle()
    assert world.jobs.get(job_id).record.phase is Phase.FINISHED
    assert world.jobs.get(job_id).record.attempt == 1
