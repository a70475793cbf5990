"""The starts of the embedded S3 server that are on record in a home, ``<home>/s3/run-<n>``, newest last."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.objects.seaweed import Seaweed, s3_port_of
from headrace.runtimes import files, processes
from headrace.runtimes.processes import Kept, Life

GRACE_S = 2.0
"""From SIGTERM to SIGKILL: it would wait 15 s for its own connections. Nobody writes any more, and what was written is
with the kernel.
"""
KEPT_RUNS = 3


@dataclass(frozen=True)
class Runs:
    """All starts. ``folder``: the server's, ``<home>/s3``."""

    folder: Path

    def all(self) -> list[Path]:
        """Their folders, oldest first."""
        return sorted(self.folder.glob("run-*"), key=_number)

    def newest(self) -> Path:
        """The folder of the newest start; one that is not there if it was never started."""
        runs = self.all()
        return runs[-1] if runs else self.folder / "run-0"

    def look(self) -> Kept:
        """How the newest one stands; raises Unavailable."""
        return processes.look(self.newest())

    def port(self) -> int | None:
        """Where the newest one of which that is on record speaks S3, or spoke when it lived: jobs that have outlived it
        know it there. None if it is on no record.

        Raises:
            Unavailable: the records cannot be read.
        """
        for run in reversed(self.all()):
            ordered = run / "command.json"
            if ordered.exists():  # the disk was full else: nothing ever spoke there
                return s3_port_of(files.read(ordered)["argv"])
        return None

    def place(self) -> Path:
        """A folder for the next start."""
        # A start that nobody saw through is the same start: its keeper may be about to make it.
        unseen = self.all() and self.look().life is Life.NEVER
        run = self.folder / f"run-{_number(self.newest()) + (not unseen)}"
        run.mkdir(mode=0o700, exist_ok=True)
        return run

    def begin(self, run: Path, ordered: dict[str, Any]) -> None:
        """Starts what is ordered; raises Unavailable."""
        files.write(run / "command.json", ordered)
        processes.start(run)
        for old in self.all()[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)

    def end(self) -> None:
        """Ends all that is on record, and waits until nothing of it lives; raises Unavailable."""
        deadline = time.monotonic() + GRACE_S
        for run in reversed(self.all()):
            while not processes.end(processes.look(run), force=time.monotonic() > deadline):
                time.sleep(0.05)
        ports = self.folder / "ports.json"
        if ports.exists():
            Seaweed(self.folder, files.read(ports)).clean_up()


def _number(run: Path) -> int:
    return int(run.name.removeprefix("run-"))
