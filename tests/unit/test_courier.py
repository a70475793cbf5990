"""The courier over real channels and real receivers: at least once, with one id, whoever says no and whatever dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import pytest

from headrace.control import courier, lanes
from headrace.control.courier import Courier, Tries
from headrace.control.lanes import LATE, QUICK
from headrace.domain.errors import NoticeNotFound, Unavailable
from headrace.domain.job import Job, JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.notify import connection
from headrace.notify.base import Channel, Delivery
from headrace.settings import Settings
from headrace.store import notices
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.journal import Kind
from headrace.store.notices import Listed, Notice, NoticeStore, State, new_message
from headrace.store.topics import Status, Topic, TopicStore, Wanted
from tests.support.notices import SIGNER, TRIES, courier_of, deliver_all
from tests.support.people import VAULT
from tests.support.promises import promise
from tests.support.receivers import HttpReceiver, Misdeed, SmtpReceiver, is_authentic

PROJECT = "0123456789abcdef0123456789abcdef"


class Killed(BaseException):
    """Headrace ends here; nothing that it would have done next is done."""


class Stand:
    """The stores of one home, and a courier that may be killed and begun anew."""

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home = home
        self.settings = settings
        self.ms = 1_790_000_000_000
        self.kill_at = ""
        self.open()

    def open(self) -> None:
        self.database = Database(self.home / "db.sqlite")
        self.jobs, self.topics = JobStore(self.database), TopicStore(self.database)
        self.notices = NoticeStore(self.database)
        self.courier: Courier = courier_of(self.settings, self.notices, lambda: self.ms, step=self._step)

    def again(self) -> None:
        """Another process on the same home."""
        self.database.close()
        self.kill_at = ""
        self.open()

    def _step(self, name: str) -> None:
        if name == self.kill_at:
            raise Killed(name)

    def topic(self, name: str = "alarms") -> Topic:
        return self.topics.create(PROJECT, name, "", "ann", now_ms=self.ms)[0]

    def subscribe(self, topic: Topic, protocol: str, endpoint: str, *, confirmed: bool = True) -> int:
        uid = f"{len(self.topics.subscriptions(PROJECT)):032x}"
        token = f"secret of {uid}"
        sealed = VAULT.seal(token, f"subscription {uid}")
        give_up = TRIES.give_up_ms
        wanted = Wanted(uid, protocol, endpoint, "", "ann", token, sealed, confirmed=confirmed, give_up_ms=give_up)
        return self.topics.subscribe(topic, wanted, now_ms=self.ms)[0].id

    def failing(self, topic: str = "alarms", cause: str = "out of memory") -> Job:
        """A job whose run fails."""
        spec = JobSpec(
            "orders" if topic == "alarms" else topic, queue_name="q", entrypoint="obs://b/a.jar", smn_topic=topic
        )
        job = self.jobs.create(Caller(PROJECT, "ann"), spec, now_ms=self.ms)
        job = self.jobs.move(job, Record(Phase.PREPARING, 1, first_attempt=1), now_ms=self.ms)
        return self.jobs.move(job, job.record.evolve(phase=Phase.FAILED, note=cause), now_ms=self.ms)

    def timeout(self, seconds: float) -> None:
        """Receivers have so long from now on."""
        settings = self.settings.model_copy(update={"notice_timeout_seconds": seconds})
        self.courier.channels = courier_of(settings, self.notices, lambda: self.ms).channels

    def publish(self, topic: Topic) -> None:
        message, until_ms = new_message(topic, "s", "m", {}), self.ms + 3_600_000
        self.notices.publish(topic, message, now_ms=self.ms, until_ms=until_ms, trace=None)

    def tried(self) -> list[Listed]:
        return [one for one in self.notices.page(PROJECT, None, limit=100, offset=0)[1] if one.attempts]

    def states(self) -> list[tuple[str, State]]:
        return [(one.protocol, one.state) for one in self.notices.page(PROJECT, None, limit=100, offset=0)[1]]

    def journal(self, job: Job) -> list[str]:
        return [line.note for line in self.jobs.history(job.id) if line.kind is Kind.NOTICE]


@pytest.fixture
def stand(tmp_path: Path, smtp: SmtpReceiver) -> Iterator[Stand]:
    mail = {"smtp_host": "127.0.0.1", "smtp_port": smtp.port, "smtp_from": "h@example.com", "smtp_security": "none"}
    one = Stand(tmp_path, Settings(home=tmp_path, **mail))  # type: ignore[arg-type]
    yield one
    one.database.close()


@promise("A notice of a failure reaches each subscriber, however often it is refused first, with the cause inside.")
def test_a_receiver_that_refuses_three_times_gets_it_once(stand: Stand, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", f"{http.url}/hook")
    stand.subscribe(topic, "email", "ann@example.com")
    http.answers.extend([500, 503, 404])
    job = stand.failing()
    waits = []
    for _ in range(4):
        deliver_all(stand.courier)
        waiting = stand.notices.page(PROJECT, State.WAITING, limit=9, offset=0)[1]
        waits += [one.next_ms - stand.ms for one in waiting]
        stand.ms = max([stand.ms, *(one.next_ms for one in waiting)])
    assert waits == [1000, 2000, 4000]
    assert sorted(stand.states()) == [("email", State.DELIVERED), ("http", State.DELIVERED)]
    assert len({post.body["message_id"] for post in http.posts}) == 1
    assert [len(http.posts), len(smtp.mails)] == [4, 1]
    body = http.posts[-1].body
    assert body["subject"] == "Flink job orders has failed"
    assert "out of memory" in body["message"]
    assert f"job_id: {job.id}" in body["message"]
    assert body["topic_urn"] == f"urn:smn:headrace:{PROJECT}:alarms"
    assert is_authentic(body, SIGNER.certificate_pem)
    assert smtp.mails[0]["X-SMN-MESSAGE-ID"] == body["message_id"]
    assert "out of memory" in smtp.mails[0].get_content()
    assert stand.journal(job) == []
    stand.ms += 10**9
    assert deliver_all(stand.courier) == 0


@promise("Killed between a failure and its notice, Headrace tells it after the next start.")
def test_killed_before_the_delivery_it_is_delivered_after_the_next_start(stand: Stand, http: HttpReceiver) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    stand.failing()
    stand.again()  # nothing was put on its way
    stand.kill_at = "before deliver"
    with pytest.raises(Killed):
        deliver_all(stand.courier)
    assert http.posts == []
    stand.again()
    assert deliver_all(stand.courier) == 1
    assert [len(http.posts), *stand.states()] == [1, ("http", State.DELIVERED)]


@promise("A notice is repeated only if Headrace dies between the receiver's yes and its own note, with the same id.")
def test_killed_between_the_yes_and_the_note_the_repeat_has_the_same_id(stand: Stand, http: HttpReceiver) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    stand.failing()
    stand.kill_at = "after deliver"
    with pytest.raises(Killed):
        deliver_all(stand.courier)
    assert stand.states() == [("http", State.WAITING)]
    stand.again()
    assert deliver_all(stand.courier) == 1
    assert deliver_all(stand.courier) == 0
    first, second = http.posts
    assert first.body == second.body
    assert first.headers["X-SMN-MESSAGE-ID"] == second.headers["X-SMN-MESSAGE-ID"]


class Full:
    """A disk that is full so many times when a yes is to be written."""

    def __init__(self, stand: Stand, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = times
        self._write = stand.notices.delivered
        monkeypatch.setattr(stand.notices, "delivered", self.delivered)

    def delivered(self, notice: Notice, now_ms: int) -> None:
        if self.times:
            self.times -= 1
            raise Unavailable("the disk is full")
        self._write(notice, now_ms)


@promise("While a receiver's yes cannot be written, it is not sent the same again.")
def test_a_yes_that_cannot_be_written_is_not_asked_for_again(
    stand: Stand, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    Full(stand, 3, monkeypatch)
    stand.subscribe(stand.topic(), "http", http.url)
    stand.failing()
    at = stand.ms
    for _ in range(3):
        with pytest.raises(Unavailable):
            deliver_all(stand.courier)
        stand.ms += 1000
    assert deliver_all(stand.courier) == 1
    (one,) = stand.tried()
    assert (len(http.posts), one.state, one.attempts, one.delivered_ms) == (1, State.DELIVERED, 1, at)
    assert stand.courier._taken == {}


def test_a_yes_is_written_though_it_was_given_up_meanwhile(
    stand: Stand, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its threads: nobody serves that notice any more."""
    full = Full(stand, 1_000_000, monkeypatch)
    stand.subscribe(topic := stand.topic(), "http", http.url)
    stand.publish(topic)
    with pytest.raises(Unavailable):
        deliver_all(stand.courier)
    stand.topics.unsubscribe(stand.topics.subscriptions(PROJECT)[0], now_ms=stand.ms)
    assert stand.states() == [("http", State.DEAD)]
    stand.courier.start()
    full.times = 0
    until(lambda: stand.states() == [("http", State.DELIVERED)])
    stand.courier.stop()
    assert (len(http.posts), stand.courier._taken) == (1, {})


