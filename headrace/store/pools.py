"""Elastic resource pools."""

from __future__ import annotations

from headrace.store.database import Database


class PoolStore:
    """The only place that writes pools."""

    def __init__(self, database: Database) -> None:
        self._db = database
