"""What every page must keep: links lead somewhere, nothing grows too long, decisions have their three parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.api.wire import status_word
from headrace.domain.decisions import Action
from headrace.domain.job import Phase
from headrace.store.schema import metadata
from tests.docs.generated import DOCS, REPOSITORY

LEFT_OUT = frozenset({".venv", ".git", ".pytest_cache", ".hypothesis", "node_modules"})
PAGES = sorted(
    page for page in REPOSITORY.rglob("*.md") if not LEFT_OUT.intersection(page.relative_to(REPOSITORY).parts)
)
DECISIONS = sorted((DOCS / "adr").glob("*.md"))
ARCHITECTURE = (DOCS / "architecture.md").read_text("utf-8")
RECORDS = (DOCS / "records.md").read_text("utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def without_code(text: str) -> str:
    """Links inside code are none."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Where links can point to within a page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ +(.+)$", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(REPOSITORY), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_named_in_code_exist(page: Path) -> None:
    """``headrace/…``, ``tests/…``, ``docs/…`` and the like, from the root of the repository."""
    tops = "headrace|tests|docs|examples|flink-plugins|bench|requirements"
    for path in re.findall(rf"`((?:{tops})/[\w./-]+)`", page.read_text("utf-8")):
        assert (REPOSITORY / path).exists(), path


def test_every_page_is_linked_from_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert f"(docs/{page.name})" in readme, page.name


def test_the_architecture_is_short() -> None:
    assert len(ARCHITECTURE.splitlines()) <= 200


def test_decisions_are_numbered_without_gaps() -> None:
    assert [page.name[:5] for page in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("page", DECISIONS, ids=named)
def test_a_decision_has_its_three_parts_on_one_page(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.name[:4]}: ")
    assert re.findall(r"^## (.+)$", text, re.M) == ["Context", "Choice", "Refused"]
    assert len(text.splitlines()) <= 60


@pytest.mark.parametrize("phase", Phase)
def test_the_architecture_knows_every_phase_and_its_word(phase: Phase) -> None:
    if phase in (Phase.CLEARING, Phase.DELETED):  # shown as what they were before, and not at all
        return
    rows = [row for row in ARCHITECTURE.splitlines() if re.match(r"\| [a-z_, ]+ \| `job_", row)]
    own = [row for row in rows if str(phase) in row.split("|")[1].replace(",", " ").split()]
    assert len(own) == 1
    assert f"`{status_word(phase)}`" in own[0]


def test_the_architecture_knows_every_action() -> None:
    for action in Action.__args__:
        assert f"`{action.__name__}`" in ARCHITECTURE


def test_the_records_know_every_table() -> None:
    for table in metadata.tables:
        assert re.search(rf"^\|.*`{table}`.*\|", RECORDS, re.M), table


def test_the_architecture_draws_every_phase() -> None:
    diagram = ARCHITECTURE.split("stateDiagram-v2")[1].split("```")[0]
    for phase in set(Phase) - {Phase.DELETED}:
        assert re.search(rf"\b{phase}\b", diagram), phase
