"""Jobs that fail, wait, or must not start; each is told as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.client import ApiError
from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.server import Jobs, ServerUnderTest, processes_of, wait_until

pytestmark = pytest.mark.flink


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        ("--when main", "job_submit_fail", "Exception"),
        ("--when exit0", "job_submit_fail", "exit code 0"),
        ("--when record --after 100 --rate 50", "job_running_exception", "Exception"),
    ],
)
@promise("What fails is told with its cause; System.exit(0) in main() is no job_finish")
def test_a_failure_is_told_with_its_cause(
    jobs: Jobs, server: ServerUnderTest, args: str, status: str, said: str
) -> None:
    job_id = jobs.create("failing", "failOnDemand.jar", args, smn_topic="alarms")
    jobs.run(job_id)
    ended = jobs.until(job_id, status)
    assert said in ended["status_desc"]
    assert processes_of(server.home / "deployments") == []
    assert jobs.client.call("GET", "/v1.0/{p}/queues/q")["used_cu"] == 0


def test_two_executes_in_one_main(jobs: Jobs) -> None:
    job_id = jobs.create("twice", "failOnDemand.jar", "--when twice")
    jobs.run(job_id)
    jobs.until(job_id, "job_finish")


def test_a_job_waits_for_its_cus_and_says_so(jobs: Jobs) -> None:
    first = jobs.create("first", "failOnDemand.jar", "--when none", cu_number=15, tm_cus=14)
    second = jobs.create("second", "failOnDemand.jar", "--when none", cu_number=4, parallel_number=3, tm_slot_num=1)
    huge = jobs.create("huge", "failOnDemand.jar", "--when none", cu_number=17, parallel_number=16, tm_slot_num=1)
    jobs.run(first)
    jobs.until(first, "job_running")
    with pytest.raises(ApiError, match="16"):
        jobs.run(huge)
    assert jobs.detail(huge)["status"] == "job_init"
    jobs.run(second)
    wait_until("it says why it waits", lambda: "waiting for 4 CUs" in jobs.detail(second)["status_desc"])
    assert jobs.detail(second)["status"] == "job_submitting"
    jobs.stop(second)
    jobs.until(second, "job_cancel_success")
    assert jobs.path(second) == ["job_init", "job_submitting", "job_canceling", "job_cancel_success"]
    jobs.run(second)
    jobs.stop(first)
    jobs.until(first, "job_cancel_success")
    jobs.until(second, "job_running")


def test_the_memory_of_the_machine_is_never_promised_twice(tmp_path: Path, engine_store: EngineStore) -> None:
    server = ServerUnderTest(tmp_path / "home", engine_store.root, {"HEADRACE_MEMORY_LIMIT_MB": "4096"})
    try:
        jobs = Jobs(server.start())
        jobs.lay_out()
        first = jobs.create("first", "failOnDemand.jar", "--when none")
        second = jobs.create("second", "failOnDemand.jar", "--when none")
        jobs.run(first)
        jobs.until(first, "job_running")
        jobs.run(second)
        wait_until("it waits for memory", lambda: "MB of memory" in jobs.detail(second)["status_desc"])
        jobs.stop(first)
        jobs.until(second, "job_running")
    finally:
        server.down()


def test_a_machine_with_too_small_cus_is_told_of_at_create(tmp_path: Path, engine_store: EngineStore) -> None:
    server = ServerUnderTest(tmp_path / "home", engine_store.root, {"HEADRACE_MEMORY_PER_CU_MB": "512"})
    try:
        jobs = Jobs(server.start())
        jobs.lay_out()
        with pytest.raises(ApiError, match=r"manager_cu_number.*at least 768 MB"):
            jobs.create("small", "failOnDemand.jar", "--when none")
        with pytest.raises(ApiError, match=r"tm_cus.*at least 1024 MB"):
            jobs.create("small", "failOnDemand.jar", "--when none", manager_cu_number=2, cu_number=3)
        assert jobs.client.call("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["total_count"] == 0
    finally:
        server.down()


def test_a_stop_ends_a_job_that_is_only_starting(jobs: Jobs, server: ServerUnderTest) -> None:
    job_id = jobs.create("none", "failOnDemand.jar", "--when none")
    jobs.run(job_id)
    wait_until("it starts", lambda: processes_of(server.home / "deployments"))
    jobs.stop(job_id)
    jobs.until(job_id, "job_cancel_success")
    assert processes_of(server.home / "deployments") == []


def test_an_engine_that_is_not_there_is_installed_meanwhile(tmp_path: Path) -> None:
    server = ServerUnderTest(tmp_path / "home", tmp_path / "engines")
    try:
        jobs = Jobs(server.start(), "1.20")
        jobs.lay_out()
        job_id = jobs.create("none", "failOnDemand.jar", "--when none")
        jobs.run(job_id)
        wait_until("it says what it does", lambda: "installing" in jobs.detail(job_id)["status_desc"])
        assert jobs.detail(job_id)["status"] == "job_submitting"
        jobs.until(job_id, "job_running")
    finally:
        server.down()
