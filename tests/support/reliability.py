"""Writes ``docs/reliability.md`` from the results of tests and of fault runs: promise -> test -> figure."""

from __future__ import annotations

import ast
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs" / "reliability.md"
BEGIN, END = "<!-- from the results: make reliability -->\n", "<!-- end -->\n"
HEAD = "| promise | test | figure | s |\n|---|---|---|---|"


@dataclass(frozen=True)
class Promised:
    """A promise as it stands in a test's source."""

    text: str
    file: str
    test: str
    seam: str = ""


def promised(folder: Path = REPOSITORY / "tests") -> list[Promised]:
    """All promises of the tests in a folder, in the order of their files."""
    return [found for path in sorted(folder.rglob("test_*.py")) for found in _of_file(path)]


def chapter(file: str) -> tuple[str, str]:
    """(heading, sentence) of the tests in a file: their docstring, parted at its first colon."""
    text = ast.get_docstring(ast.parse((REPOSITORY / file).read_text("utf-8"))) or file
    heading, _, rest = text.split("\n\n")[0].replace("\n", " ").replace("``", "`").partition(": ")
    return heading.rstrip("."), rest[:1].upper() + rest[1:]


def write_page(folder: Path) -> int:
    """The part of the page between its marks, anew, from the results in a folder; 1 if a promise is broken or has no
    result.
    """
    results = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("promise-*.json"))]
    by_test: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        by_test.setdefault(result["test"].split("[")[0], []).append(result)
    parts = [*_promises(by_test), *_others(folder)]
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n".join(parts) + "\n" + END + rest.partition(END)[2], "utf-8")
    broken = [result["test"] for result in results if result["outcome"] != "kept"]
    missing = [one.test for one in promised() if f"{one.file}::{one.test}" not in by_test]
    print(f"{PAGE.name}: {len(results)} results, broken: {broken or 'none'}, not run: {missing or 'none'}")
    return 1 if broken or missing else 0


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


def _promises(by_test: Mapping[str, Sequence[dict[str, Any]]]) -> Iterator[str]:
    last = ""
    for one in promised():
        if one.file != last:
            heading, sentence = chapter(one.file)
            yield f"\n## {heading}\n\n" + f"{sentence} `{one.file}`".lstrip() + f"\n\n{HEAD}"
            last = one.file
        results = by_test.get(f"{one.file}::{one.test}", [])
        seam = f" *Seam: {one.seam}.*" if one.seam else ""
        seconds = sum(result["seconds"] for result in results)
        yield f"| {_cell(one.text)}.{_cell(seam)} | `{one.test}` | {_shown(results)} | {seconds:.0f} |"


def _shown(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "not run"
    if any(result["outcome"] != "kept" for result in results):
        return "**broken**"
    figures = [str(result["figure"]) for result in results if result["figure"]]
    times = f"kept {len(results)} times" if len(results) > 1 else "kept"
    return _cell("; ".join([times, *figures]))


def _others(folder: Path) -> Iterator[str]:
    """What others have measured: fault runs, the corpus of broken jobs, crash points."""
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith("promise-"):
            continue
        content = json.loads(path.read_text("utf-8"))
        for keys, shown in _SHOWN.items():
            if keys <= content.keys():
                yield from shown(content)
                break
    yield (
        f"\nMeasured on {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, Python "
        f"{platform.python_version()}. Seconds are of the whole test; tests of one file run several at once."
    )


def _faults(content: Mapping[str, Any]) -> Iterator[str]:
    runtime = "real Flink" if content["runtime"] != "fake" else "the runtime in memory"
    yield (
        f"\n## {content['faults']} random faults on {runtime}\n\n"
        f"`headrace faults`, seed {content['seed']}, {content['runtime']}, {content['seconds']:.0f} s: "
        f"{content['records']} records in exactly-once sinks, {content['doubled']} doubled, {content['lost']} lost; "
        f"{content['samples']} looks at all processes never found two deployments of one job.\n\n"
        "| fault | times | well again after (median) | at most |\n|---|---|---|---|"
    )
    for kind, found in content["kinds"].items():
        yield f"| {kind} | {found['faults']:.0f} | {found['median_s']} s | {found['max_s']} s |"


def _corpus(content: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"\n## Broken jobs\n\n{content['right']} of {content['failures']} broken jobs and environments of "
        "`tests/corpus` get the right cause, and a suggestion that heals them.\n\n"
        "| broken job | told | |\n|---|---|---|"
    )
    for case in content["cases"]:
        how = "unknown" if not case["right"] else "right, healed" if case["healed"] else "right"
        yield f"| {_cell(case['name'])} | {_cell(case['rule'] or 'unknown')} | {how} |"


def _table(content: Mapping[str, Any]) -> Iterator[str]:
    rows = content["rows"]
    columns = list(rows[0]) if rows and isinstance(rows[0], dict) else content.get("columns", [])
    yield f"\n## {content['title']}\n"
    if content.get("text"):
        yield f"{content['text']}\n"
    if columns:
        yield "| " + " | ".join(map(str, columns)) + " |\n" + "|---" * len(columns) + "|"
    for row in rows:
        yield "| " + " | ".join(_cell(str(cell)) for cell in (row.values() if isinstance(row, dict) else row)) + " |"


_SHOWN: Mapping[frozenset[str], Callable[[Mapping[str, Any]], Iterator[str]]] = {
    frozenset({"kinds", "faults", "records"}): _faults,
    frozenset({"failures", "right", "cases"}): _corpus,
    frozenset({"title", "rows"}): _table,
}
"""Which members tell what a file is."""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
