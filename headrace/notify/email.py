"""Notices by e-mail, through the operator's SMTP server. Text only, one recipient per mail.

The header is written here, line by line. ``EmailMessage`` would read what it is given first, and decode the encoded
words (RFC 2047) in it: line breaks among them, which end a header. What users wrote is never read, only encoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from datetime import UTC, datetime
from email.header import Header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import aiosmtplib

from headrace.domain.errors import BadField
from headrace.notify.addresses import system_resolver
from headrace.notify.base import Delivery, MessageKind, Undelivered, encodable
from headrace.notify.connection import Deadline, connect
from headrace.settings import Settings

MAX_ADDRESS = 254
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_GOODBYE_SECONDS = 1.0
_MAX_LITERAL = 900
"""Characters of a header that is one line; RFC 5322 ends lines at 998."""
_MAILBOX_REFUSED = frozenset({550, 551, 553})
_ENHANCED = re.compile(r"(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)")
"""A code of RFC 3463, wherever servers put it; no part of an IP address."""
_OF_THE_MAILBOX = frozenset({"5.1.1", "5.1.3", "5.1.6", "5.1.10"})
"""Not 5.1.2, an unknown domain: the mail server's resolver may be at fault. 5.1.7 and 5.1.8 are the sender's."""
_UNKNOWN = re.compile(
    r"\bno such (?:user|recipient|mailbox|account|address|person)"
    r"|\bunknown (?:user|recipient|mailbox|account)"
    r"|\b(?:user|recipient|mailbox|account)(?: is)? (?:unknown|not found)"
    r"|\b(?:user|recipient|mailbox|account)\b[^.:;]{0,40} does(?: not|n't) exist"
    r"|\bno mailbox (?:here )?by that name",
    re.IGNORECASE,
)
"""Not "mailbox unavailable": RFC 5321 has that for each 550, also for policy."""
_OF_THE_OPERATOR = re.compile(r"sender|auth|relay|policy|spam|block|prohibit|denied|rcpthosts", re.IGNORECASE)
_SEVEN_BIT = SMTP.clone(cte_type="7bit")
"""Not every server takes 8 bits."""
_NOT_CONFIGURED = "No mail server is configured: the operator sets smtp_host and smtp_from."


class EmailChannel:
    """Hands each notice to one SMTP server."""

    protocols = frozenset({"email"})

    def __init__(self, settings: Settings) -> None:
        """Raises OSError if ``settings.smtp_ca_file`` cannot be read, or holds no certificate (ssl.SSLError)."""
        self._settings = settings
        self._tls = ssl.create_default_context()
        if settings.smtp_ca_file:
            self._tls.load_verify_locations(settings.smtp_ca_file)

    def check(self, endpoint: str) -> None:
        """An address in ASCII, as SMN takes it; whether it exists, the confirmation shows."""
        if not _is_address(endpoint):
            raise BadField("endpoint", endpoint, "must be an e-mail address, such as operator@example.com.")
        if not self._settings.smtp_host:
            raise BadField("protocol", "email", _NOT_CONFIGURED)

    def deliver(self, delivery: Delivery) -> None:
        """One SMTP session within ``notice_timeout_seconds``; that there is no such mailbox is final, no more."""
        if not self._settings.smtp_host:
            raise Undelivered(_NOT_CONFIGURED)
        if not _is_address(delivery.endpoint):
            raise Undelivered("The endpoint is no e-mail address.", final=True)
        mail = compose(delivery, self._settings.smtp_from or "")
        host, port, seconds = self._settings.smtp_host, self._settings.smtp_port, self._settings.notice_timeout_seconds
        server = f"{host}:{port}"
        deadline = Deadline(seconds)
        try:
            # Connected here, as a loop that ends would wait for a resolver that hangs.
            with connect(system_resolver(host, port, deadline.left), port, deadline) as connection:
                asyncio.run(self._send(mail, delivery.endpoint, connection, deadline))
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            raise Undelivered(
                _told(server, refused), final=_names_no_mailbox(refused) or _tells_no_mailbox(refused)
            ) from error
        except aiosmtplib.SMTPDataError as error:
            raise Undelivered(_told(server, error), final=_names_no_mailbox(error)) from error
        except aiosmtplib.SMTPResponseException as error:
            raise Undelivered(_told(server, error)) from error
        except TimeoutError as error:
            raise Undelivered(f"The mail server {server} did not take the mail within {seconds:g} s.") from error
        except (aiosmtplib.SMTPException, OSError) as error:
            reason = str(error)[:200] or type(error).__name__
            raise Undelivered(f"The mail server {server} did not take the mail: {reason}.") from error

    async def _send(self, mail: bytes, recipient: str, connection: socket.socket, deadline: Deadline) -> None:
        settings = self._settings
        password = settings.smtp_password
        connection.setblocking(False)  # noqa: FBT003
        client = aiosmtplib.SMTP(
            hostname=settings.smtp_host,  # the name of its certificate
            sock=connection,
            use_tls=settings.smtp_security == "tls",
            start_tls=settings.smtp_security == "starttls",  # and nothing is sent if the server has none
            username=settings.smtp_user,
            password=password.get_secret_value() if password else None,
            tls_context=self._tls,
            timeout=settings.notice_timeout_seconds,
        )
        try:
            async with asyncio.timeout(deadline.left):
                await client.connect()
                await client.sendmail(settings.smtp_from or "", [recipient], mail)
            await _say_goodbye(client)
        finally:
            await _hang_up(client, connection)


async def _say_goodbye(client: aiosmtplib.SMTP) -> None:
    """In a time of its own: the yes was said, and nothing takes it back, not even the deadline."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(_GOODBYE_SECONDS):  # its TimeoutError is an OSError
            await client.quit()


