"""Jobs: create, update, list, show, delete, and the journal of one."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from headrace.api.access import Access, needs
from headrace.api.answers import answers
from headrace.api.batches import delete_job, overtaken
from headrace.api.checks import CHANGEABLE_WHILE_ACTIVE, check_bucket, check_job, check_use
from headrace.api.details import details, listed_details, status_desc, summary
from headrace.api.fields import MAX_ID, MAX_INT
from headrace.api.job_answers import (
    AFTER_CREATE,
    CreateAnswer,
    DetailAnswer,
    EventsAnswer,
    HistoryAnswer,
    ListAnswer,
    Told,
    UpdateAnswer,
)
from headrace.api.language import told
from headrace.api.services import Parts
from headrace.api.wire import JOB_TYPES, STATUS_WORDS, CreateJob, UpdateJob, status_of, status_word
from headrace.domain.errors import BadField, WrongState
from headrace.domain.job import AT_REST, Job, JobSpec
from headrace.domain.rights import JobRight, Standing, job_thing
from headrace.store.jobs import JobFilter
from headrace.store.journal import JOURNAL_LINES, HistoryEntry, Kind

router = APIRouter()


@router.post("/v1.0/{project_id}/streaming/flink-jobs", **answers(CreateAnswer, links=AFTER_CREATE))
def create(
    body: CreateJob, access: Annotated[Access, needs(JobRight.CREATE, trace="createStreamJarJob")], parts: Parts
) -> dict[str, Any]:
    """Stores a draft; nothing runs."""
    spec = body.applied(JobSpec(name=body.name))
    check_use(access, parts, spec)
    check_job(parts, access.project_id, spec)
    tags = [(tag.key, tag.value) for tag in body.tags or ()]
    job = parts.jobs.create(access.caller, spec, tags=tags, now_ms=parts.now_ms(), trace=access.trace)
    return {
        "is_success": "true",
        "message": told("A Flink job is created successfully."),
        "job": {"job_id": job.id, "status_name": status_of(job), "status_desc": status_desc(job)},
    }


@router.put("/v1.0/{project_id}/streaming/flink-jobs/{job_id}", **answers(UpdateAnswer))
def update(
    job_id: int,
    body: UpdateJob,
    access: Annotated[Access, needs(JobRight.UPDATE, trace="updateStreamJarJob")],
    parts: Parts,
) -> dict[str, Any]:
    """Changes what is given; a job that is not at rest takes few changes."""

    def change(job: Job) -> Job:
        spec = body.applied(job.spec)
        check_use(access, parts, spec, job.spec)
        if job.record.phase in AT_REST and not job.request_pending:
            check_job(parts, access.project_id, spec)
        else:
            _check_active(job, spec)
            check_bucket(parts, access.project_id, spec)
        return parts.jobs.respec(job, spec, now_ms=parts.now_ms(), trace=access.trace)

    job = overtaken(access, job_id, change)
    return {
        "is_success": "true",
        "message": told("The Flink job is updated successfully."),
        "job": {"update_time": job.updated_ms},
    }


def _one_of(words: tuple[str, ...]) -> Any:
    """One of these, or nothing; the route refuses others, with a list of them."""
    return WithJsonSchema({"type": "string", "enum": ["", *words]})


class ListQuery(BaseModel):
    """Query of the list (dli-contract §1.5); an unknown parameter is refused, as it may be a filter."""

    model_config = ConfigDict(extra="forbid")

    job_type: Annotated[str, _one_of(JOB_TYPES), Field(description="All but flink_jar_job match nothing")] = ""
    status: Annotated[str, _one_of(STATUS_WORDS), Field(description="Where the job stands")] = ""
    queue_name: Annotated[str, Field(max_length=128, description="Exactly this queue, whatever the case")] = ""
    order: Annotated[Literal["asc", "desc"], Field(description="By creation")] = "desc"
    limit: Annotated[int, Field(ge=0, le=100, description="Jobs on a page")] = 10
    offset: Annotated[int, Field(ge=0, le=MAX_INT, description="Matches to pass over")] = 0
    name: Annotated[str, Field(max_length=57, description="A part of the name, whatever the case")] = ""
    show_detail: Annotated[bool, Field(description="Details of each job that the caller may read")] = False
    user_name: Annotated[str, Field(max_length=255, description="Exactly this creator")] = ""
    tags: Annotated[str, Field(max_length=8192, description="Tags that all must match", examples=["a=1,b=2"])] = ""
    root_job_id: Annotated[int, Field(ge=-1, le=MAX_ID, description="All but -1 match nothing")] = -1
    sys_enterprise_project_name: Annotated[str, Field(max_length=255, description="Without effect")] = ""


@router.get("/v1.0/{project_id}/streaming/jobs", **answers(ListAnswer))
def list_jobs(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of the jobs that the caller may see; ``total_count`` is the number of all matches."""
    for field, value, known in (("status", query.status, STATUS_WORDS), ("job_type", query.job_type, JOB_TYPES)):
        if value and value not in known:
            raise BadField(field, value, f"must be one of {', '.join(known)}")
    wanted = JobFilter(
        matches=lambda job: access.sees_job(job) and query.status in ("", status_of(job)),
        queue_name=query.queue_name.lower() or None,
        name_part=query.name or None,
        user_name=query.user_name or None,
        tags=_tags(query.tags),
        newest_first=query.order == "desc",
    )
    total, page = 0, list[Job]()
    if query.job_type in ("", "flink_jar_job") and query.root_job_id == -1:  # there are no others here
        total, page = parts.jobs.search(access.project_id, wanted, limit=query.limit, offset=query.offset)
    now = parts.now_ms()
    return {
        "is_success": "true",
        "message": told("Jobs are successfully listed."),
        "job_list": {
            "total_count": total,
            "jobs": [
                listed_details(job) if query.show_detail and _may_read(access, job) else summary(job, now)
                for job in page
            ],
        },
    }


