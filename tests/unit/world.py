"""The service without its API and its threads, and the people and accidents around it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from headrace.control.driver import Driver
from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.decisions import Decision
from headrace.domain.deployment import DeploymentPlan, plan
from headrace.domain.errors import JobNotFound, Unavailable
from headrace.domain.job import AT_REST, Desired, Goal, Job, JobSpec, Phase
from headrace.domain.observation import FlinkState, Sight
from headrace.domain.rights import Caller
from headrace.runtimes.fake import FakeRuntime
from headrace.runtimes.fake_deployment import FakeDeployment
from headrace.runtimes.fake_machine import FakeMachine
from headrace.store.database import Database
from headrace.store.jobs import JobStore, StaleJob, shown_phase
from headrace.store.queues import Queue, QueueStore
from headrace.store.schema import metadata
from tests.support.clocks import job_clock

PATIENCE = {Phase.STARTING: 300.0, Phase.SAVING: 600.0, Phase.SAVEPOINTING: 600.0, Phase.CANCELING: 30.0}
MEMORY_MB = 5 * 4096
JOBS = (
    JobSpec("quiet", queue_name="wide", entrypoint="obs://b/a.jar"),
    JobSpec("small", queue_name="wide", entrypoint="obs://b/a.jar", smn_topic="alarm", obs_bucket="b"),
    JobSpec("large", queue_name="wide", entrypoint="obs://b/a.jar", smn_topic="alarm", cu_number=4, parallel_number=3),
    JobSpec("other", queue_name="narrow", entrypoint="obs://b/a.jar", smn_topic="alarm"),
)
QUEUES = {"wide": 4000, "narrow": 2000}
OFF: dict[str, Any] = {"restart_when_exception": False, "resume_checkpoint": True}
RULES: tuple[dict[str, Any], ...] = (
    *(OFF, OFF),
    *(
        {"restart_when_exception": True, "resume_checkpoint": resume, "resume_max_num": most}
        for resume in (True, False)
        for most in (-1, -1, 1, 3)
    ),
)
"""What the fields of restarts are drawn from."""
STOPPABLE = frozenset(
    {
        Phase.PREPARING,
        Phase.WAITING,
        Phase.STARTING,
        Phase.RUNNING,
        Phase.SAVING,
        Phase.STOP_FAILED,
        Phase.RESTARTING,
    }
)
ACCIDENTS: dict[str, Callable[[FakeRuntime, str], object]] = {
    "kill": FakeRuntime.kill,
    "killed for want of memory": lambda runtime, name: runtime.kill(name, oom_killed=True),
    "freeze": FakeRuntime.freeze,
    "fail": FakeRuntime.fail,
    "fail for ever": lambda runtime, name: runtime.fail(name, "java.lang.NoClassDefFoundError: a/B"),
    "exit": lambda runtime, name: runtime.exit(name, 1),
    "finish": FakeRuntime.finish,
    "throw": FakeRuntime.throw,
    "own strategy": lambda runtime, name: runtime.restart_in_place(name, 2, own_strategy="fixed delay"),
    "lose a TaskManager": FakeRuntime.lose_taskmanager,
    "a TaskManager ends by itself": lambda runtime, name: runtime.lose_taskmanager(name, 1),
    "silence a TaskManager": FakeRuntime.silence_taskmanager,
}
ASKED = ("run", "run", "run", "resume", "stop", "save", "save", "delete", "trigger", "trigger")
IN_THE_MIDST = (
    *("stop", "stop", "save", "save", "trigger", "delete", "kill", "finish", "too late", "reboot", "throw", "nothing"),
    *("lose a TaskManager", "nothing"),
)
BY_KILLING = ("freeze", "kill", "killed for want of memory", "lose a TaskManager", "silence a TaskManager")
"""After these a job goes on, though it never ran before."""
BY_ITSELF = ("throw", "fail", "exit", "a TaskManager ends by itself", "too late")
"""After these it goes on only if it had run before."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a deployment; ``ran``: its job was on record as one that has run."""

    job_id: int
    attempt: int
    what: str
    ran: bool


