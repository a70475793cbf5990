"""Logs of a job's processes, as they are on this machine: while it runs, and after its end. Ours only."""

from __future__ import annotations

import codecs
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import answers
from headrace.api.fields import MAX_ID, MAX_INT
from headrace.api.job_answers import LogAnswer, LogsAnswer
from headrace.api.services import Parts
from headrace.domain.errors import ObjectNotFound
from headrace.domain.job import attempt_of
from headrace.domain.rights import JobRight
from headrace.runtimes.logfiles import LogFile, Logged

router = APIRouter()

MOST_BYTES = 1 << 20


class LogQuery(BaseModel):
    """A part of one log."""

    model_config = ConfigDict(extra="forbid")

    attempt: Annotated[int, Field(ge=1, le=MAX_INT, description="Attempt of the job")]
    role: Annotated[str, Field(max_length=64, description="Process: jobmanager, taskmanager-1 …")]
    name: Annotated[str, Field(max_length=64, description="Log: jobmanager.log, taskmanager.out, gc.log, exit.json")]
    offset: Annotated[
        int | None, Field(ge=0, le=MAX_ID, description="First byte; absent: so that the answer is the end of the log")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MOST_BYTES, description="Most bytes in one answer")] = 64 << 10


@router.get("/headrace/v1/{project_id}/jobs/{job_id}/logs", **answers(LogsAnswer))
def logs(job_id: int, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
    """The logs that there are, of the newest attempts."""
    job = access.job(job_id)
    found = [(logged, file) for logged in parts.runtime.logs(job.id) for file in logged.files if file.size]
    return {"job_id": job.id, "logs": [_entry(logged, file) for logged, file in found]}


@router.get("/headrace/v1/{project_id}/jobs/{job_id}/logs/content", **answers(LogAnswer))
def content(
    job_id: int, query: Annotated[LogQuery, Query()], access: Annotated[Access, needs(JobRight.GET)], parts: Parts
) -> dict[str, Any]:
    """A part of one log. Ask again with next_offset for what follows, and for what comes."""
    job = access.job(job_id)
    for logged in parts.runtime.logs(job.id):
        for file in logged.files:
            if (attempt_of(logged.name), file.role, file.name) == (query.attempt, query.role, query.name):
                return {"job_id": job.id, **_part(logged, file, query)}
    raise ObjectNotFound(
        f"attempt={query.attempt}, role={query.role!r}, name={query.name!r}: there is no such log of the job {job_id} "
        "on this machine. List those that there are; of older attempts look into the bucket."
    )


def _entry(logged: Logged, file: LogFile) -> dict[str, Any]:
    return {
        "attempt": attempt_of(logged.name),
        "role": file.role,
        "name": file.name,
        "size": file.size,
        "gone": file.gone,
    }


def _part(logged: Logged, file: LogFile, query: LogQuery) -> dict[str, Any]:
    over, size = logged.over, file.size  # in this order: nothing comes after it is over
    offset = max(file.gone, size - query.limit if query.offset is None else query.offset)
    data = file.read(offset, offset + query.limit) if size > offset else b""
    while (gone := file.gone) > offset:  # noted before it goes: what was read may be a hole, or the half of one
        offset = gone
        data = file.read(offset, offset + query.limit) if size > offset else b""
    if len(data) >= query.limit:
        data = data[: data.rfind(b"\n") + 1] or _characters(data) or data
    elif not over:
        data = _characters(data)
    return {
        "offset": offset,
        "next_offset": offset + len(data),
        "text": data.decode("utf-8", "replace"),
        "over": over and offset + len(data) >= size,
    }


def _characters(data: bytes) -> bytes:
    """Without a character at its end of which the rest is yet to come: text is told when it is whole."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(data)
    return data[: len(data) - len(decoder.getstate()[0])]
