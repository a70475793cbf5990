"""The audit trail: who did what to which thing. Ours only; the names are those that Cloud Trace Service has."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.api.services import Parts, Services
from headrace.domain.rights import JobRight, Standing
from headrace.store.audit import AuditFilter, Trace

router = APIRouter()

MAX_MS = 2**53


class Window(BaseModel):
    """Query of the trail; what is absent is not looked at."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most lines in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Lines to leave out, from the newest.")] = 0


class TrailQuery(Window):
    """Query of a project's trail."""

    user_name: Annotated[str | None, Field(max_length=64, description="Who did it.")] = None
    trace_name: Annotated[str | None, Field(max_length=64, description="What was done, e.g. submitStreamJobs.")] = None
    resource_type: Annotated[str | None, Field(max_length=64, description="job, queue, package, bucket, …")] = None
    resource_id: Annotated[str | None, Field(max_length=512, description="To which one, e.g. a job's number.")] = None
    from_ms: Annotated[int | None, Field(ge=0, le=MAX_MS, description="Not before, in epoch milliseconds.")] = None
    to_ms: Annotated[int | None, Field(ge=0, le=MAX_MS, description="Not after, in epoch milliseconds.")] = None


class Line(Answer):
    """One line of the trail."""

    at_ms: Annotated[int, Field(description="When, in epoch milliseconds.")]
    user_name: Annotated[str, Field(description="Who.", examples=["ann"])]
    trace_name: Annotated[str, Field(description="Did what.", examples=["submitStreamJobs"])]
    resource_type: Annotated[str, Field(description="To what kind of thing.", examples=["job"])]
    resource_id: Annotated[str, Field(description="To which one.", examples=["138"])]
    resource_name: Annotated[str, Field(description="Its name then.", examples=["orders"])]
    request_id: Annotated[str, Field(description="X-Request-Id of the answer.")]
    source_ip: Annotated[str, Field(description="From where.", examples=["127.0.0.1"])]


class TrailAnswer(Answer):
    """One page of the trail, newest first."""

    count: Annotated[int, Field(description="Number of all lines that match.")]
    traces: Annotated[list[Line], Field(description="This page of them.")]


@router.get("/headrace/v1/{project_id}/audit", **answers(TrailAnswer))
def trail(
    query: Annotated[TrailQuery, Query()], access: Annotated[Access, needs(Standing.ADMIN)], parts: Parts
) -> dict[str, Any]:
    """The project's trail, for its administrators."""
    return _page(access.project_id, query, parts)


@router.get("/headrace/v1/audit", **answers(TrailAnswer))
def server_trail(
    query: Annotated[TrailQuery, Query()], access: Annotated[Access, needs(Standing.SYSTEM_ADMIN)], parts: Parts
) -> dict[str, Any]:
    """What was done to users, projects and keys, which belong to no project; for administrators of the server."""
    del access
    return _page("", query, parts)


@router.get("/headrace/v1/{project_id}/jobs/{job_id}/audit", **answers(TrailAnswer))
def job_trail(
    job_id: int, query: Annotated[Window, Query()], access: Annotated[Access, needs(JobRight.GET)], parts: Parts
) -> dict[str, Any]:
    """What was done to one job, for whoever may read it."""
    job = access.job(job_id)
    wanted = AuditFilter(resource_type="job", resource_id=str(job.id))
    total, found = parts.audit.search(access.project_id, wanted, limit=query.limit, offset=query.offset)
    return {"count": total, "traces": [_shown(line) for line in found]}


def _page(project_id: str, query: TrailQuery, parts: Services) -> dict[str, Any]:
    wanted = AuditFilter(
        user_name=query.user_name,
        trace_name=query.trace_name,
        resource_type=query.resource_type,
        resource_id=query.resource_id,
        from_ms=query.from_ms,
        to_ms=query.to_ms,
    )
    total, found = parts.audit.search(project_id, wanted, limit=query.limit, offset=query.offset)
    return {"count": total, "traces": [_shown(line) for line in found]}


def _shown(line: Trace) -> dict[str, Any]:
    return {name: getattr(line, name) for name in Line.model_fields}
