"""Whether topics exist elsewhere: whoever waits for it waits for seconds, not for as many as there are jobs."""

from __future__ import annotations

import pytest

from headrace.control.postroom import ASKING_S, Inquiry
from headrace.notify.base import Undelivered


class Elsewhere:
    """An SMN that takes ``takes_s`` for an answer, on a clock of its own."""

    def __init__(self, takes_s: float, *topics: str) -> None:
        self.takes_s = takes_s
        self.topics = topics
        self.time_s = 100.0
        self.asked: list[str] = []

    def topic_urn(self, name: str, seconds: float) -> str | None:
        self.asked.append(name)
        self.time_s += min(self.takes_s, seconds)
        if self.takes_s > seconds:
            raise Undelivered("the time is up")
        return f"urn:{name}" if name in self.topics else None

    def clock(self) -> float:
        return self.time_s


@pytest.mark.parametrize("takes_s", [1000.0, 4.0, 1.0, 0.3])
def test_a_batch_waits_for_seconds_however_slow_the_answers_are(takes_s: float) -> None:
    smn = Elsewhere(takes_s, *(f"topic-{number}" for number in range(1000)))
    inquiry = Inquiry(smn.topic_urn, smn.clock)
    began = smn.time_s
    assert all(inquiry.topic_exists(f"topic-{number}") for number in range(1000)), "who does not know lets it pass"
    assert smn.time_s - began <= 1.5 * ASKING_S
    smn.time_s += 60
    asked = len(smn.asked)
    inquiry.topic_exists("topic-0")
    assert len(smn.asked) == asked + 1, "it is asked again"


def test_whoever_answers_soon_is_asked_each_time() -> None:
    smn = Elsewhere(0.0, "here")
    inquiry = Inquiry(smn.topic_urn, smn.clock)
    for _ in range(1000):
        assert inquiry.topic_exists("here")
        assert not inquiry.topic_exists("gone")
    assert len(smn.asked) == 2000
