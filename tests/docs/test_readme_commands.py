"""Commands that pages name exist. ``tests/flink/test_readme.py`` runs those of the first job."""

from __future__ import annotations

import re

import pytest
import typer

from headrace.cli.app import app
from tests.docs.generated import REPOSITORY

PAGES = ("README.md", "CONTRIBUTING.md")


def blocks(text: str) -> str:
    """Everything that is set as code, in blocks or lines."""
    indented = re.findall(r"^ {4}(.+)$", text, re.M)
    fenced = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"`([^`\n]+)`", text)
    return "\n".join([*fenced, *indented, *inline])


@pytest.mark.parametrize("page", PAGES)
def test_the_make_targets_exist(page: str) -> None:
    made = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text("utf-8"), re.M))
    named = set(re.findall(r"\bmake ([a-z]+)", blocks((REPOSITORY / page).read_text("utf-8"))))
    assert "test" in named
    assert named <= made


def test_the_headrace_commands_exist() -> None:
    known: set[str] = set()
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        known |= {name, *(f"{name} {inner}" for inner in getattr(command, "commands", {}))}
    named = re.findall(
        r"(?:^|/)headrace ([a-z]+)(?: ([a-z]+)\b(?!/))?",
        blocks((REPOSITORY / "README.md").read_text("utf-8")),
        re.M,
    )
    assert named
    for name, inner in named:
        assert name in known
        assert not inner or f"{name} {inner}" in known or name not in ("engines", "objects")


def test_contributing_begins_with_a_command_that_works() -> None:
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    first = re.search(r"^ {4}(.+)$|^```sh\n(.+)$", text, re.M)
    assert first is not None
    assert (first[1] or first[2]).split("#")[0].strip() == "make test"
