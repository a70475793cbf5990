"""Tables on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import typer


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Whole, however narrow the terminal is: ids and keys are to be copied."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
