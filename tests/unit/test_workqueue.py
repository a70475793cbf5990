"""Who is ticked when, by a clock that only moves when it is told to."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from headrace.control.workqueue import FIRST_BACKOFF_S, MAX_BACKOFF_S, WorkQueue

pytestmark = pytest.mark.timeout(60)  # a wrong queue lets its takers wait for ever

LIMIT_S = 20.0
MARK = 99
"""An item that is due now: if it is the next, nothing else was due before it."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(clock)


def nothing_is_due(queue: WorkQueue) -> bool:
    queue.add(MARK)
    taken = queue.take()
    assert taken is not None
    queue.done(taken)
    return taken == MARK


def fail(queue: WorkQueue, item: int) -> None:
    assert queue.take() == item
    queue.done(item, failed=True)


def test_an_item_is_in_it_once(queue: WorkQueue) -> None:
    for _ in range(3):
        queue.add(1)
    assert queue.take() == 1
    queue.done(1)
    assert nothing_is_due(queue)


def test_what_is_due_first_comes_first(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1, 3.0)
    queue.add(2, 1.0)
    queue.add(3, 2.0)
    clock.now += 3.0
    assert [queue.take() for _ in range(3)] == [2, 3, 1]


@pytest.mark.parametrize("delays", [(5.0, 2.0), (2.0, 5.0)])
def test_of_two_times_the_earlier_counts(queue: WorkQueue, clock: Clock, delays: tuple[float, float]) -> None:
    for delay in delays:
        queue.add(1, delay)
    clock.now += 1.99
    assert nothing_is_due(queue)
    clock.now += 0.01
    assert queue.take() == 1
    queue.done(1)
    clock.now += 10.0
    assert nothing_is_due(queue)


