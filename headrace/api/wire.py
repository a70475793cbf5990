"""DLI's words: the bodies of job requests, and the ``job_*`` word of each phase.

Every field is of the JSON type that DLI documents: a number in quotes is refused. ``null`` means the same as absence:
the default on create, no change on update. ``""`` and ``[]`` clear a field.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, assert_never

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from headrace.domain.errors import BadField
from headrace.domain.job import Job, JobSpec, Phase, ResourceConfig, ResourceSpec
from headrace.domain.sizing import memory_mb
from headrace.objects.paths import parse_object
from headrace.store.jobs import shown_phase

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

JOB_TYPES = ("flink_sql_job", "flink_jar_job", "flink_opensource_sql_job", "flink_sql_edge_job")

MAX_INT = 2**31 - 1


def status_of(job: Job) -> str:
    """The word that a user reads as the job's status."""
    return status_word(shown_phase(job), job.record.outcome)


def status_word(phase: Phase, outcome: Phase | None = None) -> str:
    """DLI's word for a phase; ``outcome`` is what follows CLEARING."""
    match phase:
        case Phase.DRAFT:
            return "job_init"
        case Phase.PREPARING | Phase.WAITING | Phase.STARTING:
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
            return "job_submitting" if outcome is Phase.SUBMIT_FAILED else "job_running"
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


def _clean(text: str) -> str:
    if any((ord(char) < 32 and char not in "\t\n\r") or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise ValueError("must not hold control characters or halves of surrogate pairs")
    return text


Text = Annotated[str, AfterValidator(_clean)]


def _up_to(limit: int) -> AfterValidator:
    def check(text: str) -> str:
        if len(text) > limit:
            raise ValueError(f"has {len(text)} characters; at most {limit} are allowed")
        return text

    return AfterValidator(check)


def _shaped(pattern: str, remedy: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(remedy)
        return text

    return AfterValidator(check)


def _one_of(values: dict[str | int, int], remedy: str) -> BeforeValidator:
    def check(value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in values:
            raise ValueError(remedy)
        return values[value]

    return BeforeValidator(check)


def _whole(least: int, most: int = MAX_INT) -> Any:
    return Field(ge=least, le=most)


def _checkpoint_path(text: str) -> str:
    if text:
        try:
            parse_object("obs://" + text.removeprefix("obs://").rstrip("/"), "checkpoint_path")
        except BadField as error:
            raise ValueError('must be "bucket/folder", with or without "obs://" before it') from error
    return text


def _resume_max_num(number: int) -> int:
    if number != -1 and number <= 0:
        raise ValueError("must be -1 (no limit) or greater than 0")
    return number


def _memory(text: str) -> str:
    try:
        size = memory_mb(text, "memory")
    except BadField as error:
        raise ValueError('must be a size such as "4 GB" or "4096 MB"') from error
    if size < 2048:
        raise ValueError("must be at least 2 GB")
    return text


Name = Annotated[Text, _shaped(r"[\w-]{1,57}", "must be 1 to 57 letters, digits, '-' and '_', and no other characters")]
QueueName = Annotated[Text, _shaped(r"\w{0,128}", "must be at most 128 letters, digits and '_'")]
ClassName = Annotated[
    Text, _shaped(r"(?:(?![\d.])[\w$]+(?:\.(?!\d)[\w$]+)*)?", "must be a fully qualified class name such as a.b.Main")
]
Topic = Annotated[
    Text,
    _shaped(
        r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,254})?",
        "must be the name of a topic, not its URN: at most 255 letters, digits, '-' and '_'",
    ),
]


class Wire(BaseModel):
    """A request's body: types are strict, and what is not known is refused rather than ignored."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Tag(Wire):
    """One tag, after the newer of the two rules of DLI's create page (dli-contract §2.3)."""

    key: Annotated[
        Text,
        _shaped(
            r"(?! )(?!_sys_)[\w .:=+@-]{1,128}(?<! )",
            "must be 1 to 128 letters, digits, spaces and _.:=+-@, with no space at either end and no _sys_ before it",
        ),
    ]
    value: Annotated[Text, _shaped(r"[\w .:+@-]{0,255}", "must be at most 255 letters, digits, spaces and _.:+-@")]


def _tags(tags: list[Tag]) -> list[Tag]:
    if len(tags) > 20:
        raise ValueError("at most 20 tags are allowed")
    keys = [tag.key for tag in tags]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} is given twice")
    return tags


