"""Topics: whom notices are told. Their names, and their URNs as SMN writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headrace.domain.errors import BadField

NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}"
NAME_RULE = "1 to 255 letters, digits, '-' and '_', beginning with a letter or digit"
MAX_TOPICS = 3000
"""Of a project, as in SMN."""
MAX_SUBSCRIPTIONS = 10_000
"""Of a topic, as in SMN."""
MAX_DISPLAY_BYTES = 192
MAX_REMARK_BYTES = 128
MAX_SUBJECT_BYTES = 512
MAX_MESSAGE_BYTES = 256 * 1024
CONFIRM_MS = 48 * 3600 * 1000
"""How long the link of a confirmation is good, as in SMN."""
CONFIRM = "/smn/subscription/confirm"
UNSUBSCRIBE = "/smn/subscription/unsubscribe"
"""Paths of the links in messages, which carry the subscription's secret."""


@dataclass(frozen=True)
class Pace:
    """At most so many within so long."""

    most: int
    within_ms: int


_HOUR_MS = 3_600_000
ONE_RECEIVER: Mapping[str, tuple[Pace, ...]] = {
    "email": (Pace(20, _HOUR_MS), Pace(40, 48 * _HOUR_MS)),
    "http": (Pace(200, 600_000),),
    "https": (Pace(200, 600_000),),
}
"""Protocol -> how often a project may ask one receiver to confirm, until it does ("Traffic Control over Subscription
Confirmation" of SMN's user guide)."""
ALL_RECEIVERS: Mapping[str, tuple[Pace, ...]] = {"email": (Pace(200, _HOUR_MS),)}
"""Protocol -> how often a project may ask all of its receivers together: ours, as one mailbox has many addresses."""


def paces_of(protocol: str) -> tuple[Pace, ...]:
    """All that confirmations by this protocol must keep."""
    return (*ONE_RECEIVER.get(protocol, ()), *ALL_RECEIVERS.get(protocol, ()))


def wait_ms(paces: Sequence[Pace], asked_ms: Sequence[int], now_ms: int) -> int:
    """How long until there may be one more; 0 = now. ``asked_ms``: when there were some, newest first."""
    waits = [
        min(asked_ms[pace.most - 1] + pace.within_ms - now_ms, pace.within_ms)
        for pace in paces
        if len(asked_ms) >= pace.most
    ]
    return max(0, *waits) if waits else 0


_URN = re.compile(rf"urn:smn:([A-Za-z0-9_-]+):([A-Za-z0-9]+):({NAME})(?::([0-9a-f]{{32}}))?")


@dataclass(frozen=True)
class Urn:
    """Of a topic; with ``uid``, of one of its subscriptions."""

    region: str
    project_id: str
    name: str
    uid: str = ""

    def __str__(self) -> str:
        base = f"urn:smn:{self.region}:{self.project_id}:{self.name}"
        return f"{base}:{self.uid}" if self.uid else base


def parse_topic(text: str) -> Urn:
    """The URN of a topic.

    Raises:
        BadField: it is none.
    """
    found = _URN.fullmatch(text)
    if found is None or found[4]:
        raise BadField("topic_urn", text, "must be urn:smn:<region>:<project id>:<name of the topic>")
    return Urn(found[1], found[2], found[3])


def parse_subscription(text: str) -> Urn:
    """The URN of a subscription.

    Raises:
        BadField: it is none.
    """
    found = _URN.fullmatch(text)
    if found is None or not found[4]:
        raise BadField("subscription_urn", text, "must be the URN of its topic, ':' and 32 hex digits")
    return Urn(found[1], found[2], found[3], found[4])


def token_context(uid: str) -> str:
    """What the secret of this subscription is sealed for."""
    return f"subscription {uid}"
