"""What a running job does: its execution graph, and how many records it has read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from headrace.api.auth import Signed
from headrace.api.services import Parts, Services
from headrace.api.wire import Wire, status_of
from headrace.domain.errors import WrongState
from headrace.domain.job import Job

router = APIRouter()


@router.get("/v1.0/{project_id}/streaming/jobs/{job_id}/execute-graph")
def execute_graph(job_id: int, caller: Signed, parts: Parts) -> dict[str, Any]:
    """Flink's own document, of the running job or of its last run."""
    job = parts.jobs.find(caller.project_id, job_id)
    graph = parts.runtime.execution_graph(job.deployment) if job.record.attempt else None
    if graph is None:
        raise WrongState(f"The job {job_id} is {status_of(job)} and has no execution plan yet. Run it first.")
    return {
        "is_success": "true",
        "message": "The job execution stream graph is successfully queried.",
        "execute_graph": graph,
    }


class MetricsOf(Wire):
    """POST jobs/metrics."""

    job_ids: Annotated[list[int], Field(min_length=1, max_length=100)]


@router.post("/v1.0/{project_id}/streaming/jobs/metrics")
def metrics(body: MetricsOf, caller: Signed, parts: Parts) -> dict[str, Any]:
    """Counted records of each job; what is not known is null."""
    jobs = [parts.jobs.find(caller.project_id, job_id) for job_id in dict.fromkeys(body.job_ids)]
    return {
        "is_success": True,
        "message": "Monitoring information is successfully queried.",
        "metrics": {"jobs": [{"job_id": job.id, "metrics": _metrics(parts, job)} for job in jobs]},
    }


def _metrics(parts: Services, job: Job) -> dict[str, Any]:
    records = parts.runtime.records(job.deployment) if job.record.attempt else None
    return {
        "sources": _counted(records.sources if records else {}),
        "sinks": _counted(records.sinks if records else {}),
        "total_read_rate": records.read_rate if records else None,
        "total_write_rate": records.write_rate if records else None,
    }


def _counted(operators: Mapping[str, int | None]) -> list[dict[str, Any]]:
    """Flink counts no corrupted records."""
    return [{"name": name, "records": count, "corrupted_records": None} for name, count in operators.items()]
