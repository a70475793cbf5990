"""SMN topics (its API v2): whom the notices of jobs go to, and whatever else is published.

Every user of a project sees its topics and may create some. A topic belongs to who created it: that user and the
project's administrators change and delete it, publish, and see and choose who has subscribed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from headrace.api.access import Access, needs
from headrace.api.fields import Checked, Text, Wire, shaped
from headrace.api.services import Parts, Services
from headrace.api.smn_answers import AttributesAnswer, Done, TopicMade, TopicsAnswer, TopicShown, smn_answers
from headrace.domain.errors import BadField, NotAuthorised, NotSupported, TopicNotFound
from headrace.domain.rights import Standing, Thing
from headrace.domain.topics import MAX_DISPLAY_BYTES, NAME, NAME_RULE, Urn, parse_topic
from headrace.store.topics import Topic

router = APIRouter()

TOPICS = "/v2/{project_id}/notifications/topics"
TOPIC = f"{TOPICS}/{{topic_urn}}"
MAX_INTRODUCTION = 1024
ATTRIBUTES = ("access_policy", "introduction")

TopicUrn = Annotated[str, Path(description="The topic's URN, percent-encoded or not", min_length=1, max_length=400)]
AttributeName = Annotated[Literal["access_policy", "introduction"], Path(description="access_policy or introduction")]


def up_to_bytes(limit: int) -> Checked:
    """Text of at most so many bytes of UTF-8."""

    def check(text: str) -> str:
        size = len(text.encode("utf-8", "replace"))
        if size > limit:
            raise ValueError(f"has {size} bytes; at most {limit} are allowed")
        return text

    return Checked(check, {"maxLength": limit})


Name = Annotated[Text, shaped(NAME, f"must be {NAME_RULE}"), Field(description=f"{NAME_RULE}.", examples=["alarms"])]
DisplayName = Annotated[Text, up_to_bytes(MAX_DISPLAY_BYTES)]
DISPLAY = Field(description="Words for people; 192 bytes.")


class CreateTopic(Wire):
    """POST topics."""

    name: Name
    display_name: Annotated[DisplayName | None, DISPLAY] = None
    enterprise_project_id: Annotated[Literal["0"] | None, Field(description="0 or absent: there is one only.")] = None


class UpdateTopic(Wire):
    """PUT topics/{topic_urn}. Clients in Go leave out what is empty: to them absent is empty."""

    display_name: Annotated[DisplayName, DISPLAY] = ""


class UpdateAttribute(Wire):
    """PUT topics/{topic_urn}/attributes/{name}."""

    value: Annotated[Text, up_to_bytes(MAX_INTRODUCTION), Field(description="Up to 1024 bytes.")]


class Page(BaseModel):
    """Which part of a list."""

    model_config = ConfigDict(extra="forbid")

    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="How many to leave out, from the oldest.")] = 0
    limit: Annotated[int, Field(ge=1, le=100, description="Most in one answer.")] = 100


class TopicsQuery(Page):
    """Query of the list of topics."""

    name: Annotated[str | None, Field(max_length=255, description="Only the one of this name.")] = None
    fuzzy_name: Annotated[str | None, Field(max_length=255, description="A part of the name.")] = None
    fuzzy_display_name: Annotated[str | None, Field(max_length=192, description="A part of the display name.")] = None
    topic_id: Annotated[str | None, Field(max_length=64, description="Only the one of this id.")] = None
    enterprise_project_id: Annotated[
        Literal["0", "all_granted_eps"] | None, Field(description="There is one only, so all are shown.")
    ] = None

    def takes(self, topic: Topic) -> bool:
        """Whether the topic is asked for."""
        return (
            self.name in (None, topic.name)
            and self.topic_id in (None, topic.uid)
            and (self.fuzzy_name or "") in topic.name
            and (self.fuzzy_display_name or "") in topic.display_name
        )


@router.post(TOPICS, **smn_answers(TopicMade, status=201, also={200: {"model": TopicMade, "description": "Is there"}}))
def create(
    body: CreateTopic, access: Annotated[Access, needs(Standing.MEMBER, trace="createTopic")], parts: Parts
) -> JSONResponse:
    """A new topic: 201; or 200 and the one that has this name already, unchanged."""
    here(parts)
    topic, new = parts.topics.create(
        access.project_id,
        body.name,
        body.display_name or "",
        access.caller.user_name,
        now_ms=parts.now_ms(),
        trace=access.trace,
    )
    answer = {"request_id": access.request_id, "topic_urn": urn_of(parts, topic)}
    return JSONResponse(answer, 201 if new else 200)


@router.get(TOPICS, **smn_answers(TopicsAnswer))
def list_topics(
    query: Annotated[TopicsQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of the project's topics, oldest first."""
    found = [topic for topic in parts.topics.of_project(access.project_id) if query.takes(topic)]
    page = found[query.offset : query.offset + query.limit]
    return {
        "request_id": access.request_id,
        "topic_count": len(found),
        "topics": [shown(parts, topic) for topic in page],
    }


@router.get(TOPIC, **smn_answers(TopicShown))
def show(topic_urn: TopicUrn, access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts) -> dict[str, Any]:
    """One topic."""
    return {"request_id": access.request_id, **shown(parts, find(access, parts, topic_urn))}


