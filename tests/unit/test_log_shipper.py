"""Logs on their way to buckets: where each comes to lie, what hinders it, and when nothing is left to do."""

from __future__ import annotations

import functools
import json
import logging
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace.control.logs import AT_ONCE, STEPS_AT_A_TURN, LogShipper
from headrace.control.shipping import GONE, Rolling
from headrace.domain.errors import ObjectNotFound, StoreSilent, Unavailable
from headrace.domain.job import JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.flink.command import Layout
from headrace.objects.base import ObjectInfo
from headrace.runtimes import logfiles
from headrace.runtimes.processes import boot_id
from headrace.store import database as store
from headrace.store import journal
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.journal import Kind
from tests.unit.site import until

AT_MS = 1_790_000_000_000  # 2026-09-21
DAY = "2026-09-21"


class Place:
    """A job with the folder of its first attempt, a bucket, and the shipper between them."""

    def __init__(self, home: Path) -> None:
        home.mkdir(exist_ok=True)
        self.database = Database(home / "headrace.db")
        self.jobs = JobStore(self.database)
        self.deployments = home / "deployments"
        self.job_id = self.jobs.create(Caller("p", "u"), JobSpec("j"), now_ms=AT_MS).id
        self.layout = Layout(self.deployments / f"job-{self.job_id}-1")
        self.layout.log.mkdir(parents=True)
        self.bucket: dict[str, bytes] = {}
        self.hindrance = self.answer_lost = ""
        self.move(Phase.PREPARING, "Attempt 1 begins.")
        self.shipper = LogShipper(
            lambda: logfiles.all_owed(self.deployments), self.put, self.jobs, lambda: AT_MS, period_s=1
        )

    def put(self, bucket: str, key: str, content: bytes) -> None:
        if self.hindrance:
            raise Unavailable(self.hindrance)
        self.bucket[f"{bucket}/{key}"] = content
        if self.answer_lost:
            raise Unavailable(self.answer_lost)

    def head(self, bucket: str, key: str) -> ObjectInfo:
        content = self.bucket.get(f"{bucket}/{key}")
        if content is None:
            raise ObjectNotFound(key)
        return ObjectInfo(key, len(content), AT_MS)

    def move(self, phase: Phase, note: str = "") -> None:
        record = Record(phase, attempt=1, first_attempt=1, note=note)
        self.jobs.move(self.jobs.get(self.job_id), record, now_ms=AT_MS)

    def wanted(self, bucket: str = "b") -> None:
        logfiles.want(self.layout, bucket)

    def log(self, name: str, text: str) -> None:
        with (self.layout.log / name).open("a") as file:
            file.write(text)

    def process(self, role: str, *, ended: bool) -> None:
        folder = self.layout.role(role)
        folder.mkdir(exist_ok=True)
        identity = {"pid": 1 if not ended else 2**22, "start_time": 0, "boot_id": boot_id()}
        if ended:
            (folder / "exit.json").write_text(json.dumps({"code": -9, "error": "", "at": 1.0}))
        (folder / "process.json").write_text(json.dumps({**identity, "at": 0.5, "keeper": identity}))

    def gone(self) -> None:
        (self.layout.folder / "gone").write_text("{}")

    def told(self) -> list[str]:
        return [entry.note for entry in self.jobs.history(self.job_id) if entry.kind is Kind.LOGS]

    def submission(self) -> str:
        """All of the submission log that is in the bucket."""
        name = f"b/jobs/logs/{self.job_id}/submit-client/attempt-1.log"
        parts = [name, *(f"{name}.{number}" for number in range(1, 100))]
        return b"".join(self.bucket.get(part, b"") for part in parts).decode()

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.jobs.tell(self.job_id, f"line {number}", Kind.NOTICE, AT_MS)

    def owed(self) -> list[str]:
        return [one.name for one in logfiles.all_owed(self.deployments)]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.database.close()


