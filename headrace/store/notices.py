"""Notices on their way: from the outbox of the jobs to one delivery per subscription, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from headrace.domain import notices
from headrace.domain.errors import NoticeNotFound, TopicNotFound
from headrace.store import journal, outgoing
from headrace.store.audit import Trace, record
from headrace.store.codec import job_from_row
from headrace.store.database import Database
from headrace.store.outgoing import WAITING, Kind, Message
from headrace.store.schema import deliveries, jobs, messages, outbox, subscriptions, topics
from headrace.store.topics import Status, Topic


class State(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class Notice:
    """One message on its way to one subscription.

    Attributes:
        id: of the delivery.
        subscription_uid, sealed_token: "" if it goes to an external SMN, or to nobody.
        endpoint: a URL or an address; "" = to nobody.
        error: why it was not delivered the last time.
    """

    id: int
    message_id: str
    project_id: str
    topic: str
    kind: Kind
    subject: str
    message: str
    job_id: int | None
    created_ms: int
    subscription_id: int
    subscription_uid: str
    sealed_token: str
    protocol: str
    endpoint: str
    attempts: int
    next_ms: int
    until_ms: int
    delivered_ms: int | None
    dead_ms: int | None
    error: str

    @property
    def state(self) -> State:
        """What became of it."""
        if self.delivered_ms is not None:
            return State.DELIVERED
        return State.WAITING if self.dead_ms is None else State.DEAD


_SHOWN = (
    select(
        deliveries,
        messages.c.project_id,
        messages.c.topic,
        messages.c.kind,
        messages.c.subject,
        messages.c.message,
        messages.c.variants,
        messages.c.job_id,
        messages.c.created_ms,
        func.coalesce(subscriptions.c.uid, "").label("subscription_uid"),
        func.coalesce(subscriptions.c.sealed_token, "").label("sealed_token"),
        subscriptions.c.status.label("subscription_status"),
    )
    .join(messages, messages.c.message_id == deliveries.c.message_id)
    .outerjoin(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
)


_FOR = {
    Kind.NOTIFICATION: Status.CONFIRMED,
    Kind.SUBSCRIPTION_CONFIRMATION: Status.PENDING,
    Kind.UNSUBSCRIBE_CONFIRMATION: Status.CANCELED,
}
"""Kind of a message -> status of the subscriptions that it is for."""


class NoticeStore:
    """The only place that writes deliveries, besides subscriptions that begin and end."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def owed(self) -> list[int]:
        """Rows of the outbox that are not yet on their way, oldest first."""
        query = select(outbox.c.id).where(outbox.c.told_ms.is_(None)).order_by(outbox.c.id)
        with self._db.read() as connection:
            return list(connection.execute(query).scalars())

    def send_off(self, owed: int, *, now_ms: int, until_ms: int, external: str | None = None) -> None:
        """Puts a row of the outbox on its way to all who have subscribed to its topic, once; all or nothing.

        Args:
            owed: the row.
            now_ms: the time.
            until_ms: when it is given up.
            external: URL of the SMN that has the topic, None = this server.
        """
        with self._db.write() as connection:
            row = connection.execute(select(outbox).where(outbox.c.id == owed)).one()
            if row.told_ms is not None:
                return
            connection.execute(update(outbox).where(outbox.c.id == owed).values(told_ms=now_ms))
            message = _of_job(row)
            if external is not None:
                outgoing.send_elsewhere(connection, message, external, now_ms=now_ms, until_ms=until_ms)
                return
            to = _confirmed(connection, row.project_id, row.topic)
            if to is None:
                why = f"The topic {row.topic} does not exist."
                outgoing.send_nowhere(connection, message, why, now_ms)
                _tell(connection, message, f"Nobody was told: {why} Create it and retry (headrace notices).", now_ms)
                return
            outgoing.send(connection, message, to, now_ms=now_ms, until_ms=until_ms)
            if not to:
                why = f"Nobody was told: the topic {row.topic} has no confirmed subscription."
                _tell(connection, message, why, now_ms)

    def publish(self, topic: Topic, message: Message, *, now_ms: int, until_ms: int, trace: Trace | None) -> None:
        """Puts a message on its way to all who have subscribed.

        Raises:
            TopicNotFound: it was deleted meanwhile.
        """
        with self._db.write() as connection:
            to = _confirmed(connection, topic.project_id, topic.name)
            if to is None:
                raise TopicNotFound.of(topic.name)
            outgoing.send(connection, message, to, now_ms=now_ms, until_ms=until_ms)
            record(connection, trace.of("topic", topic.name, topic.name) if trace else None)

    def due(self, now_ms: int) -> list[int]:
        """Subscriptions to which something is to be delivered now; 0 = the external SMN."""
        query = select(deliveries.c.subscription_id).where(WAITING, _is_time(now_ms)).distinct()
        with self._db.read() as connection:
            return list(connection.execute(query).scalars())

    def asked(self) -> frozenset[int]:
        """Subscriptions on their way to which is something, and that are not confirmed: nobody knows who is there."""
        query = select(subscriptions.c.id).join(deliveries, deliveries.c.subscription_id == subscriptions.c.id)
        with self._db.read() as connection:
            found = connection.execute(query.where(WAITING, subscriptions.c.status != Status.CONFIRMED).distinct())
            return frozenset(found.scalars())

    def next(self, subscription_id: int, now_ms: int) -> Notice | None:
        """The oldest that is to be delivered now to this subscription."""
        due = WAITING & _is_time(now_ms) & (deliveries.c.subscription_id == subscription_id)
        query = _SHOWN.where(due).order_by(deliveries.c.id).limit(1)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _notice(row)

    def delivered(self, notice: Notice, now_ms: int) -> None:
        """The receiver said yes; though it was given up meanwhile, that is what became of it."""
        values = {"delivered_ms": now_ms, "dead_ms": None, "attempts": notice.attempts + 1, "error": ""}
        with self._db.write() as connection:
            connection.execute(update(deliveries).where(deliveries.c.id == notice.id).values(values))

    def failed(self, notice: Notice, error: str, *, now_ms: int, next_ms: int | None) -> None:
        """The receiver did not say yes; it is tried again at ``next_ms``, or is dead."""
        values: dict[str, Any] = {"attempts": notice.attempts + 1, "error": error}
        values |= {"dead_ms": now_ms} if next_ms is None else {"next_ms": next_ms}
        with self._db.write() as connection:
            mine = WAITING & (deliveries.c.id == notice.id)
            changed = connection.execute(update(deliveries).where(mine).values(values)).rowcount == 1
            if changed and next_ms is None and notice.job_id is not None:
                _note(connection, notice.job_id, _untold(notice, error), now_ms)

    def page(self, project_id: str, state: State | None, *, limit: int, offset: int) -> tuple[int, list[Notice]]:
        """(number of all matches, one page of them), newest first."""
        mine = messages.c.project_id == project_id
        if state is not None:
            gone, dead = deliveries.c.delivered_ms.is_not(None), deliveries.c.dead_ms.is_not(None)
            mine &= {State.WAITING: WAITING, State.DELIVERED: gone, State.DEAD: dead}[state]
        found = _SHOWN.where(mine)
        query = found.order_by(deliveries.c.id.desc()).limit(limit).offset(offset)
        with self._db.read() as connection:
            total = connection.execute(select(func.count()).select_from(found.subquery())).scalar_one()
            return int(total), [_notice(row) for row in connection.execute(query)]

    def retry(self, project_id: str, number: int, *, now_ms: int, until_ms: int, trace: Trace | None = None) -> None:
        """Has a delivery that waits or is dead tried at once; one that went to nobody goes to who has subscribed now.

        Raises:
            NoticeNotFound: the project has none of this number, or it was delivered, or its subscription is gone or
                not in the status that it is for: who has unsubscribed is sent nothing.
        """
        mine = (messages.c.project_id == project_id) & (deliveries.c.id == number) & deliveries.c.delivered_ms.is_(None)
        with self._db.write() as connection:
            row = connection.execute(_SHOWN.where(mine)).one_or_none()
            if row is None:
                raise NoticeNotFound.of(number)
            if row.protocol and row.subscription_id and not row.subscription_uid:
                raise NoticeNotFound(f"The subscription of the notice {number} was deleted: it cannot be sent.")
            if row.subscription_uid and row.subscription_status != _FOR[Kind(row.kind)]:
                raise NoticeNotFound(
                    f"The notice {number} cannot be sent: its subscription is {row.subscription_status} by now."
                )
            if row.protocol:
                values = {"dead_ms": None, "attempts": 0, "next_ms": now_ms, "until_ms": until_ms}
                connection.execute(update(deliveries).where(deliveries.c.id == number).values(values))
            else:
                _begin_anew(connection, row.message_id, number)
            record(connection, trace.of("notice", number, row.topic) if trace else None)

    def forget(self, before_ms: int) -> int:
        """Deletes messages of before that nothing waits for, also from the outbox; returns how many there were."""
        waiting = select(deliveries.c.message_id).where(WAITING)
        old = (messages.c.created_ms < before_ms) & messages.c.message_id.not_in(waiting)
        told = (outbox.c.told_ms < before_ms) & outbox.c.message_id.not_in(select(messages.c.message_id))
        with self._db.read() as connection:
            looks = (select(messages.c.message_id).where(old), select(outbox.c.message_id).where(told))
            if all(connection.execute(look.limit(1)).first() is None for look in looks):
                return 0
        with self._db.write() as connection:
            ids = select(messages.c.message_id).where(old)
            connection.execute(delete(deliveries).where(deliveries.c.message_id.in_(ids)))
            forgotten = connection.execute(delete(messages).where(old)).rowcount
            connection.execute(delete(outbox).where(told))
            return forgotten


