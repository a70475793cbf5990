"""DLI's words: the bodies of job requests, and the ``job_*`` word of each phase.

Every field is of the JSON type that DLI documents: a number in quotes is refused. ``null`` means the same as absence:
the default on create, no change on update. ``""`` and ``[]`` clear a field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, assert_never

from pydantic import Field

from headrace.api.fields import (
    MAX_INT,
    BucketOrNone,
    Checked,
    CheckpointPath,
    ClassName,
    File,
    Files,
    JobIdList,
    Memory,
    Name,
    QueueName,
    ResumeMaxNum,
    TagKey,
    TagValue,
    Text,
    Topic,
    Wire,
    no_more_than,
    one_of,
    up_to,
    whole,
)
from headrace.domain.job import Job, JobSpec, Phase, ResourceConfig, ResourceSpec
from headrace.domain.sizing import memory_mb
from headrace.store.jobs import shown_phase

__all__ = ["MAX_INT", "Text", "Wire"]  # of fields.py, which most families know by this name

STATUS_WORDS = (
    "job_init",
    "job_submitting",
    "job_submit_fail",
    "job_running",
    "job_running_exception",
    "job_downloading",
    "job_idle",
    "job_canceling",
    "job_cancel_success",
    "job_cancel_fail",
    "job_savepointing",
    "job_arrearage_stopped",
    "job_arrearage_recovering",
    "job_finish",
)
"""All words of DLI; Headrace never shows downloading, idle and the two of arrears."""

MAX_STATUS_DESC = 2048
"""Characters of a ``status_desc``: DLI's console shows it while the mouse is over the status."""

JOB_TYPES = ("flink_sql_job", "flink_jar_job", "flink_opensource_sql_job", "flink_sql_edge_job")


def status_of(job: Job) -> str:
    """The word that a user reads as the job's status."""
    return status_word(shown_phase(job), job.record.outcome)


def status_word(phase: Phase, outcome: Phase | None = None) -> str:
    """DLI's word for a phase; ``outcome`` is what follows CLEARING."""
    match phase:
        case Phase.DRAFT:
            return "job_init"
        case Phase.PREPARING | Phase.WAITING | Phase.STARTING | Phase.RESTARTING:
            return "job_submitting"
        case Phase.RUNNING:
            return "job_running"
        case Phase.STOP_FAILED:
            return "job_cancel_fail"
        case Phase.SAVING | Phase.SAVEPOINTING:
            return "job_savepointing"
        case Phase.CANCELING:
            return "job_canceling"
        case Phase.CLEARING:
            # Until its processes are gone, a job is shown as it was: a poller reads one final word, once.
            return "job_submitting" if outcome in (Phase.SUBMIT_FAILED, Phase.RESTARTING) else "job_running"
        case Phase.STOPPED | Phase.DELETED:  # a deleted job is shown to nobody
            return "job_cancel_success"
        case Phase.FINISHED:
            return "job_finish"
        case Phase.SUBMIT_FAILED:
            return "job_submit_fail"
        case Phase.FAILED:
            return "job_running_exception"
        case _:
            assert_never(phase)


class Tag(Wire):
    """One tag, after the newer of the two rules of DLI's create page (dli-contract §2.3)."""

    key: Annotated[
        TagKey,
        Field(description="1 to 128 letters, digits, spaces and `_.:=+-@`; not `_sys_…`", examples=["team"]),
    ]
    value: Annotated[
        TagValue, Field(description="At most 255 letters, digits, spaces and `_.:+-@`", examples=["payments"])
    ]


def _keys_differ(tags: list[Tag]) -> list[Tag]:
    keys = [tag.key for tag in tags]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} is given twice")
    return tags


Tags = Annotated[list[Tag], no_more_than(20, "tags"), Checked(_keys_differ)]


class SpecFields(Wire):
    """CPU and memory of one kind of process."""

    cpu: Annotated[
        Annotated[float, Field(ge=0.5, le=10000, allow_inf_nan=False)] | None,
        Field(description="vCPUs of one process; 1 by default", examples=[1.0]),
    ] = None
    memory: Annotated[
        Memory | None,
        Field(
            description="Memory of one process, at least 2 GB; in GB without a unit; 4 GB by default", examples=["4G"]
        ),
    ] = None

    def applied(self, spec: ResourceSpec) -> ResourceSpec:
        """``spec`` with what is given here."""
        return ResourceSpec(
            cpu=spec.cpu if self.cpu is None else self.cpu,
            memory_mb=spec.memory_mb if self.memory is None else memory_mb(self.memory, "memory"),
        )


