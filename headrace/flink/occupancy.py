"""Who uses a folder: advisory locks, and what ``/proc`` shows of running processes.

Two witnesses, because each misses something: a lock is there before the JVM is and says nothing of strangers, while
``/proc`` shows any process of this user that was started from the folder or has a file of it open.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked(path: Path, *, shared: bool = False, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold ``flock`` on a lock file, which is created if needed and never removed; ``waiting`` is told of a wait.

    Works between processes and between threads alike, as each call opens the file anew.
    """
    descriptor = _open(path)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if waiting is not None:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def tried(path: Path) -> Iterator[bool]:
    """Hold the lock exclusively if it is free this instant; yields whether it is held."""
    descriptor = _open(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def holders(path: Path) -> tuple[int, ...]:
    """The processes that took a lock on this file, as ``/proc/locks`` names them (none in another PID namespace)."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return ()
    pids = set()
    for line in lines:  # "3: FLOCK  ADVISORY  READ 4711 fe:00:1234567 0 EOF"; a waiting one has "->" after the number
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5].rsplit(":", 1)[-1] == inode:
            pids.add(int(words[4]))
    return tuple(sorted(pid for pid in pids if pid > 0))


def inside(folder: Path) -> tuple[int, ...]:
    """Processes whose program, command line or open files lie in the folder; our own process does not count."""
    inner = f"{folder}/"
    pids = (int(name.name) for name in Path("/proc").iterdir() if name.name.isdigit())
    return tuple(sorted(pid for pid in pids if pid != os.getpid() and _touches(Path(f"/proc/{pid}"), inner)))


def _touches(process: Path, inner: str) -> bool:
    with suppress(OSError):
        if inner.encode() in (process / "cmdline").read_bytes():
            return True
    with suppress(OSError):  # of other users' processes these links cannot be read
        if str((process / "exe").readlink()).startswith(inner):
            return True
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()).startswith(inner):
                    return True
    return False


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
