"""Finds in what Flink and the JVM wrote (stack traces, log files) what went wrong, and where it was thrown."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from headrace.domain.observation import Trace

LONGEST = 500
"""Of one cause; Flink's own advice can be a page long."""
MOST_CAUSES = 20
TAIL_BYTES = 256 * 1024
LONGEST_BLOCK = 2000
"""Lines of one error in a log: a stack that overflowed has 1024 frames."""

_HEAD = re.compile(r"(?:Caused by: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable|Failure)\b.*)")
_FRAME = re.compile(r"\s+at (?:[\w.$-]+(?:@[\w.-]+)?/{1,2})?([\w.$]+\.[\w$<>]+\([^()]*\))")
_BETWEEN = re.compile(r"\s+(?:at |\.\.\. \d+|Suppressed: |\[CIRCULAR)")
_PLATFORM = (
    *("java.", "javax.", "jdk.", "sun.", "com.sun.", "scala.", "akka.", "org.apache.pekko."),
    *("org.apache.flink.", "headrace.obs."),
)
"""Whose frames are not the job's."""
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ ")
_LOUD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?:ERROR|FATAL) +(?!org\.apache\.flink\.runtime\.rest\.)")
"""What the REST handlers find wrong is a question that came too early, ours for instance: no job ends of it."""
_OUTCRY = re.compile(r"^(?:Error: |Exception in |java\.lang\.OutOfMemoryError\b)")
_NO_JVM = ("Error: Could not create the Java Virtual Machine", "Error occurred during initialization of VM")
_END = re.compile(r"^(?:Terminating due to |Aborting due to |# *A fatal error has been detected by the Java Runtime)")


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
    if not loud:
        return _of_output(lines)
    block = list(_block(lines, loud[-1]))
    found = _read(block[1:])
    return found if found.causes else Trace((block[0].split(" - ", 1)[-1].strip()[:LONGEST],))


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


def _of_output(lines: Sequence[str]) -> Trace:
    """What the JVM itself says of its end, in an output that user code may write to as well."""
    ends = [number for number, line in enumerate(lines) if _END.match(line)]
    if ends:
        report = (
            line.lstrip("# ").strip() for line in lines[ends[-1] :][: 3 if lines[ends[-1]].startswith("#") else 1]
        )
        return Trace((" ".join(filter(None, report))[:LONGEST],))
    refused = next((line.strip() for line in lines if line.startswith(_NO_JVM)), "")
    if refused:
        dull = (*_NO_JVM, "Error: A fatal exception", "WARNING: ", "OpenJDK 64-Bit Server VM warning")
        why = [line.strip() for line in lines if line.strip() and not line.startswith(dull)]
        return Trace((refused, " ".join(why)[:LONGEST]) if why else (refused,))
    said = [line.strip() for line in lines if _OUTCRY.match(line)]
    return Trace((said[-1][:LONGEST],)) if said else Trace()


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
    in_message, found = False, False
    for line in lines:
        head = _HEAD.fullmatch(line)
        if head is not None and (not causes or line.startswith("Caused by: ")):
            causes.append(head[1].strip()[:LONGEST])
            in_message, found = True, False
        elif _BETWEEN.match(line):
            in_message = False
            frame = _FRAME.match(line)
            if frame is not None and causes and not found and not frame[1].startswith(_PLATFORM):
                thrown_at, found = frame[1], True
        elif in_message and line.strip():  # a message of several lines
            causes[-1] = f"{causes[-1]} {line.strip()}"[:LONGEST]
    return Trace((*causes[:1], *causes[1:][-MOST_CAUSES:]), thrown_at)
