"""``headrace jobs`` against the API, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli import jobs
from headrace.cli.app import app
from headrace.cli.client import ApiClient, ApiError
from headrace.domain.job import Goal, Phase
from tests.api.conftest import PROJECT, Stand
from tests.support.living import Living

Cli = Callable[..., str]
ON = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": 2}


@pytest.fixture
def living(stand: Stand) -> Living:
    return Living(stand)


@pytest.fixture
def client(url: str, monkeypatch: pytest.MonkeyPatch) -> ApiClient:
    found = ApiClient(url, PROJECT, "AK", "secret of AK")
    monkeypatch.setattr(ApiClient, "of_user", lambda _home: found)
    return found


@pytest.fixture
def cli(client: ApiClient, tmp_path: Path) -> Cli:
    """The output of a command that ends with this exit code."""
    assert client.project_id == PROJECT

    def call(*words: str, code: int = 0, typed: str = "") -> str:
        command = ["jobs", *words, "--home", str(tmp_path)]
        result = CliRunner().invoke(app, command, input=typed, catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return call


def test_the_list(stand: Stand, cli: Cli, living: Living) -> None:
    first = living.running(name="orders", cu_number=3, parallel_number=2)
    stand.create(name="draft", queue_name="")
    head, *lines = cli("list").splitlines()
    assert head.split() == ["id", "name", "status", "queue", "CUs", "restarts", "started", "(UTC)"]
    assert lines[0].split() == ["2", "draft", "job_init", "–", "2", "0", "–"]
    assert lines[1].split()[:6] == [str(first), "orders", "job_running", "q", "3", "0"]
    assert len(lines[1].split()) == 8
    assert len(cli("list", "--status", "job_running").splitlines()) == 2
    assert len(cli("list", "--queue", "q", "--name", "ORD").splitlines()) == 2
    assert [job["name"] for job in json.loads(cli("list", "--json"))] == ["draft", "orders"]
    with pytest.raises(ApiError, match="status="):
        cli("list", "--status", "running")


def test_more_jobs_than_a_page_holds(stand: Stand, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PAGE", 2)
    for number in range(5):
        stand.create(name=f"job-{number}")
    assert [line.split()[0] for line in cli("list").splitlines()[1:]] == ["5", "4", "3", "2", "1"]


def test_show(stand: Stand, cli: Cli, living: Living) -> None:
    job_id = living.running(name="orders", obs_bucket="b", checkpoint_enabled=True, entrypoint_args="--a\n1", **ON)
    told = cli("show", str(job_id)).splitlines()
    assert told[0] == f"job {job_id} (orders): job_running"
    lines = {line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1] for line in told[1:]}
    assert lines["restarts"] == "0 (on, at most 2 an hour, from the newest checkpoint)"
    assert lines["checkpoints"] == "every 30 s, exactly_once"
    assert lines["kept"] == f"in      b/jobs/checkpoint/{job_id}"
    assert lines["queue"] == "q, 2 CUs, parallelism 1"
    assert lines["arguments"] == "--a 1"
    assert lines["created"].endswith(" UTC by tester")
    living.runtime.fail(living.name(job_id), "java.lang.RuntimeException: \x1b[31mred")
    living.until(job_id, Phase.RESTARTING)
    headline, why, *_ = cli("show", str(job_id)).splitlines()
    assert headline == f"job {job_id} (orders): job_submitting"
    assert "java.lang.RuntimeException:  [31mred. Restart 1 of 2 within an hour. The next try is at " in why
    assert json.loads(cli("show", str(job_id), "--json"))["status"] == "job_submitting"
    with pytest.raises(ApiError, match="99 does not exist"):
        cli("show", "99")


def test_the_journal(stand: Stand, cli: Cli, living: Living) -> None:
    job_id = living.running(**ON)
    lines = cli("events", str(job_id)).splitlines()
    assert [line.split(maxsplit=3)[2:] for line in lines[:3]] == [
        ["#0", "job_init               draft"],
        ["#0", "job_init               tester asked: run from a clean start."],
        ["#1", "job_submitting         preparing: Attempt 1 begins without state."],
    ]
    assert "running: All its tasks run" in lines[-1]
    assert cli("events", str(job_id), "--limit", "2").splitlines() == lines[-2:]
    told = [json.loads(line) for line in cli("events", str(job_id), "--json").splitlines()]
    assert told == stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/events")["events"]


def test_the_journal_is_followed(stand: Stand, client: ApiClient, living: Living) -> None:
    """Whatever comes while nobody looks: each line once, in their order."""
    job_id = living.running(**ON)
    after = stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/events")["events"][-1]["id"]

    def meanwhile() -> None:
        if stand.job(job_id).record.phase is Phase.RUNNING:
            living.runtime.fail(living.name(job_id))
        living.let_pass(1000)
        living.tick(job_id)

    found = list(islice(jobs.follow(client, job_id, after, meanwhile), 6))
    phases = [Phase.CLEARING, Phase.RESTARTING, Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING]
    assert [event["phase"] for event in found] == phases


def test_following_ends_with_ctrl_c(stand: Stand, cli: Cli, living: Living, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = living.running()
    pauses = []

    def pause() -> None:
        pauses.append(True)
        stand.stop(job_id)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "pause", pause)
    lines = cli("events", str(job_id), "-f", "--limit", "1").splitlines()
    assert "running: " in lines[0]
    assert [line.split(maxsplit=4)[4] for line in lines[1:]] == ["tester asked: stop without a savepoint."]
    assert len(pauses) == 2


def test_explain_a_job_that_waits(stand: Stand, cli: Cli, living: Living) -> None:
    for number in range(8):
        living.running(name=f"first-{number}")
    job_id = stand.create(name="waits")
    stand.run(job_id)
    note = living.reach(job_id, lambda job: "CU" in job.record.note).record.note
    told = cli("explain", str(job_id)).splitlines()
    assert told[:3] == [f"job {job_id} (waits): job_submitting", note, "How it came to that:"]
    assert told[-1].endswith(note)


def test_explain_a_job_that_has_failed(stand: Stand, cli: Cli, living: Living) -> None:
    """The last run alone counts, and what was asked of the job since then does not hide it."""
    job_id = living.running()
    stand.stop(job_id)
    living.until(job_id, Phase.STOPPED)
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", ON)
    living.run(job_id)
    for _ in range(3):
        living.runtime.fail(living.name(job_id))
        living.again(job_id)
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", {"desc": "mended"})
    told = cli("explain", str(job_id)).splitlines()
    assert told[0] == f"job {job_id} (job): job_running_exception"
    assert "2 of 2 within an hour is all that resume_max_num allows" in told[1]
    way = [line.split(maxsplit=4)[4] for line in told[3:]]
    assert way[0].startswith("tester changed restart_when_exception, ")
    assert way[1] == "tester asked: run from a clean start."
    assert not any(line.startswith("restarting: ") for line in way)
    assert sum("Restart 1 of 2" in line for line in way) == 1
    assert way[-1] == "tester changed desc."
    assert not any("stop" in line for line in way)


def test_explain_a_draft(stand: Stand, cli: Cli) -> None:
    stand.create()
    assert cli("explain", "1").splitlines() == ["job 1 (job): job_init"]


def test_run_stop_savepoint_and_delete(stand: Stand, cli: Cli, living: Living) -> None:
    job_id = stand.create(obs_bucket="b")
    assert cli("run", str(job_id)) == f"job {job_id}: run is asked for\n"
    living.until(job_id, Phase.RUNNING)
    assert "savepoint is asked for" in cli("savepoint", str(job_id), "--to", "obs://b/there")
    assert living.reach(job_id, lambda job: bool(job.record.savepoint_path)).record.phase is Phase.RUNNING
    cli("stop", str(job_id), "--savepoint")
    assert stand.job(job_id).desired.trigger_savepoint
    living.until(job_id, Phase.STOPPED)
    cli("run", str(job_id), "--resume")
    assert stand.job(job_id).desired.resume_savepoint
    cli("stop", str(job_id))
    assert not stand.job(job_id).desired.trigger_savepoint
    cli("delete", str(job_id), typed="n\n", code=1)
    assert stand.job(job_id).desired.goal is Goal.STOP
    cli("delete", str(job_id), typed="y\n")
    assert stand.job(job_id).desired.goal is Goal.DELETE


def test_each_refusal_is_told(stand: Stand, cli: Cli) -> None:
    first, second = stand.create(name="one"), stand.create(name="two", queue_name="")
    told = cli("run", str(first), str(second), code=1)
    assert f"job {first}: run is asked for" in told
    assert f"job {second}: DLI.13024: No job-running queue selected." in told
    with pytest.raises(ApiError, match=r"DLI\.16001: The job 98 does not exist\..* The job 99 does not exist"):
        cli("delete", "98", "99", "--yes")
