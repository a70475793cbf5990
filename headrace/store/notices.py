"""Notices on their way: from the outbox of the jobs to one delivery per subscription, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from headrace.domain import notices
from headrace.domain.errors import NoticeNotFound, TopicNotFound
from headrace.domain.topics import CONFIRM_MS
from headrace.store import journal, outgoing
from headrace.store.audit import Trace, record
from headrace.store.codec import job_from_row
from headrace.store.database import Database
from headrace.store.outgoing import WAITING, Kind, Message
from headrace.store.schema import deliveries, jobs, messages, outbox, subscriptions, topics
from headrace.store.topics import FITS, Status, Topic


class State(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class Listed:
    """One message on its way to one subscription, without its text: a page of them is to be small.

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


@dataclass(frozen=True)
class Notice(Listed):
    """The same with its text, as it is handed over."""

    message: str


_LISTED = (
    select(
        deliveries,
        messages.c.project_id,
        messages.c.topic,
        messages.c.kind,
        messages.c.subject,
        messages.c.job_id,
        messages.c.created_ms,
        messages.c.expires_ms,
        func.coalesce(subscriptions.c.uid, "").label("subscription_uid"),
        func.coalesce(subscriptions.c.sealed_token, "").label("sealed_token"),
        subscriptions.c.status.label("subscription_status"),
        subscriptions.c.asked_ms,
    )
    .join(messages, messages.c.message_id == deliveries.c.message_id)
    .outerjoin(subscriptions, subscriptions.c.id == deliveries.c.subscription_id)
)
_DELIVERED = _LISTED.add_columns(messages.c.message, messages.c.variants)
OVER = "Its time to live is over."
AT_ONCE = 100
"""So many messages are forgotten in one transaction, and so are rows of the outbox."""


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
            if to:
                outgoing.send(connection, message, to, now_ms=now_ms, until_ms=until_ms)
                return
            why = _nobody(row.topic, to)
            outgoing.send_nowhere(connection, message, why, now_ms)
            remedy = "Create it" if to is None else "Have one confirmed"
            _tell(connection, message, f"Nobody was told: {why} {remedy} and retry (headrace notices).", now_ms)

    def publish(self, topic: Topic, message: Message, *, now_ms: int, until_ms: int, trace: Trace | None) -> None:
        """Puts a message on its way to all who have subscribed; if nobody has, it is dead, and can be retried.

        Raises:
            TopicNotFound: it was deleted meanwhile.
        """
        with self._db.write() as connection:
            to = _confirmed(connection, topic.project_id, topic.name)
            if to is None:
                raise TopicNotFound.of(topic.name)
            if to:
                outgoing.send(connection, message, to, now_ms=now_ms, until_ms=_until(message.expires_ms, until_ms))
            else:
                outgoing.send_nowhere(connection, message, _nobody(topic.name, to), now_ms)
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
        """The oldest that is to be delivered now to this subscription; what has outlived its time to live is dead."""
        due = WAITING & _is_time(now_ms) & (deliveries.c.subscription_id == subscription_id)
        query = _DELIVERED.where(due).order_by(deliveries.c.id).limit(1)
        with self._db.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is not None and row.expires_ms is not None and row.expires_ms <= now_ms:
            self._bury_expired(subscription_id, now_ms)
            with self._db.read() as connection:
                row = connection.execute(query).one_or_none()
        return None if row is None else _notice(row)

    def _bury_expired(self, subscription_id: int, now_ms: int) -> None:
        expires = select(messages.c.expires_ms).where(messages.c.message_id == deliveries.c.message_id)
        mine = WAITING & (deliveries.c.subscription_id == subscription_id) & (expires.scalar_subquery() <= now_ms)
        with self._db.write() as connection:
            connection.execute(update(deliveries).where(mine).values(dead_ms=now_ms, error=OVER))

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

    def page(self, project_id: str, state: State | None, *, limit: int, offset: int) -> tuple[int, list[Listed]]:
        """(number of all matches, one page of them), newest first."""
        mine = messages.c.project_id == project_id
        if state is not None:
            gone, dead = deliveries.c.delivered_ms.is_not(None), deliveries.c.dead_ms.is_not(None)
            mine &= {State.WAITING: WAITING, State.DELIVERED: gone, State.DEAD: dead}[state]
        many = select(func.count()).select_from(deliveries.join(messages)).where(mine)
        query = _LISTED.where(mine).order_by(deliveries.c.id.desc()).limit(limit).offset(offset)
        with self._db.read() as connection:
            total = connection.execute(many).scalar_one()
            return int(total), [_listed(row) for row in connection.execute(query)]

    def retry(self, project_id: str, number: int, *, now_ms: int, until_ms: int, trace: Trace | None = None) -> None:
        """Has a delivery that waits or is dead tried at once; one that went to nobody goes to who has subscribed now.

        Raises:
            NoticeNotFound: the project has none of this number, or it was delivered, or its time to live is over, or
                its subscription is gone or not in the status that it is for: who has unsubscribed is sent nothing; or
                its link to confirm is good no more; or it would be sent to nobody again.
        """
        mine = (messages.c.project_id == project_id) & (deliveries.c.id == number) & deliveries.c.delivered_ms.is_(None)
        with self._db.write() as connection:
            row = connection.execute(_LISTED.where(mine)).one_or_none()
            if row is None:
                raise NoticeNotFound.of(number)
            _refuse_in_vain(row, now_ms)
            until = _until(row.expires_ms, until_ms)
            if row.subscription_status == Status.PENDING:
                until = min(until, row.asked_ms + CONFIRM_MS)
            if row.protocol:
                values = {"dead_ms": None, "attempts": 0, "next_ms": now_ms, "until_ms": until}
                connection.execute(update(deliveries).where(deliveries.c.id == number).values(values))
            elif row.job_id is None:
                _publish_anew(connection, row, now_ms=now_ms, until_ms=until)
            else:
                _begin_anew(connection, row.message_id, number)
            record(connection, trace.of("notice", number, row.topic) if trace else None)

    def forget(self, before_ms: int) -> int:
        """Deletes some messages all of whose deliveries ended before, or when there are none, what the outbox has of
        such; returns how many, 0 = there are no more. Some at once, as nobody else writes, or is told, meanwhile.
        """
        ended = func.coalesce(deliveries.c.delivered_ms, deliveries.c.dead_ms)
        kept = select(deliveries.c.id).where(deliveries.c.message_id == messages.c.message_id)
        kept = kept.where(WAITING | (ended >= before_ms))
        old = (messages.c.created_ms < before_ms) & ~kept.correlate(messages).exists()
        told = (outbox.c.told_ms < before_ms) & outbox.c.message_id.not_in(select(messages.c.message_id))
        some, rest = select(messages.c.message_id).where(old), select(outbox.c.id).where(told)
        with self._db.read() as connection:
            if all(connection.execute(look.limit(1)).first() is None for look in (some, rest)):
                return 0
        with self._db.write() as connection:
            ids = list(connection.execute(some.limit(AT_ONCE)).scalars())
            if ids:
                connection.execute(delete(deliveries).where(deliveries.c.message_id.in_(ids)))
                return connection.execute(delete(messages).where(messages.c.message_id.in_(ids))).rowcount
            return connection.execute(delete(outbox).where(outbox.c.id.in_(rest.limit(AT_ONCE)))).rowcount


