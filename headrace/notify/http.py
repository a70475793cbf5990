"""Notices by HTTP and HTTPS, as SMN posts them ("HTTP or HTTPS Message Format" of its user guide).

A status line of 2xx is a yes, whatever comes after it or does not. Everything else may be better next time, but for 410
(Gone). A redirect is followed, with the same POST, to what is judged as the endpoint was; never from https to http.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urljoin

from headrace.domain.errors import BadField
from headrace.notify.addresses import AddressGuard, Forbidden, Target, parse_url
from headrace.notify.base import Delivery, MessageKind, Undelivered, encodable
from headrace.notify.connection import Answer, Deadline, Request, post
from headrace.notify.signing import Signer
from headrace.settings import Settings

MAX_REDIRECTS = 3
_CHECK_SECONDS = 5.0
_REDIRECTS = frozenset({301, 302, 307, 308})
"""303 is none for us: it tells to fetch another page, not to post there."""


class HttpChannel:
    """POSTs signed JSON."""

    protocols = frozenset({"http", "https"})

    def __init__(
        self, settings: Settings, signer: Signer, guard: AddressGuard, certificate_url: Callable[[], str]
    ) -> None:
        """``certificate_url``: where the signer's certificate is to be had; asked at each delivery.

        Raises:
            OSError: ``settings.notice_ca_file`` cannot be read, or holds no certificate (ssl.SSLError).
        """
        self._signer = signer
        self._guard = guard
        self._certificate_url = certificate_url
        self._seconds = settings.notice_timeout_seconds
        self._tls = ssl.create_default_context()
        if settings.notice_ca_file:
            self._tls.load_verify_locations(settings.notice_ca_file)

    def check(self, endpoint: str) -> None:
        """A name that cannot be resolved just now passes: it is judged at each delivery anyway."""
        try:
            target = parse_url(endpoint)
            self._guard.addresses(target, _CHECK_SECONDS)
        except Forbidden as error:
            raise BadField("endpoint", endpoint, f"{error}.") from error
        except OSError:
            return

    def deliver(self, delivery: Delivery) -> None:
        """One POST, and those that redirects ask for, within ``notice_timeout_seconds`` in all."""
        body = json.dumps(self._body(delivery), ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/json;charset=UTF-8",
            "User-Agent": "Headrace",
            "X-SMN-MESSAGE-TYPE": delivery.kind.value,
            "X-SMN-MESSAGE-ID": delivery.message_id,
            "X-SMN-TOPIC-URN": delivery.topic_urn,
        }
        if delivery.subscription_urn:
            headers["X-SMN-SUBSCRIPTION-URN"] = delivery.subscription_urn
        deadline = Deadline(self._seconds)
        url = delivery.endpoint
        target = _target(url, "The endpoint cannot be posted to", final=True)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._post(target, headers, body, deadline)
            if answer.status not in _REDIRECTS or not answer.location:
                return _settle(target, answer.status)
            otherwise = f"{target.authority} redirects to what cannot be posted to"
            url = _joined(url, answer.location, otherwise)
            further = _target(url, otherwise, final=False)
            if (target.scheme, further.scheme) == ("https", "http"):
                raise Undelivered(f"{target.authority} redirects from https to http; that is not followed.")
            target = further
        raise Undelivered(f"{target.authority} was reached by more than {MAX_REDIRECTS} redirects.")

    def _post(self, target: Target, headers: dict[str, str], body: bytes, deadline: Deadline) -> Answer:
        try:
            addresses = self._guard.addresses(target, deadline.left)
            return post(Request("POST", target, headers, body), addresses, self._tls, deadline)
        except Forbidden as error:
            raise Undelivered(f"{error}.") from error
        except (OSError, http.client.HTTPException) as error:
            if not deadline.left:
                reason = f"did not answer within {self._seconds:g} s"
            elif isinstance(error, OSError):
                reason = f"did not answer: {str(error)[:200] or type(error).__name__}"
            else:
                reason = "did not answer with HTTP"
            raise Undelivered(f"{target.authority} {reason}.") from error

    def _body(self, delivery: Delivery) -> dict[str, str]:
        """The fields in SMN's order; the signature comes first, but is made last."""
        at = datetime.fromtimestamp(delivery.created_ms / 1000, UTC)
        fields = {"topic_urn": delivery.topic_urn, "message_id": delivery.message_id, "signature_version": "v1"}
        fields |= {"type": delivery.kind.value, "message": encodable(delivery.message)}
        if delivery.kind is MessageKind.NOTIFICATION:
            if delivery.subject:
                fields["subject"] = encodable(delivery.subject)
            fields["unsubscribe_url"] = delivery.unsubscribe_url
        else:
            fields["subscribe_url"] = delivery.subscribe_url
        fields |= {"signing_cert_url": self._certificate_url(), "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {"signature": self._signer.sign(fields), **fields}


def _target(url: str, otherwise: str, *, final: bool) -> Target:
    """The parts of a URL; it is not told if it is none, as queries of webhooks hold secrets."""
    try:
        return parse_url(url)
    except Forbidden as error:
        raise Undelivered(f"{otherwise}: {error}.", final=final) from error


def _joined(url: str, location: str, otherwise: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:  # such as http://[::1
        raise Undelivered(f"{otherwise}: it is no URL.") from error


def _settle(target: Target, status: int) -> None:
    if not 200 <= status <= 299:
        gone = status == http.HTTPStatus.GONE
        raise Undelivered(f"{target.authority} answered with status {status}.", final=gone)
