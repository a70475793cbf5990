"""The world of the fault suite on the runtime in memory: real stores and a real reconciler, in a time of its own.

A record is a checkpoint here: each may be completed once in the life of a job, as an exactly-once sink commits with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from headrace.control.driver import Driver
from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.decisions import Move, Wait
from headrace.domain.deployment import DeploymentPlan, plan
from headrace.domain.errors import Unavailable
from headrace.domain.job import AT_REST, Desired, Goal, Job, JobSpec, Phase, deployment_name
from headrace.domain.observation import FlinkState
from headrace.domain.rights import Caller
from headrace.faults import fake_kinds
from headrace.faults.effects import Effect
from headrace.faults.oracle import (
    Promise,
    PromiseBroken,
    Tally,
    history_is_whole,
    ledger_empty,
    nothing_left,
    one_deployment,
    restarts_agree,
)
from headrace.faults.plan import Strike
from headrace.faults.records import Records, told
from headrace.runtimes.fake import FakeRuntime
from headrace.store.database import Database
from headrace.store.jobs import JobStore, StaleJob
from headrace.store.queues import Queue, QueueStore
from headrace.store.timeline import JobClock

JOBS = 3
TICK_S = 1.0
"""So often all jobs are looked at, and complete a checkpoint."""
MOST_LOOKS = 12
"""In a second a job is looked at so often, while something is done about it."""
ORPHAN_TICKS = 10
GROWTH = 3
LIMIT_S = 600.0
MEMORY_MB = 64 * 4096
PATIENCE = {Phase.STARTING: 300.0, Phase.SAVING: 600.0, Phase.SAVEPOINTING: 600.0, Phase.CANCELING: 30.0}


class Died(BaseException):
    """Headrace ends here; nothing but the world catches it."""


@dataclass
class Sink:
    """What one job has committed: the numbers of its checkpoints and savepoints, less one."""

    tally: Tally = field(default_factory=lambda: Tally(keys=1))
    deployment: str = ""
    newest: int = 0

    def take(self, deployment: str, newest: int) -> None:
        """``newest``: the number of the deployment's newest state, or of that which it was restored from."""
        if deployment == self.deployment:
            lines = [f"0 {number} {number - 1}" for number in range(self.newest + 1, newest + 1)]
            self.tally.take("\n".join(lines), deployment)
        self.deployment, self.newest = deployment, newest


class Headrace:
    """What one life of the server is made of, without its threads and its API."""

    def __init__(self, world: FakeWorld) -> None:
        self.database = Database(world.path, world.step)
        self.jobs, self.queues = JobStore(self.database), QueueStore(self.database)
        self.scheduler = Scheduler(self.queues, lambda: MEMORY_MB, 4096)
        boottime = world.now_s  # so that a later boot of the world is later here
        clock = JobClock(
            self.database,
            boot_id=world.boot_id,
            boottime_ms=lambda: int((boottime() - world.booted_s) * 1000),
            wall_ms=world.wall_ms,
        )
        self.reconciler = Reconciler(
            jobs=self.jobs,
            queues=self.queues,
            runtime=world.runtime,
            scheduler=self.scheduler,
            planner=_plan,
            patience=PATIENCE,
            monotonic=world.now_s,
            now_ms=world.wall_ms,
            clock=clock,
            step=world.step,
        )
        self._ticks = 0

    def tick(self) -> None:
        """One look at everything."""
        self._ticks += 1
        looks: list[Callable[[], object]] = [self.scheduler.run, self._tick_all]
        if self._ticks % ORPHAN_TICKS == 1:
            looks.append(Driver(self.reconciler, 1.0).remove_orphans)
        for look in looks:
            try:
                look()
            except Unavailable:
                continue

    def _tick_all(self) -> None:
        for job_id in self.jobs.unsettled():
            try:
                self._follow(job_id)
            except (StaleJob, Unavailable):
                continue

    def _follow(self, job_id: int) -> None:
        for _ in range(MOST_LOOKS):
            decision = self.reconciler.tick(job_id).decision
            if isinstance(decision, Wait):
                return
            if isinstance(decision, Move):
                self.scheduler.run()


