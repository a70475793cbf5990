"""Fences a deployment and ends all its processes."""

from __future__ import annotations

import fcntl
import time

from headrace.domain.errors import Unavailable
from headrace.flink.command import Layout
from headrace.runtimes import files, processes
from headrace.runtimes.processes import Kept, Life
from headrace.runtimes.starting import REMOVED

GRACE_S = 5.0
"""From asking the processes to end (SIGTERM) to ending them (SIGKILL)."""


def end(layout: Layout) -> bool:
    """Asks the processes to end; called again after the grace, ends them. True if nothing of them lives.

    Raises:
        Unavailable, OSError: the fence cannot be written.
    """
    kept = [processes.look(role) for role in (layout.role("jobmanager"), *layout.folder.glob("taskmanager-*"))]
    ended = _end_all(layout, kept, force=_fence(layout, kept))
    if all(one.life is Life.NEVER for one in kept):
        ended.append(processes.end_unrecorded(layout.folder))
    return all(ended)


def _fence(layout: Layout, kept: list[Kept]) -> bool:
    """Writes the fence, if it is not there; whether the grace of the processes is over.

    A full disk does not save them: they are ended all the same. Only, the name is not fenced yet then.
    """
    fence = layout.folder / REMOVED
    try:
        with (layout.folder / "fence.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not fence.exists():
                files.write(fence, {"boot_id": processes.boot_id(), "at": time.clock_gettime(time.CLOCK_BOOTTIME)})
    except (OSError, Unavailable):
        _end_all(layout, kept, force=True)
        raise
    asked = files.read(fence)
    rebooted = bool(asked["boot_id"] != processes.boot_id())
    return rebooted or bool(time.clock_gettime(time.CLOCK_BOOTTIME) - asked["at"] > GRACE_S)


def _end_all(layout: Layout, kept: list[Kept], *, force: bool) -> list[bool]:
    """TaskManagers have nothing to put in order when their JobManager is gone: they are ended at once."""
    orphaned = processes.look(layout.role("jobmanager")).life is not Life.RUNS
    return [processes.end(one, force=force or orphaned) for one in kept]
