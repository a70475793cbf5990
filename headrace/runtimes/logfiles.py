"""The logs of deployments on this machine, to be read or to be taken to a bucket while they grow.

A log is one file that only grows; offsets into it never change. Its oldest bytes may be gone (``keeper``: ``spool``).
Files of the deployment's folder::

    logs.json      {bucket}   its logs are to be kept there
    shipped.json   how far they are (``control/shipping``); of which it is told that bytes are gone
    logs.done      nothing is left to be done
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.errors import Unavailable
from headrace.flink.command import Layout
from headrace.runtimes import files, keeper, processes
from headrace.runtimes.processes import Life

log = logging.getLogger(__name__)

WANTED, SHIPPED, DONE = "logs.json", "shipped.json", "logs.done"
GONE = "gone"


@dataclass(frozen=True)
class LogFile:
    """One log.

    Attributes:
        role: whose it is: "jobmanager", "taskmanager-2".
        name: what it is: "jobmanager.log", "taskmanager.out", "gc.log", "exit.json".
        record: where the keeper notes how much of it is gone.
    """

    role: str
    name: str
    path: Path
    record: Path

    @property
    def size(self) -> int:
        """Bytes that there ever were; 0 if there is no file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @property
    def gone(self) -> int:
        """So many bytes at the beginning are gone.

        Raises:
            Unavailable: the record cannot be read.
        """
        return int(files.read(self.record).get(str(self.path), 0)) if self.record.exists() else 0

    def read(self, begin: int, end: int) -> bytes:
        """A part of it; shorter at the end of the file."""
        with self.path.open("rb") as file:
            return os.pread(file.fileno(), end - begin, begin)


@dataclass(frozen=True)
class Logged:
    """The logs of one deployment. ``over``: nothing comes any more."""

    name: str
    folder: Path
    files: tuple[LogFile, ...]
    over: bool

    @property
    def bucket(self) -> str:
        """Where they are to be kept, "" = nowhere else.

        Raises:
            Unavailable: the record cannot be read.
        """
        return str(files.read(self.folder / WANTED)["bucket"]) if (self.folder / WANTED).exists() else ""


def want(layout: Layout, bucket: str) -> None:
    """Notes that the deployment's logs are to be kept there.

    Raises:
        Unavailable: the disk does not take it.
    """
    if bucket and not (layout.folder / WANTED).exists():
        files.write(layout.folder / WANTED, {"bucket": bucket})


def all_owed(deployments: Path) -> Iterator[Logged]:
    """The logs of which something may still have to be taken to a bucket, or told: that bytes of them are gone, where
    no bucket has them; of a deployment whose records cannot be read now, the next time.
    """
    for folder in sorted(deployments.iterdir()):
        if _owed(folder) or _shortened(folder):
            try:
                found = of(Layout(folder))
            except Unavailable as error:
                log.warning("logs of %s wait: %s", folder.name, error)
            else:
                yield found


def bound_unkept(deployments: Path) -> None:
    """Keeps logs within their limit whose keeper was killed though its process lives on; those of which the records
    cannot be read or written now, the next time.
    """
    for folder in deployments.iterdir():
        if (folder / GONE).exists():
            continue
        for role in (folder / "jobmanager", *folder.glob("taskmanager-*")):
            try:
                _bound(role)
            except (Unavailable, OSError) as error:
                log.warning("the logs of %s/%s are not kept within their limit: %s", folder.name, role.name, error)


def _bound(role: Path) -> None:
    kept = processes.look(role)
    if kept.life is Life.RUNS and kept.keeper is not None and not kept.keeper.lives():
        record = role / "spool.json"
        gone = files.read(record) if record.exists() else {}
        keeper.free_all(record, gone, files.read(role / "command.json")["spool"])


def awaited(layout: Layout, wait_s: float) -> bool:
    """Whether a removed deployment's folder must stay yet: its logs are on their way, for ``wait_s`` at most."""
    try:
        since = (layout.folder / GONE).stat().st_mtime
    except FileNotFoundError:
        return True
    return _owed(layout.folder) and time.time() - since < wait_s


def _owed(folder: Path) -> bool:
    return (folder / WANTED).exists() and not (folder / DONE).exists()


def _shortened(folder: Path) -> bool:
    kept_elsewhere = (folder / WANTED).exists() or (folder / DONE).exists()
    return not kept_elsewhere and any(folder.glob("*/spool.json"))


def of(layout: Layout) -> Logged:
    """All logs of a deployment, the JobManager's first.

    Raises:
        Unavailable: records of its processes cannot be read.
    """
    names = (one.name for one in layout.folder.glob("taskmanager-*"))
    roles = ["jobmanager", *sorted((name for name in names if name.partition("-")[2].isdecimal()), key=_number)]
    lives = any(processes.look(layout.role(role)).life in (Life.RUNS, Life.ENDING) for role in roles)
    over = not lives and (layout.folder / GONE).exists()
    return Logged(
        layout.folder.name, layout.folder, tuple(file for role in roles for file in _of_role(layout, role)), over
    )


def _of_role(layout: Layout, role: str) -> list[LogFile]:
    kind, folder = role.partition("-")[0], layout.role(role)
    names = {".log": f"{kind}.log", ".out": f"{kind}.out", "-gc.log": "gc.log"}
    logs = [LogFile(role, names[suffix], path, folder / "spool.json") for suffix, path in layout.logs(role).items()]
    return [*logs, LogFile(role, "exit.json", folder / "exit.json", folder / "spool.json")]


def _number(role: str) -> int:
    return int(role.rpartition("-")[2])