def test_it_is_put_on_its_way_whole_or_not_at_all(stand: Stand, http: HttpReceiver) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", f"{http.url}/1")
    stand.subscribe(topic, "http", f"{http.url}/2")
    stand.failing()
    with stand.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON deliveries WHEN NEW.subscription_id = 2 "
            "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    stand.courier.look()
    assert stand.states() == []
    assert len(stand.notices.owed()) == 1
    with stand.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER broken")
    stand.ms += 1000
    assert deliver_all(stand.courier) == 2
    assert len(stand.notices.owed()) == 0


@promise("A notice that cannot be put on its way holds up none of the others, and is tried again.")
def test_a_row_that_cannot_be_put_on_its_way_holds_up_nobody(
    stand: Stand, http: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    stand.subscribe(stand.topic(), "http", f"{http.url}/1")
    stand.subscribe(stand.topic("other"), "http", f"{http.url}/2")
    stand.failing()
    with stand.database.write() as connection:
        (body,) = connection.exec_driver_sql("SELECT body FROM outbox").one()
        connection.exec_driver_sql("UPDATE outbox SET body = '{}'")
    stand.failing("other")
    assert deliver_all(stand.courier) == 1
    assert [post.path for post in http.posts] == ["/2"]
    (bad,) = stand.notices.owed()
    assert deliver_all(stand.courier) == 0
    told = f"the row {bad} of the outbox cannot be put on its way"
    assert caplog.text.count(told) == 1, "it is not tried at each look"
    for wait_ms in (1000, 2000):
        stand.ms += wait_ms - 1
        deliver_all(stand.courier)
        stand.ms += 1
        deliver_all(stand.courier)
    assert caplog.text.count(told) == 3
    with stand.database.write() as connection:
        connection.exec_driver_sql("UPDATE outbox SET body = ? WHERE id = ?", (body, bad))
    stand.ms += 4000
    assert deliver_all(stand.courier) == 1
    assert [post.path for post in http.posts] == ["/2", "/1"]


class Broken:
    """A channel with a fault of its own in it, until it is mended."""

    protocols = frozenset({"http"})

    def __init__(self, mended: Channel) -> None:
        self.mended = mended
        self.faults = 3

    def check(self, endpoint: str) -> None:
        self.mended.check(endpoint)

    def deliver(self, delivery: Delivery) -> None:
        if delivery.message == "bad" and self.faults:
            self.faults -= 1
            raise ValueError(delivery.message)
        self.mended.deliver(delivery)


@promise("A fault of Headrace's own counts as a try: no notice is tried for ever, and none waits behind it.")
def test_a_fault_in_a_channel_is_a_try_that_failed(
    stand: Stand, http: HttpReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", http.url)
    stand.courier.channels = {"http": Broken(stand.courier.channels["http"])}
    for text in ("bad", "good"):
        message, until_ms = new_message(topic, "", text, {}), stand.ms + 3_600_000
        stand.notices.publish(topic, message, now_ms=stand.ms, until_ms=until_ms, trace=None)
    assert deliver_all(stand.courier) == 2
    assert [post.body["message"] for post in http.posts] == ["good"]
    (waits,) = stand.notices.page(PROJECT, State.WAITING, limit=9, offset=0)[1]
    assert (waits.attempts, waits.next_ms) == (1, stand.ms + 1000)
    assert waits.error == "Internal error of Headrace; its log says more."
    assert "ValueError: bad" in caplog.text
    for wait_ms in (1000, 2000, 4000):
        stand.ms += wait_ms
        assert deliver_all(stand.courier) == 1
    assert [post.body["message"] for post in http.posts] == ["good", "bad"]


def test_a_fault_that_stays_is_given_up(stand: Stand) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", "http://127.0.0.1:9/")
    stand.courier.channels = {"http": (broken := Broken(stand.courier.channels["http"]))}
    broken.faults = 99
    message = new_message(topic, "", "bad", {})
    stand.notices.publish(topic, message, now_ms=stand.ms, until_ms=stand.ms + 2500, trace=None)
    for _ in range(3):
        deliver_all(stand.courier)
        stand.ms += 4000
    assert stand.states() == [("http", State.DEAD)]
    assert broken.faults == 97


def test_a_topic_that_has_gone_is_a_dead_letter_and_can_be_retried(stand: Stand, http: HttpReceiver) -> None:
    job = stand.failing()
    deliver_all(stand.courier)
    (dead,) = stand.notices.page(PROJECT, State.DEAD, limit=9, offset=0)[1]
    assert (dead.endpoint, dead.error) == ("", "The topic alarms does not exist.")
    assert "Nobody was told" in stand.journal(job)[0]
    stand.subscribe(stand.topic(), "http", http.url)
    stand.notices.retry(PROJECT, dead.id, now_ms=stand.ms, until_ms=stand.ms + 1)
    assert deliver_all(stand.courier) == 1
    assert http.posts[0].body["message_id"] == dead.message_id
    assert stand.states() == [("http", State.DELIVERED)]


def test_a_topic_without_subscribers_is_told_in_the_journal(stand: Stand) -> None:
    stand.subscribe(stand.topic(), "http", "http://127.0.0.1:9/", confirmed=False)
    stand.topics.unsubscribe(stand.topics.subscriptions(PROJECT)[0], now_ms=stand.ms)
    job = stand.failing()
    deliver_all(stand.courier)
    why = "The topic alarms has no confirmed subscription."
    assert stand.journal(job) == [f"Nobody was told: {why} Have one confirmed and retry (headrace notices)."]


def test_what_is_refused_for_good_or_for_too_long_is_dead(stand: Stand, http: HttpReceiver) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    http.answers.append(410)
    job = stand.failing()
    deliver_all(stand.courier)
    (dead,) = stand.notices.page(PROJECT, None, limit=9, offset=0)[1]
    assert (dead.state, dead.attempts) == (State.DEAD, 1)
    told = f"A subscriber by http was not told. Administrators see why: headrace notices, id {dead.id}."
    assert stand.journal(job) == [told], "who sees the job need not know who has subscribed"
    assert "127.0.0.1" in dead.error
    stand.notices.retry(PROJECT, dead.id, now_ms=stand.ms, until_ms=stand.ms + 2500)
    http.answers.extend([500] * 9)
    for _ in range(3):
        deliver_all(stand.courier)
        stand.ms += 4000
    (dead,) = stand.notices.page(PROJECT, State.DEAD, limit=9, offset=0)[1]
    assert dead.attempts == 2
    assert "500" in dead.error


def test_a_slow_receiver_makes_nobody_else_wait(stand: Stand, http: HttpReceiver) -> None:
    """With its threads: two subscriptions, of which one hangs until the other one has its notice."""
    with HttpReceiver() as slow:
        slow.answers.append("hang")
        topic = stand.topic()
        stand.subscribe(topic, "http", slow.url)
        stand.subscribe(topic, "http", http.url)
        stand.courier.start()
        stand.failing()
        stand.courier.wake()
        until(lambda: bool(http.posts) and ("http", State.DELIVERED) in stand.states())
        assert ("http", State.WAITING) in stand.states()
        slow.released.set()
    stand.courier.stop()


@promise("Receivers that hang, however many, make nobody wait whose receiver answers.")
@pytest.mark.parametrize("before", ["unconfirmed", "vanish", "endless"])
def test_many_that_hang_make_nobody_else_wait(
    stand: Stand,
    http: HttpReceiver,
    monkeypatch: pytest.MonkeyPatch,
    before: Literal["unconfirmed", "vanish", "endless"],
) -> None:
    """More of them than there are workers: they are asked to confirm, or did not answer before, or took long to."""
    monkeypatch.setattr(connection, "POLITE_SECONDS", 0.3)
    monkeypatch.setattr(courier, "SLOW_S", 0.2)
    monkeypatch.setattr(courier, "FORGET_PERIODS", 1)
    forgets: list[int] = []

    def forget(before_ms: int) -> int:
        forgets.append(before_ms)
        return 0

    monkeypatch.setattr(stand.notices, "forget", forget)
    many = 3 * (QUICK + LATE)
    stand.timeout(120)
    with HttpReceiver() as slow:
        topic, other = stand.topic(), stand.topic("other")
        for number in range(many):
            stand.subscribe(topic, "http", f"{slow.url}/{number}", confirmed=before != "unconfirmed")
        stand.subscribe(other, "http", http.url)
        if before != "unconfirmed":
            slow.answers.extend([before] * many)
            stand.publish(topic)
            stand.courier.start()
            until(lambda: len(stand.tried()) == many)
            looks = len(forgets)
            until(lambda: len(forgets) > looks + 2)  # in which nothing is due
            stand.ms += 1000
        before_that = len(slow.posts)
        hanging: list[Misdeed] = ["hang"] * (2 * many)
        slow.answers.extend(hanging)
        stand.publish(topic)
        if before == "unconfirmed":
            stand.courier.start()
        stand.courier.wake()
        until(lambda: len(slow.posts) >= before_that + LATE)
        stand.publish(other)
        stand.courier.wake()
        until(lambda: bool(http.posts))
        assert len(slow.posts) == before_that + LATE, "all others wait behind these"
        slow.answers.clear()
        slow.released.set()
        stand.courier.stop()


def test_whoever_was_late_is_forgotten_only_if_they_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "REMEMBERED", 3)
    some = lanes.Lanes()
    for item in (1, 2, 3, 1, 4, 5):  # 1 is late again
        some.begin(item)
        some.end(item, well=False)
    some.end(5, well=None)
    assert list(some._are_late) == [1, 4, 5]
    some.end(4, well=True)
    assert list(some._are_late) == [1, 5]


@promise("Receivers that hang do not keep Headrace from ending: they are told after the next start.")
def test_it_ends_though_all_receivers_hang(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.timeout(120)
    with HttpReceiver() as slow:
        topic = stand.topic()
        many = QUICK + LATE
        slow.answers.extend(["hang"] * many)
        for number in range(many):
            stand.subscribe(topic, "http", f"{slow.url}/{number}")
            if number < LATE:
                stand.courier._lanes.end(number + 1, well=False)
        stand.publish(topic)
        stand.courier.start()
        until(lambda: len(slow.posts) == many)
        waits = note_waits(stand.courier._threads, monkeypatch)
        stand.courier.stop(timeout_s=1)
        assert len(waits) == many + 1
        assert sum(waits[1:]) < 1, "the first was waited for as long as all may take"
        assert stand.states() == [("http", State.WAITING)] * many
        slow.released.set()
        for thread in stand.courier._threads:
            threading.Thread.join(thread)


def note_waits(threads: list[threading.Thread], monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each of them is waited for, at most; filled while it is."""
    waits: list[float] = []

    def join(thread: threading.Thread, timeout: float) -> None:
        waits.append(timeout)
        threading.Thread.join(thread, timeout)

    for thread in threads:
        monkeypatch.setattr(thread, "join", partial(join, thread))
    return waits


def test_links_confirm_and_cancel(stand: Stand, http: HttpReceiver) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", http.url, confirmed=False)
    assert deliver_all(stand.courier) == 1
    body = http.posts[0].body
    assert body["type"] == "SubscriptionConfirmation"
    assert is_authentic(body, SIGNER.certificate_pem)
    link, _, token = body["subscribe_url"].partition("?token=")
    assert link == "http://testserver/smn/subscription/confirm"
    stand.failing()
    assert deliver_all(stand.courier) == 0, "nobody is sent anything who has not confirmed"
    assert stand.topics.confirm(token, now_ms=stand.ms).status is Status.CONFIRMED
    stand.notices.publish(topic, new_message(topic, "s", "m", {}), now_ms=stand.ms, until_ms=stand.ms, trace=None)
    assert deliver_all(stand.courier) == 1
    assert http.posts[1].body["unsubscribe_url"].endswith(token)
    stand.topics.cancel(token, now_ms=stand.ms, give_up_ms=1000)
    assert deliver_all(stand.courier) == 1
    assert http.posts[2].body["type"] == "UnsubscribeConfirmation"
    assert http.posts[2].body["subscribe_url"].endswith(token)


def test_old_notices_are_forgotten_but_not_those_that_wait(stand: Stand, http: HttpReceiver) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", http.url)
    http.answers.append(500)
    for _ in range(2):
        stand.notices.publish(topic, new_message(topic, "", "m", {}), now_ms=stand.ms, until_ms=stand.ms, trace=None)
    stand.courier.look()
    stand.courier.deliver_next(1)
    assert stand.notices.forget(stand.ms + 1) == 1
    assert stand.states() == [("http", State.WAITING)]


@promise("However much there is to be forgotten, notices go out in between.")
def test_notices_go_out_while_many_are_forgotten(
    stand: Stand, http: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "AT_ONCE", 2)
    nobody, topic = stand.topic("nobody"), stand.topic()
    stand.subscribe(topic, "http", http.url)
    for _ in range(6):
        stand.publish(nobody)
    stand.ms += TRIES.kept_ms + 1
    left: list[int] = []
    forget = stand.notices.forget

    def forget_and_alarm(before_ms: int) -> int:
        """With the second turn a job fails; the third does not begin before its notice has arrived."""
        if len(left) == 2:
            until(lambda: bool(http.posts))
        forgotten = forget(before_ms)
        if len(left) == 1:
            stand.failing()
        left.append(len(stand.states()))
        return forgotten

    monkeypatch.setattr(stand.notices, "forget", forget_and_alarm)
    stand.courier.start()
    until(lambda: len(left) == 4)
    stand.courier.stop()
    assert left == [4, 2, 1, 1]


def test_what_the_outbox_has_told_is_forgotten_with_its_message(stand: Stand, http: HttpReceiver) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    http.answers.append(500)
    stand.failing()
    deliver_all(stand.courier)
    stand.notices.forget(stand.ms + 1)
    assert len(stand.jobs.notices()) == 1, "it waits"
    stand.ms += 1000
    deliver_all(stand.courier)
    assert [stand.notices.forget(stand.ms + 1) for _ in range(3)] == [1, 1, 0]
    assert (stand.jobs.notices(), stand.states()) == ([], [])


@pytest.mark.parametrize("ahead_ms", [-86_400_000, 7_200_000, 10**11])
def test_a_clock_that_was_wrong_stops_no_notice(stand: Stand, http: HttpReceiver, ahead_ms: int) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    stand.ms += ahead_ms
    stand.failing()
    http.answers.append(500)
    deliver_all(stand.courier)
    stand.ms -= ahead_ms
    assert deliver_all(stand.courier) == 1
    assert stand.states() == [("http", State.DELIVERED)]


def test_who_has_unsubscribed_is_sent_no_old_notice(stand: Stand, http: HttpReceiver) -> None:
    stand.subscribe(stand.topic(), "http", http.url)
    http.answers.append(500)
    stand.failing()
    deliver_all(stand.courier)
    token = http.posts[0].body["unsubscribe_url"].partition("?token=")[2]
    stand.topics.cancel(token, now_ms=stand.ms, give_up_ms=1000)
    (dead,) = stand.notices.page(PROJECT, State.DEAD, limit=9, offset=0)[1]
    with pytest.raises(NoticeNotFound, match="its subscription is canceled by now"):
        stand.notices.retry(PROJECT, dead.id, now_ms=stand.ms, until_ms=stand.ms + 1)
    stand.topics.confirm(token, now_ms=stand.ms)
    stand.notices.retry(PROJECT, dead.id, now_ms=stand.ms, until_ms=stand.ms + 1)


def test_a_secret_that_cannot_be_opened_is_told_and_holds_up_nobody(stand: Stand, http: HttpReceiver) -> None:
    topic = stand.topic()
    stand.subscribe(topic, "http", f"{http.url}/1")
    stand.subscribe(topic, "http", f"{http.url}/2")
    with stand.database.write() as connection:
        connection.exec_driver_sql("UPDATE subscriptions SET sealed_token = 'of another key' WHERE id = 1")
    stand.failing()
    assert deliver_all(stand.courier) == 2
    (waits,) = stand.notices.page(PROJECT, State.WAITING, limit=9, offset=0)[1]
    assert (waits.attempts, waits.next_ms) == (1, stand.ms + 1000)
    assert "another key file" in waits.error
    assert len(http.posts) == 1


def test_the_wait_doubles_up_to_an_hour() -> None:
    tries = Tries(first_ms=5000, give_up_ms=0, kept_ms=0)
    assert [tries.wait_ms(attempts) for attempts in (1, 2, 3, 10, 20, 10_000)] == [
        5000,
        10_000,
        20_000,
        2_560_000,
        3_600_000,
        3_600_000,
    ]


def until(look: object) -> None:
    from tests.support.server import wait_until

    wait_until("it is so", look, 60)  # type: ignore[arg-type]