class SpecFields(Wire):
    """CPU and memory of one kind of process."""

    cpu: Annotated[float, Field(ge=0.5, le=10000, allow_inf_nan=False)] | None = None
    memory: Annotated[Text, AfterValidator(_memory)] | None = None

    def applied(self, spec: ResourceSpec) -> ResourceSpec:
        """``spec`` with what is given here."""
        return ResourceSpec(
            cpu=spec.cpu if self.cpu is None else self.cpu,
            memory_mb=spec.memory_mb if self.memory is None else memory_mb(self.memory, "memory"),
        )


class ResourceFields(Wire):
    """``resource_config``."""

    max_slot: Annotated[int, _whole(1, 10000)] | None = None
    parallel_number: Annotated[int, _whole(1, 32768)] | None = None
    jobmanager_resource_spec: SpecFields | None = None
    taskmanager_resource_spec: SpecFields | None = None

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

    name: Name | None = None
    desc: Annotated[Text, _up_to(512)] | None = None
    queue_name: QueueName | None = None
    cu_number: Annotated[int, _whole(2, 10000)] | None = None
    manager_cu_number: Annotated[int, _whole(1, 10000)] | None = None
    parallel_number: Annotated[int, _whole(1, 2000)] | None = None
    tm_cus: Annotated[int, _whole(1, 10000)] | None = None
    tm_slot_num: Annotated[int, _whole(0, 10000)] | None = None
    checkpoint_enabled: bool | None = None
    checkpoint_mode: Annotated[
        int | None,
        _one_of(
            {1: 1, 2: 2, "exactly_once": 1, "at_least_once": 2},
            'must be 1 (or "exactly_once") or 2 (or "at_least_once")',
        ),
    ] = None
    checkpoint_interval: Annotated[int, _whole(1, 999999)] | None = None
    log_enabled: bool | None = None
    obs_bucket: Text | None = None
    smn_topic: Topic | None = None
    main_class: ClassName | None = None
    entrypoint_args: Annotated[Text, _up_to(100_000)] | None = None  # Linux: 128 KB for one argument
    restart_when_exception: bool | None = None
    entrypoint: Text | None = None
    dependency_jars: list[Text] | None = None
    dependency_files: list[Text] | None = None
    execution_agency_urn: Annotated[Text, _up_to(255)] | None = None
    resume_checkpoint: bool | None = None
    resume_max_num: Annotated[int, AfterValidator(_resume_max_num), Field(le=MAX_INT)] | None = None
    checkpoint_path: Annotated[Text, AfterValidator(_checkpoint_path)] | None = None
    runtime_config: Text | None = None
    resource_config_version: Literal["v1", "v2"] | None = None
    resource_config: ResourceFields | None = None
    feature: Literal["basic", "custom"] | None = None
    flink_version: Annotated[Text, _up_to(64)] | None = None
    image: Text | None = None
    flink_log_config: Text | None = None
    job_type: Literal["flink_jar_job"] | None = None
    edge_group_ids: Annotated[list[Any], Field(max_length=0)] | None = None

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
    """POST flink-jobs."""

    name: Name
    tags: Annotated[list[Tag], AfterValidator(_tags)] | None = None


class UpdateJob(JobFields):
    """PUT flink-jobs/{job_id}; tags have their own routes."""


class JobIds(Wire):
    """A batch; an id that is given twice counts once."""

    job_ids: Annotated[list[int], Field(min_length=1, max_length=100)]


class RunJobs(JobIds):
    """POST jobs/run."""

    resume_savepoint: bool | None = None


class StopJobs(JobIds):
    """POST jobs/stop."""

    trigger_savepoint: bool | None = None
