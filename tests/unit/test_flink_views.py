"""Flink's documents as the domain sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.domain.observation import FlinkJob, FlinkState
from headrace.flink import metrics, views

RUNNING = FlinkJob(FlinkState.RUNNING, tasks_running=True, ever_ran=True)
FINISHED = FlinkJob(FlinkState.FINISHED, ever_ran=True)
FAILED = FlinkJob(FlinkState.FAILED, failure="boom")
JOB = "0" * 32


@pytest.mark.parametrize(
    ("jobs", "state"),
    [
        ([RUNNING], FlinkState.RUNNING),
        ([FINISHED, RUNNING], FlinkState.RUNNING),
        ([FAILED, FINISHED], FlinkState.FAILED),
        ([FINISHED, FINISHED], FlinkState.FINISHED),
    ],
)
def test_several_executes_are_one_job(jobs: list[FlinkJob], state: FlinkState) -> None:
    folded = views.fold(jobs)
    assert folded is not None
    assert folded.state is state


def test_no_execute_is_no_job() -> None:
    assert views.fold([]) is None


@pytest.mark.parametrize("place", [JOB, f"cluster/applications/app/jobs/{JOB}"])
def test_the_archive_of_1_x_and_of_2_x(tmp_path: Path, place: str) -> None:
    document = {"jid": JOB, "state": "FAILED", "vertices": [{"start-time": 5}]}
    entries = [
        {"path": f"/jobs/{JOB}", "json": json.dumps(document)},
        {"path": f"/jobs/{JOB}/exceptions", "json": json.dumps({"root-exception": "a.b.CException: boom\n\tat x"})},
    ]
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"archive": entries}))
    job = views.archived_job(tmp_path)
    assert job is not None
    assert (job.state, job.ever_ran, job.failure) == (FlinkState.FAILED, True, "a.b.CException: boom")
    assert (job.restarts, job.restored, job.own) == (0, "", False)
    assert views.archived_graph(tmp_path) == document


def test_a_half_written_archive_is_no_word(tmp_path: Path) -> None:
    (tmp_path / JOB).write_text('{"archive": [')
    assert views.archived_job(tmp_path) is None
    assert views.archived_job(tmp_path / "missing") is None


def test_operators_of_a_chained_vertex() -> None:
    name = "Source: numbers -> (Map, Flat Map -> files: Writer) -> Sink: print"
    assert metrics._operators(name) == ["Source: numbers", "Map", "Flat Map", "files: Writer", "Sink: print"]
    ids = [
        {"id": "0.Source__numbers.numRecordsOut"},
        {"id": "files__Writer.numRecordsIn"},
        {"id": "files__Committer.numRecordsIn"},
        {"id": "Map.numRecordsIn"},
    ]
    assert metrics._wanted([ids[1], ids[2], ids[3]]) == {"files__Writer.numRecordsIn": ("Sink", "files__Writer")}
    assert metrics._spelled("Source__numbers", {"Source: numbers": None}) == "Source: numbers"