class World:
    """All of it; ``seed`` draws the jobs' rules of restarts, None = they are off."""

    def __init__(self, database: Database, lag: int = 0, seed: int | None = None) -> None:
        _wipe(database)
        self.database = database
        self.jobs, self.queues = JobStore(database), QueueStore(database)
        self.runtime = FakeRuntime(lag)
        self.machine = FakeMachine()
        self.clock = job_clock(database, self.machine)
        self.asked = 0
        self.now_s = 0.0
        self.step_s = 0.001
        self.meanwhile: list[Callable[[], None]] = []
        """What others do between the reading and the writing of the next tick."""
        self.plans: dict[str, DeploymentPlan] = {}
        self.refusing: set[str] = set()
        self.disturbed: set[str] = set()
        """Deployments that something was done to: how they end is not foreseen."""
        self.events: list[Event] = []
        self.hidden: set[str] = set()
        self.run_requests: Counter[int] = Counter()
        for name, cu_milli in QUEUES.items():
            self.queues.create(Queue(0, "p", name, "general", cu_milli))
        self.specs: dict[int, JobSpec] = {}
        """All jobs there ever were."""
        chance = random.Random(seed)
        rules = [OFF if seed is None else chance.choice(RULES) for _ in JOBS]
        self.ids = [self._create(spec.evolve(**rule)) for spec, rule in zip(JOBS, rules, strict=True)]

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
            clock=self.clock,
        )

    def tick(self, job_id: int) -> Decision | None:
        if self.refusing:
            self.note_event(job_id, "refused")
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
        self.note_event(job_id, "too late")
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
        self.refuse("stops", many % 7 == 0)
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
        elif what == "reboot":
            self.reboot()
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
            ACCIDENTS[accident](self.runtime, name)
            self.note_event(job_id, accident)

    def restart_for_a_while(self, job_id: int, many: int) -> None:
        """It runs, completes checkpoints, something happens to it, and some time for that: not found by mere chance."""
        self.ask(job_id, "run")
        self.tick_until(job_id, Phase.RUNNING)
        for _ in range(many % 4):
            self.complete(job_id)
        if many % 7 == 0:
            self.lose_state(job_id, -1)
        accidents = (*BY_KILLING, "throw", "fail")
        self.disturb(job_id, accidents[many % len(accidents)])
        self.tick_until(job_id, Phase.RESTARTING)
        self.come_between(job_id, many // 7)
        self.machine.let_pass(many % 3 * 4_000)
        if many % 5 == 0:
            self.tick_until(job_id, Phase.STARTING)
            self.tick(job_id)
            self.restore_wrongly(job_id)
        self.tick_often(job_id, many % 9)

    def tick_until(self, job_id: int, phase: Phase) -> None:
        """Or until it has had time enough."""
        for _ in range(6 + 2 * self.runtime.lag):
            if self.jobs.get(job_id).record.phase is phase:
                return
            self.schedule()
            self.tick_often(job_id, 2)

    def complete(self, job_id: int) -> None:
        name = self.jobs.get(job_id).deployment
        if name in self.runtime.live():
            self.runtime.complete_checkpoint(name)

    def reboot(self) -> None:
        """Headrace is another process then; it has its clock from the database."""
        for job_id in self.ids:
            if self.jobs.get(job_id).deployment in self.runtime.live():
                self.note_event(job_id, "reboot")
        self.machine.reboot()
        self.runtime.reboot()
        self.clock = job_clock(self.database, self.machine)

    def lose_state(self, job_id: int, which: int) -> None:
        job = self.jobs.get(job_id)
        deployment = self.runtime._deployments.get(job.deployment)
        paths = [state.path for state in deployment.states] if deployment else []
        paths = [path for path in (*paths, job.record.restore_path) if path]
        if paths:
            self.runtime.lose_state(paths[which % len(paths)])
            self.note_event(job_id, "lose a state")

    def restore_wrongly(self, job_id: int) -> None:
        name = self.jobs.get(job_id).deployment
        deployment = self.runtime._deployments.get(name)
        if deployment is not None and _still_starts(deployment):
            self.runtime.restore_from(name, "fake://somewhere/else")
            self.note_event(job_id, "restore wrongly")

    def mend(self) -> None:
        """The faults end."""
        self.runtime.lose_no_more()
        self.runtime.refuse_savepoints("")
        self.runtime.refuse_stops("")
        self.runtime.refuse_preparation("")
        self.refusing.clear()
        self._do_meanwhile()
        self.show()

    def note_event(self, job_id: int, what: str) -> None:
        job = self.jobs.get(job_id)
        self.disturbed.add(job.deployment)
        self.events.append(Event(job_id, job.record.attempt, what, ran=job.record.ran))

    def refuse(self, what: str, refused: bool) -> None:
        getattr(self.runtime, f"refuse_{what}")("not now" if refused else "")
        (self.refusing.add if refused else self.refusing.discard)(what)

    def weather(self, which: int) -> None:
        """What goes wrong, or right again, from now on."""
        what = ("savepoints", "stops", "preparation", "healing")[which % 4]
        refused = which % 3 > 0
        if what == "healing":
            self.runtime.refuse_preparation("not now" if refused else "", heals=True)
            what = "preparation"
        else:
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
        self.machine.let_pass(1)
        return self.machine.wall_ms

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
                self._request(job, Goal.SAVEPOINT, savepoint_target="obs://b/mine" if self.asked % 2 else "")
        elif what in ("stop", "save"):
            save = what == "save"
            restarts = phase is Phase.CLEARING and job.record.outcome is Phase.RESTARTING
            if phase not in STOPPABLE and (phase is not Phase.SAVEPOINTING or save) and not restarts:
                return
            if job.desired.goal is Goal.STOP and job.request_pending:
                self.jobs.request(job, replace(job.desired, trigger_savepoint=save))
            else:
                kept = job.desired.savepoint_target
                self._request(job, Goal.STOP, trigger_savepoint=save, savepoint_target=kept)
        else:
            self._request(job, Goal.DELETE)

    def _request(self, job: Job, goal: Goal, **more: Any) -> None:
        self.asked += 1
        self.jobs.request(job, Desired(goal, job.desired.request_no + 1, requested_ms=self.asked, **more))


def _still_starts(deployment: FakeDeployment) -> bool:
    if deployment.sight is not Sight.LIVE:
        return False
    return deployment.flink is None or deployment.flink.state is FlinkState.CREATED


def _wipe(database: Database) -> None:
    with database.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
