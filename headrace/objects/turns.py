"""Who may ask the object store: a few at a time, so that a silent one leaves threads for what does not need it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from headrace.domain.errors import StoreBusy
from headrace.objects.base import ObjectInfo, Objects

OF_DRIVER = 2
"""Fewer than the driver has workers."""
OF_API = 8
"""Far fewer than the API has threads (40), even twice: so many ask, and so many copy."""
WAIT_S = 1.0
"""A store that is well has answered the others by then."""


class Turns:
    """An object store that so many may ask at once; who comes later is told to come again, by StoreBusy.

    A call has its turn until it returns. What ``get_stream`` gives outlasts it: whoever reads that has threads for it
    alone, or is ``copying``, of which there are as many turns again. ``put_stream`` has none, as it takes no thread.
    """

    def __init__(self, store: Objects, at_once: int, wait_s: float = WAIT_S) -> None:
        self._store = store
        self._wait_s = wait_s
        self._places = threading.BoundedSemaphore(at_once)
        self._copies = threading.BoundedSemaphore(at_once)

    @property
    def root(self) -> Path | None:
        """See Objects.root."""
        return self._store.root

    def create_bucket(self, bucket: str) -> None:
        """See Objects.create_bucket."""
        with self._turn():
            self._store.create_bucket(bucket)

    def buckets(self) -> list[str]:
        """See Objects.buckets."""
        with self._turn():
            return self._store.buckets()

    def has_bucket(self, bucket: str) -> bool:
        """See Objects.has_bucket."""
        with self._turn():
            return self._store.has_bucket(bucket)

    def require_bucket(self, bucket: str) -> None:
        """See Objects.require_bucket."""
        with self._turn():
            self._store.require_bucket(bucket)

    def exists(self, bucket: str, key: str) -> bool:
        """See Objects.exists."""
        with self._turn():
            return self._store.exists(bucket, key)

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """See Objects.head."""
        with self._turn():
            return self._store.head(bucket, key)

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """See Objects.read."""
        with self._turn():
            return self._store.read(bucket, key, begin, end)

    def get_stream(self, bucket: str, key: str, begin: int = 0, version: str = "") -> tuple[int, Iterator[bytes]]:
        """See Objects.get_stream."""
        with self._turn():
            return self._store.get_stream(bucket, key, begin, version)

    def copying(self) -> AbstractContextManager[None]:
        """See Objects.copying; the turn lasts as long as the context, beside those of its calls."""
        return self._turn(self._copies)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """See Objects.put."""
        with self._turn():
            self._store.put(bucket, key, content)

    def put_new(self, bucket: str, key: str, content: bytes) -> bool:
        """See Objects.put_new."""
        with self._turn():
            return self._store.put_new(bucket, key, content)

    async def put_stream(self, bucket: str, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
        """See Objects.put_stream."""
        return await self._store.put_stream(bucket, key, chunks, max_bytes)

    def listing(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """See Objects.listing; all of it is here when this returns."""
        with self._turn():
            return iter(list(self._store.listing(bucket, prefix)))

    def folders(self, bucket: str, folder: str) -> list[str]:
        """See Objects.folders."""
        with self._turn():
            return self._store.folders(bucket, folder)

    def delete(self, bucket: str, key: str) -> None:
        """See Objects.delete."""
        with self._turn():
            self._store.delete(bucket, key)

    def delete_folder(self, bucket: str, folder: str) -> None:
        """See Objects.delete_folder."""
        with self._turn():
            self._store.delete_folder(bucket, folder)

    @contextmanager
    def _turn(self, places: threading.BoundedSemaphore | None = None) -> Iterator[None]:
        places = places or self._places
        if not places.acquire(timeout=self._wait_s):
            raise StoreBusy("The object storage has not answered others yet, and is slow or silent. Ask again later.")
        try:
            yield
        finally:
            places.release()
