"""What Flink says of checkpoints in the JobManager's log: a second witness, where REST was not heard in time."""

from __future__ import annotations

import os
import re
from pathlib import Path

TAIL_BYTES = 1 << 20
"""Only the end of the log is read: what counts is the newest."""
_COMPLETED = re.compile(rb"Completed checkpoint (\d+) for job ([0-9a-f]{32}) ")


def completed(log: Path) -> dict[str, int]:
    """{Flink job: the newest number that it completed}, as far as the log tells: a job may have silenced it."""
    try:
        with log.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - TAIL_BYTES))
            found = _COMPLETED.findall(file.read())
    except OSError:
        return {}  # no log, no word
    newest: dict[str, int] = {}
    for number, flink_job in found:
        name = flink_job.decode()
        newest[name] = max(int(number), newest.get(name, 0))
    return newest
