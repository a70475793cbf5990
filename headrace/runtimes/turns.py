"""Who may ask the object store: a few at a time, so that a silent one leaves workers for jobs that do not need it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.domain.errors import StoreSilent
from headrace.runtimes.places import Bucketed

AT_ONCE = 2
"""Fewer than the driver has workers."""
WAIT_S = 1.0
"""A store that is well has answered the others by then."""


class Turns:
    """An object store (``places.Bucketed``) that so many may ask at once; who comes later is told to come again."""

    def __init__(self, store: Bucketed, at_once: int = AT_ONCE, wait_s: float = WAIT_S) -> None:
        self._store = store
        self._wait_s = wait_s
        self._places = threading.BoundedSemaphore(at_once)

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """See Bucketed.read."""
        with self._turn():
            return self._store.read(bucket, key, begin, end)

    def folders(self, bucket: str, folder: str) -> list[str]:
        """See Bucketed.folders."""
        with self._turn():
            return self._store.folders(bucket, folder)

    def delete_folder(self, bucket: str, folder: str) -> None:
        """See Bucketed.delete_folder."""
        with self._turn():
            self._store.delete_folder(bucket, folder)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(timeout=self._wait_s):
            raise StoreSilent("The object storage has not answered other jobs yet. It is asked again.")
        try:
            yield
        finally:
            self._places.release()
