"""SMN's publish (its API v2): a message to all who have subscribed to a topic."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, TypeAdapter, ValidationError

from headrace.api.access import Access, needs
from headrace.api.fields import Text, Wire
from headrace.api.services import Parts
from headrace.api.smn_answers import Published, smn_answers
from headrace.api.topics import TOPIC, TopicUrn, here, own, up_to_bytes
from headrace.domain.errors import BadField, NotSupported
from headrace.domain.rights import Standing
from headrace.domain.topics import MAX_MESSAGE_BYTES, MAX_SUBJECT_BYTES
from headrace.store.notices import new_message

router = APIRouter()

MAX_TTL_S = 86_400
STRUCTURE = TypeAdapter(dict[Text, Text])
"""What ``message_structure`` holds: protocol -> message."""


class Publish(Wire):
    """POST topics/{topic_urn}/publish: ``message``, or ``message_structure``, which goes before it."""

    subject: Annotated[
        Annotated[Text, up_to_bytes(MAX_SUBJECT_BYTES)] | None, Field(description="Up to 512 bytes.")
    ] = None
    message: Annotated[Annotated[Text, up_to_bytes(MAX_MESSAGE_BYTES)] | None, Field(description="Up to 256 KB.")] = (
        None
    )
    message_structure: Annotated[
        Annotated[Text, up_to_bytes(MAX_MESSAGE_BYTES)] | None,
        Field(
            description='JSON as text: protocol -> message, and "default" for the others.',
            examples=['{"default": "it failed", "email": "Dear all, it failed."}'],
        ),
    ] = None
    time_to_live: Annotated[
        str | None,
        Field(pattern="^[0-9]{1,5}$", description="Seconds, 1 to 86400, after which it is tried no more."),
    ] = None
    message_template_name: Annotated[Any, Field(description="Refused: there are no templates.")] = None
    tags: Annotated[Any, Field(description="Refused: there are no templates.")] = None
    message_attributes: Annotated[Any, Field(description="Refused: there are no filters.")] = None
    locale: Annotated[Any, Field(description="Refused: there are no templates.")] = None


@router.post(f"{TOPIC}/publish", **smn_answers(Published))
def publish(
    topic_urn: TopicUrn,
    body: Publish,
    access: Annotated[Access, needs(Standing.MEMBER, trace="publishMessage")],
    parts: Parts,
) -> dict[str, Any]:
    """Puts the message on its way; ``headrace notices`` tells what became of it."""
    here(parts)
    topic = own(access, parts, topic_urn)
    for name in ("message_template_name", "tags", "message_attributes", "locale"):
        if getattr(body, name) is not None:
            raise NotSupported(f"{name} is not supported: send the text as message or, by protocol, message_structure.")
    text, variants = _texts(body)
    now, ttl = parts.now_ms(), _ttl_ms(body)
    until = now + int(parts.settings.notice_give_up_hours * 3_600_000)
    expires = None if ttl is None else now + ttl
    message = new_message(topic, body.subject or "", text, variants, expires_ms=expires)
    parts.notices.publish(topic, message, now_ms=now, until_ms=until, trace=access.trace)
    parts.wake_courier()
    return {"request_id": access.request_id, "message_id": message.message_id}


def _ttl_ms(body: Publish) -> int | None:
    if body.time_to_live is None:
        return None
    seconds = int(body.time_to_live)
    if not 1 <= seconds <= MAX_TTL_S:
        raise BadField("time_to_live", body.time_to_live, f"must be from 1 to {MAX_TTL_S}")
    return seconds * 1000


def _texts(body: Publish) -> tuple[str, dict[str, str]]:
    """(the text, protocol -> another one). As in SMN, ``message_structure`` goes before ``message``."""
    if body.message_structure is not None:
        return _structured(body.message_structure)
    if body.message is None:
        raise BadField("message", None, "it is required, or message_structure in its place")
    return body.message, {}


def _structured(structure: str) -> tuple[str, dict[str, str]]:
    """Raises BadField: it is no JSON, no object of texts, has no ``default``, or a text that no message may hold."""
    try:
        found = json.loads(structure)
    except (ValueError, RecursionError) as error:
        raise BadField("message_structure", structure, "must be JSON, as text") from error
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise BadField("message_structure", structure, 'must be an object of texts, with "default"')
    if "default" not in found:
        raise BadField("message_structure", structure, 'must have a text "default", for protocols that it has none of')
    try:
        STRUCTURE.validate_python(found)
    except ValidationError as error:
        wrong = next(iter(error.errors()))
        name = str(wrong["loc"][0])
        text = found.get(name, name)
        said = wrong["msg"].removeprefix("Value error, ")
        raise BadField("message_structure", text, f"the text of {name!a} {said}") from error
    return found.pop("default"), found
