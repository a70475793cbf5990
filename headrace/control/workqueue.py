"""Who is ticked when: a queue of job ids with delays.

- An id is in the queue at most once; of two times the earlier counts.
- An id that a worker holds is given to no second worker; if it is added meanwhile, it comes again afterwards.
- Failures of one id back off exponentially, and a success forgets them. The sweep waits for the backoff; a nudge, which
  says that something has changed, does not.
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
        self._failures: dict[int, float] = {}  # the next backoff of what failed last
        self._changed = threading.Condition()
        self._closed = False

    def sweep(self, item: int) -> None:
        """Asks for ``item`` to be looked at now, unless it is being looked at or backs off."""
        with self._changed:
            if item not in self._held and item not in self._failures:
                now = self._clock()
                self._due[item] = min(now, self._due.get(item, now))
                self._changed.notify()

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
                    self._changed.notify()  # whoever waits next learns what is due next
                    return item
                self._changed.wait(None if item is None else self._due[item] - now)
            return None

    def done(self, item: int, *, failed: bool = False) -> None:
        """Hands ``item`` back; a failed one comes again after its backoff at the latest."""
        with self._changed:
            again = self._held.pop(item)
            if failed:
                backoff = self._failures.get(item, FIRST_BACKOFF_S)
                self._failures[item] = min(2 * backoff, MAX_BACKOFF_S)
                retry = self._clock() + backoff
                again = retry if again is None else min(again, retry)
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
