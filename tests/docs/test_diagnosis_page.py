"""``docs/diagnosis.md`` has every rule: what it sees, says and advises."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.domain.diagnosis import RULES
from tests.docs.generated import DOCS, check


def shown(text: str) -> str:
    """The text with "…" for what only the evidence can fill in."""
    filled = re.sub(r"\{(\w+)\}", "…", text.replace("{who}", "the JobManager")).replace("|", "\\|")
    return f"T{filled[1:]}" if filled.startswith("the ") else filled


def rows() -> Iterator[str]:
    yield "| it sees | it says | it advises | tried again |"
    yield "|---|---|---|---|"
    for rule in RULES:
        again = "yes" if rule.heals else "no"
        yield f"| {shown(rule.sees)} | {shown(rule.cause)} | {shown(rule.suggestion)} | {again} |"


def test_every_rule_has_its_row() -> None:
    check(DOCS / "diagnosis.md", "\n".join(rows()) + "\n")
