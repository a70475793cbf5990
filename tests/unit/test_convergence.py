"""Whatever calls are lost and whatever dies, with a fresh reconciler each tick: it ends where asked.

Real stores on SQLite, the fake runtime with a lagging view, and all that can happen in any order. What must never be
is checked after each step; where it must end, whenever the faults end.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import Row, event, select

from headrace.control.driver import Driver
from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.decisions import Decision, Wait
from headrace.domain.deployment import DeploymentPlan, plan
from headrace.domain.errors import JobNotFound, Unavailable
from headrace.domain.job import AT_REST, LIVE, Desired, Goal, Job, JobSpec, Phase, deployment_name
from headrace.domain.rights import Caller
from headrace.runtimes.fake import FakeRuntime, Lost
from headrace.store.database import Database
from headrace.store.jobs import JobStore, StaleJob, shown_phase
from headrace.store.journal import HistoryEntry, Kind
from headrace.store.queues import Queue, QueueStore
from headrace.store.schema import deployments, grants, job_history, metadata, queues
from tests.support.clocks import job_clock

EXAMPLES = int(os.environ.get("HEADRACE_TEST_EXAMPLES", "50"))
"""More of them for a deeper search: HEADRACE_TEST_EXAMPLES=2000."""

PATIENCE = {Phase.STARTING: 300.0, Phase.SAVING: 600.0, Phase.SAVEPOINTING: 600.0, Phase.CANCELING: 30.0}
MEMORY_MB = 5 * 4096
JOBS = (
    JobSpec("quiet", queue_name="wide", entrypoint="obs://b/a.jar"),
    JobSpec("small", queue_name="wide", entrypoint="obs://b/a.jar", smn_topic="alarm", obs_bucket="b"),
    JobSpec("large", queue_name="wide", entrypoint="obs://b/a.jar", smn_topic="alarm", cu_number=4, parallel_number=3),
    JobSpec("other", queue_name="narrow", entrypoint="obs://b/a.jar", smn_topic="alarm"),
)
QUEUES = {"wide": 4000, "narrow": 2000}
CALLS = (
    "prepare",
    "preparation",
    "deploy",
    "observe",
    "stop_with_savepoint",
    "trigger_savepoint",
    "cancel",
    "remove",
    "remains",
    "erase",
    "names",
)
STOPPABLE = frozenset({Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING, Phase.SAVING, Phase.STOP_FAILED})
ENDED = frozenset({Phase.FINISHED, Phase.FAILED, Phase.SUBMIT_FAILED})
MOVES = {
    **{phase: {Phase.PREPARING, Phase.DELETED} for phase in AT_REST},
    Phase.PREPARING: {Phase.WAITING, Phase.CANCELING, Phase.CLEARING},
    Phase.WAITING: {Phase.STARTING, Phase.CANCELING},
    Phase.STARTING: {Phase.RUNNING, Phase.CANCELING, Phase.CLEARING},
    Phase.RUNNING: {Phase.SAVING, Phase.SAVEPOINTING, Phase.CANCELING, Phase.CLEARING},
    Phase.SAVING: {Phase.RUNNING, Phase.CANCELING, Phase.CLEARING},
    Phase.STOP_FAILED: {Phase.SAVEPOINTING, Phase.CANCELING, Phase.CLEARING},
    Phase.SAVEPOINTING: {Phase.STOP_FAILED, Phase.CANCELING, Phase.CLEARING},
    Phase.CANCELING: {Phase.STOPPED},
    Phase.CLEARING: ENDED,
    Phase.DELETED: set(),
}
"""Legal moves; STARTING never goes back to WAITING here, for nobody takes a grant away, and nobody may ask for a
savepoint in STOP_FAILED.
"""

RARE = {(phase, after) for phase in AT_REST for after in (Phase.PREPARING, Phase.DELETED)}
"""Moves that a search may miss."""


class World:
    """The service without its API and its threads, and the people and accidents around it."""

    def __init__(self, database: Database, lag: int = 0) -> None:
        _wipe(database)
        self.database = database
        self.jobs, self.queues = JobStore(database), QueueStore(database)
        self.runtime = FakeRuntime(lag)
        self.now_ms = 0
        self.now_s = 0.0
        self.step_s = 0.001
        self.meanwhile: list[Callable[[], None]] = []
        """What others do between the reading and the writing of the next tick."""
        self.plans: dict[str, DeploymentPlan] = {}
        self.refusing: set[str] = set()
        self.disturbed: set[str] = set()
        """Deployments that something was done to: how they end is not foreseen."""
        self.hidden: set[str] = set()
        self.run_requests: Counter[int] = Counter()
        self.last_row = 0
        self.last_move: dict[int, Row[Any]] = {}
        self.owed: Counter[tuple[int, int]] = Counter()
        self.moves: Counter[tuple[Phase, Phase]] = Counter()
        for name, cu_milli in QUEUES.items():
            self.queues.create(Queue(0, "p", name, "general", cu_milli))
        self.specs: dict[int, JobSpec] = {}
        """All jobs there ever were."""
        self.ids = [self._create(spec) for spec in JOBS]

    # -- the moving parts, fresh each time ------------------------------------------------------------------------

    def scheduler(self) -> Scheduler:
        return Scheduler(self.queues, lambda: MEMORY_MB, 4096)

    def reconciler(self) -> Reconciler:
        return Reconciler(
            jobs=self.jobs,
            queues=self.queues,
            runtime=self.runtime,
            scheduler=self.scheduler(),
            planner=self._plan,
            patience=PATIENCE,
            monotonic=self._monotonic,
            now_ms=self._wall_clock,
            clock=job_clock(self.database),
        )

    def tick(self, job_id: int) -> Decision | None:
        if self.refusing:
            self.disturbed.add(self.jobs.get(job_id).deployment)
        try:
            return self.reconciler().tick(job_id).decision
        except (StaleJob, Unavailable):
            return None

    def sweep_orphans(self) -> None:
        with suppress(Unavailable):
            Driver(self.reconciler(), 1.0).remove_orphans()

    def tick_often(self, job_id: int, times: int) -> None:
        for _ in range(times):
            self.tick(job_id)

    def tick_all(self, times: int) -> None:
        for _ in range(times):
            self.schedule()
            for job_id in self.ids:
                self.tick(job_id)

    def tick_impatiently(self, job_id: int) -> None:
        """Each look at the clock is 1000 s later."""
        self.disturbed.add(self.jobs.get(job_id).deployment)
        self.step_s = 1000.0
        self.tick(job_id)
        self.step_s = 0.001

    def ask_in_the_midst(self, job_id: int, what: str) -> None:
        self.meanwhile.append(lambda: self.ask(job_id, what))
        self.tick(job_id)

    def schedule(self) -> None:
        self.scheduler().run()

    def save_for_a_while(self, job_id: int, many: int) -> None:
        """A stop with savepoint that may be refused, and some time for it: STOP_FAILED is not found by mere chance."""
        self.run_for_a_while(job_id, many)
        self.refuse("savepoints", many % 3 > 0)
        self.ask(job_id, "save")
        self.tick_often(job_id, many % 5 + 1 + self.runtime.lag)
        self.come_between(job_id, many // 5)
        self.tick_often(job_id, many % 4)

    def trigger_for_a_while(self, job_id: int, many: int) -> None:
        """A savepoint that may be refused or take too long, and some time for it."""
        self.run_for_a_while(job_id, many)
        self.refuse("savepoints", many % 4 == 0)
        self.ask(job_id, "trigger")
        self.tick_often(job_id, many % 3 + 1)
        self.come_between(job_id, many // 3)
        self.tick_often(job_id, many % 4)

    def run_for_a_while(self, job_id: int, many: int) -> None:
        self.ask(job_id, "run")
        self.tick_all(many % 2 * (4 + self.runtime.lag))

    def come_between(self, job_id: int, which: int) -> None:
        what = IN_THE_MIDST[which % len(IN_THE_MIDST)]
        if what == "too late":
            self.tick_impatiently(job_id)
        elif what in ACCIDENTS:
            self.disturb(job_id, what)
        elif what in ASKED:
            self.ask(job_id, what)

    def hide(self, job_id: int) -> None:
        name = self.jobs.get(job_id).deployment
        self.hidden.add(name)
        self.runtime.hide(name)

    def show(self) -> None:
        for name in self.hidden:
            self.runtime.hide(name, hidden=False)

    def disturb(self, job_id: int, accident: str) -> None:
        name = self.jobs.get(job_id).deployment
        if name in self.runtime.live():
            getattr(self.runtime, accident)(name)
            self.disturbed.add(name)

    def refuse(self, what: str, refused: bool) -> None:
        getattr(self.runtime, f"refuse_{what}")("not now" if refused else "")
        (self.refusing.add if refused else self.refusing.discard)(what)

    def _plan(self, job: Job, left: int | None) -> DeploymentPlan:
        made = plan(job, "1.20.5", 4096, left)
        self.plans[made.name] = made
        self._do_meanwhile()
        return made

    def _monotonic(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def _wall_clock(self) -> int:
        self._do_meanwhile()
        self.now_ms += 1
        return self.now_ms

    def _do_meanwhile(self) -> None:
        while self.meanwhile:
            self.meanwhile.pop()()

    # -- the user, by the API's rules -----------------------------------------------------------------------------

    def _create(self, spec: JobSpec) -> int:
        job_id = self.jobs.create(Caller("p", "u"), spec, now_ms=0).id
        self.specs[job_id] = spec
        return job_id

    def ask(self, job_id: int, what: str) -> None:
        try:
            job = self.jobs.find("p", job_id)
        except JobNotFound:
            if job_id in self.ids:  # deleted: another one of its name takes its place
                self.ids[self.ids.index(job_id)] = self._create(self.specs[job_id])
            return
        phase = shown_phase(job)
        if what in ("run", "resume"):
            if phase in AT_REST and (what == "run" or job.record.savepoint_path):
                self._request(job, Goal.RUN, resume_savepoint=what == "resume")
                self.run_requests[job_id] += 1
        elif what == "trigger":
            if phase is Phase.RUNNING and not job.request_pending:
                self._request(job, Goal.SAVEPOINT, savepoint_target="obs://b/mine" if self.now_ms % 2 else "")
        elif what in ("stop", "save"):
            save = what == "save"
            if phase not in STOPPABLE and (phase is not Phase.SAVEPOINTING or save):
                return
            if job.desired.goal is Goal.STOP and job.request_pending:
                self.jobs.request(job, replace(job.desired, trigger_savepoint=save))
            else:
                kept = job.desired.savepoint_target
                self._request(job, Goal.STOP, trigger_savepoint=save, savepoint_target=kept)
        else:
            self._request(job, Goal.DELETE)

    def _request(self, job: Job, goal: Goal, **more: Any) -> None:
        self.now_ms += 1
        self.jobs.request(job, Desired(goal, job.desired.request_no + 1, requested_ms=self.now_ms, **more))

    # -- what must never be ---------------------------------------------------------------------------------------

    def check_always(self) -> None:
        with self.database.read() as connection:
            held = {row.job_id: row for row in connection.execute(select(grants))}
            capacity = {row.id: row.cu_milli for row in connection.execute(select(queues))}
            written = {(row.job_id, row.attempt) for row in connection.execute(select(deployments))}
        self._check_deployments(set(held))
        used = Counter[int]()
        for row in held.values():
            used[row.queue_id] += row.cu_milli
        assert all(used[queue_id] <= capacity[queue_id] for queue_id in capacity)
        assert sum(row.memory_mb for row in held.values()) <= MEMORY_MB
        for call, name in self.runtime.log:
            if call in ("prepare", "deploy"):
                assert _numbers(name) in written  # before it was touched
        self._check_history()

    def _check_deployments(self, held: set[int]) -> None:
        live = self.runtime.live()
        assert max(Counter(_numbers(name)[0] for name in live).values(), default=0) <= 1
        recorded = self.jobs.live_deployments()
        assert {_numbers(name) for name in live} <= set(recorded)
        assert {_numbers(name)[0] for name in live} <= held
        assert all(self.runtime.starts(name) <= 1 for name in self.plans)

    def _check_history(self) -> None:
        """Of the rows written since the last look."""
        moved = (job_history.c.id > self.last_row) & (job_history.c.kind == Kind.MOVED)
        query = select(job_history).where(moved).order_by(job_history.c.id)
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            self.last_row = row.id
            self._check_move(self.last_move.get(row.job_id), row)
            self.last_move[row.job_id] = row
            if row.phase in (Phase.FAILED, Phase.SUBMIT_FAILED) and self.specs[row.job_id].smn_topic:
                self.owed[row.job_id, row.attempt] += 1
        if rows:
            assert max(self.owed.values(), default=0) <= 1
            assert Counter((body["job_id"], body["attempt"]) for body in self.jobs.notices()) == self.owed

    def _check_move(self, before: Row[Any] | None, after: Row[Any]) -> None:
        if before is None:
            assert after.phase == Phase.DRAFT
            return
        move = (Phase(before.phase), Phase(after.phase))
        assert move[1] in MOVES[move[0]]
        assert after.attempt == before.attempt + int(move[1] is Phase.PREPARING)
        assert move[0] is not Phase.CLEARING or after.phase == before.outcome
        if move[1] is Phase.PREPARING:
            self.run_requests[after.job_id] -= 1
            assert self.run_requests[after.job_id] >= 0  # not started more often than asked
        self.moves[move] += 1

    # -- where it must end ----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """The faults end, and everything comes to rest. Only jobs that the store calls unsettled are looked at."""
        self.runtime.lose_no_more()
        self.runtime.refuse_savepoints("")
        self.runtime.refuse_preparation("")
        self.refusing.clear()
        self._do_meanwhile()
        self.show()
        quiet = 0
        for _ in range(200):
            granted = self.scheduler().run()
            decisions = [self.tick(job_id) for job_id in self.jobs.unsettled()]
            calm = not granted and all(isinstance(decision, Wait) for decision in decisions)
            quiet = quiet + 1 if calm else 0
            self.check_always()
            if quiet > self.runtime.lag + 1:
                break
        else:
            pytest.fail(f"it does not settle: {[self.jobs.get(job_id) for job_id in self.ids]}")
        self.sweep_orphans()
        self.check_settled()

    def check_settled(self) -> None:
        jobs = [self.jobs.get(job_id) for job_id in self.specs]
        running = [job for job in jobs if job.record.phase in (Phase.RUNNING, Phase.STOP_FAILED)]
        waiting = [job for job in jobs if job.record.phase is Phase.WAITING]
        for job in jobs:
            assert not job.request_pending
            self._check_where_asked(job)
        assert self.runtime.live() == tuple(sorted(job.deployment for job in running))
        with self.database.read() as connection:
            held = set(connection.execute(select(grants.c.job_id)).scalars())
        assert held == {job.id for job in running}
        recorded = {(job.id, job.record.attempt) for job in jobs if job.record.phase in LIVE}
        assert set(self.jobs.live_deployments()) == recorded
        self._check_first_in_line(waiting, running)
        self._check_fences(waiting)

    def _check_where_asked(self, job: Job) -> None:
        phase = job.record.phase
        moves = _of(self.jobs.history(job.id), job.record.attempt)
        undisturbed = job.deployment not in self.disturbed
        match job.desired.goal:
            case Goal.REST:
                assert phase is Phase.DRAFT
            case Goal.DELETE:
                assert phase is Phase.DELETED
                assert not self.runtime.remains(job.id)
            case Goal.RUN:
                assert phase in {Phase.RUNNING, Phase.WAITING} | (set() if undisturbed else ENDED)
            case Goal.SAVEPOINT:  # it is there, or it was refused; the job runs on in either case
                assert phase in {Phase.RUNNING} | (set() if undisturbed else ENDED)
                if undisturbed:
                    made = job.record.savepoint_path
                    assert made.endswith(f"savepoint-{job.deployment}-{job.desired.request_no}")
                    assert made.startswith(job.desired.savepoint_target)
            case Goal.STOP:
                assert phase in {Phase.STOPPED} | (set() if undisturbed else ENDED | {Phase.STOP_FAILED})
                saved = Phase.SAVEPOINTING in moves and job.desired.trigger_savepoint
                if saved and phase is Phase.STOPPED:
                    assert f"savepoint-{job.deployment}-" in job.record.savepoint_path
                    assert not undisturbed or job.record.savepoint_path.endswith(f"-{job.desired.request_no}")

    def _check_first_in_line(self, waiting: list[Job], running: list[Job]) -> None:
        if waiting:
            first = min(waiting, key=lambda job: job.desired.requested_ms)
            used = sum(_cus(job) for job in running if job.spec.queue_name == first.spec.queue_name)
            fits = used + _cus(first) <= QUEUES[first.spec.queue_name]
            remembered = sum(_cus(job) for job in running) + _cus(first)
            assert not (fits and remembered / 1000 * 4096 <= MEMORY_MB)

    def _check_fences(self, waiting: list[Job]) -> None:
        """A call that was lost and comes after all starts nothing."""
        yet_to_start = {job.deployment for job in waiting}
        erased = {job_id for job_id in self.specs if not self.runtime.remains(job_id)}
        live = self.runtime.live()
        for name, made in self.plans.items():
            if name not in yet_to_start and made.job_id not in erased:
                self.runtime.deploy(made)
        assert self.runtime.live() == live


ASKED = ("run", "run", "run", "resume", "stop", "save", "save", "delete", "trigger", "trigger")
ACCIDENTS = ("kill", "fail", "finish", "freeze")
IN_THE_MIDST = ("stop", "stop", "save", "save", "trigger", "delete", "kill", "finish", "too late", "nothing")
STEPS: dict[str, tuple[int, Callable[[World, int, int], None]]] = {
    "tick all": (9, lambda world, _, many: world.tick_all(many % 4 + 1)),
    "tick": (6, lambda world, job_id, many: world.tick_often(job_id, many % 3 + 1)),
    "tick impatiently": (2, lambda world, job_id, _: world.tick_impatiently(job_id)),
    "schedule": (1, lambda world, _job, _many: world.schedule()),
    "ask": (9, lambda world, job_id, which: world.ask(job_id, ASKED[which % len(ASKED)])),
    "ask in the midst": (3, lambda world, job_id, which: world.ask_in_the_midst(job_id, ASKED[which % len(ASKED)])),
    "disturb": (5, lambda world, job_id, which: world.disturb(job_id, ACCIDENTS[which % len(ACCIDENTS)])),
    "hide": (1, lambda world, job_id, _: world.hide(job_id)),
    "show": (1, lambda world, _job, _many: world.show()),
    "lose": (4, lambda world, _, which: world.runtime.lose(CALLS[which % len(CALLS)], tuple(Lost)[which % 2])),
    "refuse savepoints": (1, lambda world, _, which: world.refuse("savepoints", which % 2 == 0)),
    "refuse preparation": (1, lambda world, _, which: world.refuse("preparation", which % 3 == 0)),
    "trigger": (5, lambda world, job_id, many: world.trigger_for_a_while(job_id, many)),
    "save": (4, lambda world, job_id, many: world.save_for_a_while(job_id, many)),
    "sweep": (1, lambda world, _job, _many: world.sweep_orphans()),
    "settle": (1, lambda world, _job, _many: world.settle()),
}
"""What can happen: (how often, what it does with a job and a number)."""


def some_steps(seed: int, length: int) -> Iterator[tuple[str, int, int]]:
    """By a generator of its own, evenly: left to itself Hypothesis prefers short and repeated things."""
    chance = random.Random(seed)
    names = [name for name, (weight, _) in STEPS.items() for _ in range(weight)]
    for _ in range(length):
        yield chance.choice(names), chance.randrange(len(JOBS)), chance.randrange(1024)


def _of(moves: list[HistoryEntry], attempt: int) -> set[Phase]:
    return {entry.phase for entry in moves if entry.attempt == attempt}


def _numbers(name: str) -> tuple[int, int]:
    _, job_id, attempt = name.split("-")
    return int(job_id), int(attempt)


def _cus(job: Job) -> int:
    return job.spec.cu_number * 1000


def _wipe(database: Database) -> None:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


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
        world = World(database, lag)
        for name, job, number in some_steps(seed, length):
            note(f"{name}, job {job}, {number}")
            STEPS[name][1](world, world.ids[job], number)
            world.check_always()
        world.settle()
        moves.update(world.moves)

    whatever_happens()
    possible = {(before, after) for before, afters in MOVES.items() for after in afters}
    assert possible - moves.keys() <= RARE  # the search has been everywhere


@pytest.mark.parametrize("lag", [0, 3])
def test_all_jobs_that_fit_run_and_the_others_follow(database: Database, lag: int) -> None:
    world = World(database, lag)
    for job_id in world.ids:
        world.ask(job_id, "run")
    world.settle()
    assert _phases(world) == [Phase.RUNNING, Phase.RUNNING, Phase.WAITING, Phase.WAITING]  # CUs, memory
    quiet, small, large, other = world.ids
    world.disturb(quiet, "finish")
    world.disturb(small, "kill")
    world.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.RUNNING, Phase.WAITING]
    assert [notice["job_id"] for notice in world.jobs.notices()] == [small]
    world.ask(large, "save")
    world.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.STOPPED, Phase.RUNNING]
    world.ask(large, "resume")
    world.ask(other, "delete")
    world.settle()
    assert _phases(world) == [Phase.FINISHED, Phase.FAILED, Phase.RUNNING, Phase.DELETED]
    restored = world.jobs.get(large).record.restore_path
    assert f"savepoint-{deployment_name(large, 1)}-" in restored
    assert world.plans[deployment_name(large, 2)].restore_path == restored


def _phases(world: World) -> list[Phase]:
    return [world.jobs.get(job_id).record.phase for job_id in world.ids]


def test_a_delete_is_completed_though_the_server_ends_in_the_middle_of_it(database: Database) -> None:
    world = World(database)
    job_id = world.ids[0]
    world.ask(job_id, "run")
    world.settle()
    world.ask(job_id, "delete")
    while world.jobs.get(job_id).record.phase is not Phase.STOPPED:
        world.tick(job_id)
    assert job_id in world.jobs.unsettled()
    world.settle()
    assert world.jobs.get(job_id).record.phase is Phase.DELETED


def test_a_stop_that_meets_the_end_of_its_job_starts_nothing(database: Database) -> None:
    world = World(database)
    job_id = world.ids[0]
    world.ask(job_id, "run")
    world.settle()
    world.disturb(job_id, "finish")
    world.ask(job_id, "stop")
    world.settle()
    assert world.jobs.get(job_id).record.phase is Phase.FINISHED
    assert world.jobs.get(job_id).record.attempt == 1
