"""The TaskManagers of one deployment: which have ended, which are silent, and which were started in place of others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.observation import LostTaskManager
from headrace.domain.restart import backoff_ms
from headrace.flink.command import Layout
from headrace.runtimes import evidence, files, processes
from headrace.runtimes.processes import Kept, Life

SHORT_S = 10.0
"""A TaskManager that lived for less is replaced with a backoff: it may never come up."""
NEVER_HEARD_S = 300.0
"""The deadline of one that Flink has not heard of yet: it may still be starting."""
SILENCED = "silenced.json"


def role(number: int) -> str:
    """Name of the folder and the log of a TaskManager, from 1."""
    return f"taskmanager-{number}"


def numbers(layout: Layout) -> list[int]:
    """Those that there ever were, in order."""
    return sorted(int(folder.name.rpartition("-")[2]) for folder in layout.folder.glob("taskmanager-*"))


def started(layout: Layout) -> list[int]:
    """Those that were really started, or could not be: a start that broke off half-way is none.

    Raises:
        Unavailable: their records cannot be read.
    """
    return [n for n in numbers(layout) if processes.look(layout.role(role(n))).life is not Life.NEVER]


def lost_before(layout: Layout, home: Path, jobmanager: Kept) -> tuple[LostTaskManager, ...]:
    """Those that had ended before their JobManager did.

    Raises:
        Unavailable: their records cannot be read.
    """
    kept = [(number, processes.look(layout.role(role(number)))) for number in numbers(layout)]
    return tuple(
        _lost(layout, home, number, one)
        for number, one in kept
        if one.ended_at is not None and jobmanager.ended_at is not None and one.ended_at < jobmanager.ended_at
    )


def lost(layout: Layout, home: Path) -> tuple[LostTaskManager, ...]:
    """All that have ended and are due to be replaced, in order.

    Raises:
        Unavailable: their records cannot be read.
    """
    found: list[LostTaskManager] = []
    now, short = time.clock_gettime(time.CLOCK_BOOTTIME), 0
    for number in numbers(layout):
        kept = processes.look(layout.role(role(number)))
        if kept.life is not Life.ENDED:
            continue
        short = short + 1 if _short(kept) else 0
        wait_s = backoff_ms(short - 1) / 1000 if short > 1 else 0.0
        if kept.ended_at is not None and 0 <= now - kept.ended_at < wait_s:
            continue
        found.append(_lost(layout, home, number, kept))
    return tuple(found)


def silence(layout: Layout, ordered: tuple[int, ...]) -> None:
    """Ends these, which are silent; that it was us is on record first.

    Raises:
        Unavailable: the disk does not take that.
    """
    for number in ordered:
        folder = layout.role(role(number))
        if not (folder / SILENCED).exists():
            files.write(folder / SILENCED, {})
        processes.end(processes.look(folder), force=True)


@dataclass
class _Heard:
    """When one was missing first, and for how long it may; ``once``: it had been heard of before."""

    since: float | None = None
    patience_s: float = 0.0
    once: bool = False


class Hearing:
    """Which TaskManagers Flink hears of, on a clock that never jumps."""

    def __init__(self, deadline_s: float, monotonic: Callable[[], float]) -> None:
        """``deadline_s``: so long may one that was heard of be silent."""
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._heard: dict[int, _Heard] = {}

    def silent(self, layout: Layout, known: frozenset[str]) -> tuple[int, ...]:
        """Those that live, but are not among ``known`` (Flink's resource ids) for too long."""
        found = []
        for number in numbers(layout):
            kept = processes.look(layout.role(role(number)))
            if kept.life is not Life.RUNS:
                continue
            heard = self._heard.setdefault(number, _Heard())
            if f"{layout.folder.name}-{role(number)}" in known:
                heard.since, heard.once = None, True
                continue
            now = self._monotonic()
            if heard.since is None:
                heard.since, heard.patience_s = now, self._deadline_s if heard.once else self._patience_s(kept)
            if now - heard.since > heard.patience_s:
                found.append(number)
        return tuple(found)

    def _patience_s(self, kept: Kept) -> float:
        """With one that was not heard of yet, by this Headrace at least: what is old has started long ago."""
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - kept.started_at if kept.started_at is not None else 0.0
        return max(self._deadline_s, NEVER_HEARD_S - age_s)


def _short(kept: Kept) -> bool:
    if kept.started_at is None:
        return True  # it could not even be started
    if kept.ended_at is None:
        return False
    return kept.ended_at - kept.started_at < SHORT_S


def _lost(layout: Layout, home: Path, number: int, kept: Kept) -> LostTaskManager:
    said, log = evidence.of_process(layout, role(number), kept)
    return LostTaskManager(
        number,
        kept.code,
        said.root,
        silent=(layout.role(role(number)) / SILENCED).exists(),
        oom_killed=kept.oom_killed,
        log=str(log.relative_to(home)),
        trace=said,
    )