def test_each_log_lies_by_job_day_and_process(place: Place) -> None:
    place.wanted()
    place.process("jobmanager", ended=True)
    place.process("taskmanager-1", ended=True)
    for name in ("jobmanager.log", "jobmanager.out", "jobmanager-gc.log", "taskmanager-1.log"):
        place.log(name, f"{name}\n")
    place.shipper.round()
    job, attempt = f"b/jobs/logs/{place.job_id}", f"{DAY}/attempt-1"
    assert set(place.bucket) == {
        f"{job}/submit-client/attempt-1.log",
        f"{job}/{attempt}-jobmanager/jobmanager.log",
        f"{job}/{attempt}-jobmanager/jobmanager.out",
        f"{job}/{attempt}-jobmanager/gc.log",
        f"{job}/{attempt}-jobmanager/exit.json",
        f"{job}/{attempt}-taskmanager-1/taskmanager.log",
        f"{job}/{attempt}-taskmanager-1/exit.json",
    }
    assert place.bucket[f"{job}/{attempt}-taskmanager-1/taskmanager.log"] == b"taskmanager-1.log\n"
    assert b"preparing Attempt 1 begins." in place.bucket[f"{job}/submit-client/attempt-1.log"]


def test_without_log_enabled_nothing_leaves_the_machine(place: Place) -> None:
    place.wanted("")
    place.log("jobmanager.log", "one\n")
    place.shipper.round()
    assert place.bucket == {}
    assert place.owed() == []


def test_it_goes_on_until_all_has_ended_and_is_told(place: Place) -> None:
    place.wanted()
    place.process("jobmanager", ended=True)
    place.log("jobmanager.log", "one\n")
    place.shipper.round()
    assert place.owed()
    place.gone()
    place.shipper.round()
    assert place.owed(), "the job's story is not told to its end"
    place.move(Phase.FAILED, "It was killed.")
    place.log("jobmanager.log", "two\n")
    place.shipper.round()
    assert place.owed() == []
    job = f"b/jobs/logs/{place.job_id}"
    assert place.bucket[f"{job}/{DAY}/attempt-1-jobmanager/jobmanager.log"] == b"one\ntwo\n"
    assert place.bucket[f"{job}/submit-client/attempt-1.log"].endswith(b"failed It was killed.\n")


def test_what_hinders_it_is_told_once_and_tried_again(place: Place) -> None:
    place.wanted()
    place.log("jobmanager.log", "one\n")
    for segment in ("", " for .1", " for .2"):
        place.hindrance = f"the bucket is full{segment}"
        place.shipper.round()
    assert place.told() == ["Logs are not written to b at the moment: the bucket is full"]
    place.hindrance = ""
    place.shipper.round()
    assert [content for key, content in place.bucket.items() if key.endswith("jobmanager.log")] == [b"one\n"]


def test_another_shipper_goes_on_where_one_was_killed(place: Place) -> None:
    place.wanted()
    place.log("jobmanager.log", "one\n")
    place.shipper.round()
    key = next(key for key in place.bucket if key.endswith("jobmanager.log"))
    (place.layout.log / "jobmanager.log").write_text("one\ntwo\n")
    del place.bucket[key]
    LogShipper(lambda: logfiles.all_owed(place.deployments), place.put, place.jobs, lambda: AT_MS, period_s=1).round()
    assert place.bucket[key] == b"one\ntwo\n", "the segment is written whole"


def test_a_deleted_jobs_folder_waits_for_its_logs(place: Place) -> None:
    place.wanted()
    place.gone()
    assert logfiles.awaited(place.layout, 3600)
    assert not logfiles.awaited(place.layout, 0), "not for ever"
    (place.layout.folder / "logs.done").touch()
    assert not logfiles.awaited(place.layout, 3600)


def test_one_whose_records_are_damaged_keeps_nobody_waiting(place: Place) -> None:
    first = Layout(place.deployments / "job-0-1")
    first.log.mkdir(parents=True)
    logfiles.want(first, "b")
    first.role("jobmanager").mkdir()
    (first.role("jobmanager") / "process.json").write_text('{"pid": 1}')
    place.wanted()
    place.log("jobmanager.log", "one\n")
    logfiles.bound_unkept(place.deployments)
    place.shipper.round()
    assert b"one\n" in place.bucket.values()


def test_what_hinders_the_search_ends_no_thread(place: Place) -> None:
    def broken() -> list[logfiles.Logged]:
        raise PermissionError(13, "not allowed")

    LogShipper(broken, place.put, place.jobs, lambda: AT_MS, period_s=1).round()


