"""Writes ``docs/reliability.md`` from the results of tests and of fault runs: promise -> test -> figure.

What a folder has no result of stays as it is on the page: to renew some rows it is enough to run their tests.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- from the results: make reliability -->\n", "<!-- end -->\n"
HEAD = "| promise | test | figure | s |\n|---|---|---|---|"
ROW = re.compile(r"\| (?P<promise>.+) \| `(?P<test>test_\w+)` \| (?P<figure>.*) \| (?P<seconds>\d+) \|")


@dataclass(frozen=True)
class Promised:
    """A promise as it stands in a test's source."""

    text: str
    file: str
    test: str
    seam: str = ""


@dataclass(frozen=True)
class Row:
    """A promise as it stands on the page."""

    promise: str
    file: str
    test: str
    figure: str
    seconds: int


def promised(folder: Path = REPOSITORY / "tests") -> list[Promised]:
    """All promises of the tests in a folder, in the order of their files."""
    return [found for path in sorted(folder.rglob("test_*.py")) for found in _of_file(path)]


def rows(text: str) -> list[Row]:
    """All promises on a page."""
    found, file = [], ""
    for line in text.splitlines():
        named = re.fullmatch(r".*`(tests/[\w/]+\.py)`", line)
        file = named[1] if named else file
        row = ROW.fullmatch(line)
        if row is not None:
            found.append(Row(row["promise"], file, row["test"], row["figure"], int(row["seconds"])))
    return found


def chapter(file: str) -> tuple[str, str]:
    """(heading, sentence) of the tests in a file: their docstring, parted at its first colon."""
    text = ast.get_docstring(ast.parse((REPOSITORY / file).read_text("utf-8"))) or file
    heading, _, rest = text.split("\n\n")[0].replace("\n", " ").replace("``", "`").partition(": ")
    return heading.rstrip("."), rest[:1].upper() + rest[1:]


