"""Processes of this Linux machine: which one is ours, whether it lives, and how to end it for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from headrace.domain.errors import Unavailable
from headrace.runtimes import files

KEEPER = Path(__file__).with_name("keeper.py")


@dataclass(frozen=True)
class Identity:
    """One process beyond doubt: a pid is used again, a pid with its start time and boot id is not."""

    pid: int
    start_time: int
    boot_id: str

    def lives(self) -> bool:
        """Whether this very process runs now; a zombie does not."""
        if self.boot_id != boot_id():
            return False
        stat = _stat(self.pid)
        return stat is not None and stat.start_time == self.start_time and stat.state not in "ZX"


class Life(StrEnum):
    """How a kept process stands."""

    NEVER = "never started"
    RUNS = "runs"
    ENDED = "ended"
    ENDING = "ended, its exit code is being written"


@dataclass(frozen=True)
class Kept:
    """A process under a keeper. ``code``: 0–255, minus the signal, or None when nobody saw it.

    Attributes:
        started_at, ended_at: seconds since boot (CLOCK_BOOTTIME), if they are on record.
        oom_killed: the kernel killed it, or another process of its cgroup meanwhile, for want of memory.
        rebooted: it was started in an earlier boot of the machine.
    """

    life: Life
    code: int | None = None
    error: str = ""
    identity: Identity | None = None
    keeper: Identity | None = None
    started_at: float | None = None
    ended_at: float | None = None
    oom_killed: bool = False
    rebooted: bool = False


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    start_time: int


def boot_id() -> str:
    """Tells one boot of the machine from the next."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start(folder: Path) -> None:
    """Has a keeper start what ``folder/command.json`` says; returns when it is on record. Idempotent.

    Raises:
        Unavailable: the keeper itself could not be started.
    """
    with (folder / "keeper.log").open("ab") as log:
        try:
            subprocess.run(
                [sys.executable, "-I", "-S", "-B", str(KEEPER), str(folder)],
                check=True,
                timeout=60,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"LC_ALL": "C.UTF-8"},
                cwd="/",
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"The process keeper could not be started: {error}") from error


def look(folder: Path) -> Kept:
    """How the process kept in ``folder`` stands.

    Raises:
        Unavailable: its records cannot be read, so that nothing can be said.
    """
    ended = _read(folder / "exit.json")
    started = _read(folder / "process.json")
    identity = keeper = None
    try:
        if started is not None:
            identity = Identity(started["pid"], started["start_time"], started["boot_id"])
            keeper = Identity(started["keeper"]["pid"], started["keeper"]["start_time"], started["boot_id"])
        if ended is not None:
            return _ended(ended, started, identity, keeper)
    except (KeyError, TypeError) as error:
        raise Unavailable(f"The records in {folder} are damaged: {error!r}") from error
    if identity is None or keeper is None:
        return Kept(Life.NEVER)
    if identity.lives():
        return Kept(Life.RUNS, identity=identity, keeper=keeper, started_at=started.get("at") if started else None)
    if keeper.lives():
        wake(keeper)  # all that it has to do is to write down the end
        return Kept(Life.ENDING, identity=identity, keeper=keeper)
    ended = _read(folder / "exit.json")  # it may have been written since we looked
    return _ended(ended, started, identity, keeper)


def _ended(
    ended: dict[str, Any] | None, started: dict[str, Any] | None, identity: Identity | None, keeper: Identity | None
) -> Kept:
    """``ended`` is None when the keeper died before it could write down the exit."""
    code = ended["code"] if ended else None
    return Kept(
        Life.ENDED,
        code,
        ended["error"] if ended else "",
        identity,
        keeper,
        started_at=started.get("at") if started else None,
        ended_at=ended.get("at") if ended else None,
        oom_killed=code == -signal.SIGKILL and bool(ended and ended.get("oom_kills")),
        rebooted=ended is None and identity is not None and identity.boot_id != boot_id(),
    )


def end_unrecorded(folder: Path) -> bool:
    """Kills JVMs and keepers of this deployment's folder that no record there speaks of (somebody has removed or moved
    it); True if there is none. Keepers only when they have no JVM any more: they reap theirs, and go by themselves.
    """
    commands = {pid: _command(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}  # noqa: PTH208
    jvms = [pid for pid, words in commands.items() if any(w.startswith(f"-Dlog.file={folder}/") for w in words)]
    keepers = [pid for pid, words in commands.items() if str(KEEPER) in words and words[-1].startswith(f"{folder}/")]
    for pid in jvms or keepers:
        stat = _stat(pid)
        if stat is not None:
            _signal(pid, stat.start_time, signal.SIGKILL)
    return not jvms and not keepers


def wake(process: Identity) -> None:
    """A process that somebody has stopped (SIGSTOP) goes on."""
    stat = _stat(process.pid)
    if stat is not None and stat.state in "Tt":
        _signal(process.pid, process.start_time, signal.SIGCONT)


def _command(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []
    return text.rstrip("\0").split("\0")


def end(kept: Kept, *, force: bool) -> bool:
    """Asks the process and everything of its session to end (``force``, or frozen: SIGKILL); True if nothing of it
    lives.
    """
    if kept.identity is None or kept.identity.boot_id != boot_id():
        return True
    signal_no = signal.SIGKILL if force else signal.SIGTERM
    members = _session(kept.identity)
    for pid, start_time in members:
        stat = _stat(pid)
        frozen = stat is not None and stat.state in "Tt"  # stopped by a signal, it could not obey
        _signal(pid, start_time, signal.SIGKILL if frozen else signal_no)
    keeper_works = kept.keeper is not None and kept.keeper.lives()  # it writes the exit code, then it ends by itself
    return not members and not keeper_works


def _session(leader: Identity) -> list[tuple[int, int]]:
    """(pid, start time) of the process and all others of the session that it leads or has led.

    A pid is not given away while it is a session's id: if another process has it now, our session is over.
    """
    now = _stat(leader.pid)
    if now is not None and now.start_time != leader.start_time:
        return []
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 - thousands of names, no paths needed
        stat = _stat(int(entry)) if entry.isdigit() else None
        if stat is not None and stat.state not in "ZX" and leader.pid in (int(entry), stat.session):
            found.append((int(entry), stat.start_time))
    return found


def _signal(pid: int, start_time: int, signal_no: int) -> None:
    """Signals this very process: the pidfd pins it, then its start time is checked."""
    with contextlib.suppress(ProcessLookupError):
        pidfd = os.pidfd_open(pid)
        try:
            stat = _stat(pid)
            if stat is not None and stat.start_time == start_time:
                signal.pidfd_send_signal(pidfd, signal_no)
        finally:
            os.close(pidfd)


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return _Stat(state=fields[0], session=int(fields[3]), start_time=int(fields[19]))


def _read(path: Path) -> dict[str, Any] | None:
    return files.read(path) if path.exists() else None
