"""Headers, and what a mail server can refuse: what only the e-mail channel has."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.errors import BadField
from headrace.notify import email
from headrace.notify.base import Delivery, MessageKind, Undelivered
from headrace.notify.email import EmailChannel, compose
from headrace.settings import load_settings
from tests.support.certificates import Authority
from tests.support.receivers import SmtpReceiver

SENDER = "headrace@example.com"
NOTICE = Delivery(
    *(
        "6f1c",
        MessageKind.NOTIFICATION,
        "urn:smn:headrace:p:cs_job_exception",
        "Job 7 failed",
        "Why.",
        1_795_859_100_000,
    ),
    *("email", "operator@example.com"),
    unsubscribe_url="https://headrace.example.com/smn/subscription/unsubscribe?x=y",
)

Make = Callable[..., EmailChannel]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def channel(receiver: SmtpReceiver, **settings: Any) -> EmailChannel:
        values = {"smtp_port": receiver.port, "smtp_security": "none", "smtp_from": SENDER, **settings}
        return EmailChannel(load_settings(tmp_path, smtp_host="127.0.0.1", **values))

    return channel


@pytest.fixture
def receiver() -> Iterator[SmtpReceiver]:
    with SmtpReceiver() as one:
        yield one


def failure(channel: EmailChannel) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        channel.deliver(NOTICE)
    return caught.value


def test_the_mail_as_it_comes(make: Make, receiver: SmtpReceiver) -> None:
    make(receiver).deliver(NOTICE)
    [mail] = receiver.mails
    assert receiver.envelopes == [(SENDER, ["operator@example.com"])]
    assert {name: mail[name] for name in ("From", "To", "Subject", "Message-ID", "Date", "Auto-Submitted")} == {
        "From": SENDER,
        "To": "operator@example.com",
        "Subject": "Job 7 failed",
        "Message-ID": "<6f1c@example.com>",
        "Date": "Sat, 28 Nov 2026 09:45:00 +0000",
        "Auto-Submitted": "auto-generated",
    }
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content_charset() == "utf-8"
    assert NOTICE.unsubscribe_url in mail.get_content()


def test_a_repeat_is_the_same_mail() -> None:
    assert compose(NOTICE, SENDER) == compose(NOTICE, SENDER)


@pytest.mark.parametrize("ending", ["\r\n", "\n", "\r", "\u2028", "\x0b", "\x85"])
def test_a_subject_makes_no_headers(make: Make, receiver: SmtpReceiver, ending: str) -> None:
    make(receiver).deliver(replace(NOTICE, subject=f"Job{ending}Bcc: other@example.com{ending}{ending}body"))
    [mail] = receiver.mails
    assert mail["Subject"] == "Job Bcc: other@example.com body"
    assert mail["Bcc"] is None
    assert receiver.envelopes[0][1] == ["operator@example.com"]


HEADERS = [
    *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
    *("X-SMN-MESSAGE-TYPE", "X-SMN-MESSAGE-ID", "X-SMN-TOPIC-URN"),
    *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
]
INJECTION = b"\r\nBcc: evil@example.org\r\n\r\nVisit http://evil.example/"
ENCODED_WORDS = [
    "=?utf-8?q?=0d=0aBcc:=20evil@example.org=0d=0a=0d=0aVisit_http://evil.example/?=",
    f"=?utf-8?b?{base64.b64encode(INJECTION).decode()}?=",
    f"Job =?us-ascii?B?{base64.b64encode(INJECTION).decode()}?= failed",
    "=?utf-8?q?=0d=0aBcc:=20evil@example.org?= =?utf-8?q?=0d=0a=0d=0abody?=",
    "=?utf-8?q?Z=C3=BCrich?=",
    "失败 =?utf-8?q?=0d=0aBcc:=20evil@example.org?=",
    "=?utf-8?q?" + "=0d=0aX:=20y" * 40 + "?=",
    "=?",
]


def header_names(mail: bytes) -> list[str]:
    """Read by hand, as no parser of Python's is asked."""
    block, _, _ = mail.partition(b"\r\n\r\n")
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", block) is None
    return [line.partition(b":")[0].decode() for line in block.split(b"\r\n") if not line.startswith((b" ", b"\t"))]


@pytest.mark.parametrize("text", ENCODED_WORDS)
def test_an_encoded_word_is_text_as_any_other(make: Make, receiver: SmtpReceiver, text: str) -> None:
    make(receiver).deliver(replace(NOTICE, subject=text, message=text))
    [mail] = receiver.mails
    assert mail.keys() == HEADERS
    assert mail["Subject"] == text
    assert mail.get_content().startswith(text)


@pytest.mark.parametrize("text", ENCODED_WORDS)
@pytest.mark.parametrize("field", ["subject", "topic_urn", "message_id", "endpoint"])
def test_nothing_of_a_notice_makes_headers(field: str, text: str) -> None:
    wanted: Any = {field: text}
    mail = compose(replace(NOTICE, **wanted), SENDER)
    assert header_names(mail) == HEADERS
    nameless = compose(replace(NOTICE, subject="", topic_urn=f"urn:smn:headrace:p:{text}"), SENDER)
    assert header_names(nameless) == HEADERS


def test_lines_are_short_and_of_seven_bits() -> None:
    content = compose(replace(NOTICE, subject="ü" * 512, message="ß" * 5000 + "x" * 5000), SENDER)
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) < 998


