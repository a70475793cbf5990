"""What every object store promises: buckets with objects, in a folder of this machine or behind an S3 endpoint.

The contract suite (``tests/contract/test_objects.py``) holds for each implementation. Calls block. What can't be
reached or isn't allowed raises ``Unavailable`` with the reason and the remedy: it may go better later. Its kinds
(``StoreSilent``, ``StoreRefused``, ``BucketForbidden``, ``StoreFull``) say who can mend it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object.

    Attributes:
        size: bytes.
        modified_ms: epoch milliseconds.
        version: changes whenever the content is replaced (S3: the ETag); "" = not known.
    """

    key: str
    size: int
    modified_ms: int
    version: str = ""


class Objects(Protocol):
    """All buckets of one server."""

    @property
    def root(self) -> Path | None:
        """The folder of all buckets on this machine; None = they are elsewhere."""

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket; raises BadField (not a name), NameTaken (it exists)."""

    def buckets(self) -> list[str]:
        """Names of all buckets."""

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket exists."""

    def require_bucket(self, bucket: str) -> None:
        """Raises BucketNotFound unless the bucket exists."""

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the object exists; raises BucketNotFound."""

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What is known of the object; raises BucketNotFound, ObjectNotFound."""

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes of a small object, or a part of one (shorter at its end); raises BucketNotFound, ObjectNotFound."""

    def get_stream(self, bucket: str, key: str, begin: int = 0, version: str = "") -> tuple[int, Iterator[bytes]]:
        """(size of the whole object, bytes from ``begin`` piece by piece) of the object as it is now.

        Raises:
            BucketNotFound, ObjectNotFound: there is none.
            ObjectReplaced: it is no longer of this ``version`` ("" = any will do).
        """

    def copying(self) -> AbstractContextManager[None]:
        """Held while streams are read to their end by a thread that others wait for too; raises StoreBusy when it is
        entered and so many hold one that it must not be one more.
        """

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Stores an object, whole or not at all, in place of one that may be there; raises BucketNotFound, BadField."""

    def put_new(self, bucket: str, key: str, content: bytes) -> bool:
        """Stores an object, whole or not at all; False if there is one of this key. Raises BucketNotFound, BadField."""

    async def put_stream(self, bucket: str, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
        """Stores what ``chunks`` yields, never all of it in memory; returns the size.

        Raises:
            BodyTooLarge: more than ``max_bytes`` came; nothing was stored.
        """

    def listing(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix``, by key; raises BucketNotFound."""

    def folders(self, bucket: str, folder: str) -> list[str]:
        """Names of the folders directly in a folder ("" = of the bucket), sorted: the next part of the keys below it.

        Raises:
            BucketNotFound: no such bucket.
        """

    def delete(self, bucket: str, key: str) -> None:
        """Deletes the object; raises BucketNotFound, ObjectNotFound."""

    def delete_folder(self, bucket: str, folder: str) -> None:
        """Deletes all objects below ``folder/``; does nothing if there are none. Raises BucketNotFound."""
