"""The checkpoints of a deployment on disk: which is gone on from, and whose they are in a folder of several."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from headrace.domain.observation import StateView
from headrace.flink.command import Layout
from headrace.flink.joblog import TAIL_BYTES
from headrace.flink.metadata import MAGIC
from headrace.flink.watch import Completed
from headrace.runtimes.places import Places
from headrace.runtimes.states import States
from tests.support.promises import promise

PLACE = "obs://bucket/checkpoints"
ONE, TWO = "1" * 32, "2" * 32


class Disk:
    """A home with deployments, and one folder for all their checkpoints."""

    def __init__(self, home: Path) -> None:
        self._home = home

    @property
    def places(self) -> Places:
        """See States."""
        return Places(self._home / "objects")

    def local(self, uri: str) -> Path:
        """The folder behind a URI."""
        return self.places.path(uri)

    def states(self, name: str) -> States:
        """Those of one deployment, which has a folder."""
        layout = self.layout(name)
        layout.log.mkdir(parents=True, exist_ok=True)
        return States(layout, self._home / "state" / name.rpartition("-")[0], self.places)

    def layout(self, name: str) -> Layout:
        """Of one deployment."""
        return Layout(self._home / "deployments" / name)

    def started(self, name: str) -> None:
        """Its JobManager has had its start."""
        self.layout(name).role("jobmanager").mkdir(parents=True)
        (self.layout(name).role("jobmanager") / "command.json").write_text("{}")

    def logs(self, name: str, *lines: str) -> None:
        """Its JobManager has said this."""
        with (self.layout(name).log / "jobmanager.log").open("a") as log:
            log.writelines(f"{line}\n" for line in lines)

    def checkpoint(self, flink_job: str, number: int) -> str:
        """Flink has completed it; its path."""
        path = f"{PLACE}/{flink_job}/chk-{number}"
        self.local(path).mkdir(parents=True)
        (self.local(path) / "_metadata").write_bytes(struct.pack(">IiQ", MAGIC, 4, number) + b"state")
        return path


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def heard(states: States, flink_job: str, number: int, path: str) -> None:
    states.hear({flink_job: Completed(flink_job, number, path)})


def test_an_attempt_without_a_flink_job_takes_no_checkpoints_of_others_with_it(disk: Disk) -> None:
    """Its main() failed before there was a job, so that all that came into the folder later looks like its own."""
    failed, running = disk.states("job-1-1"), disk.states("job-2-1")
    failed.begin(PLACE)
    failed.hear({})
    running.begin(PLACE)
    path = disk.checkpoint(ONE, 9)
    heard(running, ONE, 9, path)
    assert failed.forget(()) is True
    assert running.newest("", ()) == StateView(path, 9), "the checkpoint of a running job was cleared away"


def test_a_deployment_that_was_never_heard_of_is_not_restored_from_another_jobs_checkpoint(disk: Disk) -> None:
    died, running = disk.states("job-1-1"), disk.states("job-2-1")
    died.begin(PLACE)
    running.begin(PLACE)
    heard(running, ONE, 9, disk.checkpoint(ONE, 9))
    assert died.newest("", ()) == StateView()


def test_what_died_before_flink_could_tell_is_found_by_being_new(disk: Disk) -> None:
    earlier, died = disk.states("job-1-1"), disk.states("job-1-2")
    earlier.begin(PLACE)
    heard(earlier, ONE, 3, disk.checkpoint(ONE, 3))
    died.begin(PLACE)
    path = disk.checkpoint(TWO, 4)
    assert died.newest("", ()) == StateView(path, 4)


def test_old_checkpoints_are_forgotten_but_for_what_is_needed(disk: Disk) -> None:
    old = disk.states("job-1-1")
    old.begin(PLACE)
    path = disk.checkpoint(ONE, 3)
    heard(old, ONE, 3, path)
    assert old.forget((path,)) is False
    assert disk.local(path).is_dir()
    assert old.forget(()) is True
    assert not disk.local(path).exists()


# -- one deployment ---------------------------------------------------------------------------------------------------


def completed(flink_job: str, number: int) -> str:
    """As Flink 1.17 to 2.3 log it."""
    return (
        f"2026-01-02 03:04:05,678 INFO  org.apache.flink.runtime.checkpoint.CheckpointCoordinator [] - Completed "
        f"checkpoint {number} for job {flink_job} (2412 bytes, checkpointDuration=9 ms, finalizationTime=3 ms)."
    )


def test_the_newest_of_its_own_is_gone_on_from(disk: Disk) -> None:
    states = disk.states("job-1-1")
    states.begin(PLACE)
    disk.checkpoint(ONE, 9)
    path = disk.checkpoint(ONE, 10)
    heard(states, ONE, 10, path)
    assert states.newest("", ()) == StateView(path, 10)


def test_a_savepoint_that_is_newer_than_the_checkpoints_left(disk: Disk) -> None:
    states = disk.states("job-1-1")
    states.begin(PLACE)
    heard(states, ONE, 9, disk.checkpoint(ONE, 9))
    saved = disk.checkpoint(TWO, 10)  # any place will do
    assert states.newest("", (saved,)) == StateView(saved, 10)


def test_before_the_first_checkpoint_it_goes_back_to_what_it_was_restored_from(disk: Disk) -> None:
    imported = disk.checkpoint(TWO, 7)
    states = disk.states("job-1-2")
    states.begin(PLACE)
    states.hear({ONE: None})
    assert states.newest(imported, ()) == StateView(imported, 7)


def test_what_was_never_started_has_no_state_of_its_own(disk: Disk) -> None:
    assert disk.states("job-1-1").newest("", ()) == StateView()


@promise("A deployment whose folder was cleared away goes on from its newest state all the same.")
def test_the_folder_is_gone(disk: Disk) -> None:
    states = disk.states("job-1-1")
    states.begin(PLACE)
    disk.started("job-1-1")
    path = disk.checkpoint(ONE, 9)
    heard(states, ONE, 9, path)
    shutil.rmtree(disk.layout("job-1-1").folder)
    assert disk.states("job-1-1").newest("", ()) == StateView(path, 9)


@promise("Where nobody knows what a deployment has completed, that is told: it is not started clean in silence.")
def test_no_record_of_one_that_was_started(disk: Disk) -> None:
    """One of an earlier version, say, which died while the next one was installed."""
    states = disk.states("job-1-1")
    disk.started("job-1-1")
    disk.checkpoint(ONE, 9)
    assert "record of where its checkpoints are is missing" in states.newest("", ()).problem


def test_a_checkpoint_that_nobody_heard_of_is_in_the_log(disk: Disk) -> None:
    """Headrace was away at the first one, and the JobManager died before it came back."""
    states = disk.states("job-1-1")
    states.begin(PLACE)
    states.hear({ONE: None})
    disk.logs("job-1-1", completed(ONE, 8), completed(ONE, 9))
    assert "had completed checkpoint 9" in states.newest("", ()).problem
    path = disk.checkpoint(ONE, 9)
    assert states.newest("", ()) == StateView(path, 9)


def test_the_log_tells_which_flink_job_is_its_own(disk: Disk) -> None:
    """Two in one folder, and Flink was heard of neither."""
    first, second = disk.states("job-1-1"), disk.states("job-2-1")
    first.begin(PLACE)
    second.begin(PLACE)
    disk.logs("job-1-1", completed(ONE, 3))
    disk.logs("job-2-1", completed(TWO, 9))
    paths = disk.checkpoint(ONE, 3), disk.checkpoint(TWO, 9)
    assert first.newest("", ()) == StateView(paths[0], 3)
    assert second.newest("", ()) == StateView(paths[1], 9)


def test_of_a_long_log_the_end_counts(disk: Disk) -> None:
    states = disk.states("job-1-1")
    states.begin(PLACE)
    disk.logs("job-1-1", completed(ONE, 3), "x" * TAIL_BYTES, completed(ONE, 4))
    path = disk.checkpoint(ONE, 4)
    assert states.newest("", ()) == StateView(path, 4)


def test_what_is_forgotten_leaves_no_record(disk: Disk, tmp_path: Path) -> None:
    states = disk.states("job-1-1")
    states.begin(PLACE)
    heard(states, ONE, 3, disk.checkpoint(ONE, 3))
    assert states.forget(()) is True
    assert not list((tmp_path / "state").rglob("*.json"))
