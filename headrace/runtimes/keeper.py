"""Keeps one JVM: starts it once, waits for it, writes down how it ended. Runs alone, with the standard library only.

``python -I -S keeper.py <role folder>`` reads ``command.json`` there, goes into the background, and returns when the
JVM was started (or was not, because it had been before, or its deployment is fenced). It outlives Headrace, so that
an exit code survives even if nobody was there to see it.

Files of the role folder::

    command.json   {argv, env, cwd, output, fence, holds, spool}   written before the keeper is started
    keeper.lock    flock: at most one keeper ever works here
    process.json   {pid, start_time, boot_id, at, keeper: {pid, start_time}}   the JVM was started
    exit.json      {code, error, at, oom_kills}   the JVM ended: 0–255, or minus the signal
    spool.json     {path: bytes}   so many bytes at the beginning of a log are gone

``at`` is in seconds since boot; ``oom_kills``: how many processes of its cgroup the kernel killed meanwhile for want of
memory.

``spool`` is {files, bytes}: of each of these logs only so many bytes stay on the disk, the newest. What is older is
punched out of the file, so that offsets into it stay what they are. The keeper does it, as it lives as long as its JVM.

The fence: ``<deployment>/fence.lock`` is held shared from the look at ``<deployment>/removed`` until ``process.json``
is written. Who removes a deployment takes it exclusively to write ``removed``: then either the process is on record,
or it will never be started.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

PR_SET_CHILD_SUBREAPER = 36
PUNCH_HOLE_AND_KEEP_SIZE = 0x02 | 0x01
BLOCK = 4096
SPOOL_PERIOD_S = 2.0


def main() -> int:
    """Starts the keeper in the background; returns 0 when its JVM is on record or shall not be started."""
    folder = Path(sys.argv[1])
    started, child_end = os.pipe()
    if os.fork() == 0:
        os.close(started)
        os.setsid()
        try:
            _keep(folder, child_end)
        finally:
            os._exit(0)
    os.close(child_end)
    with os.fdopen(started, "rb") as pipe:
        pipe.read()  # ends when the child closes its side
    return 0


def _keep(folder: Path, told: int) -> None:
    with (folder / "keeper.lock").open("a") as mine:
        try:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another keeper works here
        if (folder / "process.json").exists() or (folder / "exit.json").exists():
            return  # it had its start
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        kills = _oom_kills()
        try:
            command = json.loads((folder / "command.json").read_text())
            with contextlib.ExitStack() as held:
                _hold(held, command["holds"])
                pid = _start(folder, command)
                if pid is None:
                    return
                os.close(told)
                spool = command.get("spool", {"files": [], "bytes": 0})
                threading.Thread(target=_bound, args=(folder, spool), daemon=True).start()
                code, error = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), ""
                with contextlib.suppress(OSError):
                    _end_children()
        except Exception as problem:  # noqa: BLE001 - whatever it is: without this record nobody would ever know of it
            code, error = 127, f"the process could not be started: {type(problem).__name__}: {problem}"
        ended = {"code": code, "error": error, "at": _since_boot(), "oom_kills": _oom_kills() - kills}
        _write_for_certain(folder / "exit.json", ended)


def _bound(folder: Path, spool: dict[str, Any]) -> None:
    """Keeps the logs within their limit for as long as the JVM lives."""
    gone: dict[str, int] = {}
    while spool["files"]:
        free_all(folder / "spool.json", gone, spool)
        time.sleep(SPOOL_PERIOD_S)


def free_all(record: Path, gone: dict[str, int], spool: dict[str, Any]) -> None:
    """Frees what is too much of each log; ``gone``, which is kept up to date, tells what was freed before."""
    for path in spool["files"]:
        with contextlib.suppress(OSError):  # not there yet; or a file system that cannot: then it grows
            _free_oldest(record, gone, path, spool["bytes"])
    if gone and not (record.exists() and json.loads(record.read_text()) == gone):
        _note(record, gone)  # the disk was full; if it still is, the next round does it


def _free_oldest(record: Path, gone: dict[str, int], path: str, limit: int) -> None:
    """What is gone is on record before it goes, but on a full disk, which takes no record; what stays is not on it."""
    size = Path(path).stat().st_size
    if size - gone.get(path, 0) <= limit + limit // 8:
        return
    end = (size - limit) // BLOCK * BLOCK
    told = {**gone, path: end}
    _note(record, told)
    try:
        _punch(path, end)
    except OSError:
        _note(record, gone)
        raise
    gone.update(told)


def _note(record: Path, gone: Mapping[str, int]) -> None:
    """If there is room for it: ``free_all`` sees what is missing."""
    with contextlib.suppress(OSError):
        _write(record, gone)


def _punch(path: str, end: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    fallocate = libc.fallocate64 if hasattr(libc, "fallocate64") else libc.fallocate  # musl has the latter alone
    file = os.open(path, os.O_WRONLY)
    try:
        offsets = (ctypes.c_longlong(0), ctypes.c_longlong(end))
        if fallocate(file, PUNCH_HOLE_AND_KEEP_SIZE, *offsets) != 0:
            raise OSError(ctypes.get_errno(), f"{path} cannot be shortened")
    finally:
        os.close(file)


def _hold(held: contextlib.ExitStack, paths: list[str]) -> None:
    """Shared locks on what must not be removed while the JVM runs: its engine."""
    for path in paths:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            continue  # a store that we cannot write to: nobody of ours removes anything there
        held.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_SH)


def _start(folder: Path, command: dict[str, Any]) -> int | None:
    """Starts the process once it is on record, not before: its pid; None if the deployment is fenced."""
    deployment = Path(command["fence"])
    with (deployment / "fence.lock").open("a") as fence, Path(command["output"]).open("ab") as output:
        fcntl.flock(fence, fcntl.LOCK_SH)
        if (deployment / "removed").exists():
            return None
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            _become(command, ready, output.fileno())
        os.close(ready)
        try:
            identity = {
                "pid": pid,
                "start_time": _start_time(pid),
                "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "at": _since_boot(),
                "keeper": {"pid": os.getpid(), "start_time": _start_time(os.getpid())},
            }
            _write(folder / "process.json", identity)
            os.write(go, b"!")
        finally:
            os.close(go)
        return pid


def _become(command: dict[str, Any], ready: int, output: int) -> NoReturn:
    """In the child: waits for its record to be written, then becomes the JVM. Without a record it ends."""
    try:
        if os.read(ready, 1) == b"!":
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.chdir(command["cwd"])
            os.execve(command["argv"][0], command["argv"], command["env"])  # noqa: S606 - no shell, on purpose
    except Exception as problem:  # noqa: BLE001 - nothing may escape into a second life of the keeper
        os.write(output, f"Error: cannot start {command['argv'][0]}: {problem}\n".encode("utf-8", "replace"))
    finally:
        os._exit(127)


def _start_time(pid: int) -> int:
    """Clock ticks since boot (field 22 of /proc/<pid>/stat; the name before it may hold blanks and brackets)."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _end_children() -> None:
    """Ends what the JVM's code had started and left behind: as subreaper, the keeper is the parent of it now."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _oom_kills(proc: Path = Path("/proc/self/cgroup"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes of this cgroup (version 2) the kernel has killed so far for want of memory; 0 if not told."""
    try:
        group = next(line.split(":", 2)[2] for line in proc.read_text().splitlines() if line.startswith("0::"))
        for folder in (cgroups / group.lstrip("/"), cgroups):  # a container may not see its own path
            events = folder / "memory.events"
            if events.exists():
                counts = dict(line.split() for line in events.read_text().splitlines())
                return int(counts.get("oom_kill", 0))
    except (OSError, ValueError, StopIteration):
        pass  # an older kernel, or none of our business: the signal alone is told then
    return 0


def _write_for_certain(path: Path, content: Mapping[str, object]) -> None:
    """Without this record nobody would ever know how the JVM ended: while the disk is full, it waits."""
    while path.parent.exists():
        try:
            _write(path, content)
        except OSError:
            time.sleep(1.0)
        else:
            return


def _write(path: Path, content: Mapping[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


if __name__ == "__main__":
    sys.exit(main())
