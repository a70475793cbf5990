"""What was seen of a job, by looking at the world just now. Nobody stores it as truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.restart import NO_RESTARTS, Budget


class Sight(StrEnum):
    """What a runtime can say of one deployment."""

    ABSENT = "absent"
    """No process of this name was ever started, as far as can be seen."""
    LIVE = "live"
    """The JobManager's process lives."""
    UNRESPONSIVE = "unresponsive"
    """The JobManager's process lives, but its REST has been silent past the deadline."""
    DEAD = "dead"
    """The JobManager's process was started and its end was seen."""
    UNREACHABLE = "unreachable"
    """Neither the process nor REST can be judged. This is not failure: nothing is concluded, nothing is done."""
    REMOVED = "removed"
    """Fenced: no process of this name lives, and none can ever be started again."""


class FlinkState(StrEnum):
    """Flink's own JobStatus (org.apache.flink.api.common.JobStatus)."""

    INITIALIZING = "INITIALIZING"
    CREATED = "CREATED"
    RUNNING = "RUNNING"
    FAILING = "FAILING"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"
    RESTARTING = "RESTARTING"
    SUSPENDED = "SUSPENDED"
    RECONCILING = "RECONCILING"


TERMINAL = frozenset({FlinkState.FAILED, FlinkState.CANCELED, FlinkState.FINISHED})


@dataclass(frozen=True)
class Trace:
    """What a stack trace, or the last error in a log, says.

    Attributes:
        causes: the exceptions, each as "class: message" in one line, outermost first; the last is the root.
        thrown_at: the first frame of the root that is neither Java's nor Flink's: "com.acme.Job.map(Job.java:12)".
    """

    causes: tuple[str, ...] = ()
    thrown_at: str = ""

    @property
    def root(self) -> str:
        """The innermost cause, "" = none."""
        return self.causes[-1] if self.causes else ""


@dataclass(frozen=True)
class FlinkJob:
    """What Flink says of the job, by REST or by its archive; several ``execute()`` calls are folded into one.

    Attributes:
        tasks_running: every task of the job runs now.
        ever_ran: at one time all its tasks had been deployed.
        restarts: Flink's in-place restarts so far.
        failure: Flink's root exception, "" = none.
        restored: where Flink says that it has the job's state from, "" = from nowhere; None = not known yet.
        own: that is a checkpoint of this very deployment, taken by a restart in place.
        own_strategy: Flink's words for a restart strategy that the job's code has set, "" = none.
        trace: the failure with all that wraps it.
        failed_on: Flink's id of the TaskManager whose task failed, "" = none, or not known.
    """

    state: FlinkState
    tasks_running: bool = False
    ever_ran: bool = False
    restarts: int = 0
    failure: str = ""
    restored: str | None = None
    own: bool = False
    own_strategy: str = ""
    trace: Trace = Trace()
    failed_on: str = ""


class SavepointState(StrEnum):
    """How the savepoint of one request stands."""

    NONE = "none"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class SavepointView:
    """The savepoint of one request, whether the job stops with it or goes on; ``path`` when DONE, ``reason`` when
    FAILED.
    """

    state: SavepointState = SavepointState.NONE
    path: str = ""
    reason: str = ""


@dataclass(frozen=True)
class LostTaskManager:
    """A TaskManager of a deployment that ended while its JobManager lived.

    Attributes:
        number: from 1; replacements count on.
        exit_code: 0–255, or minus the signal number; None = not known.
        evidence: last error in its log.
        silent: it lived but was not heard of past the deadline, and was ended by Headrace.
        oom_killed: the kernel ended it for want of memory.
        log: its log file, relative to Headrace's home.
        trace: the evidence with all that wraps it.
    """

    number: int
    exit_code: int | None = None
    evidence: str = ""
    silent: bool = False
    oom_killed: bool = False
    log: str = ""
    trace: Trace = Trace()


@dataclass(frozen=True)
class StateView:
    """The newest state from which a deployment's lineage can go on, seen when nothing of it lives any more.

    Attributes:
        path: of the checkpoint or savepoint; "" = none, the lineage began clean and has completed nothing.
        checkpoint_id: Flink's number of it within the lineage; None without a path.
        problem: why it cannot be gone on from, though there was state; "" = it can.
    """

    path: str = ""
    checkpoint_id: int | None = None
    problem: str = ""


@dataclass(frozen=True)
class DeploymentView:
    """One deployment as a runtime sees it.

    Attributes:
        flink: None = not known (REST does not answer yet, or no archive was left).
        exit_code: of the JobManager, with DEAD: 0–255, or minus the signal number; None = not known.
        lost_taskmanagers: all that ended while the JobManager lived (with LIVE: and are due to be replaced).
        replaced: how many TaskManagers were started in place of others.
        silent_taskmanagers: numbers of those that live, but that Flink has not heard of past the deadline.
        savepoint: of the request that was asked about.
        evidence: what the processes themselves left behind (last error in a log), for the explanation.
        rebooted: with DEAD: the machine was started anew since.
        oom_killed: with DEAD: the kernel ended the JobManager for want of memory.
        log: the file that ``evidence`` is from, or else the JobManager's log, relative to Headrace's home.
        trace: the evidence with all that wraps it.
    """

    sight: Sight = Sight.ABSENT
    flink: FlinkJob | None = None
    exit_code: int | None = None
    lost_taskmanagers: tuple[LostTaskManager, ...] = ()
    replaced: int = 0
    silent_taskmanagers: tuple[int, ...] = ()
    savepoint: SavepointView = SavepointView()
    evidence: str = ""
    rebooted: bool = False
    oom_killed: bool = False
    log: str = ""
    trace: Trace = Trace()


class PreparationState(StrEnum):
    """How far the engine and the artifacts of the attempt are."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Preparation:
    """Preparation of one attempt; ``note`` says what is going on, or why it failed; ``heals``: it may go well the next
    time, without anybody changing the job (the disk was full, a download broke off); ``passes``: and without anybody
    doing anything at all (the object storage does not answer).
    """

    state: PreparationState = PreparationState.NOT_STARTED
    note: str = ""
    heals: bool = False
    passes: bool = False


@dataclass(frozen=True)
class Turn:
    """When the next attempt of a restarting job may begin: in milliseconds of the job clock, and for people to read."""

    at_ms: int = 0
    wall_ms: int = 0


@dataclass(frozen=True)
class Observation:
    """All that ``decide`` is told about the world.

    Attributes:
        granted: the job holds its CUs and memory.
        waiting_note: why it does not hold them yet.
        overdue: the current phase has lasted longer than its patience (a setting, on a monotonic clock).
        remains: folders of the job are left on the runtime.
        budget: restarts of the sliding hour.
        turn: when the next attempt may begin, should the deployment be restarted now.
        due: in RESTARTING: that time has come.
        state: of a deployment that is removed.
    """

    deployment: DeploymentView = DeploymentView()
    preparation: Preparation = Preparation()
    granted: bool = False
    waiting_note: str = ""
    overdue: bool = False
    remains: bool = False
    budget: Budget = NO_RESTARTS
    turn: Turn = Turn()
    due: bool = False
    state: StateView = StateView()
