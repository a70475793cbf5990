"""What the courier hands over, and what a channel answers. A new channel is one file here, one line in a registry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class MessageKind(StrEnum):
    """What a message is for; the words are SMN's (X-SMN-MESSAGE-TYPE), for a receiver sees them."""

    NOTIFICATION = "Notification"
    SUBSCRIPTION_CONFIRMATION = "SubscriptionConfirmation"
    UNSUBSCRIBE_CONFIRMATION = "UnsubscribeConfirmation"


@dataclass(frozen=True)
class Delivery:
    """One message on its way to one subscription. All of it is told to the receiver: no secret belongs in here.

    Attributes:
        message_id: the same at each try, by which a receiver knows a repeat.
        subject: may be empty.
        created_ms: when the message was published, in epoch milliseconds; the same at each try.
        protocol: of the subscription, one of its channel's.
        endpoint: of the subscription: a URL or an address.
        subscribe_url: set if the kind is not NOTIFICATION: who visits it, subscribes (again).
        unsubscribe_url: set if the kind is NOTIFICATION: who visits it, ends the subscription.
        subscription_urn: told to HTTP receivers, if known.
    """

    message_id: str
    kind: MessageKind
    topic_urn: str
    subject: str
    message: str
    created_ms: int
    protocol: str
    endpoint: str
    subscribe_url: str = ""
    unsubscribe_url: str = ""
    subscription_urn: str = ""


def encodable(text: str) -> str:
    """``text`` with "?" for what UTF-8 cannot hold: half of a surrogate pair, which JSON can bring."""
    return text.encode("utf-8", "replace").decode()


class Undelivered(Exception):
    """The receiver did not say yes. No error of a request, so none of ``domain/errors.py``: the courier alone meets it.

    Attributes:
        reason: a sentence for the operator and the dead letter, without secrets.
        final: no later try of the same message to the same endpoint can help.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class Channel(Protocol):
    """A way to deliver. Thread-safe; holds no state between two deliveries that matters; retries nothing by itself."""

    protocols: frozenset[str]
    """The ``protocol`` of the subscriptions that it serves."""

    def check(self, endpoint: str) -> None:
        """Whether something could be delivered there; asked when somebody subscribes.

        Raises:
            BadField: ``endpoint`` is malformed, or is an address that may not be reached.
        """
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Returns when the receiver said yes; takes a limited time, whatever the receiver does.

        Raises:
            Undelivered: it did not, or nobody knows whether it did.
        """
        ...
