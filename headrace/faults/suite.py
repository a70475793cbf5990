"""One run of the fault suite from the command line: told as it goes, and how to repeat it."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.table import Table

from headrace.cli.client import ApiError
from headrace.faults import crash_points
from headrace.faults.fake import FakeWorld
from headrace.faults.figures import Figures
from headrace.faults.flink import FlinkWorld
from headrace.faults.kinds import KINDS, Kind
from headrace.faults.oracle import Promise, PromiseBroken
from headrace.faults.plan import Round, rounds
from headrace.faults.run import Recovery, go_through
from headrace.faults.subject import Shape

FLINK, FAKE = "flink", "fake"
SHAPES = (Shape("counter-1"), Shape("counter-2"), Shape("counter-3", parallel=2))
"""The jobs that are struck; with two TaskManagers, the loss of one leaves a part."""


@dataclass(frozen=True)
class Asked:
    """Which run; all of it stands in the command that repeats it."""

    runtime: str
    seed: int
    faults: int
    minutes: float | None
    kinds: Sequence[Kind]
    flink: str
    crash_points: bool = False

    @property
    def repeated(self) -> str:
        """The command."""
        words = [
            "headrace",
            "faults",
            "--runtime",
            self.runtime,
            "--seed",
            str(self.seed),
            "--faults",
            str(self.faults),
        ]
        words += [] if self.minutes is None else ["--minutes", f"{self.minutes:g}"]
        words += [] if self.kinds == KINDS else [word for kind in self.kinds for word in ("--scenario", kind.name)]
        words += ["--flink", self.flink] if self.runtime == FLINK else []
        words += ["--crash-points"] if self.crash_points else []
        return shlex.join(words)

    def plan(self, targets: int) -> Iterator[Round]:
        """As many as asked for, within the time."""
        until = None if self.minutes is None else time.monotonic() + self.minutes * 60
        for planned in rounds(self.seed, self.kinds, targets):
            if planned.number > self.faults or (until is not None and time.monotonic() > until):
                return
            yield planned


class Suite:
    """One run, told as it goes."""

    def __init__(self, console: Console, asked: Asked, figures: Path | None, *, keep: bool) -> None:
        self._console = console
        self._asked = asked
        self._figures = figures
        self._keep = keep

    def run(self) -> None:
        """Raises typer.Exit(1) if a promise does not hold."""
        asked = self._asked
        where = f"Flink {asked.flink}" if asked.runtime == FLINK else "fake"
        self._console.rule(f"{asked.faults} faults on {where}, seed {asked.seed}")
        self._console.print(f"To repeat it: {asked.repeated}")
        folder = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
        began, keep = time.monotonic(), self._keep
        signal.signal(signal.SIGTERM, _leave)
        try:
            figures = self._flink(folder, began) if asked.runtime == FLINK else self._fake(folder, began)
        except (PromiseBroken, ApiError, OSError, subprocess.SubprocessError) as broken:
            keep = True
            self._console.print("[bold red]Broken:[/]", end=" ")
            self._console.print(str(broken), markup=False)
            self._console.print(f"To repeat it: {asked.repeated}")
            raise typer.Exit(1) from broken
        finally:
            if keep:
                self._console.print(f"The home and all logs: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        self._tell(figures)

    def _flink(self, folder: Path, began: float) -> Figures:
        world = FlinkWorld(folder, self._asked.flink, SHAPES)
        try:
            recoveries = go_through(world, self._asked.plan(world.targets), self._told)
        finally:
            world.clear()
        seconds = time.monotonic() - began
        where = f"Flink {self._asked.flink}"
        return Figures(self._asked.seed, where, seconds, world.records(), world.watch.samples, recoveries)

    def _fake(self, folder: Path, began: float) -> Figures:
        if self._asked.crash_points:
            self._crash_points()
        world = FakeWorld(folder)
        try:
            recoveries = go_through(world, self._asked.plan(world.targets), self._told)
        finally:
            world.stop()
        return Figures(self._asked.seed, FAKE, time.monotonic() - began, world.records(), world.samples, recoveries)

    def _crash_points(self) -> None:
        """Raises PromiseBroken."""
        report = crash_points.run(self._asked.seed, self._console.print)
        if report.broken:
            raise PromiseBroken(Promise.STEPS, "\n".join(report.broken))
        report.write(self._figures)

    def _told(self, recovery: Recovery) -> None:
        target = SHAPES[recovery.target].name
        self._console.print(
            f"{recovery.number:3} {recovery.kind:26} {target:10} well after {recovery.seconds:5.1f} s  {recovery.told}",
            markup=False,
        )

    def _tell(self, figures: Figures) -> None:
        table = Table("Fault", "Times", "Median", "Longest", box=None, pad_edge=False)
        for kind, found in figures.by_kind().items():
            table.add_row(kind, f"{found['faults']:.0f}", f"{found['median_s']:.1f} s", f"{found['max_s']:.1f} s")
        self._console.print(table)
        written = figures.write(self._figures)
        if written is not None:
            self._console.print(f"Figures: {written}")
        self._console.print(
            f"[bold green]All promises hold[/]: {len(figures.recoveries)} faults in {figures.seconds:.0f} s, "
            f"{figures.records} records, each exactly once; no process is left."
        )


def _leave(number: int, _frame: FrameType | None) -> None:
    """SIGTERM, as Ctrl-C: what was started is ended first."""
    raise SystemExit(128 + number)
