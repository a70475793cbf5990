"""What user code finds: its arguments, its files, its classes, its buckets."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.support.server import BUCKET, Jobs

pytestmark = pytest.mark.flink

ARGUMENTS = [
    "-r",
    "x",
    "-s",
    "savepoint",
    "-Dk=v",
    "-c",
    "Main",
    "--",
    "--fromSavepoint",
    "",
    "two words",
    "it's",
    'a"b',
    "数据",
]
DEPENDENCIES: dict[str, Any] = {
    "dependency_jars": ["myGroup/test.jar", "myGroup/test1.jar"],
    "dependency_files": ["myGroup/test.csv", f"obs://{BUCKET}/test1.csv"],
}


def saw(jobs: Jobs, folder: str) -> dict[str, Any]:
    """What UserDataReader wrote, by side: {"jobmanager.json": …, "taskmanager-0.json": …}."""
    prefix = f"{folder}/"
    answer = jobs.client.call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}", query={"prefix": prefix})
    found = {}
    for entry in answer["objects"]:
        content = b"".join(jobs.client.download(BUCKET, entry["key"]))
        found[entry["key"].removeprefix(prefix)] = json.loads(content)
    return found


def package(jobs: Jobs, kind: str, *names: str) -> None:
    paths = [f"obs://{BUCKET}/{name}" for name in names]
    jobs.client.call("POST", "/v2.0/{p}/resources", {"paths": paths, "kind": kind, "group": "myGroup"})


def test_arguments_files_and_classes_on_both_sides(jobs: Jobs) -> None:
    package(jobs, "jar", "test.jar", "test1.jar")
    package(jobs, "file", "test.csv")
    args = shlex.join([f"obs://{BUCKET}/saw", *ARGUMENTS])
    # No main_class: the manifest of the entrypoint names it.
    job_id = jobs.create("reader", "userDataReader.jar", args, **DEPENDENCIES)
    jobs.run(job_id)
    jobs.until(job_id, "job_finish")
    sides = saw(jobs, "saw")
    assert "jobmanager.json" in sides
    assert any(name.startswith("taskmanager-") for name in sides)
    for name, side in sides.items():
        if name == "jobmanager.json":
            assert side["args"] == [f"obs://{BUCKET}/saw", *ARGUMENTS]
        text = json.dumps(side)
        assert "null" not in text, f"{name}: {text}"
        assert "userData/test.csv" in text
        assert "userData/test1.csv" in text


def test_a_flink_option_of_the_job_reaches_flink(jobs: Jobs) -> None:
    options = json.dumps(
        [{"key": "max_records_per_file", "value": "10"}, {"key": "pipeline.max-parallelism", "value": "77"}]
    )
    job_id = jobs.create("options", "failOnDemand.jar", "--when none", runtime_config=options)
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
    assert graph["vertices"][0]["maxParallelism"] == 77


def test_slots_follow_the_formula_of_dli(jobs: Jobs) -> None:
    """tm_slot_num 0 is unset: (parallel_number * tm_cus) / (cu_number - manager_cu_number)."""
    job_id = jobs.counter(cu_number=3, parallel_number=4, tm_slot_num=0)
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    graph = jobs.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph")["execute_graph"]
    assert max(vertex["parallelism"] for vertex in graph["vertices"]) == 4
    queue = jobs.client.call("GET", "/v1.0/{p}/queues/q")
    assert queue["used_cu"] == 3
    jobs.stop(job_id)
    jobs.until(job_id, "job_cancel_success")
    assert jobs.client.call("GET", "/v1.0/{p}/queues/q")["used_cu"] == 0
