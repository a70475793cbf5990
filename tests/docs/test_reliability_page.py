"""``docs/reliability.md`` has every promise that a test keeps, and no other; each was kept when it was written."""

from __future__ import annotations

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
