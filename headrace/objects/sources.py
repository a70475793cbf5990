"""A file that a job names, wherever it is: what version of it there is, and its bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, Literal, cast

from headrace.objects.base import ObjectInfo, Objects
from headrace.objects.paths import ObjectRef

BLOCK = 256 * 1024
BLOCKS = 64


@dataclass(frozen=True)
class Source:
    """One version of one file.

    Attributes:
        reference: as the user named it.
        version: of its content, unlike that of any other file; the same one means the same content.
        size: bytes.
        stream: the bytes from this one on; raises ObjectReplaced when it is not of this version any more.
        read: the bytes from one to before another.
    """

    reference: str
    version: str
    size: int
    stream: Callable[[int], Iterator[bytes]]
    read: Callable[[int, int], bytes]

    @property
    def name(self) -> str:
        """Base name."""
        return self.reference.rsplit("/", 1)[-1]

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """To be read here and there, as the list of a JAR's entries is: only what is wanted is fetched."""
        del mode
        return cast("BinaryIO", io.BufferedReader(_Ranged(self.size, self.read), BLOCK))


def of_object(objects: Objects, where: ObjectRef, reference: str) -> Source:
    """The object as it is now; raises BucketNotFound, ObjectNotFound."""
    info = objects.head(where.bucket, where.key)

    @lru_cache(maxsize=BLOCKS)
    def block(number: int) -> bytes:
        return objects.read(where.bucket, where.key, number * BLOCK, (number + 1) * BLOCK)

    def read(begin: int, end: int) -> bytes:
        first, last = begin // BLOCK, max(begin, end - 1) // BLOCK
        joined = b"".join(block(number) for number in range(first, last + 1))
        return joined[begin - first * BLOCK : end - first * BLOCK]

    def stream(begin: int) -> Iterator[bytes]:
        return objects.get_stream(where.bucket, where.key, begin, info.version)[1]

    return Source(reference, _version(where, info), info.size, stream, read)


def _version(where: ObjectRef, info: ObjectInfo) -> str:
    return f"{where} {info.version} {info.size} {info.modified_ms}"


class _Ranged(io.RawIOBase):
    """A file of which only the parts that are read are there."""

    def __init__(self, size: int, read: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._size = size
        self._read = read
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        got = self._read(self._at, min(self._size, self._at + len(buffer))) if self._at < self._size else b""
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)