def test_what_is_held_is_given_to_nobody_else(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    assert queue.take() == 1
    queue.add(1)
    queue.add(1, 5.0)
    clock.now += 10.0
    assert nothing_is_due(queue)
    queue.done(1)
    assert queue.take() == 1
    queue.done(1)
    assert nothing_is_due(queue)


@pytest.mark.parametrize("delays", [(5.0, 2.0), (2.0, 5.0)])
def test_what_is_added_while_it_is_held_comes_again_in_time(
    queue: WorkQueue, clock: Clock, delays: tuple[float, float]
) -> None:
    queue.add(1)
    queue.take()
    for delay in delays:
        queue.add(1, delay)
    queue.done(1)
    clock.now += 1.99
    assert nothing_is_due(queue)
    clock.now += 0.01
    assert queue.take() == 1


def test_failures_back_off_exponentially_up_to_a_limit(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    expected = FIRST_BACKOFF_S
    for _ in range(10):
        fail(queue, 1)
        clock.now += expected - 0.001
        assert nothing_is_due(queue)
        clock.now += 0.002
        expected = min(2 * expected, MAX_BACKOFF_S)
    assert expected == MAX_BACKOFF_S


def test_a_success_forgets_the_failures(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    for _ in range(3):
        fail(queue, 1)
        clock.now += MAX_BACKOFF_S
    assert queue.take() == 1
    queue.done(1)
    queue.add(1)
    fail(queue, 1)
    clock.now += FIRST_BACKOFF_S
    assert queue.take() == 1


def test_failures_of_one_item_do_not_hold_up_another(queue: WorkQueue) -> None:
    queue.add(1)
    fail(queue, 1)
    queue.add(2)
    assert queue.take() == 2
    queue.done(2, failed=True)


def test_it_can_fail_for_ever(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    for _ in range(5000):
        fail(queue, 1)
        clock.now += MAX_BACKOFF_S


def test_a_sweep_asks_for_what_nobody_asked_for(queue: WorkQueue) -> None:
    queue.sweep(1)
    queue.sweep(1)
    assert queue.take() == 1
    queue.sweep(1)
    queue.done(1)
    assert nothing_is_due(queue)


def test_a_sweep_brings_forward_what_was_to_come_later(queue: WorkQueue) -> None:
    queue.add(1, 60.0)
    queue.sweep(1)
    assert queue.take() == 1


def test_a_sweep_does_not_push_back_what_is_overdue(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    clock.now += 1.0
    queue.add(2)
    clock.now += 1.0
    queue.sweep(1)
    assert [queue.take(), queue.take()] == [1, 2]


def test_a_sweep_waits_for_the_backoff_and_a_nudge_does_not(queue: WorkQueue, clock: Clock) -> None:
    queue.add(1)
    fail(queue, 1)
    queue.sweep(1)
    assert nothing_is_due(queue)
    queue.add(1)
    fail(queue, 1)
    queue.sweep(1)
    clock.now += 2 * FIRST_BACKOFF_S
    assert queue.take() == 1


def test_a_nudge_during_a_tick_that_fails_is_not_lost(queue: WorkQueue) -> None:
    queue.add(1)
    queue.take()
    queue.add(1)
    queue.done(1, failed=True)
    assert queue.take() == 1


# -- with threads -----------------------------------------------------------------------------------------------------


def waiting(queue: WorkQueue, takers: int) -> Callable[[], bool]:
    return lambda: len(queue._changed._waiters) >= takers  # type: ignore[attr-defined]


@contextmanager
def takers(queue: WorkQueue, number: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that are let go even if the test fails."""
    with ThreadPoolExecutor(number) as pool:
        try:
            yield pool
        finally:
            for _ in range(number):
                queue.close()


def until(condition: Callable[[], bool]) -> None:
    limit = threading.Event()
    timer = threading.Timer(LIMIT_S, limit.set)
    timer.start()
    while not condition():
        assert not limit.is_set(), "not in time"
    timer.cancel()
    timer.join()


@pytest.mark.parametrize("delay", [None, 3600.0])
def test_a_waiting_taker_gets_what_is_added(queue: WorkQueue, delay: float | None) -> None:
    if delay is not None:
        queue.add(1, delay)
    with takers(queue, 1) as pool:
        taker = pool.submit(queue.take)
        until(waiting(queue, 1))
        queue.add(2)
        assert taker.result(LIMIT_S) == 2


def test_a_waiting_taker_gets_what_is_handed_back(queue: WorkQueue) -> None:
    queue.add(1)
    queue.take()
    with takers(queue, 1) as pool:
        taker = pool.submit(queue.take)
        until(waiting(queue, 1))
        queue.add(1)
        queue.done(1)
        assert taker.result(LIMIT_S) == 1


def test_closed_it_lets_all_takers_go(queue: WorkQueue) -> None:
    with takers(queue, 3) as pool:
        taken = [pool.submit(queue.take) for _ in range(3)]
        until(waiting(queue, 3))
        queue.close()
        assert [taker.result(LIMIT_S) for taker in taken] == [None, None, None]
    queue.add(1)
    assert queue.take() is None


def test_an_item_comes_by_itself_when_its_time_has_come() -> None:
    queue = WorkQueue()  # by the real clock
    queue.add(1, 0.05)
    with takers(queue, 1) as pool:
        assert pool.submit(queue.take).result(LIMIT_S) == 1


def test_no_item_is_ever_held_by_two() -> None:
    queue = WorkQueue()
    items, rounds = range(5), 40
    holding = {item: threading.Lock() for item in items}
    taken = Counter[int]()
    finished = threading.Event()

    def work() -> None:
        while (item := queue.take()) is not None:
            assert holding[item].acquire(blocking=False)
            taken[item] += 1
            queue.add((item + 1) % len(items))
            if taken[item] < rounds:
                queue.add(item)
            elif all(taken[each] >= rounds for each in items):
                finished.set()
            holding[item].release()
            queue.done(item, failed=taken[item] % 7 == 0)

    with takers(queue, 8) as pool:
        workers = [pool.submit(work) for _ in range(8)]
        for item in items:
            queue.add(item)
        assert finished.wait(LIMIT_S)
        queue.close()
        for worker in workers:
            worker.result(LIMIT_S)
