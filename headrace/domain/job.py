"""A Job: what was asked (JobSpec, Desired) and what was recorded (Phase, Record)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a job's life stands; only the reconciler writes it. The API shows it as one of DLI's ``job_*`` words."""

    DRAFT = "draft"
    """Created, never run."""
    PREPARING = "preparing"
    """The engine is installed and the artifacts are staged; nothing is held yet."""
    WAITING = "waiting"
    """Ready to start; waits for its CUs and memory."""
    STARTING = "starting"
    """The grant is held; the deployment may be started, and its tasks are awaited."""
    RUNNING = "running"
    STOP_FAILED = "stop_failed"
    """A stop with savepoint failed; the job still runs and can be stopped again."""
    SAVING = "saving"
    """A savepoint of the running job was asked for; the job goes on meanwhile and afterwards."""
    SAVEPOINTING = "savepointing"
    """A stop with savepoint was asked for; the job ends when the savepoint is made."""
    CANCELING = "canceling"
    """A stop was asked; the deployment is being cancelled and removed."""
    CLEARING = "clearing"
    """The deployment has ended by itself; what is left of it is being removed. ``Record.outcome`` is what follows."""
    RESTARTING = "restarting"
    """A deployment has failed and nothing of it is left; the next one is begun at ``Record.retry_ms``."""
    STOPPED = "stopped"
    FINISHED = "finished"
    SUBMIT_FAILED = "submit_failed"
    FAILED = "failed"
    DELETED = "deleted"


AT_REST = frozenset({Phase.DRAFT, Phase.STOPPED, Phase.FINISHED, Phase.SUBMIT_FAILED, Phase.FAILED})
"""Phases in which no deployment exists; only a new run request (or a delete) leaves them."""

LIVE = frozenset(Phase) - AT_REST - {Phase.DELETED, Phase.RESTARTING}
"""Phases in which the job's current attempt is its one live deployment."""

ACTIVE = LIVE | {Phase.RESTARTING}
"""Phases of a job that is on its way or runs: all that are neither at rest nor deleted."""

HOLDING = ACTIVE - {Phase.PREPARING, Phase.WAITING}
"""Phases in which a grant of CUs may be held (always in STARTING, RUNNING and SAVING)."""


class Goal(StrEnum):
    """What the user wants of the job."""

    REST = "rest"
    RUN = "run"
    SAVEPOINT = "savepoint"
    """To run on, and to be saved once."""
    STOP = "stop"
    DELETE = "delete"


@dataclass(frozen=True)
class Desired:
    """What was asked last; only the API writes it.

    Attributes:
        request_no: counts run, savepoint, stop and delete requests; the reconciler records in ``Record.request_seen``
            which of them it has taken up.
        resume_savepoint: with RUN: restore from the latest savepoint.
        trigger_savepoint: with STOP: make a savepoint first.
        savepoint_target: with SAVEPOINT: the folder below which it goes, ``obs://bucket/folder``; "" = the job's own
            (``domain/deployment.py``). A stop that comes meanwhile keeps it.
        requested_ms: when, in epoch milliseconds.
    """

    goal: Goal = Goal.REST
    request_no: int = 0
    resume_savepoint: bool = False
    trigger_savepoint: bool = False
    requested_ms: int = 0
    savepoint_target: str = ""


