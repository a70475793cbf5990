"""A log on its way to a bucket: whatever happens meanwhile, each of its bytes is there once, or told to be missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.control import shipping
from headrace.control.shipping import Mark, ship
from headrace.domain.errors import Unavailable
from headrace.runtimes.logfiles import LogFile

DAY, NEXT_DAY = "2026-01-31", "2026-02-01"


class Bucket:
    """Segments as they were stored last, in the order of their days and numbers."""

    def __init__(self) -> None:
        self.segments: dict[tuple[str, int], bytes] = {}
        self.broken = False

    def put(self, mark: Mark, content: bytes) -> None:
        if self.broken:
            raise Unavailable("the bucket does not answer")
        self.segments[mark.day, mark.number] = content

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


def ship_all(log: Log, mark: Mark, bucket: Bucket, day: str = DAY) -> Mark:
    while True:
        after = ship(log.file, mark, day, bucket.put)
        if after == mark:
            return mark
        mark = after


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


def test_a_full_segment_ends_with_a_whole_line(log: Log, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "SEGMENT_BYTES", 10)
    log.write("one\ntwo\nthree\nfour\n")
    ship_all(log, Mark(), bucket)
    assert list(bucket.segments.values()) == [b"one\ntwo\n", b"three\n", b"four\n"]


def test_a_line_longer_than_a_segment(log: Log, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "SEGMENT_BYTES", 4)
    log.write("0123456789\n")
    ship_all(log, Mark(), bucket)
    assert bucket.text == "0123456789\n"


def test_a_new_day_is_a_new_object(log: Log, bucket: Bucket) -> None:
    log.write("one\n")
    mark = ship_all(log, Mark(), bucket)
    assert ship_all(log, mark, bucket, NEXT_DAY) == mark, "nothing new makes no object"
    log.write("two\n")
    ship_all(log, mark, bucket, NEXT_DAY)
    assert bucket.segments == {(DAY, 0): b"one\n", (NEXT_DAY, 0): b"two\n"}


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
    about_to = ship(log.file, Mark(), DAY, bucket.put)
    with pytest.raises(Unavailable):
        ship(log.file, about_to, DAY, bucket.put)
    bucket.broken = False
    ship_all(log, about_to, bucket)
    assert bucket.text == "one\n"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 9)),
        st.tuples(st.just("ship"), st.sampled_from((DAY, NEXT_DAY))),
        st.tuples(st.just("crash"), st.sampled_from((DAY, NEXT_DAY))),
    ),
    max_size=30,
)


@given(steps)
def test_there_is_neither_a_gap_nor_a_repeat(
    tmp_path_factory: pytest.TempPathFactory, taken: list[tuple[str, object]]
) -> None:
    """A crash is one between storing a segment and noting it."""
    log, bucket, mark, lines, day = Log(tmp_path_factory.mktemp("log")), Bucket(), Mark(), 0, DAY
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(shipping, "SEGMENT_BYTES", 16)
        for what, value in taken:
            if what == "write":
                assert isinstance(value, int)
                log.write("".join(f"line {number}\n" for number in range(lines, lines + value)))
                lines += value
                continue
            day = max(day, str(value))  # time goes on
            after = ship(log.file, mark, day, bucket.put)
            mark = mark if what == "crash" else after
        ship_all(log, mark, bucket, day)
    assert bucket.text == "".join(f"line {number}\n" for number in range(lines))
