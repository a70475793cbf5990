"""The checkpoints of a deployment on disk: whose they are, when several deployments put theirs into one folder."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from headrace.domain.observation import StateView
from headrace.flink.metadata import MAGIC
from headrace.flink.watch import Completed
from headrace.runtimes.states import States

PLACE = "obs://bucket/checkpoints"
ONE, TWO = "1" * 32, "2" * 32


class Disk:
    """A home with deployments, and one folder for all their checkpoints."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def local(self, uri: str) -> Path:
        """See States."""
        return self._home / "objects" / uri.removeprefix("obs://")

    def states(self, name: str) -> States:
        """Those of one deployment, which has a folder."""
        folder = self._home / "deployments" / name
        folder.mkdir(parents=True, exist_ok=True)
        return States(folder, self.local)

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
