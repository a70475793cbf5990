"""What must never be in the world of tests/unit/world.py, and where it must end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Row, select

from headrace.domain import restart
from headrace.domain.decisions import Wait
from headrace.domain.job import ACTIVE, AT_REST, LIVE, Goal, Job, Phase, deployment_name
from headrace.domain.lineage import same_place
from headrace.domain.restart import HOUR_MS
from headrace.store.journal import HistoryEntry, Kind
from headrace.store.schema import deployments, grants, job_history, jobs, queues
from tests.unit.world import BY_ITSELF, MEMORY_MB, QUEUES, Event, World

ENDED = frozenset({Phase.FINISHED, Phase.FAILED, Phase.SUBMIT_FAILED})
RUNS = frozenset({Phase.RUNNING, Phase.SAVING, Phase.SAVEPOINTING, Phase.STOP_FAILED})
TOLD_IN_PLACE = frozenset(("failing", phase) for phase in RUNS)
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
    Phase.CLEARING: {*ENDED, Phase.RESTARTING, Phase.CANCELING},
    Phase.RESTARTING: {Phase.PREPARING, Phase.CANCELING, Phase.FAILED},
    Phase.DELETED: set(),
}
"""Legal moves; STARTING never goes back to WAITING here, for nobody takes a grant away, and nobody may ask for a
savepoint in STOP_FAILED.
"""
LONGEST_STEP_MS = 60_000
"""A look comes so much later, at most, than what it sees."""
REPLACED = frozenset({"lose a TaskManager", "silence a TaskManager"})
"""What costs no restart."""
FATAL = frozenset({"finish", "fail for ever", "lose a state", "restore wrongly", "refused"})
"""After these a job may end, whatever its restarts."""


@dataclass
class Counted:
    """Restarts of the present run of a job, as they were recorded, on the job clock."""

    first_attempt: int = 0
    total: int = 0
    times: list[int] = field(default_factory=list)


class Oracle:
    """Looks at one world, again and again."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.moves: Counter[tuple[Phase, Phase]] = Counter()
        self._last_row = 0
        self._last_move: dict[int, Row[Any]] = {}
        self._owed: Counter[tuple[int, int, str]] = Counter()
        self._first_attempt: dict[int, int] = {}
        self._in_a_row: Counter[int] = Counter()
        self._in_place: Counter[tuple[int, int]] = Counter()
        self._counted: dict[int, Counted] = {}
        self._judged: set[str] = set()
        self._versions: dict[int, int] = {}

    # -- what must never be ---------------------------------------------------------------------------------------

    def check_always(self) -> None:
        world = self.world
        with world.database.read() as connection:
            held = {row.job_id: row for row in connection.execute(select(grants))}
            versions = {row.id: row.version for row in connection.execute(select(jobs.c.id, jobs.c.version))}
            capacity = {row.id: row.cu_milli for row in connection.execute(select(queues))}
            written = {(row.job_id, row.attempt) for row in connection.execute(select(deployments))}
        self._check_deployments(set(held))
        used = Counter[int]()
        for row in held.values():
            used[row.queue_id] += row.cu_milli
        assert all(used[queue_id] <= capacity[queue_id] for queue_id in capacity)
        assert sum(row.memory_mb for row in held.values()) <= MEMORY_MB
        for call, name in world.runtime.log:
            if call in ("prepare", "deploy"):
                assert _numbers(name) in written  # before it was touched
        self._check_history()
        for job_id in [job_id for job_id, version in versions.items() if self._versions.get(job_id) != version]:
            job = world.jobs.get(job_id)
            self._check_hour(job)
            self._check_state(job)
            if job.record.phase is Phase.RESTARTING or (job.record.phase is Phase.PREPARING and job.record.restarted):
                assert job_id in held
        self._versions = versions
        self._check_lineage()

    def _check_deployments(self, held: set[int]) -> None:
        world = self.world
        live = world.runtime.live()
        assert max(Counter(_numbers(name)[0] for name in live).values(), default=0) <= 1
        recorded = world.jobs.live_deployments()
        assert {_numbers(name) for name in live} <= set(recorded)
        assert {_numbers(name)[0] for name in live} <= held
        assert all(world.runtime.starts(name) <= 1 for name in world.plans)

    def _check_history(self) -> None:
        """Of the rows written since the last look."""
        moved = (job_history.c.id > self._last_row) & (job_history.c.kind == Kind.MOVED)
        query = select(job_history).where(moved).order_by(job_history.c.id)
        with self.world.database.read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            self._last_row = row.id
            before = self._last_move.get(row.job_id)
            self._check_move(before, row)
            self._last_move[row.job_id] = row
            event = self._told(before, row)
            if event and self.world.specs[row.job_id].smn_topic:
                self._owed[row.job_id, row.attempt, event] += 1
        if rows:
            assert max(self._owed.values(), default=0) <= 1
            bodies = self.world.jobs.notices()
            in_place = [body for body in bodies if (body["event"], Phase(body["phase"])) in TOLD_IN_PLACE]
            told = Counter((body["job_id"], body["attempt"], body["event"]) for body in bodies if body not in in_place)
            assert told == self._owed
            often = Counter((body["job_id"], body["attempt"]) for body in in_place)
            assert all(3 * times <= self._in_place[of] for of, times in often.items())

    def _told(self, before: Row[Any] | None, after: Row[Any]) -> str:
        """What the topic is told of the move: the end of an incident, and once that it goes on."""
        was, now = Phase(before.phase) if before else None, Phase(after.phase)
        if now is Phase.PREPARING and was in AT_REST:
            self._first_attempt[after.job_id], self._in_a_row[after.job_id] = after.attempt, 0
        self._in_a_row[after.job_id] += now is Phase.RESTARTING
        if now is Phase.RUNNING:
            self._in_a_row[after.job_id] = 0
        if now in (Phase.FAILED, Phase.SUBMIT_FAILED):
            return str(now)
        if (was, now) == (Phase.STARTING, Phase.RUNNING) and after.attempt > self._first_attempt[after.job_id]:
            return "recovered"
        return "failing" if now is Phase.RESTARTING and self._in_a_row[after.job_id] == 3 else ""

    def _check_move(self, before: Row[Any] | None, after: Row[Any]) -> None:
        if before is None:
            assert after.phase == Phase.DRAFT
            return
        move = (Phase(before.phase), Phase(after.phase))
        assert move[1] in MOVES[move[0]]
        assert after.attempt == before.attempt + int(move[1] is Phase.PREPARING)
        if move[0] is Phase.CLEARING:  # a stop may come before a restart
            assert after.phase == before.outcome or (before.outcome, move[1]) == (Phase.RESTARTING, Phase.CANCELING)
        if move[1] is Phase.PREPARING and move[0] in AT_REST:
            self.world.run_requests[after.job_id] -= 1
            assert self.world.run_requests[after.job_id] >= 0  # not started more often than asked
        self.moves[move] += 1

    def _check_hour(self, job: Job) -> None:
        """Restarts are counted once, and never over the cap within any hour."""
        now, record = self.world.clock.now_ms(), job.record
        counted = self._counted.setdefault(job.id, Counted())
        if counted.first_attempt != record.first_attempt:
            counted = self._counted[job.id] = Counted(record.first_attempt)
        assert record.restarts >= counted.total
        counted.times += [now] * (record.restarts - counted.total)
        self._in_place[job.id, record.attempt] = max(self._in_place[job.id, record.attempt], record.flink_restarts)
        counted.total = record.restarts
        rows = self.world.jobs.restart_times(job, now)
        assert all(at <= now for at in rows)
        assert len(rows) <= counted.total
        if counted.times and now - counted.times[0] < HOUR_MS - LONGEST_STEP_MS:
            assert len(rows) == counted.total
        cap = restart.cap(job.spec.restart_when_exception, job.spec.resume_max_num)
        goes_on = record.phase in ACTIVE - {Phase.CLEARING, Phase.CANCELING} or record.outcome is Phase.RESTARTING
        if goes_on and cap is not None:
            assert len(rows) <= cap

    def _check_state(self, job: Job) -> None:
        """What is recorded as running has been restored from what was intended."""
        deployment = self.world.runtime._deployments.get(job.deployment)
        if job.record.phase in RUNS and deployment is not None:
            assert same_place(deployment.plan.restore_path, job.record.restore_path)

    def _check_lineage(self) -> None:
        """A restart goes on from the newest state of the deployment before, or of what that had gone on from."""
        made = self.world.runtime._deployments
        for name, plan in self.world.plans.items():
            before = made.get(deployment_name(plan.job_id, plan.attempt - 1))
            if plan.attempt <= plan.first_attempt or before is None or name in self._judged:
                continue
            self._judged.add(name)
            if not self.world.specs[plan.job_id].resume_checkpoint:
                assert plan.restore_path == ""
                continue
            earlier = self.world.plans[before.plan.name].restore_path
            own = {state.path: state.checkpoint_id or 0 for state in before.states}
            assert plan.restore_path in {*own, earlier}
            assert not own or own.get(plan.restore_path) == max(own.values())

    # -- where it must end ----------------------------------------------------------------------------------------

    def settle(self) -> None:
        """The faults end, and everything comes to rest. Only jobs that the store calls unsettled are looked at."""
        world = self.world
        world.mend()
        quiet = 0
        for _ in range(200):
            world.machine.let_pass(20_000)
            granted = world.scheduler().run()
            decisions = [world.tick(job_id) for job_id in world.jobs.unsettled()]
            waiting = [job_id for job_id in world.ids if world.jobs.get(job_id).record.phase is Phase.RESTARTING]
            calm = not granted and not waiting and all(isinstance(decision, Wait) for decision in decisions)
            quiet = quiet + 1 if calm else 0
            self.check_always()
            if quiet > world.runtime.lag + 1:
                break
        else:
            pytest.fail(f"it does not settle: {[world.jobs.get(job_id) for job_id in world.ids]}")
        world.sweep_orphans()
        self.check_settled()

    def check_settled(self) -> None:
        world = self.world
        all_jobs = [world.jobs.get(job_id) for job_id in world.specs]
        running = [job for job in all_jobs if job.record.phase in (Phase.RUNNING, Phase.STOP_FAILED)]
        waiting = [job for job in all_jobs if job.record.phase is Phase.WAITING]
        for job in all_jobs:
            assert not job.request_pending
            self._check_where_asked(job)
        assert world.runtime.live() == tuple(sorted(job.deployment for job in running))
        assert all(world.runtime.taskmanagers_missing(name) == 0 for name in world.runtime.live())
        with world.database.read() as connection:
            held = set(connection.execute(select(grants.c.job_id)).scalars())
        assert held == {job.id for job in running}
        recorded = {(job.id, job.record.attempt) for job in all_jobs if job.record.phase in LIVE}
        assert set(world.jobs.live_deployments()) == recorded
        self._check_first_in_line(waiting, running)
        self._check_fences(waiting)

    def _check_where_asked(self, job: Job) -> None:
        phase = job.record.phase
        moves = _of(self.world.jobs.history(job.id), job.record.attempt)
        events = [event for event in self.world.events if self._in_the_run(event, job)]
        undisturbed = not events
        ends = ENDED if may_end(job, events) else set[Phase]()
        match job.desired.goal:
            case Goal.REST:
                assert phase is Phase.DRAFT
            case Goal.DELETE:
                assert phase is Phase.DELETED
                assert not self.world.runtime.remains(job.id)
            case Goal.RUN:
                assert phase in {Phase.RUNNING, Phase.WAITING} | ends
            case Goal.SAVEPOINT:  # it is there, or it was refused; the job runs on in either case
                assert phase in {Phase.RUNNING} | ends
                if undisturbed:
                    made = job.record.savepoint_path
                    assert made.endswith(f"savepoint-{job.deployment}-{job.desired.request_no}")
                    assert made.startswith(job.desired.savepoint_target)
            case Goal.STOP:
                assert phase in {Phase.STOPPED} | (set() if undisturbed else ENDED | {Phase.STOP_FAILED})
                if job.desired.trigger_savepoint and phase is Phase.STOPPED:
                    newest = self.world.runtime.newest_state(job.deployment, job.record.restore_path)
                    assert newest.problem or newest.path in ("", job.record.savepoint_path)
                    if Phase.SAVEPOINTING in moves and undisturbed:
                        assert job.record.savepoint_path.endswith(
                            f"savepoint-{job.deployment}-{job.desired.request_no}"
                        )

    @staticmethod
    def _in_the_run(event: Event, job: Job) -> bool:
        return event.job_id == job.id and job.record.first_attempt <= event.attempt <= job.record.attempt

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
        runtime = self.world.runtime
        erased = {job_id for job_id in self.world.specs if not runtime.remains(job_id)}
        live = runtime.live()
        for name, made in self.world.plans.items():
            if name not in yet_to_start and made.job_id not in erased:
                runtime.deploy(made)
        assert runtime.live() == live


def may_end(job: Job, events: list[Event]) -> bool:
    """Whether a job that nobody has stopped may end after what has happened to it in the run."""
    if not job.spec.restart_when_exception:
        return any(event.what not in REPLACED for event in events)
    if any(event.what in FATAL or (event.what in BY_ITSELF and not event.ran) for event in events):
        return True
    cost = sum({"own strategy": 2}.get(event.what, 1) for event in events if event.what not in REPLACED)
    return 0 <= job.spec.resume_max_num < cost


def _of(moves: list[HistoryEntry], attempt: int) -> set[Phase]:
    return {entry.phase for entry in moves if entry.attempt == attempt}


def _numbers(name: str) -> tuple[int, int]:
    _, job_id, attempt = name.split("-")
    return int(job_id), int(attempt)


def _cus(job: Job) -> int:
    return job.spec.cu_number * 1000