class ResourceFields(Wire):
    """``resource_config``: what the processes of a v2 job get."""

    max_slot: Annotated[
        Annotated[int, whole(1, 10000)] | None, Field(description="Slots of one TaskManager; 1 by default")
    ] = None
    parallel_number: Annotated[
        Annotated[int, whole(1, 32768)] | None, Field(description="Default parallelism; 1 by default")
    ] = None
    jobmanager_resource_spec: Annotated[SpecFields | None, Field(description="The JobManager's share")] = None
    taskmanager_resource_spec: Annotated[SpecFields | None, Field(description="The share of each TaskManager")] = None

    def applied(self, config: ResourceConfig) -> ResourceConfig:
        """``config`` with what is given here."""
        return ResourceConfig(
            max_slot=config.max_slot if self.max_slot is None else self.max_slot,
            parallel_number=config.parallel_number if self.parallel_number is None else self.parallel_number,
            jobmanager=(self.jobmanager_resource_spec or SpecFields()).applied(config.jobmanager),
            taskmanager=(self.taskmanager_resource_spec or SpecFields()).applied(config.taskmanager),
        )


class JobFields(Wire):
    """What create and update have in common; limits are DLI's (dli-contract §1.1, §4)."""

    name: Annotated[
        Name | None,
        Field(
            description="1 to 57 letters of any script, digits, `-` and `_`; unique in the project", examples=["job"]
        ),
    ] = None
    desc: Annotated[Annotated[Text, up_to(512)] | None, Field(description="For people; at most 512 characters")] = None
    queue_name: Annotated[
        QueueName | None,
        Field(description="A queue of type general, whatever the case; needed to run, not to create", examples=["q"]),
    ] = None
    cu_number: Annotated[
        Annotated[int, whole(2, 10000)] | None,
        Field(description="CUs of the JobManager and of all TaskManagers together; 2 by default; v1 only"),
    ] = None
    manager_cu_number: Annotated[
        Annotated[int, whole(1, 10000)] | None, Field(description="CUs of the JobManager; 1 by default; v1 only")
    ] = None
    parallel_number: Annotated[
        Annotated[int, whole(1, 2000)] | None,
        Field(
            description="Default parallelism, at most 4 × (`cu_number` − `manager_cu_number`); 1 by default; v1 only"
        ),
    ] = None
    tm_cus: Annotated[
        Annotated[int, whole(1, 10000)] | None, Field(description="CUs of one TaskManager; 1 by default; v1 only")
    ] = None
    tm_slot_num: Annotated[
        Annotated[int, whole(0, 10000)] | None,
        Field(description="Slots of one TaskManager; 0 = as many as the parallelism needs; v1 only"),
    ] = None
    checkpoint_enabled: Annotated[
        bool | None, Field(description="Whether Headrace makes Flink checkpoint; needs `obs_bucket`; false by default")
    ] = None
    checkpoint_mode: Annotated[
        Annotated[
            int | None,
            one_of(
                {1: 1, 2: 2, "exactly_once": 1, "at_least_once": 2},
                'must be 1 (or "exactly_once") or 2 (or "at_least_once")',
            ),
        ],
        Field(description="1 = exactly once (by default), 2 = at least once; the words of the answers do as well"),
    ] = None
    checkpoint_interval: Annotated[
        Annotated[int, whole(1, 999999)] | None, Field(description="Seconds between checkpoints; 30 by default")
    ] = None
    log_enabled: Annotated[
        bool | None, Field(description="Whether logs are kept in the bucket; needs `obs_bucket`; false by default")
    ] = None
    obs_bucket: Annotated[
        BucketOrNone | None,
        Field(description="Name of the bucket for checkpoints, savepoints and logs", examples=["b"]),
    ] = None
    smn_topic: Annotated[
        Topic | None, Field(description="Name (not URN) of the topic whose subscribers hear of a failure")
    ] = None
    main_class: Annotated[
        ClassName | None,
        Field(description="Fully qualified; absent: that of the JAR's manifest", examples=["org.example.Main"]),
    ] = None
    entrypoint_args: Annotated[
        Annotated[Text, up_to(100_000)] | None,  # Linux: 128 KB for one argument
        Field(
            description="Arguments of main(), split at blanks, with the quotes and backslashes of a shell; `{{name}}` "
            "is the global variable of that name",
            examples=["--rate 3"],
        ),
    ] = None
    restart_when_exception: Annotated[
        bool | None,
        Field(description="Whether a job that fails after it ran is restarted; false (the default): it ends"),
    ] = None
    entrypoint: Annotated[
        File | None,
        Field(
            description="The JAR: `obs://bucket/path`, or a package `group/file.jar` or `file.jar`; needed to run",
            examples=["obs://b/app.jar"],
        ),
    ] = None
    dependency_jars: Annotated[
        Files | None, Field(description="More JARs of the class path, named like the entrypoint; base names differ")
    ] = None
    dependency_files: Annotated[
        Files | None, Field(description="Files that the job finds as `userData/<base name>` on its class path")
    ] = None
    execution_agency_urn: Annotated[
        Annotated[Text, up_to(255)] | None, Field(description="Kept and read back; jobs need no agency here")
    ] = None
    resume_checkpoint: Annotated[
        bool | None,
        Field(
            description="Whether a restart goes on from the newest checkpoint; false (the default): it begins without "
            "state"
        ),
    ] = None
    resume_max_num: Annotated[
        ResumeMaxNum | None,
        Field(description="Restarts within any 60 minutes, from 1; -1 (the default) = no limit"),
    ] = None
    checkpoint_path: Annotated[
        CheckpointPath | None,
        Field(
            description="Where checkpoints go instead of `<obs_bucket>/jobs/checkpoint/<job id>`, be they of Headrace "
            "or of the JAR's own code: `bucket/folder`, in a bucket of the project",
            examples=["b/checkpoints"],
        ),
    ] = None
    runtime_config: Annotated[
        Annotated[Text, up_to(100_000)] | None,
        Field(
            description='Flink options: JSON text `[{"key":…,"value":…}]`, or lines of `key=value`',
            examples=['[{"key":"taskmanager.memory.managed.fraction","value":"0.2"}]'],
        ),
    ] = None
    resource_config_version: Annotated[
        Literal["v1", "v2"] | None,
        Field(description="v1 (the default): CUs size the job; v2: `resource_config` does"),
    ] = None
    resource_config: Annotated[ResourceFields | None, Field(description="Sizes of a v2 job; kept but idle in v1")] = (
        None
    )
    feature: Annotated[
        Literal["basic", "custom"] | None, Field(description="basic; custom (images) is refused, `DLI.0007`")
    ] = None
    flink_version: Annotated[
        Annotated[Text, up_to(64)] | None,
        Field(description="A version that Headrace can install; absent: the operator's default", examples=["1.20"]),
    ] = None
    image: Annotated[
        Annotated[Text, up_to(1024)] | None, Field(description='`""` only: custom images need containers')
    ] = None
    flink_log_config: Annotated[
        Annotated[Text, up_to(100_000)] | None,
        Field(
            description="Levels of loggers, as JSON text",
            examples=['{"root_logger_level":"INFO","loggers_level_of_class":{"org.apache.flink":"WARN"}}'],
        ),
    ] = None
    job_type: Annotated[Literal["flink_jar_job"] | None, Field(description="There are no others here")] = None
    edge_group_ids: Annotated[
        Annotated[list[Any], Field(max_length=0)] | None, Field(description="null or `[]`: there are no edge nodes")
    ] = None

    def applied(self, spec: JobSpec) -> JobSpec:
        """``spec`` with what this request gives."""
        changes: dict[str, Any] = {}
        for name in JobSpec.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None:
                convert = _CONVERSIONS.get(name)
                changes[name] = convert(value, spec) if convert else value
        return spec.evolve(**changes)


