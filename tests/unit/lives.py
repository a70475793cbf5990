"""What is asked and seen in the lives of a job, and what follows: the words in which tables of lives are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from headrace.domain import restart
from headrace.domain.decisions import Act, Decision, Move, Wait
from headrace.domain.job import Desired, Goal, Job, JobSpec, Record
from headrace.domain.lifecycle import decide
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    LostTaskManager,
    Observation,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
    Turn,
)
from headrace.domain.restart import Budget


@dataclass(frozen=True)
class Ask:
    """One request, as the API records it."""

    goal: Goal
    savepoint: bool = False


RUN, RESUME = Ask(Goal.RUN), Ask(Goal.RUN, savepoint=True)
STOP, SAVE = Ask(Goal.STOP), Ask(Goal.STOP, savepoint=True)
TRIGGER = Ask(Goal.SAVEPOINT)
DELETE = Ask(Goal.DELETE)


NO_SAVEPOINT = SavepointView()
NEVER_RUN = Record()
TURN = Turn(5_000, 1_700_000_005_000)
SPEC = JobSpec(name="j")


def view(
    sight: Sight,
    state: FlinkState | None = None,
    *,
    ran: bool = False,
    exit_code: int | None = None,
    lost: tuple[int | None, ...] = (),
    savepoint: SavepointView = NO_SAVEPOINT,
    overdue: bool = False,
    failure: str = "",
) -> Observation:
    running = state is FlinkState.RUNNING and ran
    restored = "" if ran else None
    flink = FlinkJob(state, tasks_running=running, ever_ran=ran, failure=failure, restored=restored) if state else None
    seen = DeploymentView(
        sight,
        flink,
        exit_code,
        lost_taskmanagers=tuple(LostTaskManager(number, code) for number, code in enumerate(lost, 1)),
        savepoint=savepoint,
    )
    return Observation(deployment=seen, granted=True, overdue=overdue)


NOTHING = Observation()
STAGING = Observation(preparation=Preparation(PreparationState.IN_PROGRESS, "installing Flink"))
READY = Observation(preparation=Preparation(PreparationState.READY))
NOT_PREPARED = Observation(preparation=Preparation(PreparationState.FAILED, "no such object"))
GRANTED = Observation(granted=True)
NO_GRANT = Observation(granted=False, waiting_note="waiting for 2 CUs")
REMAINS = Observation(remains=True)

SILENT = view(Sight.LIVE)
CREATED = view(Sight.LIVE, FlinkState.CREATED)
RUNS = view(Sight.LIVE, FlinkState.RUNNING, ran=True)
LATE = view(Sight.LIVE, FlinkState.CREATED, overdue=True)
HIDDEN = view(Sight.UNREACHABLE)
FROZEN = view(Sight.UNRESPONSIVE)
KILLED = view(Sight.DEAD, exit_code=-9)
REMOVED = view(Sight.REMOVED)
ABSENT = view(Sight.ABSENT)
FAILED = view(Sight.LIVE, FlinkState.FAILED, ran=True, failure="boom")
FAILED_EARLY = view(Sight.LIVE, FlinkState.FAILED, failure="boom")
CANCELLING = view(Sight.LIVE, FlinkState.CANCELLING, ran=True)
CANCELED = view(Sight.LIVE, FlinkState.CANCELED, ran=True)
DRAINED = view(Sight.LIVE, FlinkState.FINISHED, ran=True)
FINISHED = view(Sight.DEAD, FlinkState.FINISHED, ran=True, exit_code=0)
EXITED = view(Sight.DEAD, exit_code=0)
TM_FAILED = view(Sight.LIVE, FlinkState.CREATED, lost=(1,))
SAVING = view(
    Sight.LIVE, FlinkState.RUNNING, ran=True, savepoint=SavepointView(SavepointState.IN_PROGRESS, "obs://b/s1")
)
SAVED = view(Sight.LIVE, FlinkState.FINISHED, ran=True, savepoint=SavepointView(SavepointState.DONE, "obs://b/s1"))
SAVED_AND_GONE = view(
    Sight.DEAD, FlinkState.FINISHED, ran=True, exit_code=0, savepoint=SavepointView(SavepointState.DONE, "obs://b/s1")
)
NOT_SAVED = view(
    Sight.LIVE, FlinkState.RUNNING, ran=True, savepoint=SavepointView(SavepointState.FAILED, reason="too slow")
)
MADE = view(
    Sight.LIVE, FlinkState.RUNNING, ran=True, savepoint=SavepointView(SavepointState.DONE, "obs://b/s1")
)  # and the job goes on
MADE_AND_KILLED = view(Sight.DEAD, exit_code=-9, savepoint=SavepointView(SavepointState.DONE, "obs://b/s1"))
OVERDUE = replace(RUNS, overdue=True)
SAVING_TOO_LONG = replace(SAVING, overdue=True)

Step = Ask | Observation


def ask(job: Job, asked: Ask) -> Job:
    desired = Desired(
        goal=asked.goal,
        request_no=job.desired.request_no + 1,
        resume_savepoint=asked.goal is Goal.RUN and asked.savepoint,
        trigger_savepoint=asked.goal is Goal.STOP and asked.savepoint,
    )
    return replace(job, desired=desired)


def told(decision: Decision) -> str:
    match decision:
        case Move(record):
            return str(record.phase)
        case Act(action):
            return type(action).__name__
        case Wait():
            return "."


def live(steps: Sequence[Step], record: Record = NEVER_RUN, spec: JobSpec = SPEC) -> tuple[Job, str]:
    """The job after these steps, all within one hour, and all that was decided."""
    job = Job(1, "p", spec, Desired(request_no=record.request_seen), record)
    cap = restart.cap(spec.restart_when_exception, spec.resume_max_num)
    story = []
    for step in steps:
        if isinstance(step, Ask):
            job = ask(job, step)
            continue
        decision = decide(job, replace(step, budget=Budget(cap, job.record.restarts), turn=TURN))
        story.append(told(decision))
        if isinstance(decision, Move):
            job = replace(job, record=decision.record)
    return job, " ".join(story)


TO_WAITING = (RUN, NOTHING, NOTHING, STAGING, READY)
TO_STARTING = (*TO_WAITING, NO_GRANT, GRANTED)
TO_RUNNING = (*TO_STARTING, ABSENT, SILENT, CREATED, RUNS)
RUNNING_STORY = "preparing Prepare . waiting . starting Deploy . . running"
STARTING_STORY = "preparing Prepare . waiting . starting"