def test_a_slow_bucket_does_not_keep_other_jobs_from_theirs(tmp_path: Path) -> None:
    slow, quick = Place(tmp_path / "slow"), Place(tmp_path / "quick")
    answers = threading.Event()

    def put(bucket: str, key: str, content: bytes) -> None:
        if bucket == "slow":
            assert answers.wait(60)
        quick.bucket[f"{bucket}/{key.rpartition('/')[2]}"] = content

    def there(text: str) -> bool:
        return quick.bucket.get("quick/jobmanager.log", b"").endswith(text.encode())

    for name, place in (("slow", slow), ("quick", quick)):
        place.wanted(name)
    slow.log("jobmanager.log", "slow\n")
    shipper = shipper_of([slow, quick], put)
    shipper.start()
    for text in ("one\n", "two\n", "three\n"):  # not in one look alone
        quick.log("jobmanager.log", text)
        until(functools.partial(there, text))
    assert "slow/jobmanager.log" not in quick.bucket
    quick.log("jobmanager.log", "four\n")
    answers.set()
    shipper.stop(60)
    assert quick.bucket["quick/jobmanager.log"] == b"one\ntwo\nthree\nfour\n"
    assert quick.bucket["slow/jobmanager.log"] == b"slow\n"
    for place in (slow, quick):
        place.database.close()


def test_who_is_taken_at_the_end_is_visited_once_more(place: Place) -> None:
    """What it wrote since its turn began is not left behind."""
    taken, answers = threading.Event(), threading.Event()

    def put(bucket: str, key: str, content: bytes) -> None:
        taken.set()
        assert answers.wait(60)
        place.put(bucket, key, content)

    place.wanted()
    place.log("jobmanager.log", "one\n")
    shipper = shipper_of([place], put)
    shipper.start()
    assert taken.wait(60)
    place.log("jobmanager.log", "two\n")
    ending = threading.Thread(target=shipper.stop, args=(60,))
    ending.start()
    until(shipper._stopping.is_set)
    answers.set()
    ending.join(60)
    assert b"one\ntwo\n" in place.bucket.values()


def test_at_the_end_a_silent_storage_is_asked_once_by_each(place: Place) -> None:
    asked = []

    def silent(bucket: str, key: str, content: bytes) -> None:
        asked.append((bucket, key, content))
        raise StoreSilent("too slow")

    for number in range(1, 3 * AT_ONCE + 1):
        layout = Layout(place.deployments / f"job-{number}-1")
        layout.log.mkdir(parents=True, exist_ok=True)
        (layout.log / "jobmanager.log").write_text("one\n")
        logfiles.want(layout, "b")
    shipper = shipper_of([place], silent)
    shipper.round()
    assert len(asked) == 3 * AT_ONCE
    shipper.stop()
    shipper.round()
    assert len(asked) == 4 * AT_ONCE


def shipper_of(places: list[Place], put: Callable[[str, str, bytes], None], **other: object) -> LogShipper:
    """One shipper for the jobs of several homes; what it has to tell is told to the first one's."""

    def logged() -> Iterator[logfiles.Logged]:
        return (one for place in places for one in logfiles.all_owed(place.deployments))

    return LogShipper(logged, put, places[0].jobs, lambda: AT_MS, **{"period_s": 0.01, **other})  # type: ignore[arg-type]


def test_a_log_that_grows_while_it_is_taken_is_put_once_in_a_round(tmp_path: Path) -> None:
    prints, other = Place(tmp_path / "prints"), Place(tmp_path / "other")
    puts: Counter[str] = Counter()

    def put(bucket: str, key: str, content: bytes) -> None:
        if key.endswith("jobmanager.log"):
            puts[bucket] += 1
            assert puts[bucket] < 100, "it is put again and again"
        other.bucket[f"{bucket}/{key.rpartition('/')[2]}"] = content
        if bucket == "prints":
            prints.log("jobmanager.log", "more\n")

    for name, place in (("prints", prints), ("other", other)):
        place.wanted(name)
        place.log("jobmanager.log", "one\n")
    shipper = shipper_of([prints, other], put)
    shipper.round()
    assert puts == {"prints": 1, "other": 1}
    other.log("jobmanager.log", "two\n")
    shipper.round()
    assert puts == {"prints": 2, "other": 2}
    assert other.bucket["other/jobmanager.log"] == b"one\ntwo\n"
    for place in (prints, other):
        place.database.close()