@router.get("/v1.0/{project_id}/streaming/jobs/{job_id}", **answers(DetailAnswer))
def show(job_id: int, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
    """The job's details."""
    job = access.job(job_id)
    return {
        "is_success": "true",
        "message": told("Job detail query succeeds."),
        "job_detail": details(job, parts.now_ms()),
    }


@router.delete("/v1.0/{project_id}/streaming/jobs/{job_id}", **answers(Told))
def delete(
    job_id: int, access: Annotated[Access, needs(JobRight.DELETE, trace="deleteStreamJob")], parts: Parts
) -> dict[str, Any]:
    """Deletes the job in whatever state; it is gone at once, its processes soon."""
    delete_job(access, parts, job_id)
    return {"is_success": "true", "message": told("The job is successfully deleted.")}


@router.get("/headrace/v1/{project_id}/jobs/{job_id}/history", **answers(HistoryAnswer))
def history(job_id: int, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
    """All recorded moves of the job, oldest first: the journal without what went on between them. Ours only."""
    job = access.job(job_id)
    moves = [
        {
            "at_ms": entry.at_ms,
            "attempt": entry.attempt,
            "phase": entry.phase,
            "status": status_word(entry.phase, entry.outcome),
            "status_desc": entry.note,
        }
        for entry in parts.jobs.history(job.id)
        if entry.kind is Kind.MOVED
    ]
    return {"job_id": job.id, "moves": moves}


class EventsQuery(BaseModel):
    """Query of the journal."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=JOURNAL_LINES, description="Most lines in one answer")] = 100
    after: Annotated[
        int | None,
        Field(ge=0, le=MAX_ID, description="The lines that follow the one of this id; absent: the newest of all"),
    ] = None


@router.get("/headrace/v1/{project_id}/jobs/{job_id}/events", **answers(EventsAnswer))
def events(
    job_id: int, query: Annotated[EventsQuery, Query()], access: Annotated[Access, needs(JobRight.GET)], parts: Parts
) -> dict[str, Any]:
    """The job's journal, oldest line first: why it waits, was restarted, failed. Ours only."""
    job = access.job(job_id)
    found = parts.jobs.events(job.id, after=query.after, limit=query.limit)
    return {"job_id": job.id, "events": [_event(entry) for entry in found]}


def _event(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at_ms": entry.at_ms,
        "kind": entry.kind,
        "attempt": entry.attempt,
        "phase": entry.phase,
        "status": status_word(entry.phase, entry.outcome),
        "note": entry.note,
    }


def _may_read(access: Access, job: Job) -> bool:
    """Details need GET; a list shows a job to whoever holds any right on it."""
    return access.may(JobRight.GET, job_thing(job.id, job.user_name))


def _check_active(job: Job, spec: JobSpec) -> None:
    for field in (field.name for field in fields(JobSpec)):
        if getattr(spec, field) != getattr(job.spec, field) and field not in CHANGEABLE_WHILE_ACTIVE:
            raise WrongState(
                f"{field}: cannot be changed while the job is {status_of(job)}. Stop the job first; until then only "
                f"{', '.join(sorted(CHANGEABLE_WHILE_ACTIVE))} may change."
            )


def _tags(text: str) -> tuple[tuple[str, str], ...]:
    """``k=v,k2=v2``; a key may hold "=", a value may not."""
    pairs = []
    for part in text.split(",") if text else ():
        key, equals, value = part.rpartition("=")
        if not equals or not key:
            raise BadField("tags", text, "must be key=value pairs with commas between them, such as a=1,b=2")
        pairs.append((key, value))
    return tuple(pairs)
