"""Flink's documents -> what the domain wants to know of a job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headrace.domain.observation import TERMINAL, FlinkJob, FlinkState
from headrace.flink import stacktrace

TROUBLED = frozenset({FlinkState.FAILING, FlinkState.FAILED, FlinkState.RESTARTING})


def fold(jobs: Sequence[FlinkJob]) -> FlinkJob | None:
    """Several ``execute()`` calls of one main() as one job: the one that is not done speaks, else the worst end."""
    if not jobs:
        return None
    running = [job for job in jobs if job.state not in TERMINAL]
    worst = [job for state in (FlinkState.FAILED, FlinkState.CANCELED) for job in jobs if job.state is state]
    speaker = (running or worst or list(jobs))[-1]
    return FlinkJob(
        state=speaker.state,
        tasks_running=speaker.tasks_running,
        ever_ran=any(job.ever_ran for job in jobs),
        restarts=sum(job.restarts for job in jobs),
        failure=speaker.failure,
        restored=speaker.restored,
        own=speaker.own,
        own_strategy=speaker.own_strategy,
        trace=speaker.trace,
        failed_on=speaker.failed_on,
    )


def tasks_run(state: FlinkState, tasks: dict[str, int]) -> bool:
    """Whether every task of the job runs now. In batch mode later stages are CREATED until the first has ended: what
    counts is that nothing is on its way.
    """
    on_their_way = sum(tasks.get(name, 0) for name in ("scheduled", "deploying", "initializing"))
    return state is FlinkState.RUNNING and tasks["running"] + tasks["finished"] > 0 and not on_their_way


def restarts(exceptions: dict[str, Any], state: FlinkState) -> int:
    """How often Flink has restarted the job in place: each failure of its history but one that was the last."""
    failures = len(exceptions.get("exceptionHistory", {}).get("entries", []))
    return max(0, failures - (state in (FlinkState.FAILING, FlinkState.FAILED)))


def latest_failure(exceptions: dict[str, Any]) -> str:
    """The stack trace of the latest failure, "" = none."""
    entries = exceptions.get("exceptionHistory", {}).get("entries", [])
    return str(exceptions.get("root-exception") or (entries[0]["stacktrace"] if entries else "") or "")


def failed_on(exceptions: dict[str, Any]) -> str:
    """Flink's id of the TaskManager whose task failed last, "" = none (or a Flink that does not tell)."""
    entries = exceptions.get("exceptionHistory", {}).get("entries", [])
    told = [entries[0], *(entries[0].get("concurrentExceptions") or [])] if entries else []
    return next((str(one["taskManagerId"]) for one in told if one.get("taskManagerId")), "")


def restored(checkpoints: dict[str, Any], flink_job: str) -> tuple[str, bool]:
    """(where Flink has the job's state from, "" = nowhere; whether that is a checkpoint of its own)."""
    last = (checkpoints.get("latest") or {}).get("restored") or {}
    path = str(last.get("external_path") or "")
    return path, f"/{flink_job}/chk-" in path


def deployed(document: dict[str, Any]) -> bool:
    """Whether every vertex of the job had been deployed at one time."""
    vertices = document.get("vertices", [])
    return bool(vertices) and all(vertex.get("start-time", -1) > 0 for vertex in vertices)


def archived_job(folder: Path) -> FlinkJob | None:
    """The job as Flink archived it at its end (``jobmanager.archive.fs.dir``); None = Flink left no word."""
    return fold([_archived(entries) for entries in _archives(folder)])


def archived_graph(folder: Path) -> dict[str, Any] | None:
    """The ``/jobs/:id`` document in the archive, None = there is none."""
    for entries in _archives(folder):
        document = _document(entries)
        if document is not None:
            return document
    return None


def _archives(folder: Path) -> Iterable[dict[str, Any]]:
    """Each archive as {REST path: document}, oldest first.

    1.x writes one file per job, flat; 2.3 writes them below ``<cluster>/applications/<application>/jobs``.
    """
    files = (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else ()
    for path in sorted(files, key=lambda p: p.stat().st_mtime_ns):
        try:
            archive = json.loads(path.read_text())["archive"]
            entries = {entry["path"]: json.loads(entry["json"]) for entry in archive}
        except (ValueError, KeyError, TypeError):
            continue  # half written, or not a job's: the exit tells when it is complete
        if any(_is_job(name) for name in entries):
            yield entries


def _is_job(name: str) -> bool:
    parts = name.strip("/").split("/")
    return len(parts) == 2 and parts[0] == "jobs" and len(parts[1]) == 32


def _document(entries: dict[str, Any]) -> dict[str, Any] | None:
    return next((document for name, document in entries.items() if _is_job(name)), None)


def _archived(entries: dict[str, Any]) -> FlinkJob:
    document = _document(entries) or {}
    state = FlinkState(document["state"])
    exceptions: dict[str, Any] = next((d for name, d in entries.items() if name.endswith("/exceptions")), {})
    checkpoints: dict[str, Any] = next((d for name, d in entries.items() if name.endswith("/checkpoints")), {})
    path, own = restored(checkpoints, str(document["jid"]))
    trace = stacktrace.read("" if state is FlinkState.FINISHED else latest_failure(exceptions))
    return FlinkJob(
        state,
        ever_ran=deployed(document),
        restarts=restarts(exceptions, state),
        failure=trace.root,
        restored=path,
        own=own,
        trace=trace,
        failed_on=failed_on(exceptions),
    )
