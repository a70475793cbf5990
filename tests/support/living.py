"""Jobs of an API stand that live: the real reconciler over a runtime in memory, one tick at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.deployment import DeploymentPlan, plan
from headrace.domain.job import Job, Phase
from headrace.runtimes.fake import FakeRuntime
from headrace.runtimes.fake_machine import FakeMachine
from tests.support.clocks import job_clock

if TYPE_CHECKING:
    from tests.api.conftest import Stand

MOST_TICKS = 60
MEMORY_MB = 64 * 1024
PATIENCE = {Phase.STARTING: 300.0, Phase.SAVING: 600.0, Phase.SAVEPOINTING: 600.0, Phase.CANCELING: 30.0}


@dataclass
class Living:
    """The stand, its jobs' runtime, and the clocks of the machine that both are on."""

    stand: Stand
    runtime: FakeRuntime = field(default_factory=FakeRuntime)
    machine: FakeMachine = field(default_factory=FakeMachine)
    plans: dict[str, DeploymentPlan] = field(default_factory=dict)
    """The newest plan of each deployment."""

    def __post_init__(self) -> None:
        self.machine.wall_ms = self.stand.clock.ms
        services = self.stand.services
        scheduler = Scheduler(services.queues, lambda: MEMORY_MB, services.settings.memory_per_cu_mb)
        self._reconciler = Reconciler(
            jobs=services.jobs,
            queues=services.queues,
            runtime=self.runtime,
            scheduler=scheduler,
            planner=self._plan,
            patience=PATIENCE,
            monotonic=lambda: self.machine.monotonic_s,
            now_ms=lambda: self.machine.wall_ms,
            clock=job_clock(self.stand.database, self.machine),
        )

    def let_pass(self, ms: int) -> None:
        self.machine.let_pass(ms)
        self.stand.clock.ms = self.machine.wall_ms

    def tick(self, job_id: int) -> Job:
        self._reconciler.scheduler.run()
        self._reconciler.tick(job_id)
        return self.stand.job(job_id)

    def until(self, job_id: int, *phases: Phase) -> Job:
        """Ticks until the job is in one of these phases; no time passes."""
        return self.reach(job_id, lambda job: job.record.phase in phases)

    def reach(self, job_id: int, wanted: Callable[[Job], bool]) -> Job:
        for _ in range(MOST_TICKS):
            job = self.tick(job_id)
            if wanted(job):
                return job
        raise AssertionError(f"it stays {job.record}")

    def running(self, **fields: Any) -> int:
        """A job that runs."""
        job_id = self.stand.create(**fields)
        self.run(job_id)
        return job_id

    def run(self, job_id: int, **more: Any) -> None:
        answer = self.stand.run(job_id, **more)
        assert answer.status_code == 200, answer.text
        self.until(job_id, Phase.RUNNING)

    def name(self, job_id: int) -> str:
        return self.stand.job(job_id).deployment

    def again(self, job_id: int, wait_ms: int = 60_000) -> Job:
        """The job restarts: its next attempt runs, or it has come to its end."""
        self.until(job_id, Phase.RESTARTING, Phase.FAILED)
        self.let_pass(wait_ms)
        return self.until(job_id, Phase.RUNNING, Phase.FAILED)

    def _plan(self, job: Job, restarts_left: int | None) -> DeploymentPlan:
        made = plan(job, "1.20.5", self.stand.services.settings.memory_per_cu_mb, restarts_left)
        self.plans[made.name] = made
        return made
