"""The journal of a job: why it waits, was restarted, failed. Lines are written in the transaction of what they tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, insert, select

from headrace.domain.job import Desired, Goal, Job, Phase, Record
from headrace.store.audit import Trace
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
    ASKED = "asked"
    """Somebody asked for something: run, stop, savepoint, delete."""


@dataclass(frozen=True)
class HistoryEntry:
    """One line of a job's journal."""

    at_ms: int
    attempt: int
    phase: Phase
    outcome: Phase | None
    note: str
    kind: Kind = Kind.MOVED


def note_phase(connection: Connection, job_id: int, record: Record, now_ms: int, kind: Kind = Kind.MOVED) -> None:
    """Writes a line with the phase and the note of this record."""
    row = {
        "job_id": job_id,
        "at_ms": now_ms,
        "attempt": record.attempt,
        "phase": record.phase,
        "outcome": record.outcome,
        "note": record.told,
        "kind": kind,
    }
    connection.execute(insert(job_history).values(row))
    mine = select(job_history.c.id).where(job_history.c.job_id == job_id)
    oldest = mine.order_by(job_history.c.id.desc()).limit(1).offset(JOURNAL_LINES).scalar_subquery()
    connection.execute(delete(job_history).where(job_history.c.job_id == job_id, job_history.c.id <= oldest))


def note(connection: Connection, job: Job, text: str, kind: Kind, now_ms: int) -> None:
    """Writes a line of something that is no move."""
    note_phase(connection, job.id, job.record.evolve(failure="", note=text), now_ms, kind)


def kind_of(before: Record, after: Record) -> Kind:
    """What a move tells."""
    if before.phase is after.phase and after.flink_restarts > before.flink_restarts:
        return Kind.RESTARTED
    if before.phase is after.phase and after.replacements > before.replacements:
        return Kind.REPLACED
    return Kind.MOVED


def asked(desired: Desired, trace: Trace | None) -> str:
    """A sentence for the journal."""
    details = {
        Goal.RUN: "from the latest savepoint" if desired.resume_savepoint else "from a clean start",
        Goal.STOP: "with a savepoint" if desired.trigger_savepoint else "without a savepoint",
    }
    what = " ".join(part for part in (str(desired.goal), details.get(desired.goal, "")) if part)
    return f"{trace.user_name} asked: {what}." if trace else f"Asked: {what}."


def lines(connection: Connection, job_id: int) -> list[HistoryEntry]:
    """All lines of the job, oldest first."""
    query = select(job_history).where(job_history.c.job_id == job_id).order_by(job_history.c.id)
    return [
        HistoryEntry(
            row.at_ms,
            row.attempt,
            Phase(row.phase),
            Phase(row.outcome) if row.outcome else None,
            row.note,
            Kind(row.kind),
        )
        for row in connection.execute(query)
    ]
