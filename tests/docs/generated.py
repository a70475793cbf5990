"""Pages of which a part follows from the code: compared with it, or written with HEADRACE_WRITE_DOCS=1."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
BEGIN = "<!-- from the code: HEADRACE_WRITE_DOCS=1 pytest tests/docs -->\n"
END = "<!-- end -->\n"


def check(page: Path, wanted: str) -> None:
    """The part of the page between the marks must be ``wanted``."""
    text = page.read_text("utf-8")
    before, rest = text.split(BEGIN)
    found, after = rest.split(END)
    if os.environ.get("HEADRACE_WRITE_DOCS") and found != wanted:
        page.write_text(f"{before}{BEGIN}{wanted}{END}{after}", "utf-8")
        found = wanted
    assert found == wanted, f"{page.name} is not what the code says; HEADRACE_WRITE_DOCS=1 pytest tests/docs writes it"
