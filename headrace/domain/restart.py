"""The sliding hour of ``resume_max_num``: how often a job may be restarted, and how long it waits between two tries.

Flink's quick restarts in place and Headrace's new deployments are one budget (DLI: "maximum number of retries upon
exceptions, per hour"; -1 = without limit). Times are those of the job clock, which neither a jump of the wall clock nor
a restart of Headrace sets back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

HOUR_MS = 3_600_000
FIRST_BACKOFF_MS = 1_000
MAX_BACKOFF_MS = 60_000
CALM_MS = 600_000
"""A job that has run for so long since its last restart has come back: the next failure is another incident."""


@dataclass(frozen=True)
class Budget:
    """What is left of the hour.

    Attributes:
        cap: restarts allowed within an hour; 0 = none (``restart_when_exception`` is off), None = without limit.
        used: restarts within the last hour.
    """

    cap: int | None = 0
    used: int = 0

    @property
    def left(self) -> int | None:
        """Restarts that may still be made now; None = without limit."""
        return None if self.cap is None else max(0, self.cap - self.used)

    def allows(self, more: int = 1) -> bool:
        """Whether so many more restarts stay within the cap."""
        return self.cap is None or self.used + more <= self.cap

    def spent(self, more: int) -> Budget:
        """The budget after so many more restarts."""
        return Budget(self.cap, self.used + more)

    @property
    def told(self) -> str:
        """For a person: "2 of 3 within an hour"."""
        limit = "without limit" if self.cap is None else f"of {self.cap} within an hour"
        return f"{self.used} {limit}"


NO_RESTARTS = Budget()


def cap(restart_when_exception: bool, resume_max_num: int) -> int | None:  # noqa: FBT001 - DLI's two fields
    """The hour's cap, of DLI's two fields."""
    if not restart_when_exception:
        return 0
    return None if resume_max_num < 0 else resume_max_num


def budget(allowed: int | None, times_ms: Sequence[int], now_ms: int) -> Budget:
    """The budget at ``now_ms``: a restart counts for one hour, and at its edge no more."""
    return Budget(allowed, sum(1 for at in times_ms if now_ms - at < HOUR_MS))


def backoff_ms(recent: int) -> int:
    """How long the next attempt waits after ``recent`` new deployments within the hour: 1 s, doubled up to a minute."""
    return min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS << min(recent, 16))


def in_a_row(times_ms: Sequence[int]) -> int:
    """How many of the newest restarts followed each other without calm in between.

    Args:
        times_ms: of the restarts, ascending.
    """
    gaps = [later - at for at, later in pairwise(times_ms)]
    calm = max((number for number, gap in enumerate(gaps, 1) if gap >= CALM_MS), default=0)
    return len(times_ms) - calm
