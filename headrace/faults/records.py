"""What Headrace has written down, read past Headrace: by SQLite itself, from a database that others write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.job import Phase
from headrace.faults.oracle import Restarts
from headrace.store.journal import HistoryEntry, Kind

Rows = Callable[..., list[dict[str, Any]]]
"""(query, values …) -> rows."""


class NotReadable(Exception):
    """The database is locked or gone just now."""


@dataclass(frozen=True)
class Recorded:
    """The recorded state of one job; ``pending``: a request of the user was not taken up yet."""

    phase: Phase
    outcome: str
    attempt: int
    first_attempt: int
    requests: int
    pending: bool
    restarts: int
    restore_path: str
    savepoint_path: str


class Records:
    """Reads only; each call opens the file anew, so that it sees it as it is now."""

    def __init__(self, database: Path) -> None:
        self._path = database

    def job(self, job_id: int) -> Recorded:
        """Raises NotReadable."""
        with self._moment() as rows:
            return _recorded(rows, job_id)

    def history(self, job_id: int) -> list[HistoryEntry]:
        """The job's journal, oldest first; raises NotReadable."""
        with self._moment() as rows:
            return _journal(rows, job_id)

    def restarts(self, job_id: int) -> tuple[Restarts, list[HistoryEntry]]:
        """How often the present run of the job was restarted, and the journal of that run, both of one moment; raises
        NotReadable.
        """
        counting = (
            "SELECT in_place, count(*) AS times FROM restarts WHERE job_id = ? AND attempt >= ? GROUP BY in_place"
        )
        with self._moment() as rows:
            job = _recorded(rows, job_id)
            times = {row["in_place"]: row["times"] for row in rows(counting, job_id, job.first_attempt)}
            journal = _journal(rows, job_id, job.first_attempt)
        to_follow = job.phase is Phase.RESTARTING or job.outcome == Phase.RESTARTING
        followed = job.attempt - job.first_attempt + to_follow
        return Restarts(job.restarts, (times.get(1, 0), times.get(0, 0)), followed), journal

    def grants(self) -> dict[int, int]:
        """Thousandths of CUs held, by job; raises NotReadable."""
        with self._moment() as rows:
            return {row["job_id"]: row["cu_milli"] for row in rows("SELECT job_id, cu_milli FROM grants")}

    def damage(self) -> str:
        """What SQLite finds wrong with its file, "" = nothing; raises NotReadable."""
        with self._moment() as rows:
            found = rows("PRAGMA integrity_check")[0]["integrity_check"]
        return "" if found == "ok" else str(found)

    @contextmanager
    def _moment(self) -> Iterator[Rows]:
        """What is asked within is of one moment."""
        place = f"{self._path.absolute().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(place, uri=True, isolation_level=None)) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("BEGIN")
                yield lambda query, *values: [dict(row) for row in connection.execute(query, values)]
        except sqlite3.Error as error:
            raise NotReadable(str(error)) from error


def _recorded(rows: Rows, job_id: int) -> Recorded:
    (row,) = rows("SELECT * FROM jobs WHERE id = ?", job_id)
    return Recorded(
        Phase(row["phase"]),
        row["outcome"] or "",
        row["attempt"],
        row["first_attempt"],
        row["request_no"],
        row["request_no"] > row["request_seen"],
        row["restarts"],
        row["restore_path"],
        row["savepoint_path"],
    )


def _journal(rows: Rows, job_id: int, since_attempt: int = 0) -> list[HistoryEntry]:
    wanted = "SELECT * FROM job_history WHERE job_id = ? AND attempt >= ? ORDER BY id"
    return [
        HistoryEntry(
            row["at_ms"],
            row["attempt"],
            Phase(row["phase"]),
            Phase(row["outcome"]) if row["outcome"] else None,
            row["note"],
            Kind(row["kind"]),
        )
        for row in rows(wanted, job_id, since_attempt)
    ]


def told(rows: list[HistoryEntry]) -> str:
    """The end of a journal, for a person."""
    return "\n".join(
        json.dumps({"attempt": row.attempt, "phase": row.phase, "kind": row.kind, "note": row.note})
        for row in rows[-25:]
    )
