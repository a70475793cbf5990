"""Buckets in a folder: ``<root>/<bucket>/<key>`` holds the object ``obs://<bucket>/<key>``.

Running jobs read and write the same folder through the Flink plugin; nothing here locks, and a put appears whole or not
at all.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from headrace.domain.errors import (
    BadField,
    BodyTooLarge,
    BucketNotFound,
    NameTaken,
    ObjectNotFound,
    ObjectReplaced,
    StoreFull,
    Unavailable,
)
from headrace.objects.base import ObjectInfo
from headrace.objects.paths import ObjectRef, check_bucket, check_key

CHUNK = 1024 * 1024


class FolderObjects:
    """All buckets of one server, as folders; see ``headrace.objects.base.Objects``."""

    def __init__(self, root: Path) -> None:
        """Opens ``root``, and creates it if needed."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()

    @property
    def root(self) -> Path:
        """The folder of all buckets; the Flink plugin is told of it."""
        return self._root

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket.

        Raises:
            BadField: not a bucket's name.
            NameTaken: it exists.
        """
        try:
            (self._root / check_bucket(bucket)).mkdir(mode=0o700)
        except FileExistsError as error:
            raise NameTaken(f"bucket={bucket!r}: the bucket exists already.") from error

    def buckets(self) -> list[str]:
        """Names of all buckets."""
        return sorted(entry.name for entry in self._root.iterdir() if entry.is_dir() and not entry.is_symlink())

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket exists."""
        try:
            folder = self._root / check_bucket(bucket)
        except BadField:
            return False
        return folder.is_dir() and not folder.is_symlink()

    def require_bucket(self, bucket: str) -> None:
        """Raises BucketNotFound unless the bucket exists."""
        if not self.has_bucket(bucket):
            raise BucketNotFound.of(bucket)

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the object exists; raises BucketNotFound."""
        return self._file(bucket, key).is_file()

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """The object's size, time and version; raises BucketNotFound, ObjectNotFound."""
        with _told("read", bucket, key):
            return _info(key, self._existing(bucket, key).stat())

    def _existing(self, bucket: str, key: str) -> Path:
        """The object as a file of this machine; raises BucketNotFound, ObjectNotFound."""
        file = self._file(bucket, key)
        if not file.is_file():
            raise ObjectNotFound(
                f"The object {ObjectRef(bucket, key)} does not exist. Upload it first (headrace objects put)."
            )
        return file

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes of a small object, or a part of one; raises BucketNotFound, ObjectNotFound."""
        with _told("read", bucket, key), self._existing(bucket, key).open("rb") as file:
            file.seek(begin)
            return file.read(-1 if end is None else max(0, end - begin))

    def copying(self) -> AbstractContextManager[None]:
        """Nothing: whoever shares threads counts them; see ``headrace.objects.turns``."""
        return nullcontext()

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Stores an object, whole or not at all, in place of one that may be there.

        Raises:
            BucketNotFound, BadField: there is no such place.
            Unavailable: it could not be stored; the message says why.
        """
        self._refuse_folder(bucket, key)
        with _told("stored", bucket, key):
            self._store(bucket).put(key, content)

    def put_new(self, bucket: str, key: str, content: bytes) -> bool:
        """Stores an object, whole or not at all; False if there is one of this key. Raises BucketNotFound, BadField."""
        self._refuse_folder(bucket, key)
        try:
            with _told("stored", bucket, key):
                self._store(bucket).put(key, content, mode="create")
        except FileExistsError:
            return False
        return True

    async def put_stream(self, bucket: str, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
        """Stores what ``chunks`` yields, never all of it in memory; returns the size.

        Raises:
            BodyTooLarge: more than ``max_bytes`` came; nothing was stored.
        """
        self._refuse_folder(bucket, key)
        counted = Counted(bucket, key, chunks, max_bytes)
        with _told("stored", bucket, key):
            await self._store(bucket).put_async(key, counted.pieces())
        return counted.size

    def get_stream(self, bucket: str, key: str, begin: int = 0, version: str = "") -> tuple[int, Iterator[bytes]]:
        """(size, bytes from ``begin`` piece by piece) of the object as it is now, even if it is replaced meanwhile.

        Raises:
            BucketNotFound, ObjectNotFound: there is none.
            ObjectReplaced: it is not of this version.
        """
        with _told("read", bucket, key):
            file = self._existing(bucket, key).open("rb")
            info = _info(key, os.fstat(file.fileno()))
        if version not in ("", info.version):
            file.close()
            raise ObjectReplaced(f"The object {ObjectRef(bucket, key)} was replaced while it was read.")
        pieces = _pieces(file, bucket, key, begin)
        next(pieces)
        return info.size, pieces

    def listing(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix``, by key; raises BucketNotFound."""
        self.require_bucket(bucket)
        parent = prefix.rpartition("/")[0]
        if parent and not self._inside(bucket, check_key(parent, "prefix")):
            return
        for info in self._sorted(bucket, parent):
            if info.key.startswith(prefix) and self._inside(bucket, info.key):
                yield info

    def delete(self, bucket: str, key: str) -> None:
        """Deletes the object; raises BucketNotFound, ObjectNotFound."""
        with _told("deleted", bucket, key):
            self._existing(bucket, key).unlink()

    def folders(self, bucket: str, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted; raises BucketNotFound."""
        self.require_bucket(bucket)
        place = self._root / bucket / (check_key(folder, "folder") if folder else "")
        if not self._inside(bucket, folder) or not place.is_dir():
            return []
        return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.is_symlink())

    def delete_folder(self, bucket: str, folder: str) -> None:
        """Deletes all objects below ``folder/``; raises BucketNotFound."""
        self.require_bucket(bucket)
        place = self._root / bucket / check_key(folder, "folder")
        if self._inside(bucket, folder) and place.is_dir() and not place.is_symlink():
            with _told("deleted", bucket, folder):
                shutil.rmtree(place)

    def _sorted(self, bucket: str, parent: str) -> list[ObjectInfo]:
        try:
            found = [
                ObjectInfo(meta["path"], meta["size"], int(meta["last_modified"].timestamp() * 1000))
                for batch in self._store(bucket).list(parent or None)
                for meta in batch
            ]
        except BaseError as error:  # a running job can make links in a circle
            why = str(error).splitlines()[0]
            raise Unavailable(
                f"The bucket {bucket} cannot be listed: {why}. Remove links that lead nowhere."
            ) from error
        return sorted(found, key=lambda info: info.key)

    def _store(self, bucket: str) -> LocalStore:
        return LocalStore(self._root / bucket)

    def _file(self, bucket: str, key: str) -> Path:
        self.require_bucket(bucket)
        file = self._root / bucket / check_key(key)
        # A running job can write symbolic links into its bucket; none may lead out of it.
        if not self._inside(bucket, key):
            raise ObjectNotFound(f"The object {ObjectRef(bucket, key)} lies outside its bucket.")
        return file

    def _inside(self, bucket: str, key: str) -> bool:
        try:
            real = (self._root / bucket / key).resolve()
        except (OSError, RuntimeError):  # links in a circle; RuntimeError up to Python 3.12
            return False
        return real.is_relative_to(self._root / bucket)

    def _refuse_folder(self, bucket: str, key: str) -> None:
        file = self._file(bucket, key)
        if file.is_dir():
            raise BadField("key", key, "other objects lie below this key; choose another")
        for parent in file.parents:
            if parent == self._root / bucket:
                break
            if parent.is_file():
                raise BadField(
                    "key", key, f"{parent.relative_to(self._root / bucket)} is an object; choose another key"
                )


class Counted:
    """The pieces of an object that comes in, counted; more than ``max_bytes`` of them raise BodyTooLarge."""

    def __init__(self, bucket: str, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        self.size = 0
        self._named = ObjectRef(bucket, key)
        self._chunks = chunks
        self._max_bytes = max_bytes

    async def pieces(self) -> AsyncIterator[bytes]:
        """What came; ``size`` is right when all of it was taken."""
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self.size > self._max_bytes:
                raise BodyTooLarge(f"{self._named}: an object has at most {self._max_bytes} bytes.")
            yield chunk


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    """A put makes a new file, and whoever writes into one changes its time or size."""
    version = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
    return ObjectInfo(key, status.st_size, status.st_mtime_ns // 1_000_000, version)


def _pieces(file: BinaryIO, bucket: str, key: str, begin: int) -> Iterator[bytes]:
    with file, _told("read", bucket, key):
        yield b""  # from here on, whoever lets go of the pieces closes the file
        file.seek(begin)
        while piece := file.read(CHUNK):
            yield piece


@contextmanager
def _told(what: str, bucket: str, key: str) -> Iterator[None]:
    """Tells what failed where; the folder's own errors name files only.

    Raises:
        FileExistsError: an object that was to be created exists.
        StoreFull, Unavailable: everything else.
    """
    named = ObjectRef(bucket, key)
    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError(f"{named} exists") from error
    except ConnectionError:  # of whoever sends the object
        raise
    except FileNotFoundError as error:
        raise ObjectNotFound(f"The object {named} has just been deleted.") from error
    except (BaseError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise StoreFull(f"{named} could not be {what}: the disk is full. Make room on it.") from error
        why = str(error).splitlines()[0]
        raise Unavailable(f"{named} could not be {what}: {why}. Check the folder of the buckets.") from error


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file so that ``target`` appears whole or not at all."""
    staging = target.with_name(f"{target.name}#0")
    try:
        shutil.copyfile(source, staging)
        staging.rename(target)
    finally:
        staging.unlink(missing_ok=True)
