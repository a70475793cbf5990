"""The submission log of an attempt: its lines of the job's journal, as they go to the bucket.

The journal forgets its oldest lines, the bucket does not: a part is written anew with each line that comes only as long
as the journal has all of it. Then, or with half as many lines as the journal keeps, the next part begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from headrace.store import journal
from headrace.store.journal import HistoryEntry

FORGOTTEN = "[Headrace: lines may be missing here: the journal of a job keeps its newest {kept}]\n"


@dataclass(frozen=True)
class Part:
    """How far the submission log is.

    Attributes:
        event: number of the newest line of the journal that was looked at.
        number: of the newest part, from 0; -1 = there is none yet.
        first: number of its first line, 0 = not known.
        lines: how many lines it has.
        forgotten: before its first line some may be missing.
    """

    event: int = 0
    number: int = 0
    first: int = 0
    lines: int = 0
    forgotten: bool = False


NOTHING = Part(number=-1)


def extended(part: Part, told: Sequence[HistoryEntry], attempt: int) -> tuple[Part, str]:
    """The part that is to be stored, and its text, "" = there is nothing new.

    Args:
        part: as it was stored last.
        told: the whole journal of the job, oldest line first.
    """
    mine = [entry for entry in told if entry.attempt == attempt]
    fresh = [entry for entry in mine if entry.id > part.event]
    if not fresh:
        return (replace(part, event=told[-1].id) if told else part), ""
    if told[0].id <= part.first and part.lines < journal.JOURNAL_LINES // 2:
        lines = [entry for entry in mine if entry.id >= part.first]
        part = replace(part, event=told[-1].id, lines=len(lines))
    else:
        lines = fresh
        part = Part(told[-1].id, part.number + 1, fresh[0].id, len(fresh), _forgotten(part, told, attempt))
    head = FORGOTTEN.format(kept=journal.JOURNAL_LINES) if part.forgotten else ""
    return part, head + "".join(map(_line, lines))


def _forgotten(part: Part, told: Sequence[HistoryEntry], attempt: int) -> bool:
    """Whether the journal may have had lines of this attempt that are neither in the bucket nor in it."""
    return len(told) >= journal.JOURNAL_LINES and told[0].attempt == attempt and told[0].id > part.event


def _line(entry: HistoryEntry) -> str:
    at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    return f"{at} {entry.phase} {entry.note}".rstrip() + "\n"
