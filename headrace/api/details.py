"""A job as DLI's responses show it (dli-contract §1.5, §1.6); ``null`` and constants stand where DLI has them."""

from __future__ import annotations

import json
from math import ceil
from typing import Any

from headrace.api.wire import MAX_STATUS_DESC, status_of
from headrace.domain.deployment import claim_size, parse_runtime_config
from headrace.domain.errors import BadField
from headrace.domain.job import AT_REST, Job, JobSpec, ResourceSpec
from headrace.domain.sizing import DLI_MEMORY_PER_CU_MB, MILLI

IDLE_STATE_RETENTION_SECONDS = 3600
"""Of SQL jobs only; DLI shows it for JAR jobs too."""


CUT = " […] "


def status_desc(job: Job) -> str:
    """The failure and what goes on, as one text. One that is too long loses its middle: the cause stands at its
    beginning, the remedy at its end.
    """
    text = job.record.told
    if len(text) <= MAX_STATUS_DESC:
        return text
    end = (MAX_STATUS_DESC - len(CUT)) // 2
    return text[: MAX_STATUS_DESC - len(CUT) - end] + CUT + text[-end:]


def summary(job: Job, now_ms: int) -> dict[str, Any]:
    """An element of the list."""
    return {
        **_common(job),
        "start_time": job.started_ms or 0,
        "user_name": job.user_name,
        "username": job.user_name,
        "duration": _duration(job, now_ms),
        "root_id": -1,
    }


def listed_details(job: Job) -> dict[str, Any]:
    """An element of the list with ``show_detail=true``."""
    return {**_common(job), **_more(job), "start_time": job.started_ms or 0}


def details(job: Job, now_ms: int) -> dict[str, Any]:
    """The ``job_detail`` of one job."""
    return {**summary(job, now_ms), **_more(job), "start_time": job.started_ms}


def _common(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "name": job.spec.name,
        "desc": job.spec.desc,
        "job_type": "flink_jar_job",
        "status": status_of(job),
        "status_desc": status_desc(job),
        "create_time": job.created_ms,
        "graph_editor_enabled": False,
        "has_savepoint": bool(job.record.savepoint_path),
        "queue_name": job.spec.queue_name,
        "edge_group_ids": None,
        "restart_times": job.record.restarts,
        "savepoint_path": job.record.savepoint_path,
    }


def _more(job: Job) -> dict[str, Any]:
    return {
        "user_id": job.user_id or job.user_name,  # jobs of older homes have no id
        "project_id": job.project_id,
        "sql_body": "",
        "run_mode": "exclusive_cluster",
        "job_config": _config(job),
        "main_class": job.spec.main_class,
        "entrypoint_args": job.spec.entrypoint_args,
        "execution_graph": None,
        "update_time": job.updated_ms,
    }


def _config(job: Job) -> dict[str, Any]:
    spec = job.spec
    config = spec.resource_config
    return {
        "checkpoint_enabled": spec.checkpoint_enabled,
        "checkpoint_interval": spec.checkpoint_interval,
        "checkpoint_mode": "exactly_once" if spec.checkpoint_mode == 1 else "at_least_once",
        "log_enabled": spec.log_enabled,
        "obs_bucket": spec.obs_bucket or None,
        "root_id": -1,
        "edge_group_ids": None,
        "manager_cu_number": spec.manager_cu_number,
        "graph_editor_enabled": False,
        "graph_editor_data": "",
        "executor_number": None,
        "executor_cu_number": None,
        "cu_number": spec.cu_number,
        "parallel_number": spec.parallel_number,
        "smn_topic": spec.smn_topic or None,
        "restart_when_exception": spec.restart_when_exception,
        "resume_checkpoint": spec.resume_checkpoint,
        "resume_max_num": spec.resume_max_num,
        "checkpoint_path": _checkpoint_path(job),
        "idle_state_retention": IDLE_STATE_RETENTION_SECONDS,
        "config_url": None,
        "udf_jar_url": None,
        "dirty_data_strategy": None,
        "entrypoint": spec.entrypoint,
        "dependency_jars": list(spec.dependency_jars),
        "dependency_files": list(spec.dependency_files),
        "tm_cus": spec.tm_cus,
        "tm_slot_num": spec.tm_slot_num,
        "execution_agency_urn": spec.execution_agency_urn,
        "operator_config": "",
        "static_estimator_config": "",
        "runtime_config": _runtime_config(spec),
        "real_cu_number": _real_cu_number(spec),
        "resource_config_version": spec.resource_config_version,
        "resource_config": {
            "max_slot": config.max_slot,
            "parallel_number": config.parallel_number,
            "jobmanager_resource_spec": _resource(config.jobmanager),
            "taskmanager_resource_spec": _resource(config.taskmanager),
        },
        "image": spec.image,
        "feature": spec.feature,
        "flink_version": spec.flink_version,
        "flink_log_config": spec.flink_log_config,
    }


def _resource(spec: ResourceSpec) -> dict[str, Any]:
    memory = f"{spec.memory_mb // 1024}G" if spec.memory_mb % 1024 == 0 else f"{spec.memory_mb}M"
    return {"cpu": spec.cpu, "memory": memory}


def _checkpoint_path(job: Job) -> str:
    """The user's own; else, once the job has run with checkpoints, the one that the system has chosen."""
    if job.spec.checkpoint_path or not (job.spec.checkpoint_enabled and job.record.attempt):
        return job.spec.checkpoint_path
    return f"{job.spec.obs_bucket}/jobs/checkpoint/{job.id}"


def _runtime_config(spec: JobSpec) -> str:
    """A JSON array of keys and values, however it was given: Terraform can read nothing else (dli-contract §5.10)."""
    try:
        options = parse_runtime_config(spec.runtime_config)
    except BadField:  # of an older home
        return spec.runtime_config
    pairs = [{"key": key, "value": value} for key, value in options.items()]
    return json.dumps(pairs, separators=(",", ":"), ensure_ascii=False) if pairs else ""


def _real_cu_number(spec: JobSpec) -> int:
    """CUs by DLI's formula; 0 = "use cu_number", where the stored numbers no longer fit together."""
    try:
        return ceil(claim_size(spec, DLI_MEMORY_PER_CU_MB).cu_milli / MILLI)
    except BadField:
        return 0


def _duration(job: Job, now_ms: int) -> int:
    """From the start of the latest run to its end, or to now while it lasts."""
    if job.started_ms is None:
        return 0
    end = job.ended_ms if job.record.phase in AT_REST and job.ended_ms is not None else now_ms
    return max(0, end - job.started_ms)
