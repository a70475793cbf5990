"""What was seen of a job, by looking at the world just now. Nobody stores it as truth."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
class FlinkJob:
    """What Flink says of the job, by REST or by its archive; several ``execute()`` calls are folded into one.

    Attributes:
        tasks_running: every task of the job runs now.
        ever_ran: at one time all its tasks had been deployed.
        restarts: Flink's in-place restarts so far.
        failure: Flink's root exception, "" = none.
    """

    state: FlinkState
    tasks_running: bool = False
    ever_ran: bool = False
    restarts: int = 0
    failure: str = ""


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
class DeploymentView:
    """One deployment as a runtime sees it.

    Attributes:
        flink: None = not known (REST does not answer yet, or no archive was left).
        exit_code: of the JobManager, with DEAD: 0–255, or minus the signal number; None = not known.
        lost_taskmanagers: exit codes of TaskManagers that ended while the JobManager lives.
        savepoint: of the request that was asked about.
        evidence: what the processes themselves left behind (last error in a log), for the explanation.
    """

    sight: Sight = Sight.ABSENT
    flink: FlinkJob | None = None
    exit_code: int | None = None
    lost_taskmanagers: tuple[int | None, ...] = ()
    savepoint: SavepointView = SavepointView()
    evidence: str = ""


class PreparationState(StrEnum):
    """How far the engine and the artifacts of the attempt are."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class Preparation:
    """Preparation of one attempt; ``note`` says what is going on, or why it failed."""

    state: PreparationState = PreparationState.NOT_STARTED
    note: str = ""


@dataclass(frozen=True)
class Observation:
    """All that ``decide`` is told about the world.

    Attributes:
        granted: the job holds its CUs and memory.
        waiting_note: why it does not hold them yet.
        overdue: the current phase has lasted longer than its patience (a setting, on a monotonic clock).
        remains: folders of the job are left on the runtime.
    """

    deployment: DeploymentView = DeploymentView()
    preparation: Preparation = Preparation()
    granted: bool = False
    waiting_note: str = ""
    overdue: bool = False
    remains: bool = False
