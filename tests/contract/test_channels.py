"""What every channel keeps: yes means received, anything else is Undelivered and in time, a repeat has the same id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.errors import BadField
from headrace.notify.addresses import AddressGuard
from headrace.notify.base import Channel, Delivery, MessageKind, Undelivered
from headrace.notify.email import EmailChannel
from headrace.notify.http import HttpChannel
from headrace.notify.signing import Signer, open_signer
from headrace.settings import load_settings
from tests.support.certificates import Authority
from tests.support.receivers import HttpReceiver, SmtpReceiver, is_authentic

CERTIFICATE_URL = "https://headrace.example.com/smn/SMN.pem"
TOPIC = "urn:smn:headrace:0123456789abcdef0123456789abcdef:cs_job_exception"
GENEROUS_S, SHORT_S = 60.0, 0.5


@dataclass(frozen=True)
class Got:
    """What a receiver made of a message."""

    message_id: str
    kind: str
    topic_urn: str
    subject: str
    message: str


@dataclass
class Stand:
    """One channel and one receiver; ``order`` asks for misbehaviour at the next try."""

    make: Callable[[float], Channel]
    protocol: str
    endpoint: str
    order: Callable[[str], None]
    got: Callable[[], list[Got]]

    def deliver(self, seconds: float = GENEROUS_S, **fields: Any) -> Delivery:
        delivery = replace(NOTICE, protocol=self.protocol, endpoint=self.endpoint, **fields)
        self.make(seconds).deliver(delivery)
        return delivery

    def undelivered(self, seconds: float = GENEROUS_S, **fields: Any) -> Undelivered:
        with pytest.raises(Undelivered) as caught:
            self.deliver(seconds, **fields)
        return caught.value


NOTICE = Delivery(
    message_id="d84bd6629ef04513ad2e37bffd6e17cb",
    kind=MessageKind.NOTIFICATION,
    topic_urn=TOPIC,
    subject="Job counter (7) failed",
    message="job_running_exception: the JobManager ended with exit code 137.",
    created_ms=int(datetime(2026, 11, 28, 9, 45, tzinfo=UTC).timestamp() * 1000),
    protocol="",
    endpoint="",
    unsubscribe_url="https://headrace.example.com/smn/subscription/unsubscribe?subscription_urn=x",
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return open_signer(tmp_path_factory.mktemp("home") / "notice-key.pem", datetime.now(UTC))


@contextmanager
def http_stand(home: Path, signer: Signer, authority: Authority, scheme: str) -> Iterator[Stand]:
    def make(seconds: float) -> HttpChannel:
        settings = load_settings(home, notice_timeout_seconds=seconds, notice_ca_file=authority.file)
        return HttpChannel(settings, signer, AddressGuard(["127.0.0.0/8"]), lambda: CERTIFICATE_URL)

    def order(what: str) -> None:
        receiver.answers.append({"refuse": 503, "refuse for good": 410}.get(what, what))  # type: ignore[arg-type]

    def got() -> list[Got]:
        for post in receiver.posts:
            assert is_authentic(post.body, signer.certificate_pem)
            assert post.headers["X-SMN-MESSAGE-ID"] == post.body["message_id"]
            assert post.headers["X-SMN-MESSAGE-TYPE"] == post.body["type"]
            assert post.headers["X-SMN-TOPIC-URN"] == post.body["topic_urn"]
        names = ("message_id", "type", "topic_urn", "subject", "message")
        return [Got(*(post.body.get(name, "") for name in names)) for post in receiver.posts]

    with HttpReceiver(authority.context("127.0.0.1") if scheme == "https" else None) as receiver:
        yield Stand(make, scheme, f"{receiver.url}/hook?a=b", order, got)


@contextmanager
def email_stand(home: Path, authority: Authority, security: str) -> Iterator[Stand]:
    user, password = ("courier", "sesame") if security == "starttls" else ("", "")

    def make(seconds: float) -> EmailChannel:
        return EmailChannel(
            load_settings(
                home,
                notice_timeout_seconds=seconds,
                smtp_host="127.0.0.1",
                smtp_port=receiver.port,
                smtp_security=security,
                smtp_user=user or None,
                smtp_password=password or None,
                smtp_from="headrace@example.com",
                smtp_ca_file=authority.file,
            )
        )

    def order(what: str) -> None:
        said = {"refuse": "451 Later", "refuse for good": "550 5.1.1 No such mailbox", "drip": "hang"}
        receiver.data_answers.append(said.get(what, what))

    def got() -> list[Got]:
        return [
            Got(
                mail["X-SMN-MESSAGE-ID"],
                mail["X-SMN-MESSAGE-TYPE"],
                mail["X-SMN-TOPIC-URN"].strip(),  # it is too long for the line of its name
                mail["Subject"],
                mail.get_content().replace("\r\n", "\n").partition("\n\n--\n")[0],
            )
            for mail in receiver.mails
        ]

    tls = None if security == "none" else authority.context("127.0.0.1")
    with SmtpReceiver(tls, user, password, from_the_first_byte=security == "tls") as receiver:
        yield Stand(make, "email", "operator@example.com", order, got)


@pytest.fixture(params=["http", "https", "email", "email with STARTTLS and sign-in", "email over TLS"])
def stand(request: pytest.FixtureRequest, tmp_path: Path, signer: Signer, authority: Authority) -> Iterator[Stand]:
    kinds = {
        "http": partial(http_stand, tmp_path, signer, authority, "http"),
        "https": partial(http_stand, tmp_path, signer, authority, "https"),
        "email": partial(email_stand, tmp_path, authority, "none"),
        "email with STARTTLS and sign-in": partial(email_stand, tmp_path, authority, "starttls"),
        "email over TLS": partial(email_stand, tmp_path, authority, "tls"),
    }
    with kinds[request.param]() as one:
        one.make(GENEROUS_S).check(one.endpoint)
        yield one


def test_it_serves_its_protocols_only(stand: Stand) -> None:
    assert stand.protocol in stand.make(GENEROUS_S).protocols


@pytest.mark.parametrize(
    "endpoint", ["", "nobody", "ftp://example.com/", "a@b@c", "http://", "x@example.com\r\nBcc: y@z"]
)
def test_a_malformed_endpoint_is_refused(stand: Stand, endpoint: str) -> None:
    with pytest.raises(BadField, match="endpoint"):
        stand.make(GENEROUS_S).check(endpoint)


def test_what_is_delivered_was_received(stand: Stand) -> None:
    sent = stand.deliver()
    assert stand.got() == [Got(sent.message_id, "Notification", TOPIC, sent.subject, sent.message)]


def test_a_refusal_is_not_final_and_the_repeat_bears_the_same_id(stand: Stand) -> None:
    stand.order("refuse")
    assert not stand.undelivered().final
    sent = stand.deliver()
    assert {one.message_id for one in stand.got()} == {sent.message_id}


def test_a_refusal_for_good_is_final(stand: Stand) -> None:
    stand.order("refuse for good")
    assert stand.undelivered().final


@pytest.mark.parametrize("misdeed", ["hang", "drip"])
def test_a_receiver_that_comes_to_no_end_is_left(stand: Stand, misdeed: str) -> None:
    stand.order(misdeed)
    failure = stand.undelivered(SHORT_S)
    assert not failure.final
    assert "within 0.5 s" in failure.reason


def test_a_receiver_that_hangs_up_midway_has_not_said_yes(stand: Stand) -> None:
    stand.order("vanish")
    assert not stand.undelivered().final
    stand.deliver()


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("Задание №7 упало: 失败 💥", "Причина: 内存不足 — “heap”, ü\u0301, 💥\n\tzweite Zeile"),
        ("s" * 512, "a line of its own\n" * 5000),
        ("ü" * 512, "ß" * 100_000),
        ("no end", "x" * 200_000),
        ("dots", ".\n..\n.hidden\nFrom here on\n"),
    ],
    ids=["no ASCII", "long", "long and no ASCII", "one long line", "dots"],
)
def test_every_text_comes_as_it_is(stand: Stand, subject: str, message: str) -> None:
    stand.deliver(subject=subject, message=message)
    [got] = stand.got()
    assert (got.subject, got.message.rstrip("\n")) == (subject, message.rstrip("\n"))


def test_half_a_surrogate_pair_stops_nothing(stand: Stand) -> None:
    stand.deliver(subject="half \ud83d", message="of \udca5 a pair")
    [got] = stand.got()
    assert (got.subject, got.message.rstrip("\n")) == ("half ?", "of ? a pair")


def test_a_subject_can_be_missing(stand: Stand) -> None:
    stand.deliver(subject="")
    assert stand.got()[0].subject in ("", "Notice of cs_job_exception")


@pytest.mark.parametrize("kind", [MessageKind.SUBSCRIPTION_CONFIRMATION, MessageKind.UNSUBSCRIBE_CONFIRMATION])
def test_a_confirmation_says_what_to_visit(stand: Stand, kind: MessageKind) -> None:
    url = "https://headrace.example.com/smn/subscription/confirm?token=0a4&topic_urn=urn:smn:x:y:z"
    stand.deliver(
        kind=kind, subscribe_url=url, unsubscribe_url="", message=f"To subscribe, visit {url} within 48 hours."
    )
    [got] = stand.got()
    assert got.kind == kind.value
    assert url in got.message


def test_a_receiver_that_is_not_there(stand: Stand) -> None:
    channel = stand.make(GENEROUS_S)
    if stand.protocol == "email":
        channel = EmailChannel(
            load_settings(Path("/nonexistent"), smtp_host="127.0.0.1", smtp_port=1, smtp_from="headrace@example.com")
        )
    endpoint = stand.endpoint if stand.protocol == "email" else f"{stand.protocol}://127.0.0.1:1/"
    with pytest.raises(Undelivered) as caught:
        channel.deliver(replace(NOTICE, protocol=stand.protocol, endpoint=endpoint))
    assert not caught.value.final
