"""Topics and who has subscribed to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update
from sqlalchemy import delete as erase

from headrace.domain.errors import QuotaExceeded, SubscriptionNotFound, TooManySubscriptions, TopicNotFound
from headrace.domain.topics import CONFIRM_MS, MAX_SUBSCRIPTIONS, MAX_TOPICS
from headrace.store import asking, outgoing
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.outgoing import Kind, Message
from headrace.store.schema import deliveries, subscriptions, topics


class Status(StrEnum):
    """Of a subscription: only one that is confirmed is sent notices."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELED = "canceled"


FITS = {
    Status.PENDING: Kind.SUBSCRIPTION_CONFIRMATION,
    Status.CONFIRMED: Kind.NOTIFICATION,
    Status.CANCELED: Kind.UNSUBSCRIBE_CONFIRMATION,
}
"""Status of a subscription -> kind of the messages that it is sent."""


@dataclass(frozen=True)
class Topic:
    """One topic; ``owner``: name of the user who created it; ``uid``: 32 hex digits."""

    id: int
    uid: str
    project_id: str
    name: str
    display_name: str
    introduction: str
    owner: str
    created_ms: int
    updated_ms: int


@dataclass(frozen=True)
class Subscription:
    """One subscription.

    Attributes:
        uid: 32 hex digits, the last part of its URN.
        sealed_token: what its links hold, as the Vault has sealed it.
        asked_ms: when its confirmation was last asked for.
    """

    id: int
    uid: str
    topic: Topic
    protocol: str
    endpoint: str
    remark: str
    status: Status
    owner: str
    sealed_token: str
    asked_ms: int


@dataclass(frozen=True)
class Wanted:
    """A subscription that somebody asks for; ``token``: the secret of its links, also as the Vault has ``sealed`` it.

    Attributes:
        uid: the subscription's, if it is a new one.
        remark: None = as it is.
        confirmed: it needs no confirmation, if it is a new one.
        give_up_ms: how long its confirmation is tried to be sent.
    """

    uid: str
    protocol: str
    endpoint: str
    remark: str | None
    owner: str
    token: str
    sealed: str
    confirmed: bool
    give_up_ms: int


