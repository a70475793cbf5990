"""What a fault has done, what is still to be done about it, and the world that it strikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from headrace.faults.plan import Strike


def _at_once() -> bool:
    return True


def _nothing() -> None:
    """It ends by itself."""


@dataclass
class Effect:
    """One fault that has struck.

    Attributes:
        told: what was done, for a person.
        lasts_s: ``mend`` is due so many seconds later.
        mend: takes it back.
        settled: asked again and again until true; it may carry on what the fault began (a stop, then a run).
        unharmed: asked in the end, if nothing else has struck the same job: what was harmed though it should not have
            been, "" = nothing.
        finish: called when all is well again; what is still to be told.
    """

    told: str
    lasts_s: float = 0.0
    mend: Callable[[], None] = _nothing
    settled: Callable[[], bool] = _at_once
    unharmed: Callable[[], str] = str
    finish: Callable[[], str] = str


class World(Protocol):
    """Jobs, and all that their life rests on."""

    targets: int
    """How many jobs there are."""
    limit_s: float
    """Within this time all must be well again."""

    def begin(self) -> None:
        """Starts everything."""

    def now_s(self) -> float:
        """The time of this world, in seconds."""

    def pause(self, seconds: float) -> None:
        """Lets the time go on."""

    def look(self) -> None:
        """Judges what can be judged at any moment; raises PromiseBroken."""

    def strike(self, what: Strike) -> Effect:
        """Does what the fault says."""

    def expect(self) -> None:
        """From now on ``well`` asks for new records. All faults have struck and were mended."""

    def well(self, target: int) -> bool:
        """Whether this job is well again."""

    def settle(self) -> None:
        """Judges what must hold when all is well; raises PromiseBroken."""

    def end(self) -> None:
        """Stops everything, and judges what is left; raises PromiseBroken."""

    def told(self, target: int | None) -> str:
        """Evidence: journals, places of logs; of this job, or of all."""

    def records(self) -> int:
        """How many were counted so far."""
