"""The stories that are told to a Headrace that is killed again and again; and that Headrace, without its threads."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.control.driver import Driver
from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.deployment import plan
from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase
from headrace.domain.rights import Caller
from headrace.runtimes.fake import FakeRuntime
from headrace.runtimes.fake_machine import FakeMachine
from headrace.store.database import Database, Step
from headrace.store.jobs import JobStore
from headrace.store.queues import Queue, QueueStore
from headrace.store.timeline import JobClock

ME = Caller("p", "u")
QUEUE_CU_MILLI = 3000
"""One job has its CUs, another one waits for them."""
LOOK_MS = 100
"""So much time passes from one look at all jobs to the next."""
PATIENCE = {Phase.STARTING: 300.0, Phase.SAVING: 600.0, Phase.SAVEPOINTING: 600.0, Phase.CANCELING: 30.0}


class Killed(BaseException):
    """Headrace ends here: no handler of its own catches it."""


@dataclass
class World:
    """What a crash of Headrace leaves: the database, the deployments, the machine; and the user, with her memory.

    Attributes:
        ids: jobs by name, as far as the user knows.
        request_no: of the request that she makes in the present chapter; 0 = she has not yet looked.
        happened: what befalls the world in the present chapter has befallen it.
    """

    database: Path
    runtime: FakeRuntime
    machine: FakeMachine = field(default_factory=FakeMachine)
    ids: dict[str, int] = field(default_factory=dict)
    request_no: int = 0
    happened: bool = False

    def copy(self, database: Path) -> World:
        """The same once more, with a database of its own; no Headrace must be alive here."""
        if self.database.exists():
            shutil.copyfile(self.database, database)
        return World(database, self.runtime.copy(), replace(self.machine), dict(self.ids))

    def turn_over(self) -> None:
        """The next chapter begins."""
        self.request_no, self.happened = 0, False


class Headrace:
    """One life of the server, without its threads and its HTTP."""

    def __init__(self, world: World, step: Step) -> None:
        self._database = Database(world.database, step)
        try:
            self._build(world, step)
        except BaseException:
            self._database.close()
            raise

    def _build(self, world: World, step: Step) -> None:
        self._machine = machine = world.machine
        self.jobs, self.queues = JobStore(self._database), QueueStore(self._database)
        if not self.queues.of_project(ME.project_id):
            self.queues.create(Queue(0, ME.project_id, "q", "general", QUEUE_CU_MILLI))
        self.clock = JobClock(
            self._database,
            boot_id=machine.boot_id,
            boottime_ms=lambda: machine.boottime_ms,
            wall_ms=lambda: machine.wall_ms,
        )
        self._reconciler = Reconciler(
            jobs=self.jobs,
            queues=self.queues,
            runtime=world.runtime,
            scheduler=Scheduler(self.queues, lambda: 64 * 4096, 4096),
            planner=lambda job, left: plan(job, "1.20.5", 4096, left),
            patience=PATIENCE,
            monotonic=lambda: machine.monotonic_s,
            now_ms=lambda: machine.wall_ms,
            clock=self.clock,
            step=step,
        )
        Driver(self._reconciler, sweep_s=1.0).remove_orphans()

    def look(self) -> None:
        """At all jobs, once."""
        self._machine.let_pass(LOOK_MS)
        self._reconciler.scheduler.run()
        for job_id in self.jobs.unsettled():
            self._reconciler.tick(job_id)

    def told(self) -> str:
        """How the jobs stand, for a person."""
        standing = [self.jobs.get(job_id) for job_id in self.jobs.unsettled()]
        return "; ".join(f"job {job.id} is {job.record.phase}: {job.record.told}" for job in standing)

    def close(self) -> None:
        """Lets go of the database, as the end of the process does."""
        self._database.close()


Happens = Callable[[World, Headrace], None]


@dataclass(frozen=True)
class Chapter:
    """What a user asks or what befalls the world, and what must come of it.

    Attributes:
        happens: done again by the next Headrace if one was killed meanwhile; does nothing that is done already.
        job: the name of the one that matters.
        until: how it stands then.
    """

    told: str
    happens: Happens
    job: str
    until: Callable[[World, Job], bool]

    def has_come(self, world: World, headrace: Headrace) -> bool:
        """Whether the job stands so, and nobody waits for an answer."""
        job = headrace.jobs.get(world.ids[self.job])
        return not job.request_pending and self.until(world, job)


@dataclass(frozen=True)
class Story:
    """``given``: lived through in peace. Headrace is killed in the ``chapters``."""

    name: str
    given: tuple[Chapter, ...]
    chapters: tuple[Chapter, ...]


# -- what happens -----------------------------------------------------------------------------------------------------


def create(spec: JobSpec) -> Chapter:
    """A user who got no answer looks whether the job is there."""

    def happens(world: World, headrace: Headrace) -> None:
        found = headrace.jobs.named(ME.project_id, [spec.name])
        job = found.get(spec.name) or headrace.jobs.create(ME, spec, now_ms=world.machine.wall_ms)
        world.ids[spec.name] = job.id

    return Chapter("create", happens, spec.name, is_in(Phase.DRAFT))


def ask(goal: Goal, until: Phase, name: str = "job", **how: Any) -> Chapter:
    """A user who got no answer looks whether her request is on record."""

    def happens(world: World, headrace: Headrace) -> None:
        job = headrace.jobs.get(world.ids[name])
        world.request_no = world.request_no or job.desired.request_no + 1
        if job.desired.request_no < world.request_no:
            asked = Desired(goal, world.request_no, requested_ms=1_700_000_000_000 + world.request_no, **how)
            headrace.jobs.request(job, asked)

    return Chapter(f"{goal} until {until}", happens, name, is_in(until))


def befalls(accident: str, until: Callable[[World, Job], bool], *arguments: object, **how: object) -> Chapter:
    """An order of FakeRuntime, once, on the deployment of the job."""

    def happens(world: World, headrace: Headrace) -> None:
        if not world.happened:
            world.happened = True
            getattr(world.runtime, accident)(headrace.jobs.get(world.ids["job"]).deployment, *arguments, **how)

    return Chapter(accident, happens, "job", until)


def weather(order: str, reason: str) -> Chapter:
    """What is asked from now on fails for this reason, "" = it succeeds again."""
    return Chapter(order, lambda world, _: getattr(world.runtime, order)(reason), "job", lambda _world, _job: True)


def reboot() -> Chapter:
    """The machine is started anew, Headrace with it."""

    def happens(world: World, _: Headrace) -> None:
        if not world.happened:
            world.happened = True
            world.runtime.reboot()
            world.machine.reboot()
            raise Killed

    return Chapter("reboot", happens, "job", runs_as(2))


def is_in(phase: Phase) -> Callable[[World, Job], bool]:
    """The job is in this phase."""
    return lambda _, job: job.record.phase is phase


def runs_as(attempt: int) -> Callable[[World, Job], bool]:
    """The job runs in this attempt."""
    return lambda _, job: job.record.phase is Phase.RUNNING and job.record.attempt == attempt


def _restarted_in_place(_: World, job: Job) -> bool:
    return job.record.flink_restarts == 1


def _replaced(world: World, job: Job) -> bool:
    return job.record.replacements == 1 and not world.runtime.taskmanagers_missing(job.deployment)


def _gone_on(_world: World, _job: Job) -> bool:
    return True


# -- the stories ------------------------------------------------------------------------------------------------------

SPEC = JobSpec("job", queue_name="q", entrypoint="obs://b/a.jar", smn_topic="alarm", checkpoint_enabled=True)
THRICE = replace(SPEC, restart_when_exception=True, resume_checkpoint=True, resume_max_num=3)
ONCE = replace(THRICE, resume_max_num=1)

CREATE, RUN = create(THRICE), ask(Goal.RUN, Phase.RUNNING)
CHECKPOINT = befalls("complete_checkpoint", _gone_on)
RUNNING = (CREATE, RUN, CHECKPOINT)
KILLED = befalls("kill", is_in(Phase.RESTARTING))
AGAIN = befalls("kill", runs_as(2))
STOP, SAVE = ask(Goal.STOP, Phase.STOPPED), ask(Goal.STOP, Phase.STOPPED, trigger_savepoint=True)
DELETE = ask(Goal.DELETE, Phase.DELETED)
RESUME = ask(Goal.RUN, Phase.RUNNING, resume_savepoint=True)
OTHER = (create(replace(THRICE, name="other")), ask(Goal.RUN, Phase.WAITING, "other"))
REFUSED = weather("refuse_savepoints", "no space left")

STORIES = (
    Story("create", (), (CREATE,)),
    Story("run", (CREATE,), (RUN,)),
    Story("restart: the JobManager is killed", RUNNING, (AGAIN,)),
    Story("restart: the JobManager is frozen", RUNNING, (befalls("freeze", runs_as(2)),)),
    Story("restart: killed, and killed again", RUNNING, (AGAIN, CHECKPOINT, befalls("kill", runs_as(3)))),
    Story("restart: in place", RUNNING, (befalls("throw", _restarted_in_place),)),
    Story("restart: the machine is started anew", RUNNING, (reboot(),)),
    Story("restart: a TaskManager is killed", RUNNING, (befalls("lose_taskmanager", _replaced),)),
    Story("restart: a TaskManager is silent", RUNNING, (befalls("silence_taskmanager", _replaced),)),
    Story("restart: the cap is reached", (create(ONCE), RUN, AGAIN), (befalls("kill", is_in(Phase.FAILED)),)),
    Story("restart: off", (create(SPEC), RUN), (befalls("fail", is_in(Phase.FAILED)),)),
    Story("savepoint", RUNNING, (ask(Goal.SAVEPOINT, Phase.RUNNING),)),
    Story("savepoint: it fails", (*RUNNING, REFUSED), (ask(Goal.SAVEPOINT, Phase.RUNNING),)),
    Story("stop", RUNNING, (STOP,)),
    Story("stop: with savepoint", RUNNING, (SAVE,)),
    Story(
        "stop: with savepoint, which fails",
        (*RUNNING, REFUSED),
        (ask(Goal.STOP, Phase.STOP_FAILED, trigger_savepoint=True), STOP),
    ),
    Story("stop: with savepoint while it restarts", (*RUNNING, KILLED), (SAVE,)),
    Story("stop: while it restarts", (*RUNNING, KILLED), (STOP,)),
    Story("run: from the savepoint", (*RUNNING, SAVE), (RESUME,)),
    Story(
        "run: when another one has stopped",
        (*RUNNING, *OTHER),
        (STOP, Chapter("the CUs pass on", lambda _w, _h: None, "other", is_in(Phase.RUNNING))),
    ),
    Story("finish", RUNNING, (befalls("finish", is_in(Phase.FINISHED)),)),
    Story("delete", RUNNING, (DELETE,)),
    Story("delete: while it restarts", (*RUNNING, KILLED), (DELETE,)),
    Story("delete: at rest", (*RUNNING, STOP), (DELETE,)),
)
