"""Who is admitted, and what everybody else is told."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.errors import NeverFits
from headrace.domain.queue import Admission, Claim, admit, check_fits

always = settings(max_examples=400, deadline=None, derandomize=True)
QUEUES = {"a": 4000, "b": 2000}


def claim(job_id: int, queue: str = "a", cus: int = 1, memory: int = 1, order: int | None = None) -> Claim:
    return Claim(job_id, queue, cus * 1000, memory, job_id if order is None else order)


def ids(admission: Admission) -> list[int]:
    return [granted.job_id for granted in admission.granted]


@pytest.mark.parametrize(
    ("holding", "waiting", "granted"),
    [
        ([], [], []),
        ([], [claim(1, cus=4)], [1]),
        ([], [claim(1, cus=5)], []),
        ([claim(9, cus=3)], [claim(1, cus=1)], [1]),
        ([claim(9, cus=3)], [claim(1, cus=2)], []),
        ([], [claim(1, cus=2), claim(2, cus=2)], [1, 2]),
        ([], [claim(1, cus=3), claim(2, cus=2)], [1]),
        ([], [claim(2, cus=1, order=1), claim(1, cus=4, order=2)], [2]),  # by turn, not by id
        ([], [claim(2, cus=3, order=1), claim(1, cus=3, order=1)], [1]),  # same turn: by id
        ([claim(9, cus=2)], [claim(1, cus=3), claim(2, cus=1)], []),  # nobody of the same queue passes
        ([claim(9, cus=2)], [claim(1, cus=3), claim(2, "b", cus=1)], [2]),  # of another one does
        ([claim(9, memory=5)], [claim(1, memory=6), claim(2, memory=1)], []),  # memory: nobody at all passes
        ([claim(9, memory=5)], [claim(1, memory=6), claim(2, "b", memory=1)], []),
        ([], [claim(1, memory=11), claim(2, memory=1)], [2]),  # what can never fit holds up nobody
        ([], [claim(1, cus=5), claim(2, cus=4)], [2]),
        ([claim(9, memory=5)], [claim(1, memory=6)], []),
        ([claim(9, memory=5)], [claim(1, memory=5)], [1]),
        ([], [claim(1, cus=5, memory=11), claim(2, "b", memory=10)], [2]),  # waits for its CUs: holds no memory up
        ([], [claim(1, "nowhere")], []),
        ([claim(9, cus=9)], [claim(1)], []),  # a queue over its capacity
        ([claim(9, "gone", cus=9, memory=3)], [claim(1, memory=8)], []),  # a grant of a lost queue holds memory
    ],
)
def test_who_is_granted(holding: list[Claim], waiting: list[Claim], granted: list[int]) -> None:
    admission = admit(QUEUES, 10, holding, waiting)
    assert ids(admission) == granted
    assert set(admission.waiting) == {each.job_id for each in waiting} - set(granted)


@pytest.mark.parametrize(
    ("holding", "waiting", "reason"),
    [
        ([claim(9, cus=3)], claim(1, cus=2), "waiting for 2 CUs, 1 free in its queue"),
        ([claim(9, cus=5)], claim(1, cus=2), "waiting for 2 CUs, 0 free in its queue"),
        ([claim(9, "b", cus=1)], Claim(1, "b", 1500, 1), "waiting for 1.5 CUs, 1 free in its queue"),
        ([claim(9, memory=7)], claim(1, memory=4), "waiting for 4 MB of memory, 3 MB free on this machine"),
        ([claim(9, memory=17)], claim(1, memory=4), "waiting for 4 MB of memory, 0 MB free on this machine"),
    ],
)
def test_why_it_waits(holding: list[Claim], waiting: Claim, reason: str) -> None:
    assert admit(QUEUES, 10, holding, [waiting]).waiting == {1: reason}


claims = st.lists(
    st.builds(
        Claim,
        job_id=st.integers(1, 40),
        queue=st.sampled_from(["a", "b", "nowhere"]),
        cu_milli=st.integers(1, 5000),
        memory_mb=st.integers(1, 12),
        order=st.integers(0, 5),
    ),
    max_size=10,
    unique_by=lambda each: each.job_id,
)


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[list[Claim], list[Claim]]:
    """(holding, waiting): what is held fits, as the database sees to it."""
    all_claims = draw(claims)
    holding: list[Claim] = []
    for each in all_claims[: draw(st.integers(0, 4))]:
        if not _over([*holding, each]):
            holding.append(each)
    return holding, [each for each in all_claims if each not in holding]


def _could_fit(each: Claim) -> bool:
    return not _over([each])


def _over(held: list[Claim]) -> bool:
    used = Counter[str]()
    for each in held:
        used[each.queue] += each.cu_milli
    return any(used[queue] > QUEUES.get(queue, 0) for queue in used) or sum(each.memory_mb for each in held) > 10


@always
@given(ledgers())
def test_never_over_capacity(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    assert not _over([*holding, *admit(QUEUES, 10, holding, waiting).granted])


@always
@given(ledgers())
def test_everybody_is_granted_or_told_why_not(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    admission = admit(QUEUES, 10, holding, waiting)
    assert sorted([*ids(admission), *admission.waiting]) == sorted(each.job_id for each in waiting)
    assert all(admission.waiting.values())
    assert set(admission.granted) <= set(waiting)


@always
@given(ledgers())
def test_nobody_passes_in_a_queue(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    granted = set(ids(admit(QUEUES, 10, holding, waiting)))
    for queue in ("a", "b", "nowhere"):
        mine = (each for each in waiting if each.queue == queue and _could_fit(each))
        line = sorted(mine, key=lambda each: (each.order, each.job_id))
        admitted = [each.job_id in granted for each in line]
        assert admitted == sorted(admitted, reverse=True)


@always
@given(ledgers())
def test_nobody_at_all_passes_one_who_waits_for_memory(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    admission = admit(QUEUES, 10, holding, waiting)
    line = sorted(filter(_could_fit, waiting), key=lambda each: (each.order, each.job_id))
    blocked = [place for place, each in enumerate(line) if "memory" in admission.waiting.get(each.job_id, "")]
    if blocked:
        assert not {each.job_id for each in line[blocked[0] :]} & set(ids(admission))


@always
@given(ledgers())
def test_whoever_is_first_and_fits_is_granted(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    if waiting:
        first = min(waiting, key=lambda each: (each.order, each.job_id))
        fits = not _over([*holding, first])
        assert (first.job_id in ids(admit(QUEUES, 10, holding, waiting))) == fits


@always
@given(ledgers())
def test_a_second_pass_grants_nothing_more(ledger: tuple[list[Claim], list[Claim]]) -> None:
    holding, waiting = ledger
    first = admit(QUEUES, 10, holding, waiting)
    left = [each for each in waiting if each not in first.granted]
    assert admit(QUEUES, 10, [*holding, *first.granted], left).granted == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (claim(1, cus=5), "needs 5 CUs, its queue has 4 in all"),
        (claim(1, memory=11), "needs 11 MB of memory, this machine can promise 10 MB"),
    ],
)
def test_what_can_never_be_admitted_is_refused_at_once(wanted: Claim, message: str) -> None:
    with pytest.raises(NeverFits, match=message):
        check_fits(wanted, 4000, 10)


@always
@given(claims)
def test_what_is_not_refused_is_admitted_alone(wanted: list[Claim]) -> None:
    for each in wanted:
        capacity = QUEUES.get(each.queue, 0)
        try:
            check_fits(each, capacity, 10)
        except NeverFits:
            assert ids(admit(QUEUES, 10, [], [each])) == []
        else:
            assert ids(admit(QUEUES, 10, [], [each])) == [each.job_id]
