"""What the receivers of messages call, without credentials: the links in them, and the certificate of the signature.

Who has the link may use it: it carries the subscription's secret, which only its receiver was sent.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from headrace.api.access import Access, needs
from headrace.api.services import Parts, Services
from headrace.api.smn_answers import Confirmed, SubscriptionMade, smn_answers
from headrace.api.subscriptions import subscription_urn_of
from headrace.domain.errors import RouteNotFound
from headrace.domain.rights import Standing
from headrace.domain.topics import CONFIRM, UNSUBSCRIBE
from headrace.store.topics import Subscription

router = APIRouter()

Public = Annotated[Access, needs(Standing.PUBLIC)]
PEM = {"description": "The certificate", "content": {"application/x-pem-file": {"schema": {"type": "string"}}}}


class Link(BaseModel):
    """Query of a link."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1, max_length=256, description="The secret of the message's link.")]


class SdkLink(Link):
    """Query of the SDK's call, which names more than is needed."""

    topic_urn: Annotated[str | None, Field(max_length=400, description="Of the topic; the token tells it.")] = None
    endpoint: Annotated[str | None, Field(max_length=2048, description="Of the subscription; likewise.")] = None


@router.get(CONFIRM, **smn_answers(Confirmed))
def confirm(query: Annotated[Link, Query()], access: Public, parts: Parts) -> dict[str, Any]:
    """Confirms the subscription."""
    return _told(access, parts, _confirm(parts, query.token), "The subscription is confirmed.")


@router.get("/rest/v2/notifications/subscription/confirm", **smn_answers(SubscriptionMade))
def confirm_by_sdk(query: Annotated[SdkLink, Query()], access: Public, parts: Parts) -> dict[str, Any]:
    """The same, as the SDK calls it."""
    urn = subscription_urn_of(parts, _confirm(parts, query.token))
    return {"request_id": access.request_id, "subscription_urn": urn}


@router.get(UNSUBSCRIBE, **smn_answers(Confirmed))
def unsubscribe(query: Annotated[Link, Query()], access: Public, parts: Parts) -> dict[str, Any]:
    """Cancels the subscription; its receiver is told how to subscribe again."""
    give_up = int(parts.settings.notice_give_up_hours * 3_600_000)
    found = parts.topics.cancel(query.token, now_ms=parts.now_ms(), give_up_ms=give_up)
    parts.wake_courier()
    return _told(access, parts, found, "The subscription is canceled.")


@router.get("/smn/{certificate_id}", response_class=Response, **smn_answers(also={200: PEM}))
def certificate(
    certificate_id: Annotated[str, Path(description="Last part of signing_cert_url", min_length=1, max_length=64)],
    access: Public,
    parts: Parts,
) -> Response:
    """The certificate that the signature of HTTP messages is checked with."""
    del access
    if certificate_id != parts.certificate_name:
        raise RouteNotFound("This is not the name of this server's certificate: see signing_cert_url of its messages.")
    return Response(parts.certificate_pem, media_type="application/x-pem-file")


def _confirm(parts: Services, token: str) -> Subscription:
    found = parts.topics.confirm(token, now_ms=parts.now_ms())
    parts.wake_courier()
    return found


def _told(access: Access, parts: Services, found: Subscription, message: str) -> dict[str, Any]:
    urn = subscription_urn_of(parts, found)
    return {"request_id": access.request_id, "subscription_urn": urn, "message": message}
