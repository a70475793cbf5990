"""The courier of tests: real channels, that may reach 127.0.0.1, and one signer for all, as its key takes long."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from headrace.control.courier import Courier, Said, Tries
from headrace.notify.addresses import AddressGuard
from headrace.notify.base import Channel
from headrace.notify.email import EmailChannel
from headrace.notify.http import HttpChannel
from headrace.notify.signing import open_signer
from headrace.settings import Settings
from headrace.store.database import Step, no_step
from headrace.store.notices import NoticeStore
from tests.support.people import VAULT

with tempfile.TemporaryDirectory() as folder:
    SIGNER = open_signer(Path(folder) / "key.pem", datetime.now(UTC))
TRIES = Tries(first_ms=1000, give_up_ms=3_600_000, kept_ms=86_400_000)


def courier_of(
    settings: Settings, notices: NoticeStore, now_ms: Callable[[], int], base_url: str = "", step: Step = no_step
) -> Courier:
    """One that is not started: ``look`` and ``deliver_next`` are called by the test."""
    guard = AddressGuard(["127.0.0.0/8"])
    channels: dict[str, Channel] = {}
    courier = Courier(
        notices=notices,
        channels=channels,
        unseal=VAULT.open,
        now_ms=now_ms,
        tries=TRIES,
        region=settings.region,
        base_url=base_url or "http://testserver",
        step=step,
    )
    http = HttpChannel(settings, SIGNER, guard, lambda: f"{courier.base_url}/smn/{SIGNER.certificate_name}")
    for channel in (http, EmailChannel(settings)):
        channels |= dict.fromkeys(channel.protocols, channel)
    return courier


def deliver_all(courier: Courier) -> int:
    """Delivers what is due, each once; how many tries that were."""
    due = courier.look()
    tries = 0
    for subscription_id in due:
        while courier.deliver_next(subscription_id) is not Said.NOTHING:
            tries += 1
    return tries