NO_ADDRESSES = [
    *("a b@example.com", "<a@example.com>", "a@example.com,b@example.com", "a@[127.0.0.1]", '"a"@example.com'),
    *("ü@example.com", "a@example.com\n", "@example.com", "a@", "a@b..c", "a@-b.example"),
    *("=?utf-8?q?x=0d=0aBcc=3Aevil?=@example.org", "=?a@example.org", "a=?b?c?=@example.org"),
    *("a" * 65 + "@example.com", "a@" + "b" * 253),
]


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address(make: Make, receiver: SmtpReceiver, address: str) -> None:
    with pytest.raises(BadField, match="e-mail address"):
        make(receiver).check(address)
    with pytest.raises(Undelivered) as caught:
        make(receiver).deliver(replace(NOTICE, endpoint=address))
    assert caught.value.final
    assert receiver.mails == []


def test_without_a_mail_server_it_says_so(tmp_path: Path) -> None:
    channel = EmailChannel(load_settings(tmp_path))
    with pytest.raises(BadField, match="smtp_host"):
        channel.check("operator@example.com")
    assert "smtp_host" in failure(channel).reason
    assert not failure(channel).final


def test_a_recipient_that_is_unknown_is_final_and_one_that_is_busy_is_not(make: Make, receiver: SmtpReceiver) -> None:
    receiver.rcpt_answers.extend(["550 No such user here", "450 Mailbox is busy"])
    unknown, busy = failure(make(receiver)), failure(make(receiver))
    assert "550 No such user here" in unknown.reason
    assert unknown.final
    assert not busy.final


NO_MAILBOX = [
    *("550 5.1.1 User unknown", "553 5.1.3 Bad address", "550 5.1.10 None", "551 5.1.6 Moved"),
    "550 5.1.1 <a@example.com>: Recipient address rejected: User unknown in relay recipient table",
    "550 <a@example.com>: Recipient address rejected (#5.1.1)",
    "550 Unrouteable, says 10.5.7.1 (5.1.1)",
]
UNKNOWN = [
    *("550 No such user here", "550 <a@example.com>: User unknown", "551 unknown recipient", "550 Mailbox not found."),
    *("550 The account a@b does not exist", "550 Recipient is unknown", "553 sorry, no mailbox here by that name"),
]
"""Without a code: only the answer to the recipient is about it."""
OF_THE_OPERATOR = [
    *("530 5.7.0 Must issue a STARTTLS command first", "554 5.7.1 Relay access denied"),
    *("550 5.7.1 Client host blocked", "552 5.2.2 Mailbox full", "554 Never", "550 5.2.1 Mailbox disabled"),
    *("550 5.7.60 SMTP; Client does not have permissions to send as this sender", "451 4.7.1 Greylisted"),
    *("553 5.7.1 Sender address rejected: not owned by user", "550 5.1.8 Sender domain not found", "550 5.1.7 Sender"),
    *("550 5.0.0 Policy", "550 5.7.1: Policy", "550 (4.7.1) Later", "550 #5.7.1", "550 #5.1.0 Address rejected."),
    "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
    *("550 relay not permitted", "550 Relaying denied", "550 Sender verify failed", "550 Administrative prohibition"),
    *(
        "550 <a@example.com>: Sender address rejected: 5.7.1",
        "550 <h@example.com>: Sender address rejected: User unknown",
    ),
    *("550 This message was classified as SPAM, no such user", "551 User not local; please sign in", "550 No"),
    *("550 Requested action not taken: mailbox unavailable", "550 5.1.1 User unknown, and 5.7.1", "550 5.1.2 No host"),
    *("550 Unknown, says 5.1.1.7", "550 Your domain does not exist"),
]


@pytest.mark.parametrize("said", NO_MAILBOX + UNKNOWN + OF_THE_OPERATOR)
def test_what_the_operator_can_mend_is_not_final(make: Make, receiver: SmtpReceiver, said: str) -> None:
    receiver.rcpt_answers.append(said)
    receiver.data_answers.append(said)
    of_the_recipient, of_the_mail = failure(make(receiver)), failure(make(receiver))
    assert said in of_the_recipient.reason
    assert said in of_the_mail.reason
    assert of_the_recipient.final == (said in NO_MAILBOX + UNKNOWN)
    assert of_the_mail.final == (said in NO_MAILBOX)
    make(receiver).deliver(NOTICE)


def test_a_mail_that_was_taken_stays_taken_whatever_becomes_of_the_goodbye(
    make: Make, receiver: SmtpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of the notice falls into it."""
    monkeypatch.setattr(email, "_GOODBYE_SECONDS", 2.0)
    receiver.is_silent_at_quit = True
    make(receiver, notice_timeout_seconds=2.0).deliver(NOTICE)
    assert len(receiver.mails) == 1


def test_a_wrong_password_is_told_without_the_password(make: Make, authority: Authority) -> None:
    with SmtpReceiver(authority.context("127.0.0.1"), "courier", "sesame") as secure:
        told = {"smtp_security": "starttls", "smtp_user": "courier", "smtp_ca_file": authority.file}
        caught = failure(make(secure, smtp_password="wrong-one", **told))
        assert "535" in caught.reason
        assert "wrong-one" not in caught.reason
        assert not caught.final
        make(secure, smtp_password="sesame", **told).deliver(NOTICE)
        assert len(secure.mails) == 1


def test_nothing_is_sent_in_clear_if_tls_is_asked_for(make: Make, receiver: SmtpReceiver) -> None:
    for security in ("starttls", "tls"):
        assert not failure(make(receiver, smtp_security=security)).final
    assert receiver.mails == []


def test_a_certificate_of_somebody_else_is_refused(make: Make, authority: Authority) -> None:
    with SmtpReceiver(authority.context("mail.example.com")) as secure:
        assert "certificate" in failure(make(secure, smtp_security="starttls", smtp_ca_file=authority.file)).reason
        assert "certificate" in failure(make(secure, smtp_security="starttls")).reason
        assert secure.mails == []
