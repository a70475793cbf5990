"""Pools: their bounds and policies, what the ledger makes of them, and what the database refuses besides."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import BadField
from headrace.domain.pools import Bounds, Policy, check_policies, first_policy
from headrace.domain.queue import Admission, Claim, Pool, admit
from headrace.store.database import Database

always = settings(max_examples=400, deadline=None, derandomize=True)
QUEUES = {"a": 6000, "b": 6000, "c": 2000}
SHARED = Pool(8000, {"a": 2000, "b": 1000})


def claim(job_id: int, queue: str, milli: int, order: int | None = None) -> Claim:
    return Claim(job_id, queue, milli, 1, job_id if order is None else order)


def granted(admission: Admission) -> list[int]:
    return [each.job_id for each in admission.granted]


@pytest.mark.parametrize(
    ("holding", "waiting", "wanted"),
    [
        ([], [claim(1, "a", 6000), claim(2, "b", 2000)], [1, 2]),
        ([], [claim(1, "a", 6000), claim(2, "b", 2001)], [1]),
        ([], [claim(1, "b", 6000), claim(2, "a", 2000)], [1, 2]),  # what is kept for a is there
        ([], [claim(1, "b", 6001)], []),  # it could never be: 6 of its queue
        ([claim(9, "a", 4000)], [claim(1, "b", 4000)], [1]),
        ([claim(9, "a", 4000)], [claim(1, "b", 4001), claim(2, "a", 1000)], []),  # nobody of the pool passes …
        (
            [claim(9, "a", 1000), claim(8, "b", 6000)],
            [claim(1, "b", 500), claim(2, "a", 1000)],
            [2],
        ),  # … but for its own
        ([claim(9, "a", 6000)], [claim(1, "b", 2500), claim(2, "c", 2000)], [2]),  # others are not concerned
        ([claim(9, "a", 8000)], [claim(1, "b", 1000)], []),  # more than was kept is held: nothing is taken away
    ],
)
def test_who_is_granted(holding: list[Claim], waiting: list[Claim], wanted: list[int]) -> None:
    admission = admit(QUEUES, 10**9, holding, waiting, [SHARED])
    assert granted(admission) == wanted
    assert set(admission.waiting) == {each.job_id for each in waiting} - set(wanted)


def test_why_it_waits() -> None:
    reasons = admit(QUEUES, 10**9, [claim(9, "a", 4000)], [claim(1, "b", 4500)], [SHARED]).waiting
    assert reasons == {1: "waiting for 4.5 CUs, 4 free in its queue's pool"}


def test_what_can_never_fit_holds_up_nobody() -> None:
    pool = Pool(4000, {"a": 1000, "b": 2000})
    admission = admit(QUEUES, 10**9, [], [claim(1, "a", 2001), claim(2, "a", 2000)], [pool])
    assert granted(admission) == [2]
    assert "its queue has 2 in all" in admission.waiting[1]


claims = st.lists(
    st.builds(
        Claim,
        job_id=st.integers(1, 40),
        queue=st.sampled_from(["a", "b", "c"]),
        cu_milli=st.integers(1, 7000),
        memory_mb=st.just(1),
        order=st.integers(0, 5),
    ),
    max_size=12,
    unique_by=lambda each: each.job_id,
)


@always
@given(claims, claims)
def test_never_more_than_the_pool_and_what_is_kept_is_kept(first: list[Claim], then: list[Claim]) -> None:
    """Whatever came first, within the bounds: each queue can still have what is kept for it."""
    begun = admit(QUEUES, 10**9, [], first, [SHARED]).granted
    later = [each for each in then if each.job_id not in {claim.job_id for claim in begun}]
    now = [*begun, *admit(QUEUES, 10**9, begun, later, [SHARED]).granted]
    held = {queue: sum(each.cu_milli for each in now if each.queue == queue) for queue in QUEUES}
    assert all(held[queue] <= QUEUES[queue] for queue in QUEUES)
    assert held["a"] + held["b"] <= SHARED.cu_milli
    for queue, kept in SHARED.least.items():
        if held[queue] < kept:
            assert granted(admit(QUEUES, 10**9, now, [claim(99, queue, kept - held[queue])], [SHARED])) == [99]


@always
@given(claims)
def test_without_pools_nothing_changes(waiting: list[Claim]) -> None:
    assert admit(QUEUES, 10**9, [], waiting) == admit(QUEUES, 10**9, [], waiting, [Pool(10**9, {"a": 0, "b": 0})])


def test_a_first_policy_is_a_good_one() -> None:
    check_policies([first_policy(1)])
    assert first_policy(8) == Policy("00:00", "24:00", 1, 8, 8)


@pytest.mark.parametrize(
    ("start", "stop", "hours"),
    [
        ("00:00", "24:00", 24),
        ("00:00", "01:00", 1),
        ("22:00", "02:00", 4),
        ("23:00", "24:00", 1),
        ("12:00", "00:00", 12),
    ],
)
def test_hours(start: str, stop: str, hours: int) -> None:
    assert len(Policy(start, stop, 1, 1, 1).hours) == hours


@pytest.mark.parametrize(
    ("bounds", "shares", "actual"),
    [
        (Bounds("p", 16, 64), [], 16),
        (Bounds("p", 16, 64), [8], 16),
        (Bounds("p", 16, 64), [8, 20], 28),
        (Bounds("p", 16, 64), [60, 20], 64),
    ],
)
def test_what_a_pool_comes_to(bounds: Bounds, shares: list[int], actual: int) -> None:
    assert bounds.actual([[Policy("00:00", "24:00", 1, 0, share)] for share in shares]) == actual


def test_bounds_refuse_what_is_not_there() -> None:
    bounds = Bounds("p", 16, 64)
    whole = Policy("00:00", "24:00", 1, 16, 64)
    bounds.check({"a": [whole]}, "max_cu", 64)
    with pytest.raises(BadField, match="17 CUs would be kept"):
        bounds.check({"a": [whole], "b": [Policy("00:00", "24:00", 1, 1, 1)]}, "max_cu", 64)
    with pytest.raises(BadField, match="could take 65 CUs"):
        bounds.check({"a": [Policy("00:00", "24:00", 1, 1, 65)]}, "max_cu", 64)
    bounds.check({"a": [Policy("00:00", "24:00", 1, 1, 65, inherit=True)]}, "max_cu", 64)
    with pytest.raises(BadField, match="must not be over max_cu"):
        Bounds("p", 65, 64).check({}, "min_cu", 65)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Pool ``p`` of 4 CUs with the queues 1 and 2, in which job 1 holds 3 CUs; queue 3 is outside, job 3 holds 2."""
    opened = Database(tmp_path / "db.sqlite")
    with opened.write() as connection:
        for statement in SETUP.split(";"):
            connection.execute(text(statement))
    yield opened
    opened.close()