@router.put(TOPIC, **smn_answers(Done))
def update(
    topic_urn: TopicUrn,
    body: UpdateTopic,
    access: Annotated[Access, needs(Standing.MEMBER, trace="updateTopic")],
    parts: Parts,
) -> dict[str, Any]:
    """Another display name."""
    topic = own(access, parts, topic_urn)
    parts.topics.change(topic, display_name=body.display_name, now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


@router.delete(TOPIC, **smn_answers(Done))
def delete(
    topic_urn: TopicUrn, access: Annotated[Access, needs(Standing.MEMBER, trace="deleteTopic")], parts: Parts
) -> dict[str, Any]:
    """Deletes the topic with its subscriptions, even if jobs name it: those cannot be run then."""
    parts.topics.delete(own(access, parts, topic_urn), now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


class AttributesQuery(BaseModel):
    """Query of attributes."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str | None, Field(max_length=64, description="access_policy, introduction; absent = both.")] = None


@router.get(f"{TOPIC}/attributes", **smn_answers(AttributesAnswer))
def show_attributes(
    topic_urn: TopicUrn,
    query: Annotated[AttributesQuery, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """The topic's attributes, or one of them."""
    topic = find(access, parts, topic_urn)
    if query.name not in (None, *ATTRIBUTES):
        raise BadField("attribute", query.name, "must be access_policy or introduction")
    values = {"access_policy": "", "introduction": topic.introduction}
    return {
        "request_id": access.request_id,
        "attributes": {
            **{name: value for name, value in values.items() if query.name in (None, name)},
            "create_time": time_text(topic.created_ms),
            "update_time": time_text(topic.updated_ms),
        },
    }


@router.put(f"{TOPIC}/attributes/{{attribute}}", **smn_answers(Done))
def update_attribute(
    topic_urn: TopicUrn,
    attribute: AttributeName,
    body: UpdateAttribute,
    access: Annotated[Access, needs(Standing.MEMBER, trace="updateTopicAttribute")],
    parts: Parts,
) -> dict[str, Any]:
    """Another introduction; the access policy stays empty, which is SMN's default."""
    topic = own(access, parts, topic_urn)
    if attribute == "access_policy" and body.value:
        raise NotSupported(
            "access_policy cannot be changed: a topic's creator and the project's administrators publish."
        )
    values = {} if attribute == "access_policy" else {"introduction": body.value}
    parts.topics.change(topic, **values, now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


@router.delete(f"{TOPIC}/attributes/{{attribute}}", **smn_answers(Done))
def delete_attribute(
    topic_urn: TopicUrn,
    attribute: AttributeName,
    access: Annotated[Access, needs(Standing.MEMBER, trace="deleteTopicAttributeByName")],
    parts: Parts,
) -> dict[str, Any]:
    """Empties the introduction; the access policy is its default already."""
    topic = own(access, parts, topic_urn)
    values = {} if attribute == "access_policy" else {"introduction": ""}
    parts.topics.change(topic, **values, now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


@router.delete(f"{TOPIC}/attributes", **smn_answers(Done))
def delete_attributes(
    topic_urn: TopicUrn, access: Annotated[Access, needs(Standing.MEMBER, trace="deleteTopicAttributes")], parts: Parts
) -> dict[str, Any]:
    """Empties the introduction; the access policy is its default already."""
    topic = own(access, parts, topic_urn)
    parts.topics.change(topic, introduction="", now_ms=parts.now_ms(), trace=access.trace)
    return {"request_id": access.request_id}


def here(parts: Services) -> None:
    """Raises NotSupported if the topics are those of an external SMN: what is made here would be of no use."""
    if parts.settings.smn_endpoint:
        raise NotSupported(
            f"This server publishes the notices of jobs at {parts.settings.smn_endpoint}: make topics and "
            "subscriptions there."
        )


def find(access: Access, parts: Services, topic_urn: str) -> Topic:
    """The topic of the caller's project; raises BadField, TopicNotFound."""
    urn = parse_topic(topic_urn)
    topic = parts.topics.find(access.project_id, urn.name)
    if topic is None or (urn.region, urn.project_id) != (parts.settings.region, access.project_id):
        raise TopicNotFound.of(topic_urn)
    return topic


def own(access: Access, parts: Services, topic_urn: str) -> Topic:
    """The topic, if the caller may change it; raises BadField, TopicNotFound, NotAuthorised."""
    topic = find(access, parts, topic_urn)
    if not is_own(access, topic):
        raise NotAuthorised(
            f"The topic {topic.name} was created by {topic.owner}. Only its creator and administrators of the project "
            "may change it, publish to it, and see or change who has subscribed."
        )
    return topic


def is_own(access: Access, topic: Topic) -> bool:
    """Whether the topic is the caller's to change."""
    return access.may(Standing.ADMIN, Thing((f"topics.{topic.name}",), topic.owner))


def urn_of(parts: Services, topic: Topic) -> str:
    """The topic's URN."""
    return str(Urn(parts.settings.region, topic.project_id, topic.name))


def time_text(at_ms: int) -> str:
    """SMN's form of a time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(parts: Services, topic: Topic) -> dict[str, Any]:
    """A topic, as SMN shows it."""
    return {
        "topic_urn": urn_of(parts, topic),
        "name": topic.name,
        "display_name": topic.display_name,
        "push_policy": 0,
        "enterprise_project_id": "0",
        "topic_id": topic.uid,
        "create_time": time_text(topic.created_ms),
        "update_time": time_text(topic.updated_ms),
    }
