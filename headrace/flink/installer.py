"""Fetches one package from the user's Python index into a folder, with pip in a process of its own.

Nothing is added to Headrace's own environment: ``pip install --target`` writes only below the workplace it is given,
its temporary files included, so removing that folder undoes whatever was begun.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.errors import EngineBroken


@dataclass(frozen=True)
class InstallProgress:
    """How far an installation is. ``total_bytes`` is None while there is nothing to count; ``note`` says why."""

    what: str
    done_bytes: int
    total_bytes: int | None
    note: str


Report = Callable[[InstallProgress], None]


@dataclass(frozen=True)
class Fetched:
    """What pip left in ``folder``, and the SHA-256 of the file it downloaded ("" when pip did not say)."""

    folder: Path
    sha256: str


# pip must not outlive its installer, or it would write into a folder that the next installer sweeps: PR_SET_PDEATHSIG
# (1 in linux/prctl.h) ends it even when the installer is killed by SIGKILL. It concerns the thread that starts pip,
# and that thread waits below.
_PIP = (
    "import ctypes, os, runpy, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "os.getppid() == int(sys.argv.pop(1)) or os._exit(1)\n"
    "runpy.run_module('pip', run_name='__main__', alter_sys=True)\n"
)
_OPTIONS = (
    # --no-build-isolation: the sdist is built by our own setuptools and wheel; nothing unpinned is downloaded.
    *("--no-deps", "--no-build-isolation", "--no-compile", "--no-user", "--no-input"),
    *("--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "raw"),
)
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_BOILERPLATE = ("note: ", "hint: ", "[end of output]", "╰─>", "×")  # pip's frame around the words that matter
_NOTES = (
    ("Downloading", "downloading"),
    ("Using cached", "taken from pip's cache"),
    ("Preparing metadata", "unpacking"),
    ("Building wheel", "unpacking"),
    ("Installing collected", "copying"),
)


def fetch(
    title: str, requirement: tuple[str, str], *, pins: Collection[str], workplace: Path, report: Report
) -> Fetched:
    """Install (package, version) below ``workplace``, an existing folder, and return where it is.

    ``title`` names it to people, in progress and errors: "Flink 1.20.5".
    With ``pins`` pip accepts only a file of one of these SHA-256 sums. The user's pip configuration (index, proxy,
    certificates, cache) holds. Raises EngineBroken with pip's last words.
    """
    package, version = requirement
    target, scratch = workplace / "target", workplace / "scratch"
    scratch.mkdir()
    hashes = "".join(f" --hash=sha256:{pin}" for pin in sorted(pins))
    (workplace / "requirements.txt").write_text(f"{package}=={version}{hashes}\n")
    command = [sys.executable, "-c", _PIP, str(os.getpid()), "install", *_OPTIONS]
    command += ["--target", str(target), "--report", str(workplace / "report.json")]
    command += ["--require-hashes"] if pins else []
    command += ["-r", str(workplace / "requirements.txt")]
    last_words = _run(command, scratch, _Reporter(title, report))
    if last_words is not None:
        raise EngineBroken(f"{title} ({package}) could not be installed: {last_words}")
    return Fetched(target, _source_sha256(workplace / "report.json"))


class _Reporter:
    """Turns pip's lines into progress, and remembers the last ones for the error message."""

    def __init__(self, what: str, report: Report) -> None:
        self._what = what
        self._report = report
        self._note = "asking for it"
        self._lines: deque[str] = deque(maxlen=6)
        report(InstallProgress(what, 0, None, self._note))

    def see(self, line: str) -> None:
        line = line.strip()
        if progress := _PROGRESS.fullmatch(line):
            done, total = int(progress[1]), int(progress[2])
            self._report(InstallProgress(self._what, done, total or None, self._note))
            return
        if line and not line.startswith(_BOILERPLATE):
            self._lines.append(line.removeprefix("ERROR: "))
        for opening, note in _NOTES:
            if line.startswith(opening) and note != self._note:
                self._note = note
                self._report(InstallProgress(self._what, 0, None, note))

    def last_words(self) -> str:
        return " | ".join(self._lines)


def _run(command: list[str], scratch: Path, reporter: _Reporter) -> str | None:
    """Run the program to its end; None, or why it failed. It is gone when this returns or raises."""
    program = subprocess.Popen(
        command,
        cwd=scratch,
        # The build of a 230 MB sdist needs four times as much room: beside the engines, not in a small /tmp.
        env={**os.environ, "TMPDIR": str(scratch)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    try:
        with program:
            assert program.stdout is not None
            for line in program.stdout:
                reporter.see(line)
    except BaseException:
        # The report may raise to cancel, and Ctrl-C does not reach another session.
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()
        raise
    return None if program.returncode == 0 else reporter.last_words() or f"it ended with exit code {program.returncode}"


def run_guarded(command: list[str], scratch: Path, title: str, report: Report) -> str | None:
    """Run another program to its end, with its lines as progress; None, or its last words. It is gone afterwards."""
    return _run(command, scratch, _Reporter(title, report))


def _source_sha256(pip_report: Path) -> str:
    with suppress(OSError, ValueError, LookupError, TypeError):
        installed = json.loads(pip_report.read_text())["install"]
        return str(installed[0]["download_info"]["archive_info"]["hashes"]["sha256"])
    return ""