class TopicStore:
    """The only place that writes topics and subscriptions."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, project_id: str, name: str, display_name: str, owner: str, *, now_ms: int, trace: Trace | None = None
    ) -> tuple[Topic, bool]:
        """The topic of this name, and whether it is new; one that is there already stays as it is.

        Raises:
            QuotaExceeded: the project has as many topics as it may have.
        """
        with self._db.write() as connection:
            found = _of_name(connection, project_id, name)
            if found is not None:
                return _topic(found), False
            many = select(func.count()).select_from(topics).where(topics.c.project_id == project_id)
            if connection.execute(many).scalar_one() >= MAX_TOPICS:
                raise QuotaExceeded(f"The project has {MAX_TOPICS} topics, and may have no more. Delete one first.")
            row = {
                "uid": uuid4().hex,
                "project_id": project_id,
                "name": name,
                "display_name": display_name,
                "introduction": "",
                "owner": owner,
                "created_ms": now_ms,
                "updated_ms": now_ms,
            }
            made = connection.execute(insert(topics).values(row).returning(topics)).one()
            record(connection, trace.of("topic", name, name) if trace else None)
        return _topic(made), True

    def find(self, project_id: str, name: str) -> Topic | None:
        """The project's topic of this name."""
        with self._db.read() as connection:
            row = _of_name(connection, project_id, name)
        return None if row is None else _topic(row)

    def of_project(self, project_id: str) -> list[Topic]:
        """All topics of the project, oldest first."""
        query = select(topics).where(topics.c.project_id == project_id).order_by(topics.c.id)
        with self._db.read() as connection:
            return [_topic(row) for row in connection.execute(query)]

    def change(self, topic: Topic, *, now_ms: int, trace: Trace | None = None, **values: str) -> None:
        """Changes ``display_name`` or ``introduction``.

        Raises:
            TopicNotFound: it was deleted meanwhile.
        """
        changed = update(topics).where(topics.c.id == topic.id).values(**values, updated_ms=now_ms)
        with self._db.write() as connection:
            if connection.execute(changed).rowcount != 1:
                raise TopicNotFound.of(topic.name)
            record(connection, trace.of("topic", topic.name, topic.name) if trace else None)

    def delete(self, topic: Topic, *, now_ms: int, trace: Trace | None = None) -> None:
        """Deletes the topic with its subscriptions; what is on its way to them is sent no more."""
        mine = select(subscriptions.c.id).where(subscriptions.c.topic_id == topic.id)
        with self._db.write() as connection:
            outgoing.bury(connection, deliveries.c.subscription_id.in_(mine), "Its topic was deleted.", now_ms)
            connection.execute(erase(subscriptions).where(subscriptions.c.topic_id == topic.id))
            if connection.execute(erase(topics).where(topics.c.id == topic.id)).rowcount != 1:
                raise TopicNotFound.of(topic.name)
            record(connection, trace.of("topic", topic.name, topic.name) if trace else None)

    # -- subscriptions --------------------------------------------------------------------------------------------

    def subscribe(
        self, topic: Topic, wanted: Wanted, *, now_ms: int, trace: Trace | None = None
    ) -> tuple[Subscription, bool]:
        """The topic's subscription of this endpoint, and whether it is new; it is asked to confirm unless it has, or a
        first try to ask it is under way. Who is there already is asked even if nobody needs to confirm: they may have
        canceled.

        Raises:
            TooManySubscriptions: the topic has as many as it may have.
            AskedTooOften: the receiver, or too many of them, would be asked to confirm; nothing was changed.
            TopicNotFound: it was deleted meanwhile.
        """
        same = (subscriptions.c.protocol == wanted.protocol) & (subscriptions.c.endpoint == wanted.endpoint)
        same &= subscriptions.c.topic_id == topic.id
        with self._db.write() as connection:
            if _of_name(connection, topic.project_id, topic.name) is None:
                raise TopicNotFound.of(topic.name)
            found = connection.execute(select(subscriptions).where(same)).one_or_none()
            if found is None:
                row = connection.execute(_new(connection, topic, wanted, now_ms)).one()
            else:
                row = _renew(connection, found, wanted, now_ms)
            if row != found:
                record(connection, trace.of("subscription", row.uid, topic.name) if trace else None)
            if row.status == Status.PENDING:
                _ask(connection, topic, row, wanted, now_ms)
        return _subscription(row, topic), found is None

    def confirm(self, token: str, *, now_ms: int) -> Subscription:
        """The subscription that this secret is of, which is confirmed now, if it was not before.

        Raises:
            SubscriptionNotFound: there is none, or it was asked too long ago.
        """
        with self._db.write() as connection:
            row, topic = _of_token(connection, token)
            if row.status != Status.CONFIRMED:
                if row.status == Status.PENDING and now_ms - row.asked_ms > CONFIRM_MS:
                    raise SubscriptionNotFound("This link is older than 48 hours. Subscribe again to get a new one.")
                row = _turn(connection, row.id, Status.CONFIRMED, now_ms)
        return _subscription(row, topic)

    def cancel(self, token: str, *, now_ms: int, give_up_ms: int) -> Subscription:
        """The subscription that this secret is of, which is sent nothing any more but that it was canceled.

        Raises:
            SubscriptionNotFound: there is none.
        """
        with self._db.write() as connection:
            row, topic = _of_token(connection, token)
            if row.status != Status.CANCELED:
                row = _turn(connection, row.id, Status.CANCELED, now_ms)
                said = f"You have unsubscribed from the topic {topic.name}. To subscribe again, visit the link."
                message = Message(uuid4().hex, topic.project_id, topic.name, Kind.UNSUBSCRIBE_CONFIRMATION, "", said)
                outgoing.send(connection, message, [row], now_ms=now_ms, until_ms=now_ms + give_up_ms)
        return _subscription(row, topic)

    def subscription(self, topic: Topic, uid: str) -> Subscription:
        """The topic's subscription.

        Raises:
            SubscriptionNotFound: it has none of this uid.
        """
        mine = (subscriptions.c.topic_id == topic.id) & (subscriptions.c.uid == uid)
        with self._db.read() as connection:
            row = connection.execute(select(subscriptions).where(mine)).one_or_none()
        if row is None:
            raise SubscriptionNotFound(f"There is no subscription {uid} of the topic {topic.name}.")
        return _subscription(row, topic)

    def subscriptions(self, project_id: str, topic: Topic | None = None) -> list[Subscription]:
        """All subscriptions of the project, or of one topic, oldest first."""
        mine: ColumnElement[bool] = topics.c.project_id == project_id
        if topic is not None:
            mine &= topics.c.id == topic.id
        with self._db.read() as connection:
            known = {row.id: _topic(row) for row in connection.execute(select(topics).where(mine))}
            query = select(subscriptions).join(topics).where(mine).order_by(subscriptions.c.id)
            return [_subscription(row, known[row.topic_id]) for row in connection.execute(query)]

    def set_remark(self, subscription: Subscription, remark: str, *, trace: Trace | None = None) -> None:
        """Changes the remark."""
        with self._db.write() as connection:
            _set(connection, subscription.id, remark=remark)
            of = trace.of("subscription", subscription.uid, subscription.topic.name) if trace else None
            record(connection, of)

    def unsubscribe(self, subscription: Subscription, *, now_ms: int, trace: Trace | None = None) -> None:
        """Deletes the subscription; what is on its way to it is sent no more."""
        with self._db.write() as connection:
            mine = deliveries.c.subscription_id == subscription.id
            outgoing.bury(connection, mine, "The subscription was deleted.", now_ms)
            connection.execute(erase(subscriptions).where(subscriptions.c.id == subscription.id))
            of = trace.of("subscription", subscription.uid, subscription.topic.name) if trace else None
            record(connection, of)