def write_page(folder: Path) -> int:
    """Writes the part of the page between its marks, from the results in a folder; 1 if a promise of a test is broken,
    or was never tried.
    """
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    now, _, after = rest.partition(END)
    promises = _chapters(folder, rows(now))
    others = _sections(now, lambda heading: heading not in promises) | _others(folder)
    parts = [*promises.items(), *sorted(others.items())]
    body = "\n".join(f"\n## {heading}\n\n{content}" for heading, content in parts)
    PAGE.write_text(f"{before}{BEGIN}{body}\n{_machine()}\n{END}{after}", "utf-8")
    bad = [row.test for row in rows(PAGE.read_text("utf-8")) if not row.figure.startswith("kept")]
    print(f"{PAGE.name}: {len(promised())} promises, broken or not tried: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def _of_file(path: Path) -> Iterator[Promised]:
    body = ast.parse(path.read_text("utf-8")).body
    named = {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def text(value: ast.expr) -> str:
        return str(ast.literal_eval(named[value.id] if isinstance(value, ast.Name) else value))

    for node in (each for each in body if isinstance(each, ast.FunctionDef)):
        for call in node.decorator_list:
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "promise":
                seams = [text(keyword.value) for keyword in call.keywords if keyword.arg == "seam"]
                file = str(path.relative_to(REPOSITORY))
                yield Promised(text(call.args[0]).rstrip("."), file, node.name, "".join(seams))


def _chapters(folder: Path, before: Sequence[Row]) -> dict[str, str]:
    """Heading -> content, per file of tests that promise something."""
    by_test: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("promise-*.json")):
        result = json.loads(path.read_text("utf-8"))
        by_test.setdefault(result["test"].split("[")[0], []).append(result)
    known = {(row.file, row.test): row for row in before}
    chapters: dict[str, str] = {}
    for one in promised():
        heading, sentence = chapter(one.file)
        lines = chapters.setdefault(heading, f"{sentence} `{one.file}`".lstrip() + f"\n\n{HEAD}\n")
        seam = f" *Seam: {one.seam}.*" if one.seam else ""
        figure, seconds = _shown(by_test.get(f"{one.file}::{one.test}", []), known.get((one.file, one.test)))
        chapters[heading] = f"{lines}| {_cell(f'{one.text}.{seam}')} | `{one.test}` | {figure} | {seconds} |\n"
    return chapters


def _shown(results: Sequence[Mapping[str, Any]], before: Row | None) -> tuple[str, int]:
    """(figure, seconds) of the results of one test, or else what is on the page."""
    if not results:
        return (before.figure, before.seconds) if before else ("not tried", 0)
    seconds = round(sum(result["seconds"] for result in results))
    if any(result["outcome"] != "kept" for result in results):
        return "**broken**", seconds
    figures = [str(result["figure"]) for result in results if result["figure"]]
    times = f"kept in {len(results)} cases" if len(results) > 1 else "kept"
    return _cell("; ".join([times, *figures])), seconds


def _sections(text: str, wanted: Callable[[str], bool]) -> dict[str, str]:
    """Heading -> content of those sections of a page whose heading is wanted."""
    found = (section.partition("\n\n") for section in re.split(r"(?m)^## ", text)[1:])
    kept = {heading: content.partition("\nMeasured on ")[0] for heading, _, content in found if wanted(heading)}
    return {heading: f"{content.rstrip()}\n" for heading, content in kept.items()}  # the page has the lines between


def _others(folder: Path) -> dict[str, str]:
    """What others have measured, heading -> content: fault runs, the corpus of broken jobs, crash points."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        shown = next((shown for members, shown in _SHOWN.items() if members <= content.keys()), None)
        if shown is not None:
            heading, lines = shown(content)
            found[heading] = "\n".join(lines) + "\n"
    return found


def _faults(content: Mapping[str, Any]) -> tuple[str, list[str]]:
    on = "the runtime in memory" if content["runtime"] == "fake" else "real Flink"
    return f"Random faults on {on}", [
        f"`headrace faults`, seed {content['seed']}, {content['runtime']}: {content['faults']} faults in "
        f"{content['seconds']:.0f} s; {content['records']} records in exactly-once sinks, {content['doubled']} doubled "
        f"and {content['lost']} lost; {content['samples']} looks at all processes found no two deployments of one job.",
        "",
        "| fault | times | well again after (median) | at most |",
        "|---|---|---|---|",
        *(
            f"| {kind} | {one['faults']:.0f} | {one['median_s']} s | {one['max_s']} s |"
            for kind, one in content["kinds"].items()
        ),
    ]


def _corpus(content: Mapping[str, Any]) -> tuple[str, list[str]]:
    return "Broken jobs", [
        f"{content['right']} of {content['failures']} broken jobs and environments of `tests/corpus` get the right "
        "cause, and a suggestion that heals them.",
        "",
        "| broken job | cause | |",
        "|---|---|---|",
        *(
            f"| {_cell(case['name'])} | {_cell(case['rule'] or 'unknown')} | {'right' if case['right'] else ''} |"
            for case in content["cases"]
        ),
    ]


def _table(content: Mapping[str, Any]) -> tuple[str, list[str]]:
    columns = list(content["rows"][0]) if content["rows"] else []
    return str(content["title"]), [
        content.get("text", ""),
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
        *("| " + " | ".join(_cell(str(cell)) for cell in row.values()) + " |" for row in content["rows"]),
    ]


_SHOWN: Mapping[frozenset[str], Callable[[Mapping[str, Any]], tuple[str, list[str]]]] = {
    frozenset({"kinds", "faults", "records"}): _faults,
    frozenset({"failures", "right", "cases"}): _corpus,
    frozenset({"title", "rows"}): _table,
}
"""Which members tell what a file is."""


def _machine() -> str:
    return (
        f"Measured on {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python "
        f"{platform.python_version()}. Seconds are of whole tests, of which a file runs several at once."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
