"""Whom the workers of the courier serve next: those whose receivers answer, and apart from them those who are late.

A receiver that hangs holds a worker until the time for one notice is up, and anybody may subscribe any number of them.
So whoever did not say yes the last time, or took long to, or has not confirmed yet, is served by some workers only: the
others are there for those who answer. Within a lane, first come is first served, and each is tried once before its next
turn.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from headrace.control.workqueue import WorkQueue

QUICK = 6
LATE = 4
"""Workers of each lane."""
REMEMBERED = 100_000
"""So many that were late are remembered, whatever is due to them now; then the first are forgotten."""


@dataclass
class Lanes:
    """Thread-safe. A subscription is served by one worker at a time, in whichever lane."""

    quick: WorkQueue = field(default_factory=WorkQueue)
    late: WorkQueue = field(default_factory=WorkQueue)
    _are_late: dict[int, None] = field(default_factory=dict)  # in the order of their last service
    _busy: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sweep(self, item: int, *, late: bool = False) -> None:
        """Asks for ``item`` to be served; ``late``: apart from those who answer, whatever it did the last time."""
        with self._lock:
            lane = self.late if late or item in self._are_late else self.quick
        lane.sweep(item)

    def begin(self, item: int) -> bool:
        """Whether the worker that has taken ``item`` from its lane may serve it; not if the other lane's does."""
        with self._lock:
            if item in self._busy:
                return False
            self._busy.add(item)
            return True

    def end(self, item: int, *, well: bool | None) -> None:
        """It was served; ``well``: whether its receiver said yes, and soon; None = it was not asked."""
        with self._lock:
            self._busy.discard(item)
            if well is None:
                return
            self._are_late.pop(item, None)
            if not well:
                self._are_late[item] = None
            if len(self._are_late) > REMEMBERED:
                del self._are_late[next(iter(self._are_late))]

    def close(self) -> None:
        """Lets all workers go."""
        self.quick.close()
        self.late.close()
