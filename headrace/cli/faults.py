"""``headrace faults``: breaks what a job's life rests on, and counts whether a record got lost."""

from __future__ import annotations

import random
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from headrace.faults.kinds import KINDS, named


class Place(StrEnum):
    """Where the faults strike."""

    FLINK = "flink"
    FAKE = "fake"


DEFAULT_FAULTS = {Place.FLINK: 20, Place.FAKE: 500}


def faults(  # noqa: PLR0913, PLR0917 - the options of a command
    runtime: Annotated[Place, typer.Option(help="flink: real jobs; fake: the runtime in memory.")] = Place.FLINK,
    seed: Annotated[int | None, typer.Option(help="The same seed is the same plan; default: any.")] = None,
    number: Annotated[int | None, typer.Option("--faults", help="How many; default: 20, on fake 500.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Begin no fault after so many minutes.")] = None,
    scenario: Annotated[list[str] | None, typer.Option(help="Only faults of this kind; may be repeated.")] = None,
    flink: Annotated[str, typer.Option(help="Flink version of the jobs.")] = "1.20",
    figures: Annotated[Path | None, typer.Option(help="Folder for the figures, as JSON.")] = None,
    *,
    crash_points: Annotated[
        bool, typer.Option("--crash-points", help="On fake: first end Headrace at each of its steps, one by one.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the kinds of faults, and break nothing.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the home with all logs.")] = False,
) -> None:
    """Break processes, code, Headrace, database, disk and clock under running jobs, and count every record.

    Exit code 1 if a record is lost or doubled, or another promise is broken.
    """
    console = Console(highlight=False, soft_wrap=True)
    if listed:
        _list(console)
        return
    try:
        chosen = tuple(named(name) for name in scenario) if scenario else KINDS
    except LookupError as error:
        raise typer.BadParameter(str(error), param_hint="--scenario") from error
    if crash_points and runtime is not Place.FAKE:
        raise typer.BadParameter("needs --runtime fake", param_hint="--crash-points")
    from headrace.faults.suite import Asked, Suite  # noqa: PLC0415 - the other commands start without it

    asked = Asked(
        runtime,
        random.SystemRandom().randrange(10_000) if seed is None else seed,
        DEFAULT_FAULTS[runtime] if number is None else number,
        minutes,
        chosen,
        flink,
        crash_points,
    )
    Suite(console, asked, figures, keep=keep).run()


def _list(console: Console) -> None:
    table = Table("Fault", "Strikes", "What", box=None, pad_edge=False)
    for kind in KINDS:
        seam = f" Injected: {kind.seam}." if kind.seam else ""
        table.add_row(kind.name, str(kind.reach), f"{kind.summary}.{seam}")
    console.print(table)
