"""The journal of a job: why it waits, was restarted, failed. Lines are written in the transaction of what they tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select

from headrace.domain import notes
from headrace.domain.job import Job, Phase, Record
from headrace.store.schema import job_history

JOURNAL_LINES = 2000
"""So many lines of a job's journal are kept, the newest: one that restarts for ever does not fill the disk."""


class Kind(StrEnum):
    """What a line of a job's journal tells."""

    MOVED = "moved"
    """The job went into this phase."""
    RESTARTED = "restarted"
    """Flink restarted the job in place."""
    REPLACED = "replaced"
    """A TaskManager ended and is replaced."""
    WAITING = "waiting"
    """Why it waits has changed."""
    LOGS = "logs"
    """Logs could not be kept, or bytes of them are missing."""
    NOTICE = "notice"
    """A notice reached nobody, or not somebody who had subscribed."""
    ASKED = "asked"
    """Somebody asked for something: run, stop, savepoint, delete, a change."""


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a job's journal; ``id`` grows from line to line."""

    at_ms: int
    attempt: int
    phase: Phase
    outcome: Phase | None
    note: str
    kind: Kind = Kind.MOVED
    id: int = 0


def note_move(connection: Connection, job: Job, record: Record, now_ms: int) -> None:
    """Writes what is new of this move."""
    _write(connection, job.id, record, notes.moved(job.record, record), now_ms, kind_of(job.record, record))


def note_phase(connection: Connection, job_id: int, record: Record, now_ms: int) -> None:
    """Writes a line with the phase and the note of this record."""
    _write(connection, job_id, record, record.told, now_ms, Kind.MOVED)


def note(connection: Connection, job: Job, text: str, kind: Kind, now_ms: int) -> None:
    """Writes a line of something that is no move."""
    _write(connection, job.id, job.record, text, now_ms, kind)


def _write(connection: Connection, job_id: int, record: Record, text: str, now_ms: int, kind: Kind) -> None:
    row = {
        "job_id": job_id,
        "at_ms": now_ms,
        "attempt": record.attempt,
        "phase": record.phase,
        "outcome": record.outcome,
        "note": text,
        "kind": kind,
    }
    connection.execute(insert(job_history).values(row))
    mine = select(job_history.c.id).where(job_history.c.job_id == job_id)
    oldest = mine.order_by(job_history.c.id.desc()).limit(1).offset(JOURNAL_LINES).scalar_subquery()
    connection.execute(delete(job_history).where(job_history.c.job_id == job_id, job_history.c.id <= oldest))


def kind_of(before: Record, after: Record) -> Kind:
    """What a move tells."""
    if before.phase is after.phase and after.flink_restarts > before.flink_restarts:
        return Kind.RESTARTED
    if before.phase is after.phase and after.replacements > before.replacements:
        return Kind.REPLACED
    return Kind.MOVED


def lines(
    connection: Connection, job_id: int, *, after: int | None = None, limit: int = JOURNAL_LINES
) -> list[HistoryEntry]:
    """Lines of the job, oldest first: the newest ``limit``, or the first ``limit`` that follow the line ``after``."""
    query = select(job_history).where(job_history.c.job_id == job_id).limit(limit)
    if after is None:
        found = list(connection.execute(query.order_by(job_history.c.id.desc())))[::-1]
    else:
        found = list(connection.execute(query.where(job_history.c.id > after).order_by(job_history.c.id)))
    return [
        HistoryEntry(
            row.at_ms,
            row.attempt,
            Phase(row.phase),
            Phase(row.outcome) if row.outcome else None,
            row.note,
            Kind(row.kind),
            row.id,
        )
        for row in found
    ]


def restarts_in_a_row(connection: Connection, job: Job) -> int:
    """How often the present run was restarted, by new deployments, since all its tasks last ran."""
    moved = (job_history.c.job_id == job.id) & (job_history.c.kind == Kind.MOVED)
    moved &= job_history.c.attempt >= job.record.first_attempt
    ran = select(func.coalesce(func.max(job_history.c.id), 0)).where(moved, job_history.c.phase == Phase.RUNNING)
    since = moved & (job_history.c.phase == Phase.RESTARTING) & (job_history.c.id > ran.scalar_subquery())
    return int(connection.execute(select(func.count()).where(since)).scalar_one())
