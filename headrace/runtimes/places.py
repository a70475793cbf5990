"""The places that states of jobs lie in: folders of this machine, and folders of buckets wherever those are.

A place is named by a URI. ``obs://``, ``s3://`` and ``s3a://`` name the same objects; the code of a job may write any
of them, our records say ``obs://``.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from headrace.domain.errors import BadField, BucketNotFound, ObjectNotFound
from headrace.domain.lineage import one_spelling
from headrace.flink import metadata

_BUCKETS = "obs://"
METADATA = "_metadata"


class Bucketed(Protocol):
    """What is asked of an object store (``objects.base.Objects``)."""

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        """The bytes of an object, or a part of them; raises BucketNotFound, ObjectNotFound, Unavailable."""

    def folders(self, bucket: str, folder: str) -> list[str]:
        """Names of the folders directly in a folder; raises BucketNotFound, Unavailable."""

    def delete_folder(self, bucket: str, folder: str) -> None:
        """Deletes all objects below a folder; raises BucketNotFound, Unavailable."""


class Places:
    """Looks into places. What cannot be reached now raises ``Unavailable``: it is never taken for gone."""

    def __init__(self, buckets: Path, remote: Bucketed | None = None) -> None:
        """``buckets``: the folder of all buckets; ``remote``: where they are instead, if that is elsewhere."""
        self._buckets = buckets
        self._remote = remote

    @staticmethod
    def visible(uri: str) -> bool:
        """Whether this machine can look there at all."""
        return uri.startswith(("/", "file:")) or one_spelling(uri).startswith(_BUCKETS)

    def folders(self, uri: str) -> list[str]:
        """Names of the folders directly in a place, sorted; none if it is not there, or not visible."""
        if not self.visible(uri):
            return []
        if self._is_remote(uri):
            assert self._remote is not None
            try:
                return sorted(self._remote.folders(*_split(uri)))
            except (BucketNotFound, BadField):
                return []  # no bucket, or a name that no object can have
        folder = self.path(uri)
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []

    def checkpoint_id(self, uri: str) -> int | None:
        """Flink's number of the checkpoint or savepoint there; None if there is none, or it is damaged."""
        if not self._is_remote(uri):
            return metadata.checkpoint_id(self.path(uri)) if self.visible(uri) else None
        head = self._head(uri, metadata.HEAD_BYTES)
        return metadata.number(head) if head is not None else None

    def complete(self, uri: str) -> bool:
        """Whether Flink has written there to the end: ``_metadata`` comes last."""
        if self._is_remote(uri):
            return self._head(uri, 1) is not None
        return (self.path(uri) / METADATA).exists()

    def delete(self, uri: str) -> None:
        """Deletes the place with all in it."""
        if self._is_remote(uri):
            assert self._remote is not None
            with suppress(BucketNotFound, BadField):
                self._remote.delete_folder(*_split(uri))
        else:
            shutil.rmtree(self.path(uri), ignore_errors=True)

    def path(self, uri: str) -> Path:
        """The folder of this machine behind the URI of a place that is on it."""
        spelled = one_spelling(uri)
        if spelled.startswith(_BUCKETS):
            return self._buckets / spelled.removeprefix(_BUCKETS)
        return Path("/" + uri.removeprefix("file:").lstrip("/"))

    def _is_remote(self, uri: str) -> bool:
        return self._remote is not None and one_spelling(uri).startswith(_BUCKETS)

    def _head(self, uri: str, size: int) -> bytes | None:
        """The first bytes of the ``_metadata`` there; None = there is none."""
        assert self._remote is not None
        bucket, folder = _split(uri)
        try:
            return self._remote.read(bucket, f"{folder}/{METADATA}", 0, size)
        except (BucketNotFound, ObjectNotFound, BadField):
            return None


def _split(uri: str) -> tuple[str, str]:
    """(bucket, folder), without "/" around or twice in the folder."""
    bucket, _, folder = one_spelling(uri).removeprefix(_BUCKETS).partition("/")
    return bucket, re.sub("/+", "/", folder).strip("/")
