"""Who is ticked when: a queue of job ids with delays.

- An id is in the queue at most once; of two times the earlier counts.
- An id that a worker holds is given to no second worker; if it is added meanwhile, it comes again afterwards.
- Failures of one id back off exponentially, and a success forgets them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

FIRST_BACKOFF_S = 0.25
MAX_BACKOFF_S = 15.0


class WorkQueue:
    """Thread-safe; times are in seconds of ``clock``, a monotonic one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due: dict[int, float] = {}
        self._held: dict[int, float | None] = {}
        self._failures: dict[int, int] = {}
        self._changed = threading.Condition()
        self._closed = False

    def add(self, item: int, delay_s: float = 0.0) -> None:
        """Asks for ``item`` to be looked at, ``delay_s`` from now at the latest."""
        with self._changed:
            due = self._clock() + delay_s
            if item in self._held:
                again = self._held[item]
                self._held[item] = due if again is None else min(due, again)
            else:
                self._due[item] = min(due, self._due.get(item, due))
            self._changed.notify()

    def take(self) -> int | None:
        """The next due item, waiting for it; None when the queue was closed. Hand it back by ``done``."""
        with self._changed:
            while not self._closed:
                now = self._clock()
                item = min(self._due, key=self._due.__getitem__, default=None)
                if item is not None and self._due[item] <= now:
                    del self._due[item]
                    self._held[item] = None
                    return item
                self._changed.wait(None if item is None else self._due[item] - now)
            return None

    def done(self, item: int, *, failed: bool = False) -> None:
        """Hands ``item`` back; a failed one comes again after its backoff."""
        with self._changed:
            again = self._held.pop(item)
            if failed:
                failures = self._failures.get(item, 0)
                self._failures[item] = failures + 1
                again = self._clock() + min(FIRST_BACKOFF_S * 2**failures, MAX_BACKOFF_S)
            else:
                self._failures.pop(item, None)
            if again is not None:
                self._due[item] = again
                self._changed.notify()

    def close(self) -> None:
        """Lets all takers go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
