"""What SMN's API answers: models, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer, answers

RequestId = Annotated[str, Field(description="As in X-Request-Id", examples=["6a63a18b8bab40ffb71ebd9cb80d0085"])]
TopicUrn = Annotated[str, Field(description="URN of the topic", examples=["urn:smn:headrace:0123456789abcdef:alarms"])]
SubscriptionUrn = Annotated[
    str, Field(description="URN of the subscription: its topic's, and 32 hex digits after a colon")
]
Time = Annotated[str, Field(description="UTC", examples=["2026-11-22T11:00:00Z"])]


class SmnError(Answer):
    """SMN's body of every error."""

    request_id: RequestId
    code: Annotated[str, Field(pattern=r"^SMN\.[0-9]{4}$", description="SMN's code", examples=["SMN.0006"])]
    message: Annotated[str, Field(description="What was wrong, with the value, and what to do")]


class Done(Answer):
    """It is done."""

    request_id: RequestId


class TopicMade(Done):
    """The topic."""

    topic_urn: TopicUrn


class TopicFields(Answer):
    """One topic."""

    topic_urn: TopicUrn
    name: Annotated[str, Field(description="Its name: what smn_topic of a job says", examples=["alarms"])]
    display_name: Annotated[str, Field(description="Words for people")]
    push_policy: Annotated[int, Field(description="Always 0: what is not delivered is tried again, and listed if dead")]
    enterprise_project_id: Annotated[str, Field(description="Always 0")]
    topic_id: Annotated[str, Field(description="32 hex digits")]
    create_time: Time
    update_time: Time


class TopicShown(TopicFields):
    """One topic, by itself."""

    request_id: RequestId


class TopicsAnswer(Done):
    """One page of the project's topics."""

    topic_count: Annotated[int, Field(ge=0, description="Number of all that match")]
    topics: Annotated[list[TopicFields], Field(description="The page")]


class Attributes(Answer):
    """Attributes of a topic, all or the one that was asked for."""

    access_policy: Annotated[str | None, Field(description="Always empty: the topic's own project publishes")] = None
    introduction: Annotated[str | None, Field(description="What the topic is for")] = None
    create_time: Time
    update_time: Time


class AttributesAnswer(Done):
    """Attributes of a topic."""

    attributes: Annotated[Attributes, Field(description="The attributes")]


class SubscriptionMade(Done):
    """The subscription."""

    subscription_urn: SubscriptionUrn


class SubscriptionFields(Answer):
    """One subscription."""

    topic_urn: TopicUrn
    protocol: Annotated[str, Field(description="http, https or email")]
    subscription_urn: SubscriptionUrn
    owner: Annotated[str, Field(description="The project")]
    endpoint: Annotated[str, Field(description="URL or address")]
    remark: Annotated[str, Field(description="Words of who subscribed")]
    status: Annotated[int, Field(description="0: to be confirmed; 1: confirmed; 3: canceled by its receiver")]


class SubscriptionsAnswer(Done):
    """One page of subscriptions."""

    subscription_count: Annotated[int, Field(ge=0, description="Number of all that match")]
    subscriptions: Annotated[list[SubscriptionFields], Field(description="The page")]


class Published(Done):
    """The message is on its way."""

    message_id: Annotated[str, Field(description="32 hex digits, the same at each receiver and each try")]


class Confirmed(SubscriptionMade):
    """The subscription is confirmed, or canceled."""

    message: Annotated[str, Field(description="What is so now")]


def smn_answers(model: Any = None, *, status: int = 200, also: dict[int, Any] | None = None) -> dict[str, Any]:
    """``answers`` for a route of SMN."""
    refusals = {
        code: {"model": SmnError, "description": text}
        for code, text in {
            400: "The request is wrong; nothing was changed",
            401: "No valid signature or token",
            403: "The caller may not do this, or the quota is used up",
            404: "No such topic or subscription",
            405: "The path does not have this method",
            408: "The request came too slowly",
            413: "The body is too large",
            429: "Too many confirmations were asked for; Retry-After says how long to wait",
            500: "An unexpected error; the server's log tells it under X-Request-Id",
            503: "A part that is needed does not answer now",
        }.items()
    }
    return answers(model, status=status, also={**refusals, **(also or {})})