_CONVERSIONS: dict[str, Callable[[Any, JobSpec], Any]] = {
    "queue_name": lambda value, _: value.lower(),
    "dependency_jars": lambda value, _: tuple(value),
    "dependency_files": lambda value, _: tuple(value),
    "resource_config": lambda value, spec: value.applied(spec.resource_config),
}


class CreateJob(JobFields):
    """A new job: a draft, until it is run."""

    name: Annotated[
        Name,
        Field(
            description="1 to 57 letters of any script, digits, `-` and `_`; unique in the project", examples=["job"]
        ),
    ]
    tags: Annotated[Tags | None, Field(description="At most 20, with keys that differ")] = None


class UpdateJob(JobFields):
    """What changes; what is absent or null stays, `""` and `[]` clear. Tags have their own routes."""


class JobIds(Wire):
    """Some jobs; an id that is given twice counts once."""

    job_ids: Annotated[JobIdList, Field(description="1 to 100 jobs", examples=[[1]])]


class RunJobs(JobIds):
    """Jobs to run."""

    resume_savepoint: Annotated[
        bool | None, Field(description="Begin from the job's newest savepoint; false by default")
    ] = None


class StopJobs(JobIds):
    """Jobs to stop."""

    trigger_savepoint: Annotated[bool | None, Field(description="Make a savepoint first; false by default")] = None
