"""Notices that are owed, messages and their deliveries, in the caller's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from headrace.domain import notices, restart
from headrace.domain.job import Job, Phase, Record
from headrace.store import restarts
from headrace.store.journal import restarts_in_a_row
from headrace.store.schema import deliveries, messages, outbox


class Kind(StrEnum):
    """What a message is for; the words are those of ``notify.base.MessageKind``."""

    NOTIFICATION = "Notification"
    SUBSCRIPTION_CONFIRMATION = "SubscriptionConfirmation"
    UNSUBSCRIBE_CONFIRMATION = "UnsubscribeConfirmation"


@dataclass(frozen=True)
class Message:
    """One message to all who have subscribed.

    Attributes:
        topic: its name.
        variants: protocol -> text, where that is another than ``message``.
        job_id: whose notice it is; None = somebody published it.
        expires_ms: when its time to live is over, after which nobody is sent it; None = it has none.
    """

    message_id: str
    project_id: str
    topic: str
    kind: Kind
    subject: str
    message: str
    variants: dict[str, str] = field(default_factory=dict)
    job_id: int | None = None
    expires_ms: int | None = None


def owe_notice(connection: Connection, job: Job, record: Record, now_ms: int) -> None:
    """Notes what the job's topic is to be told of this move, if anything; its id stays whatever becomes of it."""
    if record.phase is Phase.RESTARTING:
        in_a_row = restarts_in_a_row(connection, job)
    elif notices.restarted_in_place(job.record, record):
        in_a_row = restart.in_a_row(restarts.in_place(connection, job))
    else:
        in_a_row = 0
    happened = notices.event(job.record, record, in_a_row)
    if happened is not None:
        row = {
            "created_ms": now_ms,
            "project_id": job.project_id,
            "job_id": job.id,
            "topic": job.spec.smn_topic,
            "body": notices.body(job, record, happened),
            "message_id": uuid4().hex,
        }
        connection.execute(insert(outbox).values(row))


WAITING = deliveries.c.delivered_ms.is_(None) & deliveries.c.dead_ms.is_(None)


def add_message(connection: Connection, message: Message, now_ms: int) -> None:
    """Records the message; nobody is sent it yet."""
    values = {name: getattr(message, name) for name in Message.__dataclass_fields__}
    connection.execute(insert(messages).values(**values, created_ms=now_ms))


def send(connection: Connection, message: Message, to: Iterable[Row[Any]], *, now_ms: int, until_ms: int) -> None:
    """Records the message and a delivery of it to each of these rows of ``subscriptions``."""
    add_message(connection, message, now_ms)
    deliver(connection, message.message_id, to, now_ms=now_ms, until_ms=until_ms)


def deliver(connection: Connection, message_id: str, to: Iterable[Row[Any]], *, now_ms: int, until_ms: int) -> None:
    """Records a delivery of a message that is recorded to each of these rows of ``subscriptions``."""
    fresh = _fresh(message_id, now_ms, until_ms)
    rows = [{**fresh, "subscription_id": row.id, "protocol": row.protocol, "endpoint": row.endpoint} for row in to]
    if rows:
        connection.execute(insert(deliveries), rows)


def send_elsewhere(connection: Connection, message: Message, endpoint: str, *, now_ms: int, until_ms: int) -> None:
    """Records the message and one delivery of it, to the external SMN."""
    add_message(connection, message, now_ms)
    fresh = _fresh(message.message_id, now_ms, until_ms)
    connection.execute(insert(deliveries).values(**fresh, subscription_id=0, protocol="smn", endpoint=endpoint))


def send_nowhere(connection: Connection, message: Message, error: str, now_ms: int) -> None:
    """Records the message, dead from the beginning."""
    add_message(connection, message, now_ms)
    dead = {**_fresh(message.message_id, now_ms, now_ms), "dead_ms": now_ms, "error": error}
    connection.execute(insert(deliveries).values(**dead, subscription_id=0, protocol="", endpoint=""))


def bury(connection: Connection, of: ColumnElement[bool], why: str, now_ms: int, *, but: Kind | None = None) -> None:
    """What is on its way to some subscriptions is sent no more.

    Args:
        of: which deliveries, by a condition of ``deliveries.c.subscription_id``.
        but: what is of this kind goes on.
    """
    mine = WAITING & of
    if but is not None:
        kinds = select(messages.c.kind).where(messages.c.message_id == deliveries.c.message_id)
        mine &= kinds.scalar_subquery() != but
    connection.execute(update(deliveries).where(mine).values(dead_ms=now_ms, error=why))


def tries(connection: Connection, subscription_id: int) -> int | None:
    """How often what is on its way to this subscription was tried, at most; None: nothing is."""
    mine = WAITING & (deliveries.c.subscription_id == subscription_id)
    found = connection.execute(select(func.max(deliveries.c.attempts)).where(mine)).scalar_one()
    return None if found is None else int(found)


def _fresh(message_id: str, now_ms: int, until_ms: int) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "attempts": 0,
        "next_ms": now_ms,
        "until_ms": until_ms,
        "delivered_ms": None,
        "dead_ms": None,
        "error": "",
    }
