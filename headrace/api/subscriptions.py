"""SMN subscriptions (its API v2): who is told what is published. For a topic's creator and administrators."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import JSONResponse

from headrace.api.access import Access, needs
from headrace.api.fields import Text, Wire
from headrace.api.services import Parts, Services
from headrace.api.smn_answers import Done, SubscriptionMade, SubscriptionsAnswer, smn_answers
from headrace.api.topics import TOPIC, Page, TopicUrn, here, is_own, own, up_to_bytes, urn_of
from headrace.domain.errors import BadField, SubscriptionNotFound
from headrace.domain.rights import Standing
from headrace.domain.topics import MAX_REMARK_BYTES, Urn, parse_subscription, token_context
from headrace.store.topics import Status, Subscription, Topic, Wanted

router = APIRouter()

SUBSCRIPTIONS = "/v2/{project_id}/notifications/subscriptions"
CODES = {Status.PENDING: 0, Status.CONFIRMED: 1, Status.CANCELED: 3}
"""SMN's numbers."""

SubscriptionUrn = Annotated[
    str, Path(description="The subscription's URN, percent-encoded or not", min_length=1, max_length=400)
]
Remark = Annotated[Text, up_to_bytes(MAX_REMARK_BYTES)]
REMARK = Field(description="Words for people; 128 bytes.")


class Subscribe(Wire):
    """POST topics/{topic_urn}/subscriptions."""

    protocol: Annotated[Text, Field(max_length=32, description="http, https or email.", examples=["https"])]
    endpoint: Annotated[
        Text,
        Field(
            min_length=1, max_length=2048, description="The URL, or the address.", examples=["https://example.com/a"]
        ),
    ]
    remark: Annotated[Remark | None, REMARK] = None


class ChangeRemark(Wire):
    """PUT topics/{topic_urn}/subscriptions/{subscription_urn}."""

    remark: Annotated[Remark, REMARK]


class OfTopicQuery(Page):
    """Query of the list of a topic's subscriptions."""

    fuzzy_remark: Annotated[str | None, Field(max_length=128, description="A part of the remark.")] = None

    def takes(self, subscription: Subscription) -> bool:
        """Whether the subscription is asked for."""
        return (self.fuzzy_remark or "") in subscription.remark


class SubscriptionsQuery(OfTopicQuery):
    """Query of the list of a project's subscriptions."""

    protocol: Annotated[str | None, Field(max_length=32, description="Only those of this protocol.")] = None
    status: Annotated[Literal[0, 1, 3] | None, Field(description="Only those in this status.")] = None
    endpoint: Annotated[str | None, Field(max_length=2048, description="A part of the endpoint.")] = None

    def takes(self, subscription: Subscription) -> bool:
        """Whether the subscription is asked for."""
        return (
            super().takes(subscription)
            and self.protocol in (None, subscription.protocol)
            and self.status in (None, CODES[subscription.status])
            and (self.endpoint or "") in subscription.endpoint
        )


MADE = {200: {"model": SubscriptionMade, "description": "It is there; if it is not confirmed, that is asked for again"}}


@router.post(f"{TOPIC}/subscriptions", **smn_answers(SubscriptionMade, status=201, also=MADE))
def subscribe(
    topic_urn: TopicUrn,
    body: Subscribe,
    access: Annotated[Access, needs(Standing.MEMBER, trace="subscribe")],
    parts: Parts,
) -> JSONResponse:
    """A new subscription, whose receiver is asked to confirm it: 201; or 200 and the one of the same endpoint."""
    here(parts)
    topic = own(access, parts, topic_urn)
    channel = parts.channels.get(body.protocol)
    if channel is None:
        known = ", ".join(sorted(parts.channels))
        raise BadField("protocol", body.protocol, f"is none of those of this server: {known}")
    if body.protocol in ("http", "https") and not body.endpoint.lower().startswith(f"{body.protocol}://"):
        raise BadField("endpoint", body.endpoint, f"must begin with {body.protocol}://, as the protocol says")
    channel.check(body.endpoint)
    uid, token = uuid4().hex, secrets.token_urlsafe(32)
    wanted = Wanted(
        uid=uid,
        protocol=body.protocol,
        endpoint=body.endpoint,
        remark=body.remark,
        owner=access.caller.user_name,
        token=token,
        sealed=parts.vault.seal(token, token_context(uid)),
        confirmed=parts.settings.smn_auto_confirm,
        give_up_ms=int(parts.settings.notice_give_up_hours * 3_600_000),
    )
    made, new = parts.topics.subscribe(topic, wanted, now_ms=parts.now_ms(), trace=access.trace)
    parts.wake_courier()
    answer = {"request_id": access.request_id, "subscription_urn": subscription_urn_of(parts, made)}
    return JSONResponse(answer, 201 if new else 200)