def new_message(topic: Topic, subject: str, message: str, variants: dict[str, str]) -> Message:
    """A message that somebody publishes."""
    return Message(uuid4().hex, topic.project_id, topic.name, Kind.NOTIFICATION, subject, message, variants)


def _of_job(row: Row[Any]) -> Message:
    told = dict(row.body)
    text = notices.text(told, row.project_id, row.created_ms)
    kind = Kind.NOTIFICATION
    return Message(row.message_id, row.project_id, row.topic, kind, notices.subject(told), text, job_id=row.job_id)


def _confirmed(connection: Connection, project_id: str, name: str) -> list[Row[Any]] | None:
    """Rows of the subscriptions of this topic that are confirmed; None if there is no such topic."""
    mine = (topics.c.project_id == project_id) & (topics.c.name == name)
    topic = connection.execute(select(topics.c.id).where(mine)).scalar_one_or_none()
    if topic is None:
        return None
    ready = (subscriptions.c.topic_id == topic) & (subscriptions.c.status == Status.CONFIRMED)
    return list(connection.execute(select(subscriptions).where(ready).order_by(subscriptions.c.id)))


def _begin_anew(connection: Connection, message_id: str, number: int) -> None:
    """The row of the outbox is owed again; it keeps its id."""
    connection.execute(delete(deliveries).where(deliveries.c.id == number))
    connection.execute(delete(messages).where(messages.c.message_id == message_id))
    connection.execute(update(outbox).where(outbox.c.message_id == message_id).values(told_ms=None))


def _is_time(now_ms: int) -> ColumnElement[bool]:
    """Nothing waits for longer than LONGEST_WAIT_MS: what seems to was written when the clock was ahead."""
    return (deliveries.c.next_ms <= now_ms) | (deliveries.c.next_ms > now_ms + notices.LONGEST_WAIT_MS)


def _untold(notice: Notice, error: str) -> str:
    """For the journal of a job. Who sees that has no right to know who has subscribed, and errors name hosts."""
    if not notice.subscription_id:
        return f"Nobody was told: {error}"
    return f"A subscriber by {notice.protocol} was not told. Administrators see why: headrace notices, id {notice.id}."


def _tell(connection: Connection, message: Message, text: str, now_ms: int) -> None:
    if message.job_id is not None:
        _note(connection, message.job_id, text, now_ms)


def _note(connection: Connection, job_id: int, text: str, now_ms: int) -> None:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is not None:
        journal.note(connection, job_from_row(row), text, journal.Kind.NOTICE, now_ms)


def _notice(row: Row[Any]) -> Notice:
    values = {name: getattr(row, name) for name in Notice.__dataclass_fields__}
    values |= {"kind": Kind(row.kind), "message": row.variants.get(row.protocol, row.message)}
    return Notice(**values)
