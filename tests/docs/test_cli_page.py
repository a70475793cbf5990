"""``docs/cli.md`` has every command with its arguments and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from headrace.cli.app import app
from tests.docs.generated import DOCS, check


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All commands that do something, with the words that call them."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from commands(one, f"{path} {name}")


def spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return name if parameter.required else f"[{name}]"
    value = "" if parameter.is_flag else f" {parameter.name.upper()}"
    return f"{parameter.opts[0]}{value}"


def sections() -> Iterator[str]:
    for path, command in commands(typer.main.get_command(app), "headrace"):
        assert command.help, f"{path} says nothing of itself"
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        yield f"## `{' '.join([path, *map(spelled, arguments)])}`\n\n{command.help}\n\n"
        for parameter in command.params:
            if parameter.name != "help":
                assert parameter.help, f"{path}: {parameter.name} says nothing of itself"
                yield f"- `{spelled(parameter)}`: {parameter.help}\n"
        if command.params:
            yield "\n"


def test_every_command_and_option_is_on_the_page() -> None:
    check(DOCS / "cli.md", "".join(sections()))
