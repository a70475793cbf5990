"""What the store of notices hands over, lists, tries anew and forgets; the courier is in test_courier.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from headrace.domain.errors import AskedTooOften, NoticeNotFound
from headrace.domain.job import JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.domain.topics import CONFIRM_MS, ONE_RECEIVER
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.notices import AT_ONCE, Listed, NoticeStore, State, new_message
from headrace.store.outgoing import Kind
from headrace.store.topics import Status, Subscription, Topic, TopicStore, Wanted

PROJECT = "0123456789abcdef0123456789abcdef"
HOUR = 3_600_000
DAY = 24 * HOUR


class Desk:
    """The stores of one home, and a clock."""

    def __init__(self, path: Path) -> None:
        self.ms = 1_790_000_000_000
        self.database = Database(path)
        self.jobs, self.topics = JobStore(self.database), TopicStore(self.database)
        self.notices = NoticeStore(self.database)

    def topic(self, name: str = "alarms") -> Topic:
        return self.topics.create(PROJECT, name, "", "ann", now_ms=self.ms)[0]

    def subscribe(self, topic: Topic, endpoint: str = "a@example.com", **more: Any) -> Subscription:
        """A subscription, which is confirmed unless ``more`` says otherwise."""
        uid = f"{len(self.topics.subscriptions(PROJECT)):032x}"
        values = {"remark": None, "confirmed": True, "give_up_ms": DAY, "protocol": "email", "owner": "ann", **more}
        wanted = Wanted(uid=uid, endpoint=endpoint, token=uid, sealed=f"sealed {uid}", **values)
        return self.topics.subscribe(topic, wanted, now_ms=self.ms)[0]

    def publish(self, topic: Topic, *, ttl_ms: int | None = None, give_up_ms: int = DAY, text: str = "m") -> None:
        expires = None if ttl_ms is None else self.ms + ttl_ms
        message = new_message(topic, "s", text, {"http": f"{text} by HTTP"}, expires_ms=expires)
        self.notices.publish(topic, message, now_ms=self.ms, until_ms=self.ms + give_up_ms, trace=None)

    def failing(self) -> None:
        """A job fails; what its topic is to be told is put on its way."""
        job = self.jobs.create(Caller(PROJECT, "ann"), JobSpec("orders", smn_topic="alarms"), now_ms=self.ms)
        job = self.jobs.move(job, Record(Phase.PREPARING, 1, first_attempt=1), now_ms=self.ms)
        self.jobs.move(job, job.record.evolve(phase=Phase.FAILED, note="out of memory"), now_ms=self.ms)
        self.send_off()

    def send_off(self) -> None:
        for owed in self.notices.owed():
            self.notices.send_off(owed, now_ms=self.ms, until_ms=self.ms + HOUR)

    def listed(self, state: State | None = None) -> list[Listed]:
        """Oldest first."""
        return self.notices.page(PROJECT, state, limit=1000, offset=0)[1][::-1]

    def kinds(self, state: State = State.WAITING) -> list[Kind]:
        return [one.kind for one in self.listed(state)]

    def retry(self, number: int) -> None:
        self.notices.retry(PROJECT, number, now_ms=self.ms, until_ms=self.ms + HOUR)

    @contextmanager
    def statements(self) -> Iterator[list[tuple[str, Any]]]:
        """All that is executed meanwhile, with its parameters."""
        found: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            found.append((statement, parameters))

        event.listen(self.database._engine, "before_cursor_execute", note)
        yield found
        event.remove(self.database._engine, "before_cursor_execute", note)

    def plan(self, statement: str, parameters: Any) -> str:
        """How SQLite would execute it."""
        with self.database.read() as connection:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(row.detail for row in rows)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    one = Desk(tmp_path / "db.sqlite")
    yield one
    one.database.close()


# -- what is handed over ------------------------------------------------------------------------------------------


def test_what_has_outlived_its_time_to_live_is_not_handed_over(desk: Desk) -> None:
    topic = desk.topic()
    to = desk.subscribe(topic).id
    desk.publish(topic, ttl_ms=3000)
    desk.publish(topic, ttl_ms=4000)
    desk.publish(topic, ttl_ms=HOUR, text="still good")
    desk.ms += 2999
    first = desk.notices.next(to, desk.ms)
    assert first is not None
    assert first.until_ms == desk.ms + 1, "and it is not tried again after that"
    desk.ms += 44_000
    found = desk.notices.next(to, desk.ms)
    assert found is not None
    assert found.message == "still good"
    dead = desk.listed(State.DEAD)
    assert [(one.attempts, one.dead_ms, one.error) for one in dead] == [(0, desk.ms, "Its time to live is over.")] * 2
    with pytest.raises(NoticeNotFound, match="its time to live is over"):
        desk.retry(dead[0].id)


def test_what_has_no_time_to_live_is_tried_once_however_late(desk: Desk) -> None:
    topic = desk.topic()
    to = desk.subscribe(topic).id
    desk.failing()
    desk.publish(topic, give_up_ms=HOUR)
    desk.ms += 30 * DAY
    late = desk.notices.next(to, desk.ms)
    assert late is not None
    assert late.until_ms < desk.ms
    assert len(desk.listed(State.WAITING)) == 2


# -- what is told to nobody ---------------------------------------------------------------------------------------


def test_what_is_published_before_anybody_has_confirmed_is_dead_and_can_be_retried(desk: Desk) -> None:
    topic = desk.topic()
    asked = desk.subscribe(topic, confirmed=False)
    desk.publish(topic, ttl_ms=HOUR // 2)
    (dead,) = desk.listed(State.DEAD)
    assert (dead.endpoint, dead.attempts, dead.error) == ("", 0, "The topic alarms has no confirmed subscription.")
    before = desk.listed()
    with pytest.raises(NoticeNotFound, match="has no confirmed subscription"):
        desk.retry(dead.id)
    assert desk.listed() == before
    desk.topics.confirm(asked.uid, now_ms=desk.ms)
    desk.subscribe(topic, "b@example.com")
    desk.retry(dead.id)
    sent = [one for one in desk.listed() if one.kind is Kind.NOTIFICATION]
    assert [(one.message_id, one.endpoint, one.state) for one in sent] == [
        (dead.message_id, "a@example.com", State.WAITING),
        (dead.message_id, "b@example.com", State.WAITING),
    ]
    assert {one.until_ms for one in sent} == {desk.ms + HOUR // 2}, "it has the time to live that it was given"
    found = desk.notices.next(asked.id, desk.ms)
    assert found is not None
    assert found.message == "m"


def test_what_was_told_to_nobody_has_no_topic_any_more(desk: Desk) -> None:
    topic = desk.topic()
    desk.publish(topic)
    desk.topics.delete(topic, now_ms=desk.ms)
    (dead,) = desk.listed()
    with pytest.raises(NoticeNotFound, match="does not exist"):
        desk.retry(dead.id)


def test_a_failure_before_anybody_has_confirmed_can_be_told_later(desk: Desk) -> None:
    topic = desk.topic()
    asked = desk.subscribe(topic, confirmed=False)
    desk.failing()
    (dead,) = desk.listed(State.DEAD)
    assert (dead.endpoint, dead.error) == ("", "The topic alarms has no confirmed subscription.")
    desk.topics.confirm(asked.uid, now_ms=desk.ms)
    desk.retry(dead.id)
    desk.send_off()
    found = desk.notices.next(asked.id, desk.ms)
    assert found is not None
    assert (found.message_id, found.subject) == (dead.message_id, "Flink job orders has failed")


# -- what is listed and kept --------------------------------------------------------------------------------------


def test_the_list_reads_no_texts(desk: Desk) -> None:
    topic = desk.topic()
    desk.subscribe(topic)
    desk.publish(topic, text="x" * 1000)
    with desk.statements() as found:
        (one,) = desk.listed()
    assert one.subject == "s"
    for statement, _ in found:
        assert not {"messages.message", "messages.variants"} & set(statement.replace(",", " ").split()), statement


def test_what_ended_is_kept_from_its_end(desk: Desk) -> None:
    topic = desk.topic()
    to = desk.subscribe(topic).id
    desk.subscribe(topic, "b@example.com")
    desk.publish(topic)
    began = desk.ms
    desk.ms += DAY
    first = desk.notices.next(to, desk.ms)
    assert first is not None
    desk.notices.delivered(first, desk.ms)
    desk.ms += DAY
    assert desk.notices.forget(desk.ms) == 0, "one waits"
    second = desk.notices.next(to + 1, desk.ms)
    assert second is not None
    desk.notices.failed(second, "refused", now_ms=desk.ms, next_ms=None)
    assert desk.notices.forget(desk.ms) == 0
    assert began < desk.ms - DAY
    assert len(desk.listed()) == 2
    assert desk.notices.forget(desk.ms + 1) == 1
    assert desk.listed() == []


def test_what_is_forgotten_locks_the_database_for_some_at_once(desk: Desk) -> None:
    topic = desk.topic()
    for _ in range(AT_ONCE + 1):
        desk.publish(topic)
    with desk.statements() as found:
        assert desk.notices.forget(desk.ms + 1) == AT_ONCE
        assert desk.notices.forget(desk.ms + 1) == 1
        assert desk.notices.forget(desk.ms + 1) == 0
    assert [statement for statement, _ in found].count("BEGIN IMMEDIATE") == 2
    assert desk.listed() == []


# -- subscriptions that begin, end and begin anew -----------------------------------------------------------------


def test_a_topic_is_deleted_at_once_however_many_have_subscribed(desk: Desk) -> None:
    """The database is locked meanwhile: so many statements as for one, and none looks at all that waits."""
    topic, other = desk.topic(), desk.topic("other")
    desk.subscribe(other, "z@example.com")
    for number in range(30):
        desk.subscribe(topic, f"{number}@example.com")
    for one in (topic, other):
        desk.publish(one)
    with desk.statements() as found:
        desk.topics.delete(topic, now_ms=desk.ms)
    assert len(found) < 10
    (bury,) = [one for one in found if one[0].startswith("UPDATE deliveries")]
    assert "waiting_of_subscription (subscription_id=?)" in desk.plan(*bury)
    dead = desk.listed(State.DEAD)
    assert [one.error for one in dead] == ["Its topic was deleted."] * 30
    assert [one.topic for one in desk.listed(State.WAITING)] == ["other"]


def test_what_waits_for_one_is_found_without_looking_at_all_that_waits(desk: Desk) -> None:
    topic = desk.topic()
    one = desk.subscribe(topic, confirmed=False)
    with desk.statements() as found:
        desk.notices.next(one.id, desk.ms)
        desk.subscribe(topic, confirmed=False)
        desk.topics.unsubscribe(one, now_ms=desk.ms)
    looks = [found for found in found if "deliveries.dead_ms IS NULL" in found[0]]
    assert len(looks) >= 3
    for look in looks:
        assert "waiting_of_subscription (subscription_id=?" in desk.plan(*look), look


def test_who_unsubscribed_and_is_subscribed_again_is_asked(desk: Desk) -> None:
    """Though the receiver was not there to be told that they have unsubscribed."""
    topic = desk.topic()
    one = desk.subscribe(topic)
    desk.publish(topic)
    desk.topics.cancel(one.uid, now_ms=desk.ms, give_up_ms=DAY)
    assert desk.kinds() == [Kind.UNSUBSCRIBE_CONFIRMATION]
    again = desk.subscribe(topic)
    assert again.status is Status.PENDING, (
        "they have canceled: not even the setting smn_auto_confirm is a yes of theirs"
    )
    assert desk.kinds() == [Kind.SUBSCRIPTION_CONFIRMATION]
    assert desk.subscribe(topic).status is Status.PENDING
    assert [found.error for found in desk.listed(State.DEAD)] == [
        "The subscription is canceled by now.",
        "The subscription is pending by now.",
    ]


def test_a_confirmation_that_was_tried_in_vain_is_sent_at_once_when_it_is_asked_for_again(desk: Desk) -> None:
    topic = desk.topic()
    one = desk.subscribe(topic, confirmed=False)
    desk.subscribe(topic, confirmed=False)
    tried = desk.notices.next(one.id, desk.ms)
    assert tried is not None
    assert len(desk.listed()) == 1, "it is on its way"
    desk.notices.failed(tried, "no answer", now_ms=desk.ms, next_ms=desk.ms + HOUR)
    assert desk.notices.next(one.id, desk.ms) is None
    desk.subscribe(topic, confirmed=False)
    now = desk.notices.next(one.id, desk.ms)
    assert now is not None
    assert (now.kind, now.attempts) == (Kind.SUBSCRIPTION_CONFIRMATION, 0)
    assert [found.error for found in desk.listed(State.DEAD)] == ["The subscription was asked for again."]


def test_asking_again_and_again_is_limited_also_while_no_try_succeeds(desk: Desk) -> None:
    topic = desk.topic()
    one = desk.subscribe(topic, confirmed=False)
    most = ONE_RECEIVER["email"][0].most
    for asked in range(1, most + 1):
        tried = desk.notices.next(one.id, desk.ms)
        assert tried is not None
        desk.notices.failed(tried, "no answer", now_ms=desk.ms, next_ms=desk.ms + HOUR)
        if asked < most:
            desk.subscribe(topic, confirmed=False)
    with pytest.raises(AskedTooOften):
        desk.subscribe(topic, confirmed=False)
    assert len(desk.kinds()) == 1, "the last one is tried on"


def test_a_confirmation_is_tried_anew_only_while_its_link_is_good(desk: Desk) -> None:
    topic = desk.topic()
    one = desk.subscribe(topic, confirmed=False)
    tried = desk.notices.next(one.id, desk.ms)
    assert tried is not None
    desk.notices.failed(tried, "no answer", now_ms=desk.ms, next_ms=None)
    asked_ms = desk.ms
    desk.ms += CONFIRM_MS - 1000
    desk.retry(tried.id)
    (waits,) = desk.listed(State.WAITING)
    assert waits.until_ms == asked_ms + CONFIRM_MS, "and not until after that"
    desk.ms += 1001
    with pytest.raises(NoticeNotFound, match="older than 48 hours"):
        desk.retry(tried.id)
    desk.subscribe(topic, confirmed=False)
    desk.retry(tried.id)


def test_who_has_confirmed_again_is_told_nothing_of_before(desk: Desk) -> None:
    topic = desk.topic()
    one = desk.subscribe(topic, confirmed=False)
    desk.topics.confirm(one.uid, now_ms=desk.ms)
    assert desk.kinds() == [], "nobody asks them any more"
    desk.topics.cancel(one.uid, now_ms=desk.ms, give_up_ms=DAY)
    desk.topics.confirm(one.uid, now_ms=desk.ms)
    assert desk.kinds() == []
    desk.publish(topic)
    desk.topics.confirm(one.uid, now_ms=desk.ms)
    assert desk.kinds() == [Kind.NOTIFICATION]


@pytest.mark.parametrize("confirmed", [True, False])
def test_subscribing_again_takes_the_remark_over(desk: Desk, *, confirmed: bool) -> None:
    topic = desk.topic()
    desk.subscribe(topic, confirmed=confirmed, remark="day shift")
    assert desk.subscribe(topic, confirmed=confirmed, remark="night shift").remark == "night shift"
    assert desk.subscribe(topic, confirmed=confirmed).remark == "night shift", "none is told: it stays"
    assert desk.subscribe(topic, confirmed=confirmed, remark="").remark == ""
    assert [one.remark for one in desk.topics.subscriptions(PROJECT)] == [""]
