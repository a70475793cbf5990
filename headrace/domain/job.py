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
    """The job has ended by itself (``Record.outcome`` says how); what is left of the deployment is being removed."""
    STOPPED = "stopped"
    FINISHED = "finished"
    SUBMIT_FAILED = "submit_failed"
    FAILED = "failed"
    DELETED = "deleted"


AT_REST = frozenset({Phase.DRAFT, Phase.STOPPED, Phase.FINISHED, Phase.SUBMIT_FAILED, Phase.FAILED})
"""Phases in which no deployment exists; only a new run request (or a delete) leaves them."""

LIVE = frozenset(Phase) - AT_REST - {Phase.DELETED}
"""Phases in which the job's current attempt is its one live deployment."""

HOLDING = LIVE - {Phase.PREPARING, Phase.WAITING}
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
        note: cause and suggestion for a person, DLI's ``status_desc``.
    """

    phase: Phase = Phase.DRAFT
    attempt: int = 0
    request_seen: int = 0
    outcome: Phase | None = None
    restore_path: str = ""
    savepoint_path: str = ""
    note: str = ""

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


def deployment_name(job_id: int, attempt: int) -> str:
    """``job-{id}-{attempt}``: the one name of one try at running a job."""
    return f"job-{job_id}-{attempt}"
