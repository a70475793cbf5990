"""Headrace is killed at every point between which a crash may come, and started anew: all of them, on the fake runtime.

The points are enumerated by the code itself: ``Database`` and ``Reconciler`` tell each commit and each action, before
and after. A story (``crash_stories``) is lived through once without any crash, which tells its points and how it must
end; then once for each point, killed there. What was in memory is gone then; the database and the world are as they
were left. All must end alike, to the line of the journal: nothing is lost, nothing is done twice, nothing is left.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from headrace.domain.job import AT_REST, Phase, deployment_name
from headrace.faults.crash_stories import STORIES, Chapter, Headrace, Killed, Story, World
from headrace.faults.figures import FOLDER_VARIABLE
from headrace.runtimes.fake import FakeRuntime
from headrace.store.database import Step, no_step

MOST_LOOKS = 300
"""At all jobs, until a chapter has come to its end."""
SECOND_CRASHES = 3
"""In each story so many points, chosen by the seed, are followed by another crash while Headrace recovers."""


IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
"""Here a commit takes no time. It must outlast Headrace, not the machine."""


class Stuck(Exception):
    """A chapter does not come to its end."""


class Stepper:
    """Counts the points, and kills Headrace at some of them."""

    def __init__(self, kills: Iterable[int] = ()) -> None:
        """``kills``: the points, from 0, over all lives of Headrace."""
        self.passed: list[str] = []
        self._kills = frozenset(kills)

    def __call__(self, name: str) -> None:
        """Raises Killed."""
        number = len(self.passed)
        self.passed.append(name)
        if number in self._kills:
            raise Killed


@dataclass(frozen=True)
class Ending:
    """How a story has ended. Two are equal but for when, and what depends on when.

    Attributes:
        records: what is recorded of each job.
        journal: (job, kind, attempt, phase, outcome) of each line.
        restarts: rows that count restarts, by job.
        notices: (job, attempt, phase) of those that are owed.
        starts: how often the processes of each deployment were started.
        live: deployments with processes; ``recorded``: those that the store takes for live.
        savepoints: those that were made.
        missing: TaskManagers that ended and were not replaced, of what lives.
        held: thousandths of CUs by job.
        remains: jobs of which anything is left.
    """

    records: Mapping[int, Mapping[str, object]]
    journal: tuple[tuple[object, ...], ...]
    restarts: Mapping[int, int]
    notices: tuple[tuple[object, ...], ...]
    starts: Mapping[str, int]
    live: tuple[str, ...]
    recorded: tuple[str, ...]
    savepoints: tuple[str, ...]
    missing: Mapping[str, int]
    held: Mapping[int, int]
    remains: tuple[int, ...]

    def wrong(self) -> list[str]:
        """What must not be, however the story goes."""
        active = [job_id for job_id, record in self.records.items() if record["phase"] not in (*AT_REST, Phase.DELETED)]
        running = tuple(name for name in self.live if int(name.split("-")[1]) in active)
        found = [f"{name} was started {times} times" for name, times in self.starts.items() if times != 1]
        if self.live != running:
            found.append(f"deployments of jobs at rest are left: {sorted(set(self.live) - set(running))}")
        if any(job_id not in active for job_id in self.held):
            found.append(f"CUs are held at rest: {dict(self.held)}")
        return found + [f"{name} lacks {count} TaskManagers" for name, count in self.missing.items() if count]

    def differs(self, from_it: Ending) -> list[str]:
        """In what this one differs from the one without a crash."""
        pairs = [(each.name, getattr(self, each.name), getattr(from_it, each.name)) for each in fields(self)]
        return [f"{name} is {mine}, but without a crash {other}" for name, mine, other in pairs if mine != other]


@dataclass(frozen=True)
class Lived:
    """One story, with all its crashes.

    Attributes:
        points: Headrace was killed once at each of them.
        second: runs with a second crash in the recovery of the first.
    """

    story: str
    points: int
    second: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """All stories; ``broken``: what did not hold, () = all did."""

    seed: int
    stories: tuple[Lived, ...]
    broken: tuple[str, ...]

    @property
    def points(self) -> int:
        """Of all stories."""
        return sum(lived.points for lived in self.stories)

    @property
    def second(self) -> int:
        """Runs with two crashes, of all stories."""
        return sum(lived.second for lived in self.stories)

    def as_json(self, title: str) -> dict[str, Any]:
        """All of it, as a table for ``docs/reliability.md``."""
        verdict = f"{len(self.broken)} did not end alike" if self.broken else "each time it ended alike"
        text = (
            f"Seed {self.seed}: Headrace was killed at {self.points} points, and at {self.second} of them once more "
            f"while it recovered; {verdict}."
        )
        rows = [asdict(lived) for lived in self.stories]
        return {"title": title, "text": text, "rows": rows, "seed": self.seed, "broken": self.broken}

    def write(self, folder: Path | None = None, title: str = "Crash points on the runtime in memory") -> Path | None:
        """As JSON into the folder, or the one that HEADRACE_FIGURES names; None if there is neither."""
        named = os.environ.get(FOLDER_VARIABLE)
        place = folder or (Path(named) if named else None)
        if place is None:
            return None
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{title.lower().replace(' ', '-')}.json"
        path.write_text(json.dumps(self.as_json(title), indent=1) + "\n")
        return path


def run(seed: int, told: Callable[[str], None], stories: Sequence[Story] = STORIES, lag: int = 0) -> Report:
    """Lives through all stories, killed at each of their points.

    Args:
        seed: chooses the second crashes.
        told: hears of each story when it is over.
        stories: which.
        lag: how many looks a change needs to be seen; actions are repeated meanwhile.
    """
    done: list[Lived] = []
    broken: list[str] = []
    for story in stories:
        began = time.monotonic()
        place = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="headrace-crash-", dir=place) as folder:
            crashes = _Crashes(story, Path(folder), lag)
            points, second = crashes.everywhere(random.Random(f"{seed} {story.name}"))  # noqa: S311 - to repeat it
        done.append(Lived(story.name, points, second, round(time.monotonic() - began, 2)))
        broken += crashes.broken
        verdict = f"{len(crashes.broken)} broken" if crashes.broken else "all alike"
        told(f"{story.name}: killed at {points} points and {second} times once more, {verdict}")
    return Report(seed, tuple(done), tuple(broken))


class _Crashes:
    """One story, over and over."""

    def __init__(self, story: Story, folder: Path, lag: int) -> None:
        self._story = story
        self._folder = folder
        self._lag = lag
        self._number = 0
        self.broken: list[str] = []

    def everywhere(self, chance: random.Random) -> tuple[int, int]:
        """(points, runs with a second crash)."""
        world = World(self._folder / "given.db", FakeRuntime(self._lag))
        with closing(_live(world, self._story.given, no_step)):
            pass
        expected, points = self._once(world, ())
        self._judge("without a crash", expected.wrong())
        chosen = set(chance.sample(range(len(points)), min(SECOND_CRASHES, len(points))))
        second = 0
        for point in range(len(points)):
            then = self._compare(world, expected, (point,))
            if point in chosen and len(then) > point + 1:
                self._compare(world, expected, (point, chance.randrange(point + 1, len(then))))
                second += 1
        return len(points), second

    def _compare(self, world: World, expected: Ending, kills: tuple[int, ...]) -> list[str]:
        """Killed at these points, it must end as it did without; returns the points that it passed."""
        try:
            ending, passed = self._once(world, kills)
        except Stuck as stuck:
            self._judge(f"killed at {kills}", [str(stuck)])
            return []
        where = ", ".join(f"{passed[point]} (point {point})" for point in kills)
        self._judge(f"killed {where}", ending.wrong() + ending.differs(expected))
        return passed

    def _once(self, world: World, kills: tuple[int, ...]) -> tuple[Ending, list[str]]:
        self._number += 1
        once, stepper = world.copy(self._folder / f"{self._number}.db"), Stepper(kills)
        with closing(_live(once, self._story.chapters, stepper)) as headrace:
            ending = _look_at(once, headrace)
        for file in self._folder.glob(f"{self._number}.db*"):
            file.unlink()
        return ending, stepper.passed

    def _judge(self, how: str, wrong: list[str]) -> None:
        self.broken += [f"{self._story.name}, {how}: {what}" for what in wrong]


def _live(world: World, chapters: Sequence[Chapter], step: Step) -> Headrace:
    """Goes through the chapters; whenever Headrace is killed, it is started anew and goes on. Returns its last life.

    Raises:
        Stuck: it does not come to the end of a chapter.
    """
    headrace: Headrace | None = None
    for chapter in chapters:
        world.turn_over()
        while True:
            try:
                headrace = headrace or Headrace(world, step)
                chapter.happens(world, headrace)
                _until(world, headrace, chapter)
                break
            except Killed:
                if headrace is not None:
                    headrace.close()
                headrace = None
    return headrace or Headrace(world, step)


def _until(world: World, headrace: Headrace, chapter: Chapter) -> None:
    for _ in range(MOST_LOOKS):
        if chapter.has_come(world, headrace):
            return
        headrace.look()
    raise Stuck(f"it does not come to the end of “{chapter.told}”: {headrace.told()}")


def _look_at(world: World, headrace: Headrace) -> Ending:
    jobs = {job_id: headrace.jobs.get(job_id) for job_id in world.ids.values()}
    live = world.runtime.live()
    attempts = [deployment_name(job.id, number) for job in jobs.values() for number in range(1, job.record.attempt + 1)]
    now_ms = headrace.clock.now_ms()
    return Ending(
        records={job_id: {**asdict(job.record), "note": None, "retry_ms": None} for job_id, job in jobs.items()},
        journal=tuple(
            (job_id, line.kind, line.attempt, line.phase, line.outcome)
            for job_id in jobs
            for line in headrace.jobs.history(job_id)
        ),
        restarts={job_id: len(headrace.jobs.restart_times(job, now_ms)) for job_id, job in jobs.items()},
        notices=tuple((body["job_id"], body["attempt"], body["phase"]) for body in headrace.jobs.notices()),
        starts={name: times for name in attempts if (times := world.runtime.starts(name))},
        live=live,
        recorded=tuple(sorted(deployment_name(*pair) for pair in headrace.jobs.live_deployments())),
        savepoints=world.runtime.savepoints(),
        missing={name: world.runtime.taskmanagers_missing(name) for name in live},
        held={job_id: held.cu_milli for job_id in jobs if (held := headrace.queues.held_by(job_id)) is not None},
        remains=tuple(job_id for job_id in jobs if world.runtime.remains(job_id)),
    )