def test_at_the_end_what_there_was_is_taken_and_no_more(place: Place) -> None:
    puts: list[bytes] = []
    late: list[bytes] = []

    def put(bucket: str, key: str, content: bytes) -> None:
        if key.endswith("jobmanager.log"):
            puts.append(content)
            if shipper._stopping.is_set():
                late.append(content)
                place.log("jobmanager.log", "newer\n")
            assert len(late) < 100, "it has no end"

    place.wanted()
    place.log("jobmanager.log", "one\n")
    shipper = shipper_of([place], put)
    shipper.start()
    until(lambda: len(puts) == 1)
    place.log("jobmanager.log", "two\n")
    shipper.stop(60)
    assert not shipper._thread.is_alive()
    assert puts[-1].startswith(b"one\ntwo\n")
    assert len(late) <= 2, "of the round that was cut short, and of the last one"


def test_a_backlog_is_taken_whole_at_the_end(place: Place) -> None:
    lines = "".join(f"{number}\n" for number in range(1000))
    place.wanted()
    place.log("jobmanager.log", lines)
    shipper = shipper_of([place], place.put, rolling=Rolling(segment_bytes=64))
    shipper.stop()
    shipper.round()
    assert sum(len(content) for key, content in place.bucket.items() if "jobmanager.log" in key) == len(lines)


def test_who_has_a_backlog_lets_others_have_their_turn(tmp_path: Path) -> None:
    """As many as are taken at once have a backlog; one more has a line, and comes last."""
    places = [Place(tmp_path / str(number)) for number in range(AT_ONCE + 1)]
    written = threading.Event()
    puts: Counter[str] = Counter()

    def put(bucket: str, key: str, content: bytes) -> None:
        if "jobmanager.log" not in key:
            return
        puts[bucket] += 1
        if bucket == str(AT_ONCE):
            written.set()
        elif puts[bucket] > STEPS_AT_A_TURN:
            assert written.wait(20), "the last one has no turn"

    for number, place in enumerate(places):
        place.wanted(str(number))
        place.log("jobmanager.log", "a line\n" * (1 if number == AT_ONCE else 40))
    shipper_of(places, put, rolling=Rolling(segment_bytes=16)).round()
    assert puts == {**{str(number): 20 for number in range(AT_ONCE)}, str(AT_ONCE): 1}
    for place in places:
        place.database.close()


