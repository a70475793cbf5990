"""Keeps one JVM: starts it once, waits for it, writes down how it ended. Runs alone, with the standard library only.

``python -I -S keeper.py <role folder>`` reads ``command.json`` there, goes into the background, and returns when the
JVM was started (or was not, because it had been before, or its deployment is fenced). It outlives Headrace, so that
an exit code survives even if nobody was there to see it.

Files of the role folder::

    command.json   {argv, env, cwd, output, fence, holds}   written before the keeper is started
    keeper.lock    flock: at most one keeper ever works here
    process.json   {pid, start_time, boot_id, keeper: {pid, start_time}}   the JVM was started
    exit.json      {code, error}   the JVM ended: 0–255, or minus the signal

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
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


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
        command = json.loads((folder / "command.json").read_text())
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        with contextlib.ExitStack() as held:
            _hold(held, command["holds"])
            try:
                process = _start(folder, command)
            except OSError as error:
                _write(folder / "exit.json", {"code": 127, "error": f"cannot start {command['argv'][0]}: {error}"})
                return
            if process is None:
                return
            os.close(told)
            code = process.wait()
            _end_children()
            _write(folder / "exit.json", {"code": code, "error": ""})


def _hold(held: contextlib.ExitStack, paths: list[str]) -> None:
    """Shared locks on what must not be removed while the JVM runs: the engine and its Java."""
    for path in paths:
        file = held.enter_context(Path(path).open("a"))  # noqa: SIM115 - the stack closes it
        fcntl.flock(file, fcntl.LOCK_SH)


def _start(folder: Path, command: dict[str, object]) -> subprocess.Popen[bytes] | None:
    deployment = Path(str(command["fence"]))
    with (deployment / "fence.lock").open("a") as fence, Path(str(command["output"])).open("ab") as output:
        fcntl.flock(fence, fcntl.LOCK_SH)
        if (deployment / "removed").exists():
            return None
        process = subprocess.Popen(
            command["argv"],  # type: ignore[call-overload]
            env=command["env"],
            cwd=command["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        identity = {
            "pid": process.pid,
            "start_time": _start_time(process.pid),
            "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            "keeper": {"pid": os.getpid(), "start_time": _start_time(os.getpid())},
        }
        _write(folder / "process.json", identity)
        return process  # type: ignore[no-any-return]


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


def _write(path: Path, content: dict[str, object]) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


if __name__ == "__main__":
    sys.exit(main())
