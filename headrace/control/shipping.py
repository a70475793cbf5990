"""Takes one log to a bucket while it grows. An object cannot be added to, so a log becomes segments: the newest one is
written anew with each addition until it is full, old enough, or of yesterday.

That a segment is about to be written is noted before, and how far it is after that. So after a crash it is written
once more, with the same bytes or more of them: there is neither a gap nor a repeat. If its beginning is gone by then,
its size tells how far it came. Bytes that were gone before they could be taken are told in the segment that follows, by
a line with their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from headrace.runtimes.logfiles import LogFile

GONE = "[Headrace: {lost} bytes of the log are missing here: they were gone before they could be written here]\n"
_PEEK = 64 << 10


@dataclass(frozen=True)
class Rolling:
    """When a segment is over and the next one begins.

    Attributes:
        segment_bytes: it has so many bytes, or less by its last line.
        segment_ms: it was begun so long ago, in milliseconds.
    """

    segment_bytes: int = 4 << 20
    segment_ms: int = 3_600_000


@dataclass(frozen=True)
class Mark:
    """How far one log is.

    Attributes:
        day: of the present segment, yyyy-mm-dd.
        number: of the present segment within its day, from 0.
        begin: offset of the present segment's first byte.
        end: offset behind the last byte that is in the bucket.
        lost: bytes that are missing before ``begin``.
        writing: the segment may be in the bucket with more than is noted.
        begun_ms: when the present segment was begun, epoch milliseconds.
    """

    day: str = ""
    number: int = 0
    begin: int = 0
    end: int = 0
    lost: int = 0
    writing: bool = False
    begun_ms: int = 0


@dataclass(frozen=True)
class Segments:
    """The segments of one log in its bucket.

    Attributes:
        put: stores one, in place of what it was; raises HeadraceError.
        size: its bytes as it is there, None = it is not there; raises HeadraceError.
    """

    put: Callable[[Mark, bytes], None]
    size: Callable[[Mark], int | None]


def ship(file: LogFile, size: int, mark: Mark, now_ms: int, segments: Segments, rolling: Rolling) -> Mark:
    """Takes at most one segment; the mark as it is then. Nothing is left when it does not change.

    Args:
        size: so much of the log is taken, though it may grow, and lose its beginning, meanwhile; never less than in an
            earlier call.
        now_ms: the wall clock, epoch milliseconds.
        segments: at most one is stored.

    Raises:
        Unavailable and what ``segments`` raise: nothing has changed then.
    """
    gone = file.gone
    if not mark.writing:
        return _opened(file, size, mark, now_ms, rolling) if size > mark.end else mark
    if gone > mark.begin:
        return _behind(file, _as_stored(mark, size, segments), gone)
    content = file.read(mark.begin, min(size, mark.begin + rolling.segment_bytes))
    if file.gone > mark.begin:
        return _behind(file, _as_stored(mark, size, segments), file.gone)  # they went while we read
    full = len(content) == rolling.segment_bytes
    content = content[: content.rfind(b"\n") + 1] or content if full else content
    segments.put(mark, _head(mark) + content)
    end = mark.begin + len(content)
    return Mark(mark.day, mark.number + 1, end, end) if full else replace(mark, end=end, writing=False)


def _opened(file: LogFile, size: int, mark: Mark, now_ms: int, rolling: Rolling) -> Mark:
    """The segment that is to be written next."""
    day = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y-%m-%d")
    day = max(day, mark.day)  # a clock that was set back must not lead to objects that are there already
    if mark.day and day != mark.day:
        mark = Mark(day, 0, mark.end, mark.end, 0 if mark.end > mark.begin else mark.lost)
    elif mark.end > mark.begin and not mark.begun_ms <= now_ms < mark.begun_ms + rolling.segment_ms:
        mark = Mark(day, mark.number + 1, mark.end, mark.end)
    if file.gone > mark.begin:
        mark = _behind(file, mark, file.gone)
        if mark.begin >= size:  # all that there was is gone
            return mark
    begun_ms = mark.begun_ms if mark.end > mark.begin else now_ms
    return replace(mark, day=mark.day or day, writing=True, begun_ms=begun_ms)


def _head(mark: Mark) -> bytes:
    return GONE.format(lost=mark.lost).encode() if mark.lost else b""


def _as_stored(mark: Mark, size: int, segments: Segments) -> Mark:
    """The mark of a segment that cannot be written once more, with all that is in the bucket: it may be there though
    its answer was lost.
    """
    stored = segments.size(mark)
    end = mark.end if stored is None else mark.begin + stored - len(_head(mark))
    return replace(mark, end=end) if mark.end < end <= size else mark


def _behind(file: LogFile, mark: Mark, gone: int) -> Mark:
    """The present segment's beginning is gone, so it stays as it is; the next one begins with a whole line."""
    number = mark.number + (mark.end > mark.begin or mark.writing)
    if gone <= mark.end:
        return Mark(mark.day, number, mark.end, mark.end)
    begin = gone + file.read(gone, gone + _PEEK).find(b"\n") + 1
    untold = 0 if mark.end > mark.begin else mark.lost  # one that is there has told what is missing before it
    return Mark(mark.day, number, begin, begin, untold + begin - mark.end)
