"""A log on its way to a bucket: whatever happens meanwhile, each of its bytes is there once, or told to be missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.control.shipping import GONE, Mark, Rolling, Segments, ship
from headrace.domain.errors import Unavailable
from headrace.runtimes.logfiles import LogFile

DAY, NEXT_DAY = "2026-01-31", "2026-02-01"
NOON = 1_769_860_800_000
"""2026-01-31 12:00 UTC"""
HOUR = 3_600_000


class Bucket:
    """Segments as they were stored last, in the order of their days and numbers."""

    def __init__(self) -> None:
        self.segments: dict[tuple[str, int], bytes] = {}
        self.broken = False

    def put(self, mark: Mark, content: bytes) -> None:
        if self.broken:
            raise Unavailable("the bucket does not answer")
        self.segments[mark.day, mark.number] = content

    def size(self, mark: Mark) -> int | None:
        if self.broken:
            raise Unavailable("the bucket does not answer")
        content = self.segments.get((mark.day, mark.number))
        return None if content is None else len(content)

    @property
    def all(self) -> Segments:
        return Segments(self.put, self.size)

    @property
    def text(self) -> str:
        return b"".join(self.segments[key] for key in sorted(self.segments)).decode()


class Log:
    """A log file, with a beginning that can go."""

    def __init__(self, folder: Path) -> None:
        self.file = LogFile("taskmanager-1", "taskmanager.log", folder / "t.log", folder / "spool.json")
        self.file.path.touch()

    def write(self, text: str) -> None:
        with self.file.path.open("a") as file:
            file.write(text)

    def lose(self, upto: int) -> None:
        """As a keeper does it."""
        with self.file.path.open("r+b") as file:
            file.write(b"\0" * upto)
        self.file.record.write_text(json.dumps({str(self.file.path): upto}))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def ship_all(log: Log, mark: Mark, bucket: Bucket, now_ms: int = NOON, segment_bytes: int = 1 << 20) -> Mark:
    for _ in range(10_000):
        after = ship(log.file, log.file.size, mark, now_ms, bucket.all, Rolling(segment_bytes, HOUR))
        if after == mark:
            return mark
        mark = after
    raise AssertionError("it has no end")


def test_what_grows_is_taken_again_and_again(log: Log, bucket: Bucket) -> None:
    log.write("one\ntw")
    mark = ship_all(log, Mark(), bucket)
    assert bucket.text == "one\ntw"
    log.write("o\n")
    assert ship_all(log, mark, bucket) == replace(mark, end=8)
    assert bucket.segments == {(DAY, 0): b"one\ntwo\n"}


def test_an_empty_log_makes_no_object(log: Log, bucket: Bucket) -> None:
    assert ship_all(log, Mark(), bucket) == Mark()
    assert bucket.segments == {}


def test_a_full_segment_ends_with_a_whole_line(log: Log, bucket: Bucket) -> None:
    log.write("one\ntwo\nthree\nfour\n")
    ship_all(log, Mark(), bucket, segment_bytes=10)
    assert list(bucket.segments.values()) == [b"one\ntwo\n", b"three\n", b"four\n"]


def test_a_line_longer_than_a_segment(log: Log, bucket: Bucket) -> None:
    log.write("0123456789\n")
    ship_all(log, Mark(), bucket, segment_bytes=4)
    assert bucket.text == "0123456789\n"


def test_a_new_day_is_a_new_object(log: Log, bucket: Bucket) -> None:
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    tomorrow = NOON + 24 * HOUR
    assert ship_all(log, mark, bucket, tomorrow) == mark, "nothing new makes no object"
    log.write("two\n")
    ship_all(log, mark, bucket, tomorrow)
    assert bucket.segments == {(DAY, 0): b"one\n", (NEXT_DAY, 0): b"two\n"}


@pytest.mark.parametrize("later", [HOUR, -HOUR])
def test_an_old_segment_is_followed_by_another(log: Log, bucket: Bucket, later: int) -> None:
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    log.write("two\n")
    mark = ship_all(log, mark, bucket, NOON + HOUR - 1)
    log.write("three\n")
    ship_all(log, mark, bucket, NOON + later)
    assert bucket.segments == {(DAY, 0): b"one\ntwo\n", (DAY, 1): b"three\n"}


def test_a_clock_that_is_set_back_overwrites_nothing(log: Log, bucket: Bucket) -> None:
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    log.write("two\n")
    mark = ship_all(log, mark, bucket, NOON + 24 * HOUR)
    log.write("three\n")
    ship_all(log, mark, bucket, NOON)
    assert bucket.segments == {(DAY, 0): b"one\n", (NEXT_DAY, 0): b"two\n", (NEXT_DAY, 1): b"three\n"}


def test_bytes_that_are_gone_are_counted_by_a_line(log: Log, bucket: Bucket) -> None:
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    log.write("two\nthree\nfour\n")
    log.lose(9)  # in the middle of "three"
    mark = ship_all(log, mark, bucket)
    told = "[Headrace: 10 bytes of the log are missing here: they were gone before they could be written here]\n"
    assert bucket.segments == {(DAY, 0): b"one\n", (DAY, 1): f"{told}four\n".encode()}
    log.write("five\n")
    ship_all(log, mark, bucket)
    assert bucket.text == f"one\n{told}four\nfive\n"


def test_what_is_gone_but_was_taken_is_not_missed(log: Log, bucket: Bucket) -> None:
    log.write("one\ntwo\n")
    mark = ship_all(log, Mark(), bucket)
    log.lose(6)
    log.write("three\n")
    ship_all(log, mark, bucket)
    assert bucket.text == "one\ntwo\nthree\n"


def test_nothing_is_noted_of_what_could_not_be_stored(log: Log, bucket: Bucket) -> None:
    log.write("one\n")
    bucket.broken = True
    about_to = ship(log.file, log.file.size, Mark(), NOON, bucket.all, Rolling())
    with pytest.raises(Unavailable):
        ship(log.file, log.file.size, about_to, NOON, bucket.all, Rolling())
    bucket.broken = False
    ship_all(log, about_to, bucket)
    assert bucket.text == "one\n"


def test_a_loss_is_told_once(log: Log, bucket: Bucket) -> None:
    """The second line counts what went since the first one, and nothing of that."""
    log.write("one\ntwo\n")
    log.lose(2)
    mark = ship_all(log, Mark(), bucket)
    log.write("three\nfour\nfive\n")
    log.lose(15)
    ship_all(log, mark, bucket)
    told = "[Headrace: {} bytes of the log are missing here: they were gone before they could be written here]\n"
    assert bucket.text == f"{told.format(4)}two\n{told.format(11)}five\n"


def test_what_was_stored_is_not_repeated_when_its_beginning_goes(log: Log, bucket: Bucket) -> None:
    """The answer of a put was lost, and the spool passes its segment."""
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    log.write("two\n")
    mark = ship(log.file, log.file.size, mark, NOON, bucket.all, Rolling())
    ship(log.file, log.file.size, mark, NOON, bucket.all, Rolling())
    log.write("three\n")
    log.lose(6)
    bucket.broken = True
    with pytest.raises(Unavailable):
        ship(log.file, log.file.size, mark, NOON, bucket.all, Rolling())
    bucket.broken = False
    ship_all(log, mark, bucket)
    assert bucket.text == "one\ntwo\nthree\n"


def test_more_goes_than_there_was_at_the_last_look(log: Log, bucket: Bucket) -> None:
    log.write("one\ntwo\n")
    size = log.file.size
    log.write("three\nfour\n")
    log.lose(10)
    mark = ship(log.file, size, Mark(), NOON, bucket.all, Rolling())
    assert ship(log.file, size, mark, NOON, bucket.all, Rolling()) == mark, "there is nothing to take"
    ship_all(log, mark, bucket)
    assert bucket.text == f"{GONE.format(lost=14)}four\n"


times = st.integers(NOON - 30 * HOUR, NOON + 30 * HOUR)
SPOOL = 20
"""Bytes that never go: the two newest lines."""
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 9)),
        st.tuples(st.just("look"), st.just(0)),
        st.tuples(st.just("ship"), times),
        st.tuples(st.just("crash"), times),
        st.tuples(st.just("lose"), st.integers(1, 40)),
    ),
    max_size=40,
)


@settings(max_examples=800)
@given(steps)
def test_there_is_neither_a_gap_nor_a_repeat(
    tmp_path_factory: pytest.TempPathFactory, taken: list[tuple[str, int]]
) -> None:
    """A crash is one between storing a segment and noting it, or an answer that was lost. The clock may be set to any
    time. What the spool loses is counted to the byte; it may be more than there was at the last look.
    """
    log, bucket, mark, said, gone = Log(tmp_path_factory.mktemp("log")), Bucket(), Mark(), "", 0
    size = 0
    for what, value in taken:
        if what == "write":
            lines = said.count("\n")
            text = "".join(f"line {number}\n" for number in range(lines, lines + value))
            said += text
            log.write(text)
        elif what == "look":
            size = log.file.size
        elif what == "lose":
            gone = max(gone, min(gone + value, len(said) - SPOOL))
            log.lose(gone)
        else:
            after = ship(log.file, size, mark, value, bucket.all, Rolling(16, HOUR))
            mark = mark if what == "crash" else after
    ship_all(log, mark, bucket, segment_bytes=16)
    assert accounted(bucket.text, said) == len(said)


def accounted(text: str, said: str) -> int:
    """How far the text comes in what was said; it is that, but for what it tells to be missing."""
    at = 0
    for line in text.splitlines(keepends=True):
        told = re.match(r"\[Headrace: (\d+) bytes", line)
        if not told:
            assert said.startswith(line, at), f"{line!r} at {at}"
        at += int(told[1]) if told else len(line)
    return at
