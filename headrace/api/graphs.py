"""What a running job does: its execution graph, and how many records it has read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter

from headrace.api.access import Access, needs
from headrace.api.answers import answers
from headrace.api.job_answers import GraphAnswer, MetricsAnswer
from headrace.api.language import told
from headrace.api.services import Parts, Services
from headrace.api.wire import JobIds, status_of
from headrace.domain.errors import WrongState
from headrace.domain.job import Job
from headrace.domain.rights import JobRight

router = APIRouter()


@router.get("/v1.0/{project_id}/streaming/jobs/{job_id}/execute-graph", **answers(GraphAnswer))
def execute_graph(job_id: int, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
    """Flink's own document, of the running job or of its last run."""
    job = access.job(job_id)
    graph = parts.runtime.execution_graph(job.deployment) if job.record.attempt else None
    if graph is None:
        raise WrongState(f"The job {job_id} is {status_of(job)} and has no execution plan yet. Run it first.")
    return {
        "is_success": "true",
        "message": told("The job execution stream graph is successfully queried."),
        "execute_graph": graph,
    }


@router.post("/v1.0/{project_id}/streaming/jobs/metrics", **answers(MetricsAnswer))
def metrics(body: JobIds, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
    """Counted records of each job; what is not known is null."""
    jobs = [access.job(job_id) for job_id in dict.fromkeys(body.job_ids)]
    return {
        "is_success": True,
        "message": told("Monitoring information is successfully queried."),
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