async def _hang_up(client: aiosmtplib.SMTP, connection: socket.socket) -> None:
    client.close()
    with contextlib.suppress(OSError):  # the server was first
        connection.shutdown(socket.SHUT_RDWR)
    for _ in range(5):  # turns of the loop, in which the layers of TLS see that and let go of each other
        await asyncio.sleep(0)


def compose(delivery: Delivery, sender: str) -> bytes:
    """The mail. The same delivery gives the same bytes each time, Message-ID and Date among them."""
    at = datetime.fromtimestamp(delivery.created_ms / 1000, UTC)
    headers = {
        "From": sender,
        "To": delivery.endpoint,
        "Subject": delivery.subject
        if _one_line(delivery.subject)
        else f"Notice of {delivery.topic_urn.split(':')[-1]}",
        "Date": format_datetime(at),
        "Message-ID": f"<{delivery.message_id}@{sender.rpartition('@')[2].rstrip('>')}>",
        "Auto-Submitted": "auto-generated",
        "X-SMN-MESSAGE-TYPE": delivery.kind.value,
        "X-SMN-MESSAGE-ID": delivery.message_id,
        "X-SMN-TOPIC-URN": delivery.topic_urn,
    }
    text = encodable(delivery.message)
    if delivery.kind is MessageKind.NOTIFICATION:
        if delivery.unsubscribe_url:
            text += f"\n\n--\nTo receive no more of these: {delivery.unsubscribe_url}"
    elif delivery.subscribe_url not in text:
        text += f"\n\n{delivery.subscribe_url}"
    body = EmailMessage(policy=_SEVEN_BIT)
    body.set_content(text + "\n", charset="utf-8")
    return "".join(_header(name, value) for name, value in headers.items()).encode("ascii") + body.as_bytes()


def _header(name: str, value: str) -> str:
    """The line, or lines, of a header: whoever decodes it once has ``value`` on one line again."""
    text = _one_line(value)
    if not text.isascii() or "=?" in text or len(text) > _MAX_LITERAL:
        text = Header(text, "utf-8", header_name=name).encode(linesep="\r\n")
    return f"{name}: {text}\r\n"


def _is_address(text: str) -> bool:
    """``=?`` begins an encoded word: some would read another address out of that."""
    fits = len(text) <= MAX_ADDRESS and _ADDRESS.fullmatch(text) is not None
    return fits and ".." not in text and "=?" not in text


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a header."""
    return " ".join("".join(c if c.isprintable() else " " for c in encodable(text)).split())


def _told(server: str, error: aiosmtplib.SMTPResponseException) -> str:
    return f"The mail server {server} refused: {error.code} {_one_line(error.message)[:200]}"


def _names_no_mailbox(error: aiosmtplib.SMTPResponseException) -> bool:
    """Whether the recipient does not exist, by an enhanced code. One that is about anything else counts against it:
    policy, sign-in, relaying and senders the operator can mend, and tries cost less than an alarm that is lost.
    """
    codes = set(_ENHANCED.findall(error.message))
    return error.code in _MAILBOX_REFUSED and bool(codes) and codes <= _OF_THE_MAILBOX


def _tells_no_mailbox(refused: aiosmtplib.SMTPRecipientRefused) -> bool:
    """Whether the recipient does not exist, by the words of a server that has no enhanced codes.

    Answers to DATA are not asked that: they are about the mail.
    """
    text = " ".join(refused.message.split())
    if refused.code not in _MAILBOX_REFUSED or _ENHANCED.search(text) or _OF_THE_OPERATOR.search(text):
        return False
    return _UNKNOWN.search(text) is not None