class FakeWorld:
    """Jobs on the runtime in memory. See World."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "headrace.db"
        self.runtime = FakeRuntime()
        self.book = Records(self.path)
        self.targets = JOBS
        self.limit_s = LIMIT_S
        self.boot_id = "boot-1"
        self.booted_s = 0.0
        self.wall_off_ms = 0
        self.refusing = False
        """The database takes nothing."""
        self.crash: tuple[str, int] | None = None
        """The step at which Headrace ends ("" = any), and how many are passed before."""
        self.crashed = ""
        self.frozen: set[str] = set()
        """Deployments whose JobManager completes nothing."""
        self.sinks = [Sink() for _ in range(JOBS)]
        self.headrace: Headrace | None = None
        self.paused = False
        self.samples = 0
        self.ids: list[int] = []
        self._now_s = 0.0
        self._due: list[int] = []

    # -- its beginning and its end --------------------------------------------------------------------------------

    def begin(self) -> None:
        """See World."""
        self.start()
        assert self.headrace is not None
        self.headrace.queues.create(Queue(0, "p", "q", "general", 64_000))
        for number in range(JOBS):
            spec = JobSpec(
                f"counter-{number + 1}",
                queue_name="q",
                entrypoint="obs://b/a.jar",
                restart_when_exception=True,
                resume_checkpoint=True,
            )
            self.ids.append(self.headrace.jobs.create(Caller("p", "u"), spec, now_ms=self.wall_ms()).id)
            self.ask(number, Goal.RUN)
        self.expect()

    def end(self) -> None:
        """See World."""
        for target in range(JOBS):
            self.ask(target, Goal.STOP)
        until = self.now_s() + LIMIT_S
        while not all(self.book.job(job_id).phase is Phase.STOPPED for job_id in self.ids):
            self.pause(TICK_S)
            self.look()
            if self.now_s() > until:
                raise PromiseBroken(Promise.WELL, f"not all jobs have stopped\n{self.told(None)}")
        for target, job_id in enumerate(self.ids):
            self.sinks[target].tally.complete()
            history_is_whole(self.book.history(job_id))
        ledger_empty(self.book.grants())
        nothing_left(self.runtime.live())
        self.stop()

    def start(self) -> None:
        """A new life of the server."""
        if self.headrace is None:
            self.headrace = Headrace(self)

    def stop(self) -> None:
        """The end of one."""
        if self.headrace is not None:
            self.headrace.database.close()
        self.headrace = None

    # -- its time -------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """See World."""
        return self._now_s

    def wall_ms(self) -> int:
        """The wall clock."""
        return 1_700_000_000_000 + int(self._now_s * 1000) + self.wall_off_ms

    def pause(self, seconds: float) -> None:
        """See World."""
        self._now_s += min(seconds, TICK_S)
        if self.headrace is not None and not self.paused:
            try:
                self.headrace.tick()
            except Died:
                self.stop()
                self.start()
        self._commit()
        for name in self.runtime.live():
            if self._runs(name):
                self.runtime.complete_checkpoint(name)
        self._commit()

    def step(self, name: str) -> None:
        """Seams.step."""
        if self.refusing and name == "before commit":
            raise Unavailable("the disk is full")
        if self.crash is None or self.crash[0] not in ("", name):
            return
        if self.crash[1] > 0:
            self.crash = (self.crash[0], self.crash[1] - 1)
            return
        self.crash, self.crashed = None, name
        raise Died

    def _commit(self) -> None:
        for target, job_id in enumerate(self.ids):
            recorded = self.book.job(job_id)
            name = deployment_name(job_id, recorded.attempt)
            state = self.runtime.newest_state(name, recorded.restore_path)
            self.sinks[target].take(name, state.checkpoint_id or 0)

    def _runs(self, name: str) -> bool:
        graph = self.runtime.execution_graph(name)
        running = graph is not None and graph["state"] == FlinkState.RUNNING
        return running and name not in self.frozen and not self.runtime.taskmanagers_missing(name)

    # -- faults ---------------------------------------------------------------------------------------------------

    def strike(self, what: Strike) -> Effect:
        """See World."""
        self.crashed = ""
        return fake_kinds.DOES[what.kind.name](self, what)

    def name(self, target: int) -> str:
        """The deployment of a job."""
        return deployment_name(self.ids[target], self.book.job(self.ids[target]).attempt)

    def ask(self, target: int, goal: Goal, *, resume: bool = False) -> bool:
        """As the API does; whether it could be asked for now."""
        if self.headrace is None:
            return False
        job = self.headrace.jobs.get(self.ids[target])
        if goal is Goal.RUN and (job.record.phase not in AT_REST or job.request_pending):
            return False
        if goal is Goal.SAVEPOINT and (job.record.phase is not Phase.RUNNING or job.request_pending):
            return False
        asked = Desired(
            goal,
            job.desired.request_no + 1,
            resume_savepoint=resume,
            trigger_savepoint=goal is Goal.STOP,
            requested_ms=self.wall_ms(),
        )
        return self.surely(lambda: self._request(job, asked))

    def surely(self, does: Callable[[], object]) -> bool:
        """Whether Headrace did it; it may end over it."""
        try:
            does()
        except Unavailable:
            return False
        except Died:
            self.stop()
            self.start()
            return False
        return True

    def _request(self, job: Job, asked: Desired) -> None:
        assert self.headrace is not None
        self.headrace.jobs.request(job, asked)

    # -- whether all is well --------------------------------------------------------------------------------------

    def look(self) -> None:
        """See World."""
        self.samples += 1
        alive: dict[int, list[str]] = {}
        for name in self.runtime.live():
            alive.setdefault(int(name.split("-")[1]), []).append(name)
        one_deployment(alive)

    def expect(self) -> None:
        """See World."""
        self._due = [sink.tally.greatest + GROWTH for sink in self.sinks]

    def well(self, target: int) -> bool:
        """See World."""
        recorded = self.book.job(self.ids[target])
        runs = recorded.phase is Phase.RUNNING and not recorded.pending and self._runs(self.name(target))
        return runs and self.sinks[target].tally.greatest >= self._due[target]

    def settle(self) -> None:
        """See World."""
        for target, job_id in enumerate(self.ids):
            self.sinks[target].tally.settle()
            restarts_agree(*self.book.restarts(job_id))

    def records(self) -> int:
        """See World."""
        return sum(len(sink.tally.numbers) for sink in self.sinks)

    def told(self, target: int | None) -> str:
        """See World."""
        wanted = range(JOBS) if target is None else [target]
        return "\n".join(told(self.book.history(self.ids[one])) for one in wanted)


def _plan(job: Job, restarts_left: int | None) -> DeploymentPlan:
    return plan(job, "1.20.5", 4096, restarts_left)
