"""What the processes of a deployment said before they ended: in their logs, their output, and Flink's archive."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.observation import Trace
from headrace.flink import application
from headrace.flink.command import Layout
from headrace.flink.stacktrace import last_trouble
from headrace.runtimes.processes import Kept

OUT_OF_MEMORY = 3
"""Exit code of ``-XX:+ExitOnOutOfMemoryError``: the JVM's last words are in its output."""


def of_jobmanager(layout: Layout, kept: Kept) -> tuple[Trace, Path]:
    """What it said, without causes if nothing, and the file to look at."""
    told = application.trouble(layout.archive)
    if told.causes and not kept.error:
        return told, layout.log / "jobmanager.log"
    return of_process(layout, "jobmanager", kept)


def of_process(layout: Layout, role: str, kept: Kept) -> tuple[Trace, Path]:
    """The same of any process."""
    log, out = layout.log / f"{role}.log", layout.log / f"{role}.out"
    if kept.error:
        return Trace((kept.error,)), log
    for source in (out, log) if kept.code == OUT_OF_MEMORY else (log, out):
        found = last_trouble(source)
        if found.causes:
            return found, source
    return Trace(), log
