"""How a user names a file: ``obs://bucket/key``, also with ``s3`` or ``s3a``, or a DLI package ``group/file.jar`` or
``file.jar``.

An object's key is its path below the bucket's folder, character for character: obstore's ``LocalStore`` and the Flink
plugin (``flink-plugins/obs``) both write it so. What one of them would refuse is refused here first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headrace.domain.errors import BadField
from headrace.domain.places import bare, is_object

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_UPLOAD = re.compile(r"#[0-9]+$")
_GROUP = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")
_PACKAGE = re.compile(r"[A-Za-z0-9_!-][A-Za-z0-9_!.-]{0,127}")
MAX_KEY_BYTES = 1024
MAX_SEGMENT_BYTES = 240
"""A file name has at most 255 bytes; an upload under way adds a suffix."""


@dataclass(frozen=True)
class ObjectRef:
    """One object: ``obs://{bucket}/{key}``."""

    bucket: str
    key: str

    @property
    def name(self) -> str:
        """Base name."""
        return self.key.rsplit("/", 1)[-1]

    def __str__(self) -> str:
        return f"obs://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class PackageRef:
    """One DLI package; ``group`` is "" for a package outside any group."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.group}/{self.name}" if self.group else self.name


def parse_reference(text: str, field: str) -> ObjectRef | PackageRef:
    """The file that ``text`` names.

    Raises:
        BadField: it names neither an object nor a package.
    """
    if is_object(text):
        return parse_object(text, field)
    group, slash, name = text.rpartition("/")
    if "://" in text or (slash and _GROUP.fullmatch(group) is None) or _PACKAGE.fullmatch(name) is None:
        raise BadField(field, text, 'must be "obs://bucket/path/file" or a package "group/file" or "file"')
    return PackageRef(group, name)


def parse_object(text: str, field: str) -> ObjectRef:
    """The object that ``obs://bucket/key``, ``s3://bucket/key`` or ``s3a://bucket/key`` names.

    Raises:
        BadField: it is not of this form.
    """
    bucket, _, key = bare(text).partition("/")
    if not is_object(text) or not key:
        raise BadField(field, text, "must be obs://bucket/path/file")
    return ObjectRef(check_bucket(bucket, field), check_key(key, field))


def check_bucket(bucket: str, field: str = "bucket") -> str:
    """``bucket``, if it can be a bucket's name.

    Looser than OBS (3 to 63 lower-case letters, digits, "-" and "."): DLI's own examples name a bucket ``bucketName``.

    Raises:
        BadField: it cannot.
    """
    if _BUCKET.fullmatch(bucket) is None or ".." in bucket:
        remedy = "is not a bucket's name: 1 to 63 letters, digits, '-', '_' and '.', beginning with a letter or digit"
        raise BadField(field, bucket, remedy)
    return bucket


def check_key(key: str, field: str = "key") -> str:
    """``key``, if it can be an object's key.

    Raises:
        BadField: it would leave the bucket, or cannot be the name of a file.
    """
    for segment in key.split("/"):
        if segment in ("", ".", ".."):
            raise BadField(field, key, "a key has no empty, '.' or '..' part, and no '/' at its beginning or end")
        if len(segment.encode(errors="replace")) > MAX_SEGMENT_BYTES:
            raise BadField(field, segment, f"each part of a key has at most {MAX_SEGMENT_BYTES} bytes")
    if not key.isprintable() or any(ord(char) < 32 or ord(char) == 127 for char in key):
        raise BadField(field, key, "a key has no control characters")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise BadField(field, key, f"a key has at most {MAX_KEY_BYTES} bytes")
    if _UPLOAD.search(key):
        raise BadField(field, key, "a key must not end in '#' and a number: so uploads under way are named")
    return key


def check_group(group: str, field: str = "group") -> str:
    """``group``, if it can be a group of packages ("" = none); raises BadField."""
    if group and _GROUP.fullmatch(group) is None:
        raise BadField(field, group, "must be 1 to 64 letters, digits, '.', '_' and '-'")
    return group


def check_package(name: str, field: str) -> str:
    """``name``, if it can be a package's file name; raises BadField."""
    if _PACKAGE.fullmatch(name) is None:
        raise BadField(field, name, "must be 1 to 128 letters, digits, '_', '!', '.' and '-', not beginning with '.'")
    return name
