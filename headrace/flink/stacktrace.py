"""Finds the root cause in what Flink wrote: stack traces and log files."""

from __future__ import annotations

import os
import re
from pathlib import Path

LONGEST = 500
TAIL_BYTES = 256 * 1024

_HEAD = re.compile(r"^(?:Caused by: )?((?:[\w$]+\.)+[\w$]*(?:Exception|Error|Throwable|Failure)\b.*)$")
_OUTCRY = re.compile(r"^(?:Error|Exception in|Terminating due to|java\.lang\.OutOfMemoryError)\b")
_LOUD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?:ERROR|FATAL)\b")


def root_cause(trace: str) -> str:
    """The innermost cause of a Java stack trace, with the message that wraps it: "NoSuchElementException: None.get"."""
    causes = [match[1].strip() for line in trace.splitlines() if (match := _HEAD.match(line.strip()))]
    return causes[-1][:LONGEST] if causes else trace.strip().partition("\n")[0][:LONGEST]


def last_error(log: Path) -> str:
    """The root cause of the last error in a log file of Flink or the JVM; "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    loud = [number for number, line in enumerate(lines) if _LOUD.match(line)]
    if loud:
        block = lines[loud[-1] : loud[-1] + 200]
        causes = [match[1] for line in block if (match := _HEAD.match(line.strip()))]
        if causes:
            return causes[-1].strip()[:LONGEST]
        return block[0].split(" - ", 1)[-1].strip()[:LONGEST]
    said = [line.strip() for line in lines if _OUTCRY.match(line)]
    return said[-1][:LONGEST] if said else ""
