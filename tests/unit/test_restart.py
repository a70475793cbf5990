"""The sliding hour of resume_max_num, to the millisecond, and the waiting between two tries."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain import restart
from headrace.domain.restart import CALM_MS, HOUR_MS, NO_RESTARTS, Budget
from tests.support.promises import promise

NOW = 10 * HOUR_MS
laws = settings(max_examples=200, deadline=None, derandomize=True)
times = st.lists(st.integers(0, 3 * HOUR_MS), max_size=12).map(sorted)


@pytest.mark.parametrize(
    ("switch", "number", "expected"),
    [
        (False, -1, 0),
        (False, 5, 0),
        (True, -1, None),
        (True, 0, 0),
        (True, 1, 1),
        (True, 2**31 - 1, 2**31 - 1),
    ],
)
def test_the_cap_of_the_two_fields(switch: bool, number: int, expected: int | None) -> None:
    assert restart.cap(switch, number) == expected


@pytest.mark.parametrize(
    ("ago", "used"),
    [
        ((), 0),
        ((0,), 1),
        ((HOUR_MS - 1,), 1),
        ((HOUR_MS,), 0),
        ((HOUR_MS + 1,), 0),
        ((HOUR_MS, HOUR_MS - 1, 5, 5), 3),
        ((-7,), 1),  # counted by a clock that is a little ahead
    ],
)
@promise("A restart counts for one hour, to the millisecond: exactly an hour ago counts no more.")
def test_the_edge_of_the_hour(ago: tuple[int, ...], used: int) -> None:
    assert restart.budget(3, [NOW - ms for ms in ago], NOW) == Budget(3, used)


@pytest.mark.parametrize(
    ("budget", "left", "one_more", "two_more", "told"),
    [
        (NO_RESTARTS, 0, False, False, "0 of 0 within an hour"),
        (Budget(1, 0), 1, True, False, "0 of 1 within an hour"),
        (Budget(3, 1), 2, True, True, "1 of 3 within an hour"),
        (Budget(3, 3), 0, False, False, "3 of 3 within an hour"),
        (
            Budget(3, 5),
            0,
            False,
            False,
            "5 of 3 within an hour",
        ),  # Flink restarts by the strategy of the job's own code
        (Budget(None, 0), None, True, True, "0 without limit"),
        (Budget(None, 999), None, True, True, "999 without limit"),
    ],
)
def test_what_is_left(budget: Budget, left: int | None, one_more: bool, two_more: bool, told: str) -> None:
    assert (budget.left, budget.allows(), budget.allows(2), budget.told) == (left, one_more, two_more, told)


@pytest.mark.parametrize(
    ("recent", "seconds"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (7, 60), (16, 60), (100_000, 60)]
)
def test_the_waiting_between_two_tries(recent: int, seconds: int) -> None:
    assert restart.backoff_ms(recent) == seconds * 1000


@pytest.mark.parametrize(
    ("times_ms", "expected"),
    [
        ((), 0),
        ((5,), 1),
        ((0, 1, 2), 3),
        ((0, 0, 0), 3),
        ((0, CALM_MS - 1, 2 * CALM_MS - 2), 3),
        ((0, CALM_MS), 1),
        ((0, 1, CALM_MS + 1, CALM_MS + 2), 2),
        ((0, CALM_MS, CALM_MS + 1, 2 * CALM_MS + 1), 1),
    ],
)
def test_restarts_without_calm_in_between(times_ms: tuple[int, ...], expected: int) -> None:
    assert restart.in_a_row(times_ms) == expected


@laws
@given(times, st.integers(1, 5))
def test_what_is_allowed_keeps_every_hour_within_the_cap(asked: list[int], cap: int) -> None:
    """Whoever asks before each restart never has more than the cap in any hour, wherever that hour begins."""
    made: list[int] = []
    for at in asked:
        if restart.budget(cap, made, at).allows():
            made.append(at)
    for begin in made:
        assert sum(1 for at in made if begin <= at < begin + HOUR_MS) <= cap


@laws
@given(times, st.integers(0, 4 * HOUR_MS), st.integers(0, 5))
def test_time_only_gives_restarts_back(earlier: list[int], wait: int, cap: int) -> None:
    now = max([0, *earlier])
    before, after = restart.budget(cap, earlier, now), restart.budget(cap, earlier, now + wait)
    assert after.used <= before.used
    assert (after.left or 0) >= (before.left or 0)


@laws
@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_spending_is_counting(cap: int, used: int, more: int) -> None:
    budget = Budget(cap, used)
    assert budget.allows(more) == (budget.spent(more).used <= cap)
