"""Global variables."""

from __future__ import annotations

from headrace.store.database import Database


class VariableStore:
    """The only place that writes variables."""

    def __init__(self, database: Database) -> None:
        self._db = database
