"""What the processes of a deployment said before they ended: in their logs, their output, and Flink's archive."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.observation import FlinkJob, FlinkState, LostTaskManager, Trace
from headrace.flink import application
from headrace.flink.command import Layout
from headrace.flink.stacktrace import last_trouble
from headrace.runtimes.processes import Kept

OUT_OF_MEMORY = 3
"""Exit code of ``-XX:+ExitOnOutOfMemoryError``: the JVM's last words are in its output."""

ENDING = "The TaskExecutor is shutting down"
"""What Flink says of a job whose TaskManager ends in order: it was asked to, or its code has called System.exit()."""


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


def unsettled(flink: FlinkJob | None, lost: tuple[LostTaskManager, ...]) -> bool:
    """Whether Flink has given the job up because a TaskManager is ending, and nobody knows yet how that ends. It is
    known in a moment; or else the JobManager's own end comes, which is judged without it.
    """
    if flink is None or flink.state is not FlinkState.FAILED or lost:
        return False
    return any(ENDING in cause for cause in (*flink.trace.causes, flink.failure))
