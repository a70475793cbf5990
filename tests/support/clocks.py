"""The job clock of a machine whose clocks a test sets."""

from __future__ import annotations

from headrace.runtimes.fake_machine import FakeMachine
from headrace.store.database import Database
from headrace.store.timeline import JobClock


def job_clock(database: Database, machine: FakeMachine | None = None) -> JobClock:
    """As a Headrace that is started now reads it; without ``machine``, one that stands still."""
    shown = machine or FakeMachine()
    return JobClock(
        database, boot_id=shown.boot_id, boottime_ms=lambda: shown.boottime_ms, wall_ms=lambda: shown.wall_ms
    )
