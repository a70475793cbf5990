"""How often anybody is asked to confirm a subscription: who may create topics cannot fill a stranger's mailbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from headrace.domain.topics import ALL_RECEIVERS, ONE_RECEIVER
from headrace.settings import Settings
from tests.support.notices import deliver_all
from tests.support.receivers import SmtpReceiver

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"
TOPICS = "/v2/{p}/notifications/topics"
SUBSCRIPTIONS = "/v2/{p}/notifications/subscriptions"
ANN = "ann@example.com"
AN_HOUR, TWO_DAYS = ONE_RECEIVER["email"]


@pytest.fixture
def settings(tmp_path: Path, smtp: SmtpReceiver) -> Settings:
    mail = {"smtp_host": "127.0.0.1", "smtp_port": smtp.port, "smtp_from": "h@example.com", "smtp_security": "none"}
    return Settings(home=tmp_path, **mail)  # type: ignore[arg-type]


def subscribe(stand: Stand, endpoint: str = ANN, topic: str = "topic") -> Any:
    path = f"{TOPICS}/urn:smn:headrace:{PROJECT}:{topic}/subscriptions"
    return stand.send("POST", path, {"protocol": "email", "endpoint": endpoint})


def ask(stand: Stand, times: int = 1, endpoint: str = "") -> None:
    """Somebody subscribes an address and deletes that again, over and over."""
    for number in range(times):
        made = subscribe(stand, endpoint or f"user{number}@example.com")
        assert made.status_code == 201, made.text
        stand.ok("DELETE", f"{SUBSCRIPTIONS}/{made.json()['subscription_urn']}")


def test_one_address_is_asked_so_often_in_an_hour(stand: Stand) -> None:
    ask(stand, AN_HOUR.most - 1, ANN)
    stand.clock.ms += 600_000
    ask(stand, 1, ANN)
    before = stand.rows()
    for same in (ANN, "Ann@Example.com"):
        refused = subscribe(stand, same)
        assert (refused.status_code, refused.json()["code"]) == (429, "SMN.0429")
        assert refused.headers["Retry-After"] == "3000"
        assert f"{same} was asked to confirm 20 times of late. Wait for 3000 s" in refused.json()["message"]
    assert stand.rows() == before, "nobody is subscribed"
    assert subscribe(stand, "bob@example.com").status_code == 201
    stand.clock.ms += 3_000_000
    assert subscribe(stand).status_code == 201


def test_one_address_is_asked_so_often_in_two_days(stand: Stand) -> None:
    for _ in range(TWO_DAYS.most // AN_HOUR.most):
        ask(stand, AN_HOUR.most, ANN)
        stand.clock.ms += AN_HOUR.within_ms
    waits = TWO_DAYS.within_ms - 2 * AN_HOUR.within_ms
    assert subscribe(stand).headers["Retry-After"] == str(waits // 1000)
    stand.clock.ms += waits
    assert subscribe(stand).status_code == 201


def test_a_request_that_asks_nobody_is_not_refused(stand: Stand, smtp: SmtpReceiver) -> None:
    ask(stand, AN_HOUR.most - 1, ANN)
    assert subscribe(stand).status_code == 201
    assert subscribe(stand).status_code == 200, "the mail is on its way still"
    deliver_all(stand.courier)
    assert subscribe(stand).status_code == 429
    link = next(word for word in smtp.mails[-1].get_content().split() if word.startswith("http"))
    stand.services.topics.confirm(parse_qs(urlsplit(link).query)["token"][0], now_ms=stand.clock())
    assert subscribe(stand).status_code == 200, "it is confirmed"
    assert stand.send("POST", TOPICS, {"name": "another"}).status_code == 201
    assert subscribe(stand, topic="another").status_code == 201, "who has confirmed once is counted no more"


def test_one_mailbox_has_many_addresses(stand: Stand) -> None:
    (pace,) = ALL_RECEIVERS["email"]
    ask(stand, pace.most)
    refused = subscribe(stand)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    assert "The project has asked for 200 confirmations by email of late." in refused.json()["message"]
