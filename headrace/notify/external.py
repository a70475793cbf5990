"""An SMN elsewhere, which has the topics and delivers: Huawei Cloud's, Open Telekom Cloud's or another Headrace."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from headrace import signing
from headrace.notify.base import Undelivered, encodable
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
        """``settings.smn_endpoint`` must be set."""
        assert settings.smn_endpoint is not None
        assert settings.smn_secret_key is not None
        self._url = settings.smn_endpoint.rstrip("/")
        parts = urlsplit(self._url)
        self._host, self._prefix = parts.netloc, parts.path
        self._project = settings.smn_project_id or ""
        self._access_key = settings.smn_access_key or ""
        self._secret_key = settings.smn_secret_key
        self._seconds = settings.notice_timeout_seconds
        self._now_ms = now_ms
        ca = str(settings.smn_ca_file) if settings.smn_ca_file else None
        self._pool = urllib3.PoolManager(retries=False, ca_certs=ca, timeout=self._seconds)

    def topic_urn(self, name: str) -> str | None:
        """The URN of the topic of this very name, None if there is none. All pages are read: OTC knows no filter.

        Raises:
            Undelivered: the external SMN does not answer, or refuses.
        """
        offset = 0
        for _ in range(_MAX_PAGES):
            answer = self._call("GET", "topics", urlencode({"limit": PAGE, "offset": offset}))
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
        answer = self._call("POST", path, body=body)
        try:
            return str(answer["message_id"])
        except (KeyError, TypeError) as error:
            raise Undelivered(f"The external SMN at {self._url} answers without a message_id.") from error

    def _call(self, method: str, path: str, query: str = "", body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        path = f"{self._prefix}/v2/{quote(self._project, safe='')}/notifications/{path}"
        headers = {
            "host": self._host,
            "content-type": "application/json",
            "x-project-id": self._project,
            "x-sdk-date": signing.timestamp(datetime.fromtimestamp(self._now_ms() / 1000, UTC)),
        }
        request = signing.SignedRequest(method, path, query, list(headers.items()), sha256(content).hexdigest())
        headers["authorization"] = signing.sign(request, self._access_key, self._secret_key.get_secret_value())
        try:
            status, answer = self._exchange(method, f"{path}?{query}" if query else path, headers, content)
        except urllib3.exceptions.HTTPError as error:
            raise Undelivered(f"The external SMN at {self._url} does not answer: {type(error).__name__}.") from error
        if not 200 <= status <= 299:
            told = _told(answer)
            raise Undelivered(
                f"The external SMN at {self._url} answers with status {status}{told}.", final=status == 413
            )
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise Undelivered(f"The external SMN at {self._url} does not answer with JSON.") from error

    def _exchange(self, method: str, target: str, headers: dict[str, str], content: bytes) -> tuple[int, bytes]:
        """(status, body): never more of it than MAX_BYTES, nor for longer than the time for one notice."""
        parts = urlsplit(self._url)
        url = f"{parts.scheme}://{parts.netloc}{target}"
        answer = self._pool.request(
            method, url, body=content, headers=headers, redirect=False, preload_content=False, decode_content=False
        )
        began, came, whole = time.monotonic(), b"", False
        try:
            while len(came) <= MAX_BYTES and time.monotonic() - began <= self._seconds and not whole:
                chunk = answer.read1(MAX_BYTES + 1 - len(came))
                came, whole = came + chunk, not chunk
        finally:
            (answer.release_conn if whole else answer.close)()
        if not whole:
            raise urllib3.exceptions.HTTPError("the answer is too long, or comes too slowly")
        return answer.status, came


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
