"""Brings notices to whoever subscribed: from the outbox to deliveries, from deliveries to channels.

Each is delivered at least once. That a receiver said yes is written down after it did: if Headrace ends between the
two, the receiver is sent the same message again, with the same id; while it only cannot be written, it is remembered.
One delivery per subscription at a time, and those that do not answer have workers of their own (``lanes.py``), so that
a receiver that is slow makes nobody else wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Protocol

from headrace.control.lanes import LATE, QUICK, Lanes
from headrace.control.workqueue import WorkQueue
from headrace.domain.errors import HeadraceError, HomeUnusable
from headrace.domain.notices import LONGEST_WAIT_MS
from headrace.domain.topics import CONFIRM, UNSUBSCRIBE, Urn, token_context
from headrace.notify.base import Channel, Delivery, MessageKind, Undelivered
from headrace.store.database import Step, no_step
from headrace.store.notices import Notice, NoticeStore
from headrace.store.outgoing import Kind

log = logging.getLogger(__name__)

PERIOD_S = 1.0
"""At least so often it is looked for what is due."""
FORGET_PERIODS = 3600
"""Forgetting what is old begins at the start and at every so-manieth look; then some at each look, until all is."""
SLOW_S = 3.0
"""Whose yes takes longer is served apart from those who answer, as if it had said none."""
OWN_FAULT = "Internal error of Headrace; its log says more."
"""Why a notice was not delivered, if nobody foresaw it."""


class Said(Enum):
    """What a receiver said."""

    YES = "yes"
    SLOWLY = "yes, after a while"
    NO = "no"
    """Or not in time, or there was no way to it."""
    NOTHING = "nothing"
    """Nothing was due to it."""


class Elsewhere(Protocol):
    """An SMN beside this server, which has the topics that jobs name."""

    def topic_urn(self, name: str) -> str | None:
        """The URN of its topic of this name, None if there is none; raises Undelivered."""
        ...

    def publish(self, urn: str, subject: str, message: str, message_id: str) -> str:
        """Returns when it has taken the message; raises Undelivered."""
        ...


@dataclass(frozen=True)
class Tries:
    """How often is tried, in milliseconds.

    Attributes:
        first_ms: from the first try to the second; then twice as long each time.
        give_up_ms: from a notice's beginning to its end.
        kept_ms: how long what was delivered or is dead is kept.
    """

    first_ms: int
    give_up_ms: int
    kept_ms: int

    def wait_ms(self, attempts: int) -> int:
        """How long to wait after so many tries that failed."""
        return int(min(self.first_ms * 2 ** min(attempts - 1, 30), LONGEST_WAIT_MS))


@dataclass
class _HeldUp:
    """Rows of the outbox that could not be put on their way: (how often, when again), by id."""

    _rows: dict[int, tuple[int, int]] = field(default_factory=dict)

    def rest(self, owed: Iterable[int], now_ms: int) -> list[int]:
        """Those of them that are to be tried now, in their order. What is owed no more is forgotten."""
        all_owed = list(owed)
        self._rows = {row: self._rows[row] for row in all_owed if row in self._rows}
        return [row for row in all_owed if not 0 < self._rows.get(row, (0, 0))[1] - now_ms <= LONGEST_WAIT_MS]

    def failed(self, row: int, now_ms: int, tries: Tries) -> None:
        """It could not be put on its way again."""
        failures = self._rows.get(row, (0, 0))[0] + 1
        self._rows[row] = failures, now_ms + tries.wait_ms(failures)


@dataclass(frozen=True)
class _Taken:
    """A yes that is not written yet: while that fails, the receiver is not to get the same again and again."""

    notice: Notice
    at_ms: int
    said: Said


@dataclass
class Courier:
    """Some workers, and a thread that looks for what is due.

    Attributes:
        channels: protocol -> how to deliver by it.
        unseal: (sealed token, context) -> the secret that the links of a subscription hold.
        region: part of the URNs of topics.
        base_url: under which the links of messages reach this server; set when that is known.
        elsewhere, elsewhere_url: the external SMN, if notices of jobs go to one.
        step: is told "before deliver" and "after deliver", for tests that end Headrace there.
    """

    notices: NoticeStore
    channels: Mapping[str, Channel]
    unseal: Callable[[str, str], str]
    now_ms: Callable[[], int]
    tries: Tries
    region: str
    base_url: str
    elsewhere: Elsewhere | None = None
    elsewhere_url: str = ""
    step: Step = no_step
    _held_up: _HeldUp = field(default_factory=_HeldUp)
    _taken: dict[int, _Taken] = field(default_factory=dict)  # by the id of the delivery; one per subscription, or few
    _lanes: Lanes = field(default_factory=Lanes)
    _woken: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def wake(self) -> None:
        """Something may be due now; a lost call costs one period."""
        self._woken.set()

    def start(self) -> None:
        """Begins."""
        quick, late = partial(self._work, self._lanes.quick), partial(self._work, self._lanes.late)
        loops: list[Callable[[], None]] = [quick] * QUICK + [late] * LATE + [self._look_again_and_again]
        for number, loop in enumerate(loops):
            thread = threading.Thread(target=loop, name=f"courier-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 5.0) -> None:
        """Ends, after so many seconds at most; what no receiver has answered by then is tried after the next start."""
        self._stopping.set()
        self._woken.set()
        self._lanes.close()
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            log.info("notices: some receivers have not answered; they are sent the same after the next start")

    def _look_again_and_again(self) -> None:
        looks, forgotten = 0, 0
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                due = self.look()
                asked = self.notices.asked() if due else frozenset()
                for subscription_id in due:
                    self._lanes.sweep(subscription_id, late=subscription_id in asked)
                self.write_down()
                begins = forgotten or looks % FORGET_PERIODS == 0
                forgotten = 0  # also if it fails now
                if begins:
                    forgotten = self.notices.forget(self.now_ms() - self.tries.kept_ms)
            except HeadraceError as error:
                log.warning("notices: %s", error)
            except Exception:
                log.exception("notices: the look failed")
            looks += 1
            self._woken.wait(0 if forgotten else PERIOD_S)

    def _work(self, lane: WorkQueue) -> None:
        while (subscription_id := lane.take()) is not None:
            said: Said | None = Said.NOTHING
            if self._lanes.begin(subscription_id):
                said = self._serve(subscription_id)
            if said is Said.YES:
                lane.add(subscription_id)  # there may be more for it
            lane.done(subscription_id, failed=said is None)
            if said is Said.SLOWLY:
                self._lanes.sweep(subscription_id)  # likewise, but apart from the others

    def _serve(self, subscription_id: int) -> Said | None:
        """What its receiver said; None: it could not be looked after."""
        said = None
        try:
            said = self.deliver_next(subscription_id)
        except HeadraceError as error:
            log.warning("subscription %d: %s", subscription_id, error)
        except Exception:
            log.exception("subscription %d: not served", subscription_id)
        finally:
            self._lanes.end(subscription_id, well=None if said in (None, Said.NOTHING) else said is Said.YES)
        return said

    def look(self) -> list[int]:
        """Puts what is owed on its way; the subscriptions to which something is due."""
        external = None if self.elsewhere is None else self.elsewhere_url
        for owed in self._held_up.rest(self.notices.owed(), self.now_ms()):
            now = self.now_ms()
            try:
                self.notices.send_off(owed, now_ms=now, until_ms=now + self.tries.give_up_ms, external=external)
            except HeadraceError:
                raise  # the database, and so for all
            except Exception:  # one that cannot be put on its way holds up none of the others
                log.exception("notices: the row %d of the outbox cannot be put on its way", owed)
                self._held_up.failed(owed, now, self.tries)
        return self.notices.due(self.now_ms())

    def deliver_next(self, subscription_id: int) -> Said:
        """Tries the oldest that is due to this subscription, once."""
        notice = self.notices.next(subscription_id, self.now_ms())
        if notice is None:
            return Said.NOTHING
        taken = self._taken.get(notice.id)
        if taken is None:
            self.step("before deliver")
            began = time.monotonic()
            try:
                self._hand_over(notice)
            except Undelivered as error:
                self._failed(notice, error)
                return Said.NO
            except Exception:  # what is not counted would be tried for ever, and hold up what comes after it
                log.exception("notice %s: not handed over by %s", notice.message_id, notice.protocol)
                self._failed(notice, Undelivered(OWN_FAULT))
                return Said.NO
            said = Said.YES if time.monotonic() - began <= SLOW_S else Said.SLOWLY
            taken = self._taken[notice.id] = _Taken(notice, self.now_ms(), said)
            self.step("after deliver")
        self._write_down(taken)
        return taken.said

    def write_down(self) -> None:
        """Writes each yes that could not be written; also of what was given up meanwhile, and is served no more."""
        for taken in list(self._taken.values()):
            self._write_down(taken)

    def _write_down(self, taken: _Taken) -> None:
        notice = taken.notice
        self.notices.delivered(notice, taken.at_ms)
        if self._taken.pop(notice.id, None) is not None:
            log.info("notice %s: delivered by %s", notice.message_id, notice.protocol)

    def _failed(self, notice: Notice, error: Undelivered) -> None:
        now = self.now_ms()
        again = now + self.tries.wait_ms(notice.attempts + 1)
        dead = error.final or again > notice.until_ms
        self.notices.failed(notice, error.reason, now_ms=now, next_ms=None if dead else again)
        log.warning(
            "notice %s: %s by %s: %s", notice.message_id, "dead" if dead else "not yet", notice.protocol, error.reason
        )

    def _hand_over(self, notice: Notice) -> None:
        """Returns when the receiver said yes; raises Undelivered."""
        if not notice.subscription_id:
            self._publish_elsewhere(notice)
            return
        channel = self.channels.get(notice.protocol)
        if channel is None:
            raise Undelivered(f"This server has no way to deliver by {notice.protocol}.", final=True)
        channel.deliver(self._delivery(notice))

    def _publish_elsewhere(self, notice: Notice) -> None:
        if self.elsewhere is None:
            raise Undelivered("The setting smn_endpoint named an external SMN, and names none now.", final=True)
        urn = self.elsewhere.topic_urn(notice.topic)
        if urn is None:
            raise Undelivered(f"The topic {notice.topic} does not exist at {self.elsewhere_url}.", final=True)
        self.elsewhere.publish(urn, notice.subject, notice.message, notice.message_id)

    def _delivery(self, notice: Notice) -> Delivery:
        try:
            token = self.unseal(notice.sealed_token, token_context(notice.subscription_uid))
        except HomeUnusable as error:  # one that cannot be opened holds up none of the others
            raise Undelivered(str(error)) from error
        topic = Urn(self.region, notice.project_id, notice.topic)
        notification = notice.kind is Kind.NOTIFICATION
        return Delivery(
            message_id=notice.message_id,
            kind=MessageKind(notice.kind),
            topic_urn=str(topic),
            subject=notice.subject,
            message=notice.message,
            created_ms=notice.created_ms,
            protocol=notice.protocol,
            endpoint=notice.endpoint,
            subscribe_url="" if notification else f"{self.base_url}{CONFIRM}?token={token}",
            unsubscribe_url=f"{self.base_url}{UNSUBSCRIBE}?token={token}" if notification else "",
            subscription_urn=f"{topic}:{notice.subscription_uid}",
        )
