"""Finds in what Flink and the JVM wrote (stack traces, log files) what went wrong, and where it was thrown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 500
"""Of one cause; Flink's own advice can be a page long."""
MOST_CAUSES = 20
TAIL_BYTES = 256 * 1024
LONGEST_BLOCK = 2000
"""Lines of one error in a log: a stack that overflowed has 1024 frames."""

_HEAD = re.compile(r"(?:Caused by: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable|Failure)\b.*)")
_FRAME = re.compile(r"\s+at (?:[\w.$-]+(?:@[\w.-]+)?/{1,2})?([\w.$]+\.[\w$<>]+\([^()]*\))")
_BETWEEN = re.compile(r"\s+(?:at |\.\.\. \d+|Suppressed: |\[CIRCULAR)")
_PLATFORM = ("java.", "javax.", "jdk.", "sun.", "com.sun.", "scala.", "akka.", "org.apache.flink.", "org.apache.pekko.")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ")
_LOUD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?:ERROR|FATAL)\b")
_OUTCRY = re.compile(
    r"^(?:Error: (?!A fatal exception)|Error occurred|Exception in|Terminating due to|java\.lang\.OutOfMemoryError\b"
    r"|Unrecognized |Improperly specified |Conflicting |Too small |Invalid |The Java thread stack size|There is insuffi"
    r"cient memory|# +There is insufficient memory)"
)


@dataclass(frozen=True)
class Trace:
    """What a stack trace says.

    Attributes:
        causes: the exceptions, each as "class: message" in one line, outermost first; the last is the root.
        thrown_at: the first frame of the root that is neither Java's nor Flink's: "com.acme.Job.map(Job.java:12)".
    """

    causes: tuple[str, ...] = ()
    thrown_at: str = ""

    @property
    def root(self) -> str:
        """The innermost cause, "" = none."""
        return self.causes[-1] if self.causes else ""


def read(trace: str) -> Trace:
    """A Java stack trace; what is none is taken for a cause without frames."""
    found = _read(trace.splitlines())
    if found.causes or not trace.strip():
        return found
    return Trace((trace.strip().partition("\n")[0][:LONGEST],))


def root_cause(trace: str) -> str:
    """The innermost cause of a Java stack trace, with its message: "NoSuchElementException: None.get"."""
    return read(trace).root


def last_trouble(log: Path) -> Trace:
    """The last error in a log file of Flink, or in the output of a JVM; without causes if there is none."""
    lines = _tail(log)
    loud = [number for number, line in enumerate(lines) if _LOUD.match(line)]
    if loud:
        block = list(_block(lines, loud[-1]))
        found = _read(block[1:])
        return found if found.causes else Trace((block[0].split(" - ", 1)[-1].strip()[:LONGEST],))
    said = [line.strip("# \r") for line in lines if _OUTCRY.match(line)]
    # What the JVM says first is why; what follows is that it therefore does not start.
    return Trace((said[0][:LONGEST],)) if said else Trace()


def last_error(log: Path) -> str:
    """The root cause of the last error in a log file of Flink or the JVM; "" if there is none."""
    return last_trouble(log).root


def _tail(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def _block(lines: Sequence[str], start: int) -> Iterator[str]:
    """A message of the log with the lines that belong to it."""
    yield lines[start]
    for line in lines[start + 1 : start + LONGEST_BLOCK]:
        if _STAMP.match(line):
            return
        yield line


def _read(lines: Sequence[str]) -> Trace:
    causes: list[str] = []
    thrown_at = ""
    in_message = False
    for line in lines:
        head = _HEAD.fullmatch(line)
        if head is not None and (not causes or line.startswith("Caused by: ")):
            causes.append(head[1].strip()[:LONGEST])
            thrown_at, in_message = "", True
        elif _BETWEEN.match(line):
            in_message = False
            frame = _FRAME.match(line)
            if frame is not None and causes and not thrown_at and not frame[1].startswith(_PLATFORM):
                thrown_at = frame[1]
        elif in_message and line.strip():  # a message of several lines
            causes[-1] = f"{causes[-1]} {line.strip()}"[:LONGEST]
    return Trace((*causes[:1], *causes[1:][-MOST_CAUSES:]), thrown_at)