def hashed(token: str) -> str:
    """What is looked for in place of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _new(connection: Connection, topic: Topic, wanted: Wanted, now_ms: int) -> Any:
    many = select(func.count()).select_from(subscriptions).where(subscriptions.c.topic_id == topic.id)
    if connection.execute(many).scalar_one() >= MAX_SUBSCRIPTIONS:
        raise TooManySubscriptions(f"The topic {topic.name} has {MAX_SUBSCRIPTIONS} subscriptions: delete one first.")
    row = {
        "uid": wanted.uid,
        "topic_id": topic.id,
        "protocol": wanted.protocol,
        "endpoint": wanted.endpoint,
        "remark": wanted.remark or "",
        "status": Status.CONFIRMED if wanted.confirmed else Status.PENDING,
        "token_hash": hashed(wanted.token),
        "sealed_token": wanted.sealed,
        "owner": wanted.owner,
        "created_ms": now_ms,
        "asked_ms": now_ms,
    }
    return insert(subscriptions).values(row).returning(subscriptions)


def _renew(connection: Connection, found: Row[Any], wanted: Wanted, now_ms: int) -> Row[Any]:
    """The link keeps its secret, as one may be on its way, and is good anew."""
    values: dict[str, Any] = {} if wanted.remark is None else {"remark": wanted.remark}
    if found.status != Status.CONFIRMED:
        values["asked_ms"] = now_ms
        _turn(connection, found.id, Status.PENDING, now_ms)
    return _set(connection, found.id, **values) if values else found


def _turn(connection: Connection, subscription_id: int, status: Status, now_ms: int) -> Row[Any]:
    """The subscription's new status; what is on its way to it and does not fit that is sent no more."""
    mine = deliveries.c.subscription_id == subscription_id
    outgoing.bury(connection, mine, f"The subscription is {status} by now.", now_ms, but=FITS[status])
    return _set(connection, subscription_id, status=status)


def _ask(connection: Connection, topic: Topic, row: Row[Any], wanted: Wanted, now_ms: int) -> None:
    """One that was tried in vain, and may wait for long, is replaced by one that is tried now, and counted."""
    tries = outgoing.tries(connection, row.id)
    if tries == 0:
        return
    if tries:
        mine = deliveries.c.subscription_id == row.id
        outgoing.bury(connection, mine, "The subscription was asked for again.", now_ms)
    known = _has_confirmed(connection, topic.project_id, wanted)
    asking.refuse_too_often(connection, topic.project_id, row, known=known, now_ms=now_ms)
    said = (
        f"You are invited to subscribe to the topic {topic.name}. To confirm, visit the link within 48 hours; to get "
        "nothing from it, do nothing."
    )
    kind = Kind.SUBSCRIPTION_CONFIRMATION
    message = Message(uuid4().hex, topic.project_id, topic.name, kind, "", said)
    outgoing.send(connection, message, [row], now_ms=now_ms, until_ms=now_ms + wanted.give_up_ms)


def _has_confirmed(connection: Connection, project_id: str, wanted: Wanted) -> bool:
    """Whether the receiver has, for another topic of the project."""
    mine = (topics.c.project_id == project_id) & (subscriptions.c.status == Status.CONFIRMED)
    mine &= (subscriptions.c.protocol == wanted.protocol) & (subscriptions.c.endpoint == wanted.endpoint)
    return connection.execute(select(subscriptions.c.id).join(topics).where(mine).limit(1)).first() is not None


def _set(connection: Connection, subscription_id: int, **values: Any) -> Row[Any]:
    changed = update(subscriptions).where(subscriptions.c.id == subscription_id).values(**values)
    row = connection.execute(changed.returning(subscriptions)).one_or_none()
    if row is None:
        raise SubscriptionNotFound("The subscription was deleted just now.")
    return row


def _of_name(connection: Connection, project_id: str, name: str) -> Row[Any] | None:
    query = select(topics).where(topics.c.project_id == project_id, topics.c.name == name)
    return connection.execute(query).one_or_none()


def _of_token(connection: Connection, token: str) -> tuple[Row[Any], Topic]:
    query = select(subscriptions).where(subscriptions.c.token_hash == hashed(token))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise SubscriptionNotFound("This link belongs to no subscription: it was deleted, or the link is not whole.")
    return row, _topic(connection.execute(select(topics).where(topics.c.id == row.topic_id)).one())


def _topic(row: Row[Any]) -> Topic:
    return Topic(**{name: getattr(row, name) for name in Topic.__dataclass_fields__})


def _subscription(row: Row[Any], topic: Topic) -> Subscription:
    return Subscription(
        id=row.id,
        uid=row.uid,
        topic=topic,
        protocol=row.protocol,
        endpoint=row.endpoint,
        remark=row.remark,
        status=Status(row.status),
        owner=row.owner,
        sealed_token=row.sealed_token,
        asked_ms=row.asked_ms,
    )
