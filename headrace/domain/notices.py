"""What a job's topic is told, and in which words (docs/notices.md). One notice per incident.

An incident begins when a run fails and ends when all tasks of a later attempt run again, or when the run ends. What is
told is its end, with the cause; of one that does not end soon, that it goes on, once. Failures that Flink mends in
place are an incident when they follow each other: that they go on is told, once.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from headrace.domain.job import Job, Phase, Record

GOES_ON = 3
"""After so many restarts in a row that did not bring the job back for good, it is told that it goes on."""


LONGEST_WAIT_MS = 3_600_000
"""Between two tries to deliver."""


class Event(StrEnum):
    """What happened."""

    SUBMIT_FAILED = "submit_failed"
    FAILED = "failed"
    RECOVERED = "recovered"
    FAILING = "failing"


_SUBJECTS = {
    Event.SUBMIT_FAILED: "could not be started",
    Event.FAILED: "has failed",
    Event.RECOVERED: "runs again",
    Event.FAILING: "keeps failing",
}
_SENTENCES = {
    Event.SUBMIT_FAILED: "It could not be started, and is not tried again.",
    Event.FAILED: "It has failed, and is not restarted.",
    Event.RECOVERED: "It had failed, was restarted, and all its tasks run again.",
    Event.FAILING: f"It keeps failing: {GOES_ON} restarts in a row have not mended it. It is tried on.",
}


def event(before: Record, after: Record, restarts_in_a_row: int) -> Event | None:
    """What the move tells, None = nothing.

    Args:
        before: the record before the move.
        after: what it records.
        restarts_in_a_row: of a new deployment, how often this run has been restarted since all its tasks last ran; of
            restarts in place, how many there were in this attempt without calm between; both with those of this move.
    """
    if restarted_in_place(before, after):
        news = restarts_in_a_row >= GOES_ON > restarts_in_a_row - (after.restarts - before.restarts)
        return Event.FAILING if news else None
    match after.phase:
        case Phase.FAILED:
            return Event.FAILED
        case Phase.SUBMIT_FAILED:
            return Event.SUBMIT_FAILED
        case Phase.RUNNING if before.phase is Phase.STARTING and after.restarted:
            return Event.RECOVERED
        case Phase.RESTARTING if restarts_in_a_row == GOES_ON:
            return Event.FAILING
        case _:
            return None


def restarted_in_place(before: Record, after: Record) -> bool:
    """Whether the move counts restarts by Flink of a job that runs; for one that does not come up there is patience."""
    return after.phase is before.phase is not Phase.STARTING and after.flink_restarts > before.flink_restarts


def body(job: Job, after: Record, happened: Event) -> dict[str, Any]:
    """What the outbox keeps of it: JSON values."""
    cause = job.record.told if happened is Event.RECOVERED else after.told
    return {
        "job_id": job.id,
        "job_name": job.spec.name,
        "attempt": after.attempt,
        "phase": str(after.phase),
        "event": str(happened),
        "cause": cause,
    }


def subject(told: dict[str, Any]) -> str:
    """One line, of at most 512 bytes as SMN's are: a name of a job has 57 characters."""
    return f"Flink job {told['job_name']} {_SUBJECTS[Event(told['event'])]}"


def text(told: dict[str, Any], project_id: str, at_ms: int) -> str:
    """The message: for people, and with a line ``name: value`` for each thing that a program may look for."""
    happened = Event(told["event"])
    at = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = [
        f"The Flink job {told['job_name']}: {_SENTENCES[happened]}",
        "",
        told["cause"] or "No cause is known.",
        "",
        f"event: {happened}",
        f"job_id: {told['job_id']}",
        f"job_name: {told['job_name']}",
        f"project_id: {project_id}",
        f"attempt: {told['attempt']}",
        f"time: {at}",
    ]
    return "\n".join(lines)
