"""Buckets behind an S3 endpoint (OBS, SeaweedFS, MinIO, Ceph, AWS), by obstore.

obstore knows objects only; buckets are made, listed and looked for by ``headrace.objects.s3_buckets``. Nothing is tried
twice here: whoever calls tries again, and tells why it waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError

from headrace.domain.errors import BadField, BucketNotFound, HeadraceError, ObjectNotFound, ObjectReplaced, StoreSilent
from headrace.objects.access import S3Access
from headrace.objects.base import ObjectInfo
from headrace.objects.folder import Counted
from headrace.objects.paths import ObjectRef, check_bucket, check_key
from headrace.objects.s3_buckets import Buckets
from headrace.objects.s3_client import SLOWEST, bucket_client, client_options, sending_limit_s, sending_options, step_of
from headrace.objects.s3_errors import has_answered, meaning, told

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import S3Store

CHUNK = 1024 * 1024
PART = 5 * 1024 * 1024
"""Of an upload in parts: S3 takes none that are smaller, and 10 000, so 50 GB."""
AT_ONCE = 2
"""Parts that are on their way, and in memory: they share the link."""


class S3Objects:
    """All buckets that the keys reach; see ``headrace.objects.base.Objects``."""

    def __init__(self, access: S3Access) -> None:
        """Connects to nothing yet.

        Raises:
            OSError: the CA file cannot be read.
        """
        self._access = access
        self._options = client_options(access)
        self._stores: dict[tuple[str, int], S3Store] = {}
        self._lock = Lock()
        self._buckets = Buckets(access, self._store)

    @property
    def access(self) -> S3Access:
        """How the endpoint is reached, for Flink too."""
        return self._access

    @property
    def root(self) -> Path | None:
        """None: the buckets are not on this machine."""
        return None

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket; raises BadField (not a name), NameTaken (it exists)."""
        self._buckets.create(check_bucket(bucket))

    def buckets(self) -> list[str]:
        """Names of the buckets that the keys may list, and of those that have keys of their own."""
        return self._buckets.names()

    def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket exists; raises BucketForbidden if that may not be known."""
        try:
            return self._buckets.exists(check_bucket(bucket))
        except BadField:
            return False

    def require_bucket(self, bucket: str) -> None:
        """Raises BucketNotFound unless the bucket exists."""
        if not self.has_bucket(bucket):
            raise BucketNotFound.of(bucket)

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the object exists; raises BucketNotFound."""
        try:
            self.head(bucket, key)
        except ObjectNotFound:
            return False
        return True

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What is known of the object; raises BucketNotFound, ObjectNotFound."""
        store = self._store(bucket)
        try:
            return _info(store.head(check_key(key)))
        except (BaseError, FileNotFoundError) as error:
            if not has_answered(str(error)):
                raise meaning(self._access.named, bucket, key, str(error)) from error
        # What refuses a HEAD has no body, and so no reason. A GET tells it; what it would bring is not read.
        with self._told(bucket, key):
            return _info(store.get(key).meta)

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes of a small object, or a part of one; raises BucketNotFound, ObjectNotFound."""
        info = self.head(bucket, key)
        stop = info.size if end is None else min(end, info.size)
        if begin >= stop:
            return b""
        with self._told(bucket, key):
            return bytes(self._store(bucket).get_range(check_key(key), start=begin, end=stop))

    def get_stream(self, bucket: str, key: str, begin: int = 0, version: str = "") -> tuple[int, Iterator[bytes]]:
        """(size, bytes from ``begin`` piece by piece) of the object as it is now.

        Raises:
            BucketNotFound, ObjectNotFound: there is none.
            ObjectReplaced: it is not of this version.
        """
        options: GetOptions = {}
        if begin:
            info = self.head(bucket, key)
            version = version or info.version
            if begin >= info.size:
                return info.size, iter(())
            options["range"] = {"offset": begin}
        if version:
            options["if_match"] = version
        with self._told(bucket, key):
            found = self._store(bucket).get(check_key(key), options=options)
        if version and found.meta["e_tag"] != version:  # some endpoints pass conditions over
            raise ObjectReplaced(f"The object {ObjectRef(bucket, key)} was replaced while it was read.")
        return found.meta["size"], self._pieces(bucket, key, iter(found.stream(min_chunk_size=CHUNK)))

    def copying(self) -> AbstractContextManager[None]:
        """Nothing: whoever shares threads counts them; see ``headrace.objects.turns``."""
        return nullcontext()

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Stores an object, whole or not at all; raises BucketNotFound, BadField."""
        size = len(content)
        if size > PART:
            with self._told(bucket, check_key(key), PART * AT_ONCE):
                self._sender(bucket, PART * AT_ONCE).put(
                    key, content, use_multipart=True, chunk_size=PART, max_concurrency=AT_ONCE
                )
            return
        with self._told(bucket, check_key(key), step_of(size)):
            self._sender(bucket, step_of(size)).put(key, content, use_multipart=False)

    def put_new(self, bucket: str, key: str, content: bytes) -> bool:
        """Stores an object; False if there is one of this key. Raises BucketNotFound, BadField."""
        if self.exists(bucket, key):  # not every endpoint knows a PUT with a condition, and some pass it over
            return False
        step = step_of(len(content))
        try:
            with self._told(bucket, key, step):
                self._sender(bucket, step).put(key, content, mode="create", use_multipart=False)
        except FileExistsError:
            return False
        return True

    async def put_stream(self, bucket: str, key: str, chunks: AsyncIterator[bytes], max_bytes: int) -> int:
        """Stores what ``chunks`` yields, never all of it in memory; returns the size.

        Raises:
            BodyTooLarge: more than ``max_bytes`` came; nothing was stored.
        """
        counted = Counted(bucket, key, chunks, max_bytes)
        await self._answers(bucket, check_key(key))
        with self._told(bucket, key, PART * AT_ONCE):
            sender = self._sender(bucket, PART * AT_ONCE)
            await sender.put_async(key, counted.pieces(), chunk_size=PART, max_concurrency=AT_ONCE)
        return counted.size

    def listing(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key begins with ``prefix``, by key; raises BucketNotFound."""
        parent = prefix.rpartition("/")[0]
        with self._told(bucket):
            found = {
                meta["path"]: _info(meta)
                for batch in self._store(bucket).list(check_key(parent, "prefix") if parent else None)
                for meta in batch
                if meta["path"].startswith(prefix)
            }
        # Clients that think in folders (Hadoop, consoles) keep an empty object for each.
        folders = {key[:at] for key in found for at in range(len(key)) if key[at] == "/"}
        yield from (info for key, info in sorted(found.items()) if info.size or key not in folders)

    def folders(self, bucket: str, folder: str) -> list[str]:
        """Names of the folders directly in a folder, sorted; raises BucketNotFound."""
        prefix = check_key(folder, "folder") if folder else None
        with self._told(bucket):
            found = self._store(bucket).list_with_delimiter(prefix)["common_prefixes"]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in found)

    def delete(self, bucket: str, key: str) -> None:
        """Deletes the object; raises BucketNotFound, ObjectNotFound."""
        self.head(bucket, key)
        with self._told(bucket, key):
            self._store(bucket).delete(key)

    def delete_folder(self, bucket: str, folder: str) -> None:
        """Deletes all objects below ``folder/``; raises BucketNotFound."""
        with self._told(bucket):
            store = self._store(bucket)
            for batch in store.list(check_key(folder, "folder")):
                store.delete([meta["path"] for meta in batch])

    def _pieces(self, bucket: str, key: str, stream: Iterator[object]) -> Iterator[bytes]:
        """The stream breaks off with an error of obstore's, in whichever piece."""
        with self._told(bucket, key):
            for piece in stream:
                yield bytes(piece)  # type: ignore[call-overload]

    async def _answers(self, bucket: str, key: str) -> None:
        """Raises StoreSilent if nobody answers: the upload itself would find that out much later."""
        try:
            with self._told(bucket, key):
                await self._store(bucket).head_async(key)
        except StoreSilent:
            raise
        except HeadraceError:
            return  # there is no such object yet, or the upload is told why not

    def _told(self, bucket: str, key: str = "", sent: int = 0) -> AbstractContextManager[None]:
        """``sent``: bytes that the request's limit is for."""
        slow = ""
        if sent:
            slow = (
                f"in {sending_limit_s(self._access, sent):.0f} s it did not take what was sent for {{}}. Either it "
                f"hangs, or the link to it is slower than {SLOWEST // 1024} KB in a second"
            )
        return told(self._access.named, bucket, key, slow)

    def _store(self, bucket: str) -> S3Store:
        """For requests without bodies."""
        return self._client(bucket, 0)

    def _sender(self, bucket: str, size: int) -> S3Store:
        """For requests of so many bytes at once."""
        return self._client(bucket, size)

    def _client(self, bucket: str, size: int) -> S3Store:
        """One, with its connections, per bucket and limit."""
        with self._lock:
            if (bucket, size) not in self._stores:
                options = sending_options(self._access, self._options, size) if size else self._options
                self._stores[bucket, size] = bucket_client(self._access, check_bucket(bucket), options)
            return self._stores[bucket, size]


def _info(meta: ObjectMeta) -> ObjectInfo:
    modified = int(meta["last_modified"].timestamp() * 1000)
    return ObjectInfo(meta["path"], meta["size"], modified, meta["e_tag"] or "")
