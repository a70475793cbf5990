"""What became of messages to topics: on their way, delivered, dead. Ours only; for administrators of the project."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.api.fields import MAX_ID
from headrace.api.services import Parts
from headrace.domain.rights import Standing
from headrace.store.notices import Listed, State

router = APIRouter()


class NoticesQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[State | None, Field(description="Only those that are so.")] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Most notices in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Notices to leave out, from the newest.")] = 0


class NoticeFields(Answer):
    """One message on its way to one subscription."""

    id: Annotated[int, Field(description="Of this delivery.", examples=[3])]
    message_id: Annotated[str, Field(description="Of the message; the same at each receiver and each try.")]
    kind: Annotated[str, Field(description="Notification, SubscriptionConfirmation or UnsubscribeConfirmation.")]
    topic: Annotated[str, Field(description="Name of its topic.", examples=["alarms"])]
    job_id: Annotated[int | None, Field(description="The job that it is about; null = somebody published it.")]
    subject: Annotated[str, Field(description="Its subject.", examples=["Flink job orders has failed"])]
    protocol: Annotated[str, Field(description="http, https, email; smn: an external SMN; empty: nobody.")]
    endpoint: Annotated[str, Field(description="To where.")]
    state: Annotated[State, Field(description="waiting, delivered or dead.")]
    attempts: Annotated[int, Field(ge=0, description="How often it was tried.")]
    error: Annotated[str, Field(description="Why it was not delivered the last time; empty = no reason yet.")]
    created_ms: Annotated[int, Field(description="When it was published, in epoch milliseconds.")]
    next_ms: Annotated[int | None, Field(description="When it is tried next; null = no more.")]
    ended_ms: Annotated[int | None, Field(description="When it was delivered or given up; null = it waits.")]


class NoticesAnswer(Answer):
    """One page of the project's notices, newest first."""

    count: Annotated[int, Field(ge=0, description="Number of all that match.")]
    notices: Annotated[list[NoticeFields], Field(description="The page.")]


@router.get("/headrace/v1/{project_id}/notices", **answers(NoticesAnswer))
def list_notices(
    query: Annotated[NoticesQuery, Query()], access: Annotated[Access, needs(Standing.ADMIN)], parts: Parts
) -> dict[str, Any]:
    """What became of messages to the project's topics; their texts are not shown."""
    total, found = parts.notices.page(access.project_id, query.state, limit=query.limit, offset=query.offset)
    return {"count": total, "notices": [_shown(notice) for notice in found]}


class Retried(Answer):
    """It is on its way again."""

    state: Annotated[State, Field(description="waiting")]


@router.post("/headrace/v1/{project_id}/notices/{notice_id}/retry", **answers(Retried))
def retry(notice_id: int, access: Annotated[Access, needs(Standing.ADMIN, trace="retryNotice")], parts: Parts) -> Any:
    """Tries one that waits or is dead at once, and anew for as long as a new one."""
    now = parts.now_ms()
    until = now + int(parts.settings.notice_give_up_hours * 3_600_000)
    number = min(max(notice_id, 0), MAX_ID)
    parts.notices.retry(access.project_id, number, now_ms=now, until_ms=until, trace=access.trace)
    parts.wake_courier()
    return {"state": State.WAITING}


def _shown(notice: Listed) -> dict[str, Any]:
    waits = notice.state is State.WAITING
    same = ("id", "message_id", "kind", "topic", "job_id", "subject", "protocol", "endpoint", "attempts", "error")
    return {
        **{name: getattr(notice, name) for name in same},
        "state": notice.state,
        "created_ms": notice.created_ms,
        "next_ms": notice.next_ms if waits else None,
        "ended_ms": notice.dead_ms if notice.delivered_ms is None else notice.delivered_ms,
    }
