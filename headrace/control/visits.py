"""Whose logs are taken next: each deployment by one taker at a time, and all in turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from headrace.runtimes.logfiles import Logged


@dataclass(frozen=True)
class Visit:
    """A deployment's logs are taken as far as they were at its first turn; what comes later is for the next visit.

    Attributes:
        last: of this Headrace.
        sizes: of its logs at its first turn.
    """

    one: Logged
    last: bool = False
    sizes: dict[str, int] = field(default_factory=dict)


class Visits:
    """Thread-safe. A visit that has more after its turn goes behind those of the others."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Visit] = deque()
        self._taken: dict[Path, Visit | None] = {}
        """By folder, who has a turn now, and the visit that is to follow."""
        self._closed = False

    def ask(self, found: Iterable[Logged]) -> None:
        """All these are to be visited; who waits for a turn, or has one, is so already."""
        with self._changed:
            known = {visit.one.folder for visit in self._waiting} | self._taken.keys()
            self._waiting += [Visit(one) for one in found if one.folder not in known]
            self._changed.notify_all()

    def close(self, found: Iterable[Logged], *, last: bool) -> None:
        """All these are to be visited anew, and nobody after them."""
        with self._changed:
            self._waiting.clear()
            for one in found:
                if one.folder in self._taken:
                    self._taken[one.folder] = Visit(one, last)
                else:
                    self._waiting.append(Visit(one, last))
            self._closed = True
            self._changed.notify_all()

    def next(self) -> Visit | None:
        """Waits for a visit whose turn it is, which must be told to be ``done``; None = there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            visit = self._waiting.popleft()
            self._taken[visit.one.folder] = None
            return visit

    def done(self, visit: Visit, *, more: bool) -> None:
        """Its turn is over; ``more``: it is to have another."""
        with self._changed:
            follows = self._taken.pop(visit.one.folder) or (visit if more else None)
            if follows is not None:
                self._waiting.append(follows)
                self._changed.notify()
