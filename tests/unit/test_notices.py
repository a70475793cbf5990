"""What a move tells the job's topic, and in which words."""

from __future__ import annotations

import pytest

from headrace.domain import notices
from headrace.domain.errors import BadField
from headrace.domain.job import Job, JobSpec, Phase, Record
from headrace.domain.notices import GOES_ON, Event
from headrace.domain.topics import MAX_SUBJECT_BYTES, Pace, Urn, parse_subscription, parse_topic, wait_ms

FIRST = Record(Phase.STARTING, 1, first_attempt=1)
AGAIN = Record(Phase.STARTING, 2, first_attempt=1, failure="it was killed.")


@pytest.mark.parametrize(
    ("before", "phase", "in_a_row", "expected"),
    [
        (FIRST, Phase.SUBMIT_FAILED, 0, Event.SUBMIT_FAILED),
        (FIRST, Phase.FAILED, 0, Event.FAILED),
        (AGAIN, Phase.FAILED, GOES_ON, Event.FAILED),
        (FIRST, Phase.RUNNING, 0, None),
        (AGAIN, Phase.RUNNING, 1, Event.RECOVERED),
        (AGAIN.evolve(phase=Phase.SAVING), Phase.RUNNING, 0, None),
        (AGAIN.evolve(phase=Phase.CLEARING), Phase.RESTARTING, GOES_ON - 1, None),
        (AGAIN.evolve(phase=Phase.CLEARING), Phase.RESTARTING, GOES_ON, Event.FAILING),
        (AGAIN.evolve(phase=Phase.CLEARING), Phase.RESTARTING, GOES_ON + 1, None),
        (AGAIN, Phase.CANCELING, GOES_ON, None),
        (AGAIN, Phase.FINISHED, 0, None),
    ],
)
def test_what_a_move_tells(before: Record, phase: Phase, in_a_row: int, expected: Event | None) -> None:
    assert notices.event(before, before.evolve(phase=phase), in_a_row) is expected


RUNS = Record(Phase.RUNNING, 1, first_attempt=1, ran=True, flink_restarts=2, restarts=2)


@pytest.mark.parametrize(
    ("before", "more", "in_a_row", "expected"),
    [
        (RUNS, 1, GOES_ON - 1, None),
        (RUNS, 1, GOES_ON, Event.FAILING),
        (RUNS, 1, GOES_ON + 1, None),
        (RUNS, 2, GOES_ON + 1, Event.FAILING),
        (RUNS, 9, GOES_ON + 9, None),
        (RUNS.evolve(phase=Phase.SAVEPOINTING), 1, GOES_ON, Event.FAILING),
        (RUNS.evolve(phase=Phase.STARTING), 1, GOES_ON, None),
        (RUNS, 0, GOES_ON, None),
    ],
)
def test_what_restarts_in_place_tell(before: Record, more: int, in_a_row: int, expected: Event | None) -> None:
    after = before.evolve(flink_restarts=before.flink_restarts + more, restarts=before.restarts + more)
    assert notices.event(before, after, in_a_row) is expected


def test_the_words() -> None:
    job = Job(7, "p", JobSpec("orders"), record=AGAIN)
    told = notices.body(job, AGAIN.evolve(phase=Phase.RUNNING, failure=""), Event.RECOVERED)
    assert notices.subject(told) == "Flink job orders runs again"
    assert notices.text(told, "p", 1_790_000_000_000).splitlines() == [
        "The Flink job orders: It had failed, was restarted, and all its tasks run again.",
        "",
        "it was killed.",
        "",
        "event: recovered",
        "job_id: 7",
        "job_name: orders",
        "project_id: p",
        "attempt: 2",
        "time: 2026-09-21T14:13:20Z",
    ]


@pytest.mark.parametrize("happened", Event)
def test_each_subject_is_short_enough(happened: Event) -> None:
    told = {"job_name": "语" * 57, "event": happened}
    assert len(notices.subject(told).encode()) <= MAX_SUBJECT_BYTES


def test_urns() -> None:
    topic = "urn:smn:eu-de:0123456789abcdef:alarms"
    assert parse_topic(topic) == Urn("eu-de", "0123456789abcdef", "alarms")
    assert str(parse_subscription(f"{topic}:{'a' * 32}")) == f"{topic}:{'a' * 32}"
    for wrong in ("", "alarms", f"{topic}:{'a' * 32}", f"{topic}\n", "urn:smn:eu-de:0123456789abcdef:-a"):
        with pytest.raises(BadField):
            parse_topic(wrong)
    for wrong in (topic, f"{topic}:short"):
        with pytest.raises(BadField):
            parse_subscription(wrong)


@pytest.mark.parametrize(
    ("asked", "now", "wait"),
    [
        ([], 100, 0),
        ([100], 100, 0),
        ([100, 95], 100, 5),
        ([100, 90], 100, 0),
        ([100, 60, 40, 20], 100, 20),  # the longer pace is kept by the fourth newest
        ([104, 103, 20, 10], 104, 9),  # the short one is waited for longer
        ([500, 400, 300, 200], 100, 100),  # asked when the clock was ahead: never longer than the pace itself
    ],
)
def test_a_pace_is_kept(asked: list[int], now: int, wait: int) -> None:
    assert wait_ms([Pace(2, 10), Pace(4, 100)], asked, now) == wait
