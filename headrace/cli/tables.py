"""Tables on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from unicodedata import category

import typer


def print_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Whole, however narrow the terminal is: ids and keys are to be copied. What others wrote steers no terminal."""
    lines = [head, *(tuple(map(printable, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def printable(text: str) -> str:
    """``text`` in one line, with escapes in place of what controls a terminal or hides: ``\\n``, ``\\x9b``,
    ``\\u202e``.
    """
    return "".join(one if one.isprintable() or category(one) == "Zs" else ascii(one)[1:-1] for one in text)
