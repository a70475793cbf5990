"""Buckets in a folder: ``<root>/<bucket>/<key>`` holds the object ``obs://<bucket>/<key>``.

Running jobs read and write the same folder through the Flink plugin; nothing here locks, and a put appears whole or not
at all.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from headrace.domain.errors import BadField, BodyTooLarge, BucketNotFound, NameTaken, ObjectNotFound, Unavailable
from headrace.objects.paths import ObjectRef, check_bucket, check_key

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class ObjectInfo:
    """One stored object."""

    key: str
    size: int
    modified_ms: int


class ObjectStore:
    """All buckets of one server."""

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
        """The object's size and time; raises BucketNotFound, ObjectNotFound."""
        status = self.local_path(bucket, key).stat()
        return ObjectInfo(key, status.st_size, status.st_mtime_ns // 1_000_000)

    def local_path(self, bucket: str, key: str) -> Path:
        """The object as a file of this machine; it must not be written to.

        Raises:
            BucketNotFound: no such bucket.
            ObjectNotFound: no such object.
        """
        file = self._file(bucket, key)
        if not file.is_file():
            raise ObjectNotFound(
                f"The object {ObjectRef(bucket, key)} does not exist. Upload it first (headrace objects put)."
            )
        return file

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Stores an object, whole or not at all, in place of one that may be there.

        Raises:
            BucketNotFound, BadField: there is no such place.
            Unavailable: it could not be stored; the message says why.
        """
        self._refuse_folder(bucket, key)
        try:
            with _told(bucket, key):
                self._store(bucket).put(key, content)
        except OSError as error:
            raise Unavailable(str(error)) from error

    def put_new(self, bucket: str, key: str, content: bytes) -> bool:
        """Stores an object, whole or not at all; False if there is one of this key. Raises BucketNotFound, BadField."""
        self._refuse_folder(bucket, key)
        try:
            with _told(bucket, key):
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
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise BodyTooLarge(f"{ObjectRef(bucket, key)}: an object has at most {max_bytes} bytes.")
                yield chunk

        with _told(bucket, key):
            await self._store(bucket).put_async(key, counted())
        return size

    def get_stream(self, bucket: str, key: str) -> tuple[int, Iterator[bytes]]:
        """(size, bytes piece by piece) of the object as it is now, even if it is replaced meanwhile.

        Raises:
            BucketNotFound, ObjectNotFound: there is none.
        """
        self.local_path(bucket, key)
        try:
            found = self._store(bucket).get(key)
        except FileNotFoundError as error:
            raise ObjectNotFound(f"The object {ObjectRef(bucket, key)} has just been deleted.") from error
        return found.meta["size"], (bytes(chunk) for chunk in found.stream(min_chunk_size=CHUNK))

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
        self.local_path(bucket, key)
        self._store(bucket).delete(key)

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


@contextmanager
def _told(bucket: str, key: str) -> Iterator[None]:
    """Tells an operator what failed where; the folder's own errors name files only."""
    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError(f"{ObjectRef(bucket, key)} exists") from error
    except BaseError as error:
        raise OSError(f"{ObjectRef(bucket, key)} could not be stored: {error}") from error


def copy_whole(source: Path, target: Path) -> None:
    """Copies a file so that ``target`` appears whole or not at all."""
    staging = target.with_name(f"{target.name}#0")
    try:
        shutil.copyfile(source, staging)
        staging.rename(target)
    finally:
        staging.unlink(missing_ok=True)
