"""What Headrace has written down, read past Headrace: by SQLite itself, from a database that others write."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.job import Phase
from headrace.faults.oracle import Restarts
from headrace.store.journal import HistoryEntry, Kind


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
        columns = (
            "phase, outcome, attempt, first_attempt, request_no, request_seen, restarts, restore_path, savepoint_path"
        )
        (row,) = self._rows(f"SELECT {columns} FROM jobs WHERE id = ?", job_id)  # noqa: S608 - our own names
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

    def history(self, job_id: int, since_attempt: int = 0) -> list[HistoryEntry]:
        """The job's journal, oldest first; raises NotReadable."""
        found = self._rows(
            "SELECT * FROM job_history WHERE job_id = ? AND attempt >= ? ORDER BY id", job_id, since_attempt
        )
        return [
            HistoryEntry(
                row["at_ms"],
                row["attempt"],
                Phase(row["phase"]),
                Phase(row["outcome"]) if row["outcome"] else None,
                row["note"],
                Kind(row["kind"]),
            )
            for row in found
        ]

    def restarts(self, job_id: int) -> tuple[Restarts, list[HistoryEntry]]:
        """How often the present run of the job was restarted, and the journal of that run; raises NotReadable."""
        job = self.job(job_id)
        query = "SELECT in_place, count(*) AS times FROM restarts WHERE job_id = ? AND attempt >= ? GROUP BY in_place"
        times = {row["in_place"]: row["times"] for row in self._rows(query, job_id, job.first_attempt)}
        to_follow = job.phase is Phase.RESTARTING or job.outcome == Phase.RESTARTING
        followed = job.attempt - job.first_attempt + to_follow
        found = Restarts(job.restarts, (times.get(1, 0), times.get(0, 0)), followed)
        return found, self.history(job_id, job.first_attempt)

    def grants(self) -> dict[int, int]:
        """Thousandths of CUs held, by job; raises NotReadable."""
        return {row["job_id"]: row["cu_milli"] for row in self._rows("SELECT job_id, cu_milli FROM grants")}

    def damage(self) -> str:
        """What SQLite finds wrong with its file, "" = nothing; raises NotReadable."""
        found = self._rows("PRAGMA integrity_check")[0]["integrity_check"]
        return "" if found == "ok" else str(found)

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        try:
            with self._opened() as connection:
                return [dict(row) for row in connection.execute(query, values)]
        except sqlite3.Error as error:
            raise NotReadable(str(error)) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield connection


def told(rows: list[HistoryEntry]) -> str:
    """The end of a journal, for a person."""
    return "\n".join(
        json.dumps({"attempt": row.attempt, "phase": row.phase, "kind": row.kind, "note": row.note})
        for row in rows[-25:]
    )
