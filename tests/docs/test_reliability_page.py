"""``docs/reliability.md`` has every promise that a test keeps, and no other; each was kept when it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import reliability
from tests.support.reliability import PAGE, Promised, Row, chapter, promised

TEXT = PAGE.read_text("utf-8")
PROMISES = promised()
ROWS = reliability.rows(TEXT)


def test_there_are_promises() -> None:
    assert len(PROMISES) > 50


@pytest.mark.parametrize("one", PROMISES, ids=lambda one: str(one.test))
def test_every_promise_is_on_the_page(one: Promised) -> None:
    mine = [row for row in ROWS if (row.file, row.test) == (one.file, one.test)]
    assert len(mine) == 1, "make reliability writes the page"
    assert mine[0].promise.startswith(f"{one.text}.".replace("|", "\\|"))
    assert one.seam in mine[0].promise
    assert mine[0].figure.startswith("kept")
    assert f"## {chapter(one.file)[0]}\n" in TEXT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.test))
def test_every_row_is_of_a_test_that_there_is(row: Row) -> None:
    assert row.test in [one.test for one in PROMISES if one.file == row.file]


def test_what_has_no_new_result_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / PAGE.name
    page.write_text(TEXT)
    monkeypatch.setattr(reliability, "PAGE", page)
    for _ in range(2):
        assert reliability.write_page(tmp_path / "no results") == 0
        assert _without_machine(page.read_text()) == _without_machine(TEXT)


def _without_machine(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("Measured on ")]
