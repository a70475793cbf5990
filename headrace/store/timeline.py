"""The job clock: milliseconds that only ever go on, for the sliding hour of restarts and the waiting between them.

Within one boot of the machine it goes with the kernel's boot-time clock, whatever is done to the wall clock and however
often Headrace is started anew. Only over a boot has it nothing but the wall clock to go by; it then never goes back.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, delete, insert, select

from headrace.store.database import Database
from headrace.store.schema import job_clock


class JobClock:
    """Thread-safe; read it as often as you like."""

    def __init__(
        self, database: Database, *, boot_id: str, boottime_ms: Callable[[], int], wall_ms: Callable[[], int]
    ) -> None:
        """Goes on from what the database holds, and writes that down.

        Args:
            database: where the clock is anchored.
            boot_id: tells one boot of the machine from the next.
            boottime_ms: the kernel's clock since boot, which counts sleep (CLOCK_BOOTTIME).
            wall_ms: the wall clock in epoch milliseconds.
        """
        self._boottime_ms = boottime_ms
        self._wall_ms = wall_ms
        self._boot_id = boot_id
        with database.write() as connection:
            self._offset = self._begin(connection) - boottime_ms()
            self.anchor(connection)

    def now_ms(self) -> int:
        """The job clock now."""
        return self._offset + self._boottime_ms()

    def anchor(self, connection: Connection) -> None:
        """Writes down what the next boot goes on from, within the caller's transaction."""
        row = {
            "id": 1,
            "clock_ms": self.now_ms(),
            "boot_id": self._boot_id,
            "boottime_ms": self._boottime_ms(),
            "wall_ms": self._wall_ms(),
        }
        connection.execute(delete(job_clock))
        connection.execute(insert(job_clock).values(row))

    def _begin(self, connection: Connection) -> int:
        row = connection.execute(select(job_clock)).one_or_none()
        if row is None:
            return self._wall_ms()
        if row.boot_id == self._boot_id:
            return int(row.clock_ms + self._boottime_ms() - row.boottime_ms)
        return int(row.clock_ms + max(0, self._wall_ms() - row.wall_ms))
