"""Reads the head of a ``_metadata`` file, which makes a folder a completed checkpoint or savepoint."""

from __future__ import annotations

import struct
from pathlib import Path

MAGIC = 0x4960672D
"""Flink: ``Checkpoints.HEADER_MAGIC_NUMBER``."""
VERSIONS = range(2, 16)
"""Formats whose head is alike: magic, version, number (Flink 1.2 and later; 1.17 to 2.3 write 4 to 6)."""
_HEAD = struct.Struct(">IiQ")


def checkpoint_id(folder: Path) -> int | None:
    """Flink's number of the checkpoint or savepoint; None if the folder is none, or is damaged.

    Flink writes ``_metadata`` last, and under another name until it is whole.
    """
    try:
        with (folder / "_metadata").open("rb") as file:
            head = file.read(_HEAD.size)
            more = file.read(1)
    except OSError:
        return None
    if len(head) < _HEAD.size or not more:
        return None
    magic, version, number = _HEAD.unpack(head)
    return int(number) if magic == MAGIC and version in VERSIONS else None