def test_a_database_that_takes_nothing_ends_no_thread(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program holds the journal, so that not even the hindrance can be told."""
    monkeypatch.setattr(store, "BUSY_TIMEOUT_MS", 20)
    caplog.set_level(logging.WARNING)
    place.database._engine.dispose()
    place.wanted()
    place.log("jobmanager.log", "one\n")
    place.hindrance = "the bucket is full"
    shipper = shipper_of([place], place.put)
    with closing(sqlite3.connect(place.database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        shipper.round()
        shipper.start()
        until(lambda: caplog.text.count("cannot be told in its journal") >= 3)
        other.execute("ROLLBACK")
    until(lambda: place.told() == ["Logs are not written to b at the moment: the bucket is full"])
    place.hindrance = ""
    until(lambda: b"one\n" in place.bucket.values())
    shipper.stop(60)


def test_an_unforeseen_error_ends_no_thread(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    asked: list[int] = []

    def logged() -> Iterator[logfiles.Logged]:
        asked.append(1)
        if len(asked) < 3:
            raise ValueError("nobody thought of that")
        return logfiles.all_owed(place.deployments)

    place.wanted()
    place.log("jobmanager.log", "one\n")
    shipper = LogShipper(logged, place.put, place.jobs, lambda: AT_MS, period_s=0.01)
    shipper.start()
    until(lambda: b"one\n" in place.bucket.values())
    shipper.stop(60)
    assert caplog.text.count("the search for logs") == 2


def test_a_folder_that_is_no_processs_keeps_nobody_waiting(place: Place) -> None:
    place.wanted()
    (place.layout.folder / "taskmanager-x").mkdir()
    (place.layout.folder / "taskmanager-").mkdir()
    place.log("jobmanager.log", "one\n")
    place.shipper.round()
    assert b"one\n" in place.bucket.values()


@pytest.mark.parametrize("stored", [True, False])
def test_whether_an_answer_was_lost_or_a_segment_is_asked_when_it_cannot_be_written_again(
    place: Place, stored: bool
) -> None:
    place.wanted()
    place.log("jobmanager.log", "one\ntwo\nthree\n")
    place.hindrance, place.answer_lost = ("", "too late") if stored else ("the bucket is full", "")
    shipper = shipper_of([place], place.put, head=place.head)
    shipper.round()
    place.hindrance = place.answer_lost = ""
    log = place.layout.log / "jobmanager.log"
    (place.layout.role("jobmanager")).mkdir()
    (place.layout.role("jobmanager") / "spool.json").write_text(json.dumps({str(log): 6}))
    place.log("jobmanager.log", "four\n")
    shipper.round()
    text = b"".join(place.bucket[key] for key in sorted(place.bucket) if "jobmanager.log" in key).decode()
    if stored:
        assert text == "one\ntwo\nthree\nfour\n"
    else:
        assert text == f"{GONE.format(lost=8)}three\nfour\n"
    lost = [note for note in place.told() if "were gone before" in note]
    assert len(lost) == (0 if stored else 1)


@pytest.mark.parametrize("at_a_time", [1, 3, 7])
def test_the_submission_log_keeps_what_the_journal_forgets(
    place: Place, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    monkeypatch.setattr(journal, "JOURNAL_LINES", 10)
    place.wanted()
    numbers = range(63)
    for begin in numbers[::at_a_time]:
        place.say(*numbers[begin : begin + at_a_time])
        place.shipper.round()
        shipper = LogShipper(
            lambda: logfiles.all_owed(place.deployments), place.put, place.jobs, lambda: AT_MS, period_s=1
        )
        shipper.round()
    assert len(place.jobs.history(place.job_id)) == 10
    told = place.submission().splitlines()
    assert "Attempt 1 begins." in told[0]
    assert [line.rpartition(" ")[2] for line in told[1:]] == [str(number) for number in numbers]


def test_what_the_journal_forgot_before_it_was_taken_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "JOURNAL_LINES", 10)
    place.wanted()
    place.shipper.round()
    for begin in (0, 20, 22):
        place.say(*range(begin, {0: 20, 20: 22, 22: 23}[begin]))
        place.shipper.round()
    told = place.submission().splitlines()
    assert "Attempt 1 begins." in told[0]
    assert told[1] == "[Headrace: lines may be missing here: the journal of a job keeps its newest 10]"
    assert [line.rpartition(" ")[2] for line in told[2:]] == [str(number) for number in range(10, 23)]


def test_an_older_headraces_submission_log_stays(place: Place) -> None:
    place.wanted()
    place.shipper.round()
    shipped = place.layout.folder / logfiles.SHIPPED
    last = place.jobs.last_event(place.job_id)
    shipped.write_text(json.dumps({"submission.log": {"event": last}}))
    place.say(1)
    place.shipper.round()
    assert place.submission().count("\n") == 2
    assert place.submission().endswith("line 1\n")


def test_without_a_bucket_what_goes_is_told_once(place: Place) -> None:
    place.process("jobmanager", ended=True)
    for name in ("jobmanager.log", "jobmanager.out"):
        place.log(name, "one\n")
    for gone in (1, 3):
        record = {str(place.layout.log / "jobmanager.out"): gone}
        (place.layout.role("jobmanager") / "spool.json").write_text(json.dumps(record))
        place.shipper.round()
    (told,) = place.told()
    assert told.startswith("The first 1 bytes of jobmanager/jobmanager.out are gone, and more will go")
    assert place.bucket == {}
    assert place.owed(), "another log may follow"
    place.gone()
    place.move(Phase.FAILED, "It was killed.")
    place.shipper.round()
    assert place.owed() == []
    assert place.told() == [told]
