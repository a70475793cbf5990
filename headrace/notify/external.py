"""An SMN elsewhere, which has the topics and delivers: Huawei Cloud's, Open Telekom Cloud's or another Headrace."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from headrace import signing
from headrace.domain.errors import BadField
from headrace.notify.addresses import Forbidden, parse_url, system_resolver
from headrace.notify.base import Undelivered, encodable
from headrace.notify.connection import Deadline, Request, asked
from headrace.settings import Settings

MAX_BYTES = 4 * 1024 * 1024
"""Of an answer."""
MAX_SUBJECT = 512
"""Characters, of SMN's documentation of Publish."""
MAX_MESSAGE = 256 * 1024
"""Bytes, likewise."""
PAGE = 100
_MAX_PAGES = 100


class ExternalSmn:
    """Client of the two calls that notices need, signed with SDK-HMAC-SHA256. Retries nothing; knows no proxy."""

    def __init__(self, settings: Settings, now_ms: Callable[[], int]) -> None:
        """``settings.smn_endpoint`` must be set.

        Raises:
            BadField: it is no URL.
            OSError: ``settings.smn_ca_file`` cannot be read, or holds no certificate (ssl.SSLError).
        """
        assert settings.smn_endpoint is not None
        assert settings.smn_secret_key is not None
        self._url = settings.smn_endpoint.rstrip("/")
        try:
            self._server = parse_url(self._url)
        except Forbidden as error:
            raise BadField("smn_endpoint", self._url, f"{error}.") from error
        self._prefix = self._server.path.rstrip("/")
        self._project = settings.smn_project_id or ""
        self._access_key = settings.smn_access_key or ""
        self._secret_key = settings.smn_secret_key
        self._seconds = settings.notice_timeout_seconds
        self._now_ms = now_ms
        self._tls = ssl.create_default_context(cafile=settings.smn_ca_file)

    def topic_urn(self, name: str, seconds: float | None = None) -> str | None:
        """The URN of the topic of this very name, None if there is none. All pages are read: OTC knows no filter.

        Args:
            name: its name.
            seconds: for all pages together, None = ``notice_timeout_seconds``, which it never exceeds.

        Raises:
            Undelivered: the external SMN does not answer in time, or refuses.
        """
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        deadline, offset = Deadline(limit), 0
        for _ in range(_MAX_PAGES):
            answer = self._call(deadline, "GET", "topics", urlencode({"limit": PAGE, "offset": offset}))
            try:
                names = {str(topic["name"]): str(topic["topic_urn"]) for topic in answer["topics"]}
                count = int(answer["topic_count"])
            except (KeyError, TypeError, ValueError) as error:
                raise Undelivered(f"The external SMN at {self._url} answers with what is no list of topics.") from error
            if name in names or not names:
                return names.get(name)
            offset += len(names)
            if offset >= count:
                return None
        raise Undelivered(f"The external SMN at {self._url} has more topics than are looked through ({offset}).")

    def publish(self, urn: str, subject: str, message: str, message_id: str) -> str:
        """Publishes, and returns the id that the external SMN gives the message.

        It gives each call another one, so ours stands below the text: by it a repeat is known.

        Raises:
            Undelivered: nobody knows whether it was published, or it was refused (``final``: the message itself was).
        """
        last = f"\n\nmessage id: {message_id}"
        text = _cut(encodable(message), MAX_MESSAGE - len(last)) + last
        body = {"subject": encodable(subject)[:MAX_SUBJECT], "message": text}
        path = f"topics/{quote(urn, safe='')}/publish"
        answer = self._call(Deadline(self._seconds), "POST", path, body=body)
        try:
            return str(answer["message_id"])
        except (KeyError, TypeError) as error:
            raise Undelivered(f"The external SMN at {self._url} answers without a message_id.") from error

    def _call(self, deadline: Deadline, method: str, path: str, query: str = "", body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        path = f"{self._prefix}/v2/{quote(self._project, safe='')}/notifications/{path}"
        headers = {
            "host": self._server.authority,
            "content-type": "application/json",
            "x-project-id": self._project,
            "x-sdk-date": signing.timestamp(datetime.fromtimestamp(self._now_ms() / 1000, UTC)),
        }
        signed = signing.SignedRequest(method, path, query, list(headers.items()), sha256(content).hexdigest())
        headers["authorization"] = signing.sign(signed, self._access_key, self._secret_key.get_secret_value())
        del headers["host"]  # the connection adds it
        target = replace(self._server, path=f"{path}?{query}" if query else path)
        try:
            status, answer = self._exchange(Request(method, target, headers, content or None), deadline)
        except (OSError, http.client.HTTPException) as error:
            reason = str(error)[:200] if deadline.left else "the time is up"
            raise Undelivered(
                f"The external SMN at {self._url} does not answer: {reason or type(error).__name__}."
            ) from error
        if not 200 <= status <= 299:
            told = _told(answer)
            raise Undelivered(
                f"The external SMN at {self._url} answers with status {status}{told}.", final=status == 413
            )
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Undelivered(f"The external SMN at {self._url} does not answer with JSON.") from error

    def _exchange(self, request: Request, deadline: Deadline) -> tuple[int, bytes]:
        """(status, body): never more of it than MAX_BYTES; and until the deadline, from the name to the last byte."""
        server = request.target
        addresses = system_resolver(server.host, server.port, deadline.left)
        with asked(request, addresses, self._tls, deadline) as (answer, _):
            content = answer.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise http.client.HTTPException("the answer is too long")
            # Where no length was given, nothing but the deadline tells an end from a cut; of headers likewise.
            if answer.length or (answer.length is None and not deadline.left):
                raise http.client.HTTPException("the answer breaks off")
            return answer.status, content


def _cut(text: str, limit: int) -> str:
    """The beginning of ``text`` that has at most ``limit`` bytes in UTF-8."""
    return text.encode()[:limit].decode(errors="ignore")


def _told(answer: bytes) -> str:
    """What the error says, as SMN words it: ``{"code"|"error_code": …, "message"|"error_msg": …}``."""
    try:
        body = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(body, dict):
        return ""
    code, message = body.get("error_code") or body.get("code"), body.get("error_msg") or body.get("message")
    return f" ({code}: {str(message)[:200]})" if code or message else ""