@dataclass(frozen=True)
class Record:
    """What the reconciler recorded.

    Attributes:
        attempt: number of the current or last deployment; 0 before the first.
        request_seen: the newest ``Desired.request_no`` that was taken up.
        outcome: in CLEARING, the phase that follows; otherwise None.
        restore_path: what the current attempt was told to restore from; "" = a clean start.
        savepoint_path: the newest savepoint of the job, made or (by the API, of a job at rest) imported; "" = none.
            A checkpoint, where a stop with savepoint found the job restarting or failing: Flink restores from either.
        note: what goes on, cause and suggestion for a person: DLI's ``status_desc``, behind ``failure``.
        first_attempt: the attempt with which the present run began, the one that a run request made.
        ran: all tasks have run at one time of the present run.
        restarts: restarts of the present run, Flink's in place and new deployments together: DLI's ``restart_times``.
        flink_restarts: how many of them Flink made in place within the current attempt.
        replacements: TaskManagers of the current attempt that ended and are to be replaced.
        failure: why the current attempt is a restart, or will be one, "" once it runs; in CLEARING: why it ended.
        retry_ms: in RESTARTING: when the next attempt is due, in milliseconds of the job clock (store/timeline.py).
    """

    phase: Phase = Phase.DRAFT
    attempt: int = 0
    request_seen: int = 0
    outcome: Phase | None = None
    restore_path: str = ""
    savepoint_path: str = ""
    note: str = ""
    first_attempt: int = 0
    ran: bool = False
    restarts: int = 0
    flink_restarts: int = 0
    replacements: int = 0
    failure: str = ""
    retry_ms: int = 0

    @property
    def restarted(self) -> bool:
        """Whether the current attempt follows one of the same run that failed."""
        return self.attempt > self.first_attempt > 0

    @property
    def told(self) -> str:
        """DLI's ``status_desc``."""
        return " ".join(part for part in (self.failure, self.note) if part)

    def evolve(self, **changes: Any) -> Record:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class ResourceSpec:
    """CPU (in vCPUs) and memory (in MB, as DLI counts it: 1 CU has 4096) of one process."""

    cpu: float = 1.0
    memory_mb: int = 4096


@dataclass(frozen=True)
class ResourceConfig:
    """DLI's ``resource_config``: effective with ``resource_config_version`` v2 only."""

    max_slot: int = 1
    parallel_number: int = 1
    jobmanager: ResourceSpec = ResourceSpec()
    taskmanager: ResourceSpec = ResourceSpec()


@dataclass(frozen=True)
class JobSpec:
    """The user's definition of a job, under DLI's field names (dli-contract §1.1); defaults are DLI's."""

    name: str
    desc: str = ""
    queue_name: str = ""
    cu_number: int = 2
    manager_cu_number: int = 1
    parallel_number: int = 1
    tm_cus: int = 1
    tm_slot_num: int = 0
    checkpoint_enabled: bool = False
    checkpoint_mode: int = 1
    checkpoint_interval: int = 30
    log_enabled: bool = False
    obs_bucket: str = ""
    smn_topic: str = ""
    main_class: str = ""
    entrypoint_args: str = ""
    restart_when_exception: bool = False
    entrypoint: str = ""
    dependency_jars: tuple[str, ...] = ()
    dependency_files: tuple[str, ...] = ()
    execution_agency_urn: str = ""
    resume_checkpoint: bool = False
    resume_max_num: int = -1
    checkpoint_path: str = ""
    runtime_config: str = ""
    resource_config_version: str = "v1"
    resource_config: ResourceConfig = ResourceConfig()
    feature: str = "basic"
    flink_version: str = ""
    image: str = ""
    flink_log_config: str = ""

    def evolve(self, **changes: Any) -> JobSpec:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Job:
    """The user's lasting definition and its recorded state.

    Attributes:
        id: DLI's ``job_id``, unique over all projects.
        version: optimistic lock; each write of the store raises it by one.
        variables: (name, value) of the global variables that the current attempt was begun with; later changes of them
            are the next attempt's.
    """

    id: int
    project_id: str
    spec: JobSpec
    desired: Desired = Desired()
    record: Record = Record()
    version: int = 0
    tags: tuple[tuple[str, str], ...] = ()
    user_name: str = ""
    user_id: str = ""
    created_ms: int = 0
    updated_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def deployment(self) -> str:
        """Deterministic name of the current attempt's deployment."""
        return deployment_name(self.id, self.record.attempt)

    @property
    def request_pending(self) -> bool:
        """Whether the newest request has not been taken up yet."""
        return self.desired.request_no > self.record.request_seen


def may_hold(record: Record) -> bool:
    """Whether a grant of CUs stays: a job that restarts keeps its own, so that nobody takes its place."""
    if record.phase is Phase.PREPARING:
        return record.restarted
    return record.phase in HOLDING or record.phase is Phase.WAITING


def job_of(deployment: str) -> int:
    """Number of the job whose deployment has this name."""
    return int(deployment.split("-")[1])


def attempt_of(deployment: str) -> int:
    """Number of the attempt that has this name."""
    return int(deployment.split("-")[2])


def deployment_name(job_id: int, attempt: int) -> str:
    """``job-{id}-{attempt}``: the one name of one try at running a job."""
    return f"job-{job_id}-{attempt}"
