"""Builds the courier with its channels, from the settings."""

from __future__ import annotations

import logging
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
    """Raises HomeUnusable, OSError: the key of notices, or a file of certificates, cannot be read."""
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
        if external is None:
            return topics.find(project_id, name) is not None
        try:
            return external.topic_urn(name) is not None
        except Undelivered as error:  # a job is not held up for it: its notices are tried until it answers
            log.warning("whether the topic %s exists is not known: %s", name, error)
            return True

    return Post(courier, signer, topic_exists)
