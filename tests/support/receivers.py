"""Who receives notices: a real HTTP(S) server and a real SMTP server, each in a thread, with misbehaviour to order."""

from __future__ import annotations

import asyncio
import base64
import email.policy
import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from typing import Any, Literal, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.listening import HttpListener

Misdeed = Literal["hang", "drip", "vanish", "half", "endless"]


@dataclass(frozen=True)
class Post:
    """One request, as it came."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, str]


class HttpReceiver(HttpListener):
    """Answers what ``answers`` holds, first in first out, and 200 when nothing is left.

    An answer is a status, (status, Location) or a misdeed: never to answer, to answer a byte at a time for ever, or to
    hang up after the request was read, or after the first line of a yes, or a yes whose body comes to no end.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.answers: deque[int | tuple[int, str] | Misdeed] = deque()
        self.posts: list[Post] = []
        super().__init__(_Handler, {"receiver": self}, tls, host)


class _Handler(BaseHTTPRequestHandler):
    receiver: HttpReceiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.receiver.posts.append(Post(self.path, dict(self.headers.items()), json.loads(content)))
        match self.receiver.answers.popleft() if self.receiver.answers else 200:
            case "vanish":
                self.close_connection = True
            case "hang":
                self.receiver.released.wait()
            case "drip":
                self._drip(b"HTTP/1.1")
            case "endless":
                self._drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            case "half":
                self.close_connection = True
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
            case (int(status), str(location)):
                self._answer(status, {"Location": location})
            case int(status):
                self._answer(status, {})

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _drip(self, beginning: bytes) -> None:
        self.close_connection = True
        try:
            self.wfile.write(beginning)
            while not self.receiver.released.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        except OSError:
            return


class SmtpReceiver:
    """Takes mails; ``answers`` are for RCPT and DATA, first in first out, and yes when nothing is left."""

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        user: str = "",
        password: str = "",
        *,
        from_the_first_byte: bool = False,
    ) -> None:
        """``tls``: after STARTTLS, unless ``from_the_first_byte``."""
        self.rcpt_answers: deque[str] = deque()
        self.data_answers: deque[str] = deque()
        self.is_silent_at_quit = False
        self.mails: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self._starttls = None if from_the_first_byte else tls
        self._tls = tls if from_the_first_byte else None
        self._login = (user.encode(), password.encode())
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await self._loop.create_server(self._session, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        async with server:
            await self._over.wait()

    def _session(self) -> SMTP:
        user, _ = self._login
        return SMTP(
            self,
            hostname="mail.example.com",
            tls_context=self._starttls,
            require_starttls=self._starttls is not None,
            auth_required=bool(user),
            authenticator=self._authenticate if user else None,
            loop=self._loop,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == self._login
        return AuthResult(success=right, handled=right)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.rcpt_answers.popleft() if self.rcpt_answers else "250 OK"
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.is_silent_at_quit:
            await asyncio.Event().wait()
        return "221 Bye"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        answer = self.data_answers.popleft() if self.data_answers else "250 OK"
        if answer == "hang":
            await asyncio.Event().wait()
        elif answer == "vanish":
            assert server.transport is not None
            server.transport.close()
        elif answer.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.envelopes.append((envelope.mail_from or "", list(envelope.rcpt_tos)))
            self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return answer


def is_authentic(body: Mapping[str, str], certificate_pem: str) -> bool:
    """What a receiver does by Huawei's guide, step by step, with nothing of Headrace's own."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    lines = ["message", body["message"], "message_id", body["message_id"]]
    if body["type"] == "Notification":
        if body.get("subject") is not None:
            lines += ["subject", body["subject"]]
    elif body["type"] in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        lines += ["subscribe_url", body["subscribe_url"]]
    else:
        return False
    lines += ["timestamp", body["timestamp"], "topic_urn", body["topic_urn"], "type", body["type"]]
    text = "".join(f"{line}\n" for line in lines)
    key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    assert isinstance(key, rsa.RSAPublicKey)
    assert algorithm is not None
    return _holds(lambda: key.verify(base64.b64decode(body["signature"]), text.encode(), padding.PKCS1v15(), algorithm))


def _holds(check: Callable[[], None]) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        check()
    except InvalidSignature:
        return False
    return True
