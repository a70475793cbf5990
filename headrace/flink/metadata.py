"""Reads the head of a ``_metadata`` file, which makes a folder a completed checkpoint or savepoint."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = 0x4960672D
"""Flink: ``Checkpoints.HEADER_MAGIC_NUMBER``."""
VERSIONS = range(2, 16)
"""Formats whose head is alike: magic, version, number (Flink 1.2 and later; 1.17 to 2.3 write 4 to 6)."""
_HEAD = struct.Struct(">IiQ")
HEAD_BYTES = _HEAD.size + 1
"""So many bytes tell the number, and that there is more than the head."""


def checkpoint_id(folder: Path) -> int | None:
    """Flink's number of the checkpoint or savepoint; None if the folder is none, or is damaged.

    Flink writes ``_metadata`` last, and under another name until it is whole.
    """
    try:
        with (folder / "_metadata").open("rb") as file:
            return number(file.read(HEAD_BYTES))
    except OSError:
        return None


def number(head: bytes) -> int | None:
    """The number in the first ``HEAD_BYTES`` of a ``_metadata``; None if it is damaged."""
    if len(head) < HEAD_BYTES:
        return None
    magic, version, found = _HEAD.unpack(head[: _HEAD.size])
    return int(found) if magic == MAGIC and version in VERSIONS else None