@router.get(f"{TOPIC}/subscriptions", **smn_answers(SubscriptionsAnswer))
def list_of_topic(
    topic_urn: TopicUrn,
    query: Annotated[OfTopicQuery, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """One page of the topic's subscriptions, oldest first."""
    return _page(access, parts, query, own(access, parts, topic_urn))


@router.get(SUBSCRIPTIONS, **smn_answers(SubscriptionsAnswer))
def list_all(
    query: Annotated[SubscriptionsQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of the subscriptions of all topics of the project that are the caller's, oldest first."""
    return _page(access, parts, query)


@router.put(f"{TOPIC}/subscriptions/{{subscription_urn}}", **smn_answers(Done))
def update(
    topic_urn: TopicUrn,
    subscription_urn: SubscriptionUrn,
    body: ChangeRemark,
    access: Annotated[Access, needs(Standing.MEMBER, trace="updateSubscriberRemark")],
    parts: Parts,
) -> dict[str, Any]:
    """Another remark."""
    topic = own(access, parts, topic_urn)
    found = find(access, parts, subscription_urn)
    if found.topic.id != topic.id:
        raise SubscriptionNotFound(f"The subscription is none of the topic {topic.name}.")
    parts.topics.set_remark(found, body.remark, trace=access.trace)
    return {"request_id": access.request_id}


@router.delete(f"{SUBSCRIPTIONS}/{{subscription_urn}}", **smn_answers(Done))
def delete(
    subscription_urn: SubscriptionUrn,
    access: Annotated[Access, needs(Standing.MEMBER, trace="delsubscribe")],
    parts: Parts,
) -> dict[str, Any]:
    """Deletes the subscription; what is on its way to it is sent no more."""
    parts.topics.unsubscribe(find(access, parts, subscription_urn), now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


def find(access: Access, parts: Services, subscription_urn: str) -> Subscription:
    """The subscription, if its topic is the caller's; raises BadField, SubscriptionNotFound, NotAuthorised."""
    urn = parse_subscription(subscription_urn)
    topic = parts.topics.find(access.project_id, urn.name)
    if topic is None or (urn.region, urn.project_id) != (parts.settings.region, access.project_id):
        raise SubscriptionNotFound(f"There is no subscription {subscription_urn}.")
    own(access, parts, urn_of(parts, topic))
    return parts.topics.subscription(topic, urn.uid)


def subscription_urn_of(parts: Services, subscription: Subscription) -> str:
    """The subscription's URN."""
    topic = subscription.topic
    return str(Urn(parts.settings.region, topic.project_id, topic.name, subscription.uid))


def _page(access: Access, parts: Services, query: OfTopicQuery, topic: Topic | None = None) -> dict[str, Any]:
    found = [
        one
        for one in parts.topics.subscriptions(access.project_id, topic)
        if query.takes(one) and is_own(access, one.topic)
    ]
    return {
        "request_id": access.request_id,
        "subscription_count": len(found),
        "subscriptions": [_shown(parts, one) for one in found[query.offset : query.offset + query.limit]],
    }


def _shown(parts: Services, subscription: Subscription) -> dict[str, Any]:
    return {
        "topic_urn": urn_of(parts, subscription.topic),
        "protocol": subscription.protocol,
        "subscription_urn": subscription_urn_of(parts, subscription),
        "owner": subscription.topic.project_id,
        "endpoint": subscription.endpoint,
        "remark": subscription.remark,
        "status": CODES[subscription.status],
    }
