"""One tick for one job: load, observe, decide, then record *or* act. Nothing is chosen here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, assert_never

from headrace.control.scheduler import Scheduler
from headrace.domain import restart
from headrace.domain.decisions import (
    Act,
    Action,
    Cancel,
    Decision,
    Deploy,
    EndTaskManagers,
    Erase,
    Move,
    Prepare,
    Remove,
    ReplaceTaskManagers,
    StopWithSavepoint,
    TriggerSavepoint,
    Wait,
)
from headrace.domain.deployment import DeploymentPlan, savepoint_dir, triggered_savepoint_dir
from headrace.domain.errors import HeadraceError, Refused, Unavailable
from headrace.domain.job import AT_REST, LIVE, Job, Phase
from headrace.domain.lifecycle import decide
from headrace.domain.observation import (
    DeploymentView,
    Observation,
    Preparation,
    PreparationState,
    Sight,
    StateView,
    Turn,
)
from headrace.domain.recovery import asks_state
from headrace.runtimes.base import Runtime
from headrace.store.database import Step, no_step
from headrace.store.jobs import JobStore
from headrace.store.queues import QueueStore
from headrace.store.timeline import JobClock

log = logging.getLogger(__name__)

Planner = Callable[[Job, int | None], DeploymentPlan]
"""(job, restarts left within the hour, None = without limit) -> plan of its current attempt; raises Refused."""


class Ticked(NamedTuple):
    """What one tick did, and the phase in which it found the job."""

    decision: Decision
    phase: Phase


@dataclass
class Reconciler:
    """Brings one job one step nearer to what was asked.

    Attributes:
        patience: seconds that a phase may last until it counts as overdue.
        monotonic: a clock that never jumps, in seconds.
        now_ms: the wall clock, for people to read.
        clock: the job clock, which restarts are counted on.
        step: is told "before" and "after" each action, for tests that end Headrace there.
    """

    jobs: JobStore
    queues: QueueStore
    runtime: Runtime
    scheduler: Scheduler
    planner: Planner
    patience: Mapping[Phase, float]
    monotonic: Callable[[], float]
    now_ms: Callable[[], int]
    clock: JobClock
    step: Step = no_step
    _since: dict[int, tuple[Phase, int, float]] = field(default_factory=dict)

    def tick(self, job_id: int) -> Ticked:
        """Looks at the job once and does the one thing that follows.

        Raises:
            StaleJob: somebody changed the job meanwhile; tick again.
            Unavailable: the runtime did not answer; tick again later.
        """
        job = self.jobs.get(job_id)
        try:
            seen = self._observe(job)
        except Unavailable as error:
            self._tell(job, error)
            raise
        decision = decide(job, seen)
        match decision:
            case Move(record):
                self.jobs.move(job, record, now_ms=self.now_ms(), clock=self.clock)
                log.info("job %d: %s -> %s (attempt %d)", job.id, job.record.phase, record.phase, record.attempt)
            case Act(action):
                self._try(job, action)
            case Wait(note):
                if note is not None and note != job.record.note:
                    waits = job.record.phase is Phase.WAITING and note
                    self.jobs.annotate(job, note, now_ms=self.now_ms() if waits else None)
            case _:
                assert_never(decision)
        return Ticked(decision, job.record.phase)

    def _observe(self, job: Job) -> Observation:
        phase = job.record.phase
        if phase is Phase.PREPARING:
            return self._with_budget(job, Observation(preparation=self._preparation(job)))
        if phase is Phase.WAITING:
            granted = self.queues.held_by(job.id) is not None
            return Observation(granted=granted, waiting_note=self.scheduler.reason(job.id))
        if phase in AT_REST:
            return Observation(remains=self.runtime.remains(job.id))
        if phase is Phase.RESTARTING:
            due = self.clock.now_ms() >= job.record.retry_ms
            return Observation(due=due, state=self._state(job) if due else StateView())
        view = DeploymentView()
        if phase in LIVE:
            view = self.runtime.observe(job.deployment, job.record.request_seen)
        granted = phase is not Phase.STARTING or self.queues.held_by(job.id) is not None
        seen = Observation(deployment=view, granted=granted, overdue=self._overdue(job))
        if view.sight is Sight.REMOVED:
            seen = replace(seen, state=self._state(job))
        return self._with_budget(job, seen)

    def _with_budget(self, job: Job, seen: Observation) -> Observation:
        """Adds what a failure would cost, and when the next try would be."""
        cap = restart.cap(job.spec.restart_when_exception, job.spec.resume_max_num)
        follows = job.record.outcome is Phase.RESTARTING  # it is counted already when its turn comes to be fixed
        if cap == 0 and not follows:
            return seen
        now = self.clock.now_ms()
        times = self.jobs.restart_times(job, now)
        earlier = max(0, len(self.jobs.restart_times(job, now, in_place=False)) - follows)
        wait = restart.backoff_ms(earlier)
        return replace(seen, budget=restart.budget(cap, times, now), turn=Turn(now + wait, self.now_ms() + wait))

    def _state(self, job: Job) -> StateView:
        if not asks_state(job):
            return StateView()
        return self.runtime.newest_state(job.deployment, job.record.restore_path)

    def _plan(self, job: Job) -> DeploymentPlan:
        """Raises Refused."""
        cap = restart.cap(job.spec.restart_when_exception, job.spec.resume_max_num)
        now = self.clock.now_ms()
        budget = restart.budget(cap, self.jobs.restart_times(job, now) if cap else (), now)
        return replace(self.planner(job, budget.left), needed=self.jobs.restore_points())

    def _preparation(self, job: Job) -> Preparation:
        try:
            self._plan(job)
        except Refused as error:
            return Preparation(PreparationState.FAILED, str(error))
        return self.runtime.preparation(job.deployment)

    def _overdue(self, job: Job) -> bool:
        """On a monotonic clock of this process: after a restart of Headrace the patience begins anew."""
        phase, attempt, since = self._since.get(job.id, (None, 0, 0.0))
        if (phase, attempt) != (job.record.phase, job.record.attempt):
            since = self.monotonic()
            self._since[job.id] = (job.record.phase, job.record.attempt, since)
        limit = self.patience.get(job.record.phase)
        return limit is not None and self.monotonic() - since > limit

    def _try(self, job: Job, action: Action) -> None:
        """Carries it out; what hinders it is shown to the user."""
        try:
            self.step(f"before {type(action).__name__}")
            self._perform(job, action)
            self.step(f"after {type(action).__name__}")
        except HeadraceError as error:
            self._tell(job, error)
            raise

    def _tell(self, job: Job, hindrance: HeadraceError) -> None:
        shown = job.record.phase in LIVE or job.record.phase is Phase.RESTARTING
        if shown and job.record.note != str(hindrance):
            self.jobs.annotate(job, str(hindrance))

    def _perform(self, job: Job, action: Action) -> None:
        match action:
            case Prepare():
                self.runtime.prepare(self._plan(job))
            case Deploy():
                self.runtime.deploy(self._plan(job))
            case StopWithSavepoint():
                self.runtime.stop_with_savepoint(job.deployment, job.record.request_seen, savepoint_dir(job))
            case TriggerSavepoint():
                self.runtime.trigger_savepoint(job.deployment, job.record.request_seen, triggered_savepoint_dir(job))
            case EndTaskManagers(numbers):
                self.runtime.end_taskmanagers(job.deployment, numbers)
            case ReplaceTaskManagers(total):
                self.runtime.replace_taskmanagers(self._plan(job), total)
            case Cancel():
                self.runtime.cancel(job.deployment)
            case Remove():
                self.runtime.remove(job.deployment)
            case Erase():
                self.runtime.erase(job.id)
                self._since.pop(job.id, None)
            case _:
                assert_never(action)