SETUP = """
INSERT INTO pools VALUES (1, 'x', 'p', '', 1, 4, 'u', 1, '{}');
INSERT INTO queues (id, project_id, name, queue_type, cu_milli, owner, created_ms, description, details, pool_name)
    VALUES (1, 'x', 'q1', 'general', 4000, 'u', 1, '', '{}', 'p'),
           (2, 'x', 'q2', 'general', 4000, 'u', 1, '', '{}', 'p'),
           (3, 'x', 'q3', 'general', 4000, 'u', 1, '', '{}', '');
INSERT INTO jobs (id, project_id, name, queue_name, user_name, spec, tags, goal, request_no, resume_savepoint,
    trigger_savepoint, requested_ms, phase, attempt, request_seen, restore_path, savepoint_path, note, version,
    created_ms, updated_ms)
    SELECT value, 'x', 'job' || value, 'q', 'u', '{}', '[]', 'run', 0, 0, 0, 0, 'waiting', 0, 0, '', '', '', 1, 1, 1
    FROM json_each('[1, 2, 3]');
INSERT INTO grants VALUES (1, 1, 3000, 1), (3, 3, 2000, 1)
"""


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("INSERT INTO grants VALUES (2, 2, 1001, 1)", "more CUs granted than the pool has"),
        ("UPDATE grants SET queue_id = 2, cu_milli = 4000 WHERE job_id = 3", "more CUs granted than the pool has"),
        ("UPDATE pools SET max_cu = 2", "more CUs granted than the pool has"),
        ("UPDATE queues SET pool_name = 'p' WHERE id = 3", "more CUs granted than the pool has"),
        ("UPDATE queues SET pool_name = 'none' WHERE id = 2", "there is no such pool"),
        ("DELETE FROM pools", "the pool has queues"),
        ("UPDATE pools SET min_cu = 5", "CHECK constraint"),
    ],
)
def test_the_database_refuses(database: Database, statement: str, told: str) -> None:
    with pytest.raises(IntegrityError, match=told), database.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO grants VALUES (2, 2, 1000, 1)",
        "UPDATE grants SET cu_milli = 4000 WHERE job_id = 1",
        "UPDATE pools SET max_cu = 3",
        "UPDATE queues SET pool_name = '' WHERE id = 1",
    ],
)
def test_the_database_takes(database: Database, statement: str) -> None:
    with database.write() as connection:
        result: Any = connection.execute(text(statement))
    assert result.rowcount == 1
