"""Rows <-> domain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase, Record, ResourceConfig, ResourceSpec


def spec_to_json(spec: JobSpec) -> dict[str, Any]:
    """A JobSpec as JSON values."""
    return asdict(spec)


def spec_from_json(data: dict[str, Any]) -> JobSpec:
    """The JobSpec of :func:`spec_to_json`; fields that an older version did not have take their defaults."""
    values = dict(data)
    config = dict(values.pop("resource_config", {}))
    for process in ("jobmanager", "taskmanager"):
        if process in config:
            config[process] = ResourceSpec(**config[process])
    for name in ("dependency_jars", "dependency_files"):
        values[name] = tuple(values.get(name, ()))
    return JobSpec(**values, resource_config=ResourceConfig(**config))


def desired_columns(desired: Desired) -> dict[str, Any]:
    """Columns of ``jobs`` that the API writes."""
    return asdict(desired)


def record_columns(record: Record) -> dict[str, Any]:
    """Columns of ``jobs`` that the reconciler writes."""
    return asdict(record)


def job_from_row(row: Row[Any]) -> Job:
    """A row of ``jobs``."""
    return Job(
        id=row.id,
        project_id=row.project_id,
        spec=spec_from_json(row.spec),
        desired=Desired(
            goal=Goal(row.goal),
            request_no=row.request_no,
            resume_savepoint=row.resume_savepoint,
            trigger_savepoint=row.trigger_savepoint,
            requested_ms=row.requested_ms,
            savepoint_target=row.savepoint_target,
        ),
        record=Record(
            phase=Phase(row.phase),
            attempt=row.attempt,
            request_seen=row.request_seen,
            outcome=Phase(row.outcome) if row.outcome else None,
            restore_path=row.restore_path,
            savepoint_path=row.savepoint_path,
            note=row.note,
            first_attempt=row.first_attempt,
            ran=row.ran,
            restarts=row.restarts,
            flink_restarts=row.flink_restarts,
            replacements=row.replacements,
            failure=row.failure,
            retry_ms=row.retry_ms,
        ),
        version=row.version,
        tags=tuple((key, value) for key, value in row.tags),
        user_name=row.user_name,
        user_id=row.user_id,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        variables=tuple((name, value) for name, value in row.variables),
    )
