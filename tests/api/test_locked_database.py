"""The database is locked by another program: each call that changes something is 503, and changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace.domain.job import Phase
from headrace.settings import Settings
from headrace.store import database
from tests.api.conftest import Stand, standing

STREAMING = "/v1.0/{p}/streaming"


@pytest.fixture
def hasty(tmp_path: Path, furnished_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """A stand that waits for a lock for a moment only."""
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 20)
    shutil.copytree(furnished_home, tmp_path, dirs_exist_ok=True)
    with standing(tmp_path, Settings(home=tmp_path)) as stand:
        yield stand


@pytest.fixture
def lock(hasty: Stand) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(hasty.database.path, isolation_level=None)) as connection:
        yield connection


def test_nothing_is_changed_and_everything_can_be_read(hasty: Stand, lock: sqlite3.Connection) -> None:
    draft, running = hasty.create(name="draft"), hasty.create(name="running", obs_bucket="b")
    hasty.bring(running, Phase.RUNNING)
    jobs, rows, nudged = (hasty.job(draft), hasty.job(running)), hasty.rows(), list(hasty.nudged)
    lock.execute("BEGIN EXCLUSIVE")
    for method, path, body in (
        ("POST", f"{STREAMING}/flink-jobs", {"name": "new"}),
        ("PUT", f"{STREAMING}/flink-jobs/{running}", {"resume_max_num": 3}),
        ("POST", f"{STREAMING}/jobs/run", {"job_ids": [draft]}),
        ("POST", f"{STREAMING}/jobs/run", {"job_ids": [draft, running]}),
        ("POST", f"{STREAMING}/jobs/stop", {"job_ids": [running], "trigger_savepoint": True}),
        ("POST", f"{STREAMING}/jobs/delete", {"job_ids": [draft, running]}),
        ("DELETE", f"{STREAMING}/jobs/{running}", None),
        ("POST", f"{STREAMING}/jobs/{running}/savepoint", {"action": "TRIGGER"}),
        ("POST", "/v1.0/{p}/queues", {"queue_name": "new", "queue_type": "general", "cu_count": 16}),
    ):
        status, code, message = hasty.refused(method, path, body)
        assert (status, code) == (503, "DLI.0999"), path
        assert message == "The database does not answer (database is locked); try again."
        assert hasty.show(running)["status"] == "job_running"
        assert hasty.ok("GET", f"/headrace/v1/{{p}}/jobs/{running}/events")["events"]
    assert (hasty.rows(), hasty.nudged) == (rows, nudged)
    assert (hasty.job(draft), hasty.job(running)) == jobs
    lock.execute("ROLLBACK")
    assert hasty.stop(running, trigger_savepoint=True).status_code == 200
    assert hasty.nudged[-1] == running
