"""Crash points: Headrace is killed at every commit and every action, before and after, and started anew.

On the runtime in memory, by the engine of ``headrace faults``; that the engine sees what goes wrong is tested too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.job import Job, Record
from headrace.faults import crash_points
from headrace.faults.crash_stories import STORIES, Story
from headrace.runtimes.fake import FakeRuntime
from headrace.store import journal, restarts
from headrace.store.jobs import JobStore
from headrace.store.timeline import JobClock
from tests.support.promises import figure, promise

SEED = 4
VERBS = ("create", "run", "restart", "savepoint", "stop", "finish", "delete")


def stories(verb: str) -> list[Story]:
    return [story for story in STORIES if story.name.split(":")[0] == verb]


def story(name: str) -> list[Story]:
    return [each for each in STORIES if each.name == name]


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("verb", VERBS)
@promise("Wherever Headrace is killed, it ends as it would have: nothing is lost, nothing done twice, nothing left.")
def test_killed_at_every_point(verb: str) -> None:
    report = crash_points.run(SEED, quiet, stories(verb))
    report.write(title=f"Crash points of {verb}")
    figure(f"{verb}: {report.points} points, {report.second} second crashes")
    assert report.broken == ()


@pytest.mark.parametrize("name", ["run", "restart: the JobManager is killed", "stop: with savepoint"])
def test_with_a_view_that_lags(name: str) -> None:
    """What was started, asked for or removed is not seen at once: it is done again."""
    assert crash_points.run(SEED, quiet, story(name), lag=2).broken == ()


def test_each_story_is_tried() -> None:
    assert {story.name.split(":")[0] for story in STORIES} == set(VERBS)


def test_the_points_are_those_of_the_code() -> None:
    told: list[str] = []
    report = crash_points.run(SEED, told.append, story("create") + story("stop"))
    create, stop = report.stories
    assert create.points == 2 * 2  # the job clock, the job
    # Its clock; the request, CANCELING, Cancel, Remove, STOPPED.
    assert stop.points == 2 * 6
    assert told[1].startswith("stop: killed at 12 points and 3 times once more, all alike")


def test_a_run_is_repeated_by_its_seed() -> None:
    first, again = (crash_points.run(SEED, quiet, story("create")) for _ in range(2))
    assert (first.seed, first.points, first.second) == (again.seed, again.points, again.second)


def test_the_figures(tmp_path: Path) -> None:
    path = crash_points.run(SEED, quiet, story("create")).write(tmp_path)
    assert path is not None
    content = json.loads(path.read_text())
    assert (content["seed"], content["rows"][0]["story"], content["broken"]) == (SEED, "create", [])


# -- it sees what goes wrong ------------------------------------------------------------------------------------------


def starts_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runtime that starts what it is asked to start, however often."""
    deploy = FakeRuntime.deploy

    def carelessly(self: FakeRuntime, made: DeploymentPlan) -> None:
        deploy(self, made)
        if self.log.count(("deploy", made.name)) > 1:
            self._deployments[made.name].starts += 1

    monkeypatch.setattr(FakeRuntime, "deploy", carelessly)


def counts_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart is counted in a transaction of its own, after that of its move."""
    count, move = restarts.count, JobStore.move

    def later(self: JobStore, job: Job, record: Record, *, now_ms: int, clock: JobClock | None = None) -> Job:
        moved = move(self, job, record, now_ms=now_ms)
        with self._db.write() as connection:
            if clock is not None:
                count(connection, job, record, clock)
        return moved

    monkeypatch.setattr(JobStore, "move", later)


def tells_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of the journal is written in a transaction of its own, after that of its move."""
    note_phase, move = journal.note_phase, JobStore.move

    def later(self: JobStore, job: Job, record: Record, *, now_ms: int, clock: JobClock | None = None) -> Job:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(journal, "note_phase", lambda *_, **__: None)
            moved = move(self, job, record, now_ms=now_ms, clock=clock)
        with self._db.write() as connection:
            note_phase(connection, job.id, record, now_ms)
        return moved

    monkeypatch.setattr(JobStore, "move", later)


@pytest.mark.parametrize(
    ("fault", "name", "seen"),
    [
        (starts_once_more, "run", "was started 2 times"),
        (counts_apart, "restart: in place", "restarts is"),
        (tells_apart, "finish", "journal is"),
    ],
)
def test_what_goes_wrong_is_seen(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None], name: str, seen: str
) -> None:
    fault(monkeypatch)
    broken = crash_points.run(SEED, quiet, story(name), lag=1).broken
    assert any(seen in what for what in broken)
