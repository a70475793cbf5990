"""Builds the courier with its channels, from the settings."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace.control.courier import Courier, Tries
from headrace.home import Home
from headrace.notify.addresses import AddressGuard
from headrace.notify.base import Channel, Undelivered
from headrace.notify.email import EmailChannel
from headrace.notify.external import ExternalSmn
from headrace.notify.http import HttpChannel
from headrace.notify.signing import Signer, open_signer
from headrace.settings import Settings
from headrace.store.database import Step, no_step
from headrace.store.notices import NoticeStore
from headrace.store.topics import TopicStore

log = logging.getLogger(__name__)

ASKING_S = 5.0
"""So long may be asked whether topics exist elsewhere."""
RECOVERY = 0.2
"""Of what was used of that, so much comes back in a second."""
LEAST_S = 1.0
"""With less than that left nobody is asked."""


@dataclass(frozen=True)
class Clerk:
    """What the courier needs of the rest: (sealed token, context) -> token, the clock, what tests end it at."""

    unseal: Callable[[str, str], str]
    now_ms: Callable[[], int]
    step: Step = no_step


@dataclass(frozen=True)
class Post:
    """What brings notices to their receivers.

    Attributes:
        courier: not yet started.
        signer: of HTTP messages.
        topic_exists: whether the topic of this project and name can be told something.
    """

    courier: Courier
    signer: Signer
    topic_exists: Callable[[str, str], bool]


def open_post(settings: Settings, home: Home, notices: NoticeStore, topics: TopicStore, clerk: Clerk) -> Post:
    """Raises HomeUnusable, OSError, BadField: a key, a file of certificates or a URL of the settings is none."""
    signer = open_signer(home.notice_key_file, datetime.now(UTC))
    external = ExternalSmn(settings, clerk.now_ms) if settings.smn_endpoint else None
    channels: dict[str, Channel] = {}
    courier = Courier(
        notices=notices,
        channels=channels,
        unseal=clerk.unseal,
        now_ms=clerk.now_ms,
        tries=Tries(
            first_ms=int(settings.notice_retry_seconds * 1000),
            give_up_ms=int(settings.notice_give_up_hours * 3_600_000),
            kept_ms=int(settings.notice_kept_days * 86_400_000),
        ),
        region=settings.region,
        base_url=settings.public_url or f"http://{settings.host}:{settings.port}",
        elsewhere=external,
        elsewhere_url=settings.smn_endpoint or "",
        step=clerk.step,
    )
    guard = AddressGuard(settings.notice_allowed_networks)
    http = HttpChannel(settings, signer, guard, lambda: f"{courier.base_url}/smn/{signer.certificate_name}")
    for channel in (http, EmailChannel(settings)):
        channels |= dict.fromkeys(channel.protocols, channel)

    def topic_exists(project_id: str, name: str) -> bool:
        return topics.find(project_id, name) is not None

    inquiry = None if external is None else Inquiry(external.topic_urn)
    return Post(courier, signer, topic_exists if inquiry is None else lambda _, name: inquiry.topic_exists(name))


class Inquiry:
    """Whether topics exist at an external SMN, asked while somebody waits for it: seldom for long, however many ask.

    Who asks waits for ASKING_S at most. What that took is missing for the next, so that a batch of jobs, each with a
    topic of its own, waits hardly longer for an SMN that is silent or slow.
    """

    def __init__(
        self, topic_urn: Callable[[str, float], str | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            topic_urn: (name, seconds) -> the URN, None = there is none; raises Undelivered.
            clock: a monotonic one, in seconds.
        """
        self._topic_urn = topic_urn
        self._clock = clock
        self._left_s, self._counted_at = ASKING_S, clock()
        self._lock = threading.Lock()

    def topic_exists(self, name: str) -> bool:
        """Also if nobody knows: a job is not held up for it, its notices are tried until the SMN answers."""
        seconds = self._use(0.0)
        if seconds < LEAST_S:
            log.warning("whether the topic %s exists is not known: the external SMN was too slow just now", name)
            return True
        began = self._clock()
        try:
            return self._topic_urn(name, seconds) is not None
        except Undelivered as error:
            log.warning("whether the topic %s exists is not known: %s", name, error)
            return True
        finally:
            self._use(self._clock() - began)

    def _use(self, seconds: float) -> float:
        """How many are left after these."""
        with self._lock:
            now = self._clock()
            recovered = min(ASKING_S, self._left_s + (now - self._counted_at) * RECOVERY)
            self._left_s, self._counted_at = max(0.0, recovered - seconds), now
            return self._left_s
