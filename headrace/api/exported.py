"""One job in a file of exported jobs: the fields of a create, and which job it was (docs/export-format.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from headrace.api.errors import bad_field
from headrace.api.fields import JobId
from headrace.api.sound import check_json
from headrace.api.wire import CreateJob
from headrace.domain.errors import BadBundle, Refused
from headrace.domain.job import Job, JobSpec, ResourceConfig, ResourceSpec


class ExportedJob(CreateJob):
    """A create's body, and the id that the job had."""

    job_id: JobId
    job_type: Literal["flink_jar_job"]


@dataclass(frozen=True)
class Found:
    """A job that was found in a file; ``where``: in which, for messages."""

    where: str
    job_id: int
    spec: JobSpec
    tags: tuple[tuple[str, str], ...]


def document(job: Job) -> dict[str, Any]:
    """The job as its file has it: what a user said of it, and nothing of its state."""
    fields = {name: getattr(job.spec, name) for name in JobSpec.__dataclass_fields__}
    return {
        "job_id": job.id,
        "job_type": "flink_jar_job",
        **fields,
        "dependency_jars": list(job.spec.dependency_jars),
        "dependency_files": list(job.spec.dependency_files),
        "resource_config": _resources(job.spec.resource_config),
        "tags": [{"key": key, "value": value} for key, value in job.tags],
    }


def read(where: str, job_id: int, content: bytes) -> Found:
    """The job of a document.

    Raises:
        BadBundle: it is none, or a create with its fields would be refused.
    """
    try:
        body = ExportedJob.model_validate(check_json(content))
    except Refused as error:
        raise BadBundle(f"{where}: {error}") from error
    except ValidationError as error:
        raise BadBundle(f"{where}: {bad_field(error.errors())}") from error
    if body.job_id != job_id:
        raise BadBundle(f"{where}: job_id={body.job_id} is not that of the entry's name.")
    tags = tuple((tag.key, tag.value) for tag in body.tags or ())
    return Found(where, job_id, body.applied(JobSpec(name=body.name)), tags)


def _resources(config: ResourceConfig) -> dict[str, Any]:
    return {
        "max_slot": config.max_slot,
        "parallel_number": config.parallel_number,
        "jobmanager_resource_spec": _process(config.jobmanager),
        "taskmanager_resource_spec": _process(config.taskmanager),
    }


def _process(spec: ResourceSpec) -> dict[str, Any]:
    return {"cpu": spec.cpu, "memory": f"{spec.memory_mb} MB"}