def new_message(
    topic: Topic, subject: str, message: str, variants: dict[str, str], *, expires_ms: int | None = None
) -> Message:
    """A message that somebody publishes."""
    to = (topic.project_id, topic.name, Kind.NOTIFICATION)
    return Message(uuid4().hex, *to, subject, message, variants, expires_ms=expires_ms)


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


def _nobody(topic: str, to: list[Row[Any]] | None) -> str:
    """Why nobody is told: what ``_confirmed`` has found."""
    return f"The topic {topic} " + ("does not exist." if to is None else "has no confirmed subscription.")


def _until(expires_ms: int | None, until_ms: int) -> int:
    return until_ms if expires_ms is None else min(until_ms, expires_ms)


def _refuse_in_vain(row: Row[Any], now_ms: int) -> None:
    """Raises NoticeNotFound if this row of ``_LISTED`` cannot be sent."""
    if row.expires_ms is not None and row.expires_ms <= now_ms:
        raise NoticeNotFound(f"The notice {row.id} cannot be sent: its time to live is over. Publish it again.")
    if row.protocol and row.subscription_id and not row.subscription_uid:
        raise NoticeNotFound(f"The subscription of the notice {row.id} was deleted: it cannot be sent.")
    if row.subscription_uid and FITS[Status(row.subscription_status)] != row.kind:
        status = row.subscription_status
        raise NoticeNotFound(f"The notice {row.id} cannot be sent: its subscription is {status} by now.")
    if row.subscription_status == Status.PENDING and now_ms - row.asked_ms > CONFIRM_MS:
        raise NoticeNotFound(
            f"The notice {row.id} cannot be sent: its link is older than 48 hours. Subscribe again to get a new one."
        )


def _publish_anew(connection: Connection, row: Row[Any], *, now_ms: int, until_ms: int) -> None:
    """What went to nobody goes to who has subscribed; raises NoticeNotFound if nobody has."""
    to = _confirmed(connection, row.project_id, row.topic)
    if not to:
        raise NoticeNotFound(f"The notice {row.id} cannot be sent. {_nobody(row.topic, to)}")
    connection.execute(delete(deliveries).where(deliveries.c.id == row.id))
    outgoing.deliver(connection, row.message_id, to, now_ms=now_ms, until_ms=until_ms)


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


def _listed(row: Row[Any]) -> Listed:
    values = {name: getattr(row, name) for name in Listed.__dataclass_fields__}
    return Listed(**{**values, "kind": Kind(row.kind)})


def _notice(row: Row[Any]) -> Notice:
    text = row.variants.get(row.protocol, row.message)
    return Notice(**vars(_listed(row)), message=text)
