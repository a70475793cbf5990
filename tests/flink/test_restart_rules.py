"""Restart rules on real Flink: what may be restarted, how often, from which state, and what is told meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from headrace.flink.engines import EngineStore
from headrace.runtimes.processes import Life
from tests.support.promises import figure, promise
from tests.support.server import EXAMPLES, wait_until
from tests.support.stage import Playing, Stage, since_boot, staged, together

pytestmark = pytest.mark.flink

FAILS = "--when record --after 20 --rate 50"
ON: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True}


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    """``kept_attempts`` is 1: whatever is needed of an earlier attempt must be kept for that reason alone."""
    for flink in ("1.17.2", "2.3.0"):
        engine_store.install(flink)
    with staged(request, tmp_path_factory.mktemp("rules"), engine_store, {"HEADRACE_KEPT_ATTEMPTS": "1"}) as one:
        yield one


def restarted_from(one: Playing, attempt: int) -> str:
    """Waits until this attempt runs; where Flink says that it was restored from."""
    wait_until(f"attempt {attempt} runs", lambda: one.attempt == attempt and one.detail()["status"] == "job_running")
    return one.restored()


def starts(one: Playing, attempt: int) -> None:
    """Waits until the JobManager of this attempt lives."""
    wait_until(f"attempt {attempt} starts", lambda: one.kept("jobmanager", attempt).life is Life.RUNS)


# -- off --------------------------------------------------------------------------------------------------------------


@together
@promise("Restarts off: the first failure ends the job, though Flink's own default would restart it without end")
def test_the_first_failure_ends_a_job_whose_restarts_are_off(stage: Stage) -> None:
    with stage.job("off", FAILS, flink="1.17") as one:
        one.run()
        ended = one.until("job_running_exception")
        assert ended["restart_times"] == 0
        assert "Failed on demand at record" in ended["status_desc"]
        assert one.attempt == 1
        assert one.jobs.path(one.job_id) == ["job_init", "job_submitting", "job_running", "job_running_exception"]


@together
@promise("Restarts off: a TaskManager that is killed ends the job, and its newest state is named and can be imported")
def test_a_killed_taskmanager_ends_a_job_whose_restarts_are_off(stage: Stage) -> None:
    with stage.counter("off-killed", restart_when_exception=False) as one:
        one.strike("taskmanager-1")
        ended = one.until("job_running_exception")
        assert ended["restart_times"] == 0
        assert "TaskManager" in ended["status_desc"]
        assert "SIGKILL" in ended["status_desc"]
        newest = ended["status_desc"].split("Its newest state is ")[1].split()[0]
        body = {"job_id": one.job_id, "savepoint_path": newest}
        one.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{one.job_id}/import-savepoint", body)
        one.run(resume=True)
        one.until("job_running")
        assert one.restored().rstrip("/").endswith(newest.rpartition("/")[2])
        one.grows(20)
        figure(f"{one.ends_exactly()} records, each once")


@together
@promise("Restarts off: a restart strategy in the job's own code is ended at its first restart, and that is told")
def test_a_strategy_in_the_code_is_ended_where_restarts_are_off(stage: Stage) -> None:
    with stage.job("off-own", f"{FAILS} --restart-delay 1000", flink="2.3") as one:
        one.run()
        ended = one.until("job_running_exception", "job_submit_fail")
        assert ended["restart_times"] >= 1
        assert "restart_when_exception is off" in ended["status_desc"]
        assert "job's own code" in ended["status_desc"]


# -- the cap ----------------------------------------------------------------------------------------------------------


@together
@promise("The cap: after resume_max_num restarts the job is job_running_exception, with count and cap in status_desc")
def test_two_restarts_and_no_third(stage: Stage) -> None:
    with stage.job("two", FAILS, flink="2.3", resume_max_num=2, **ON) as one:
        one.run()
        ended = one.until("job_running_exception")
        assert ended["restart_times"] == 2
        assert "2 of 2 within an hour" in ended["status_desc"]
        assert "resume_max_num" in ended["status_desc"]
        assert "Failed on demand at record" in ended["status_desc"]


@together
@promise("Flink's restarts in place and Headrace's new deployments are one budget; each is shown as what it is")
def test_restarts_in_place_and_new_deployments_are_one_budget(stage: Stage) -> None:
    with stage.counter("budget", resume_max_num=2) as one:
        struck = one.strike("jobmanager")
        anew = one.told("The next try is at", "job_submitting")
        assert "Restart 1 of 2 within an hour" in anew["status_desc"]
        assert "SIGKILL" in anew["status_desc"]
        restarted_from(one, 2)
        figure(f"{since_boot() - struck:.1f} s from SIGKILL of the JobManager to job_running")
        assert one.detail()["status_desc"] == ""
        assert one.detail()["restart_times"] == 1
        one.grows(1)
        one.order("throw")
        wait_until("it is counted", lambda: one.detail()["restart_times"] == 2)
        assert one.journal("in place: restart 2 of 2")
        one.grows()
        one.order("throw")
        ended = one.until("job_running_exception")
        assert ended["restart_times"] == 2
        assert "2 of 2 within an hour" in ended["status_desc"]
        figure(f"{one.exact()} records, each once")


@together
@promise("A restart strategy in the job's own code is counted and capped too, and the journal says whose it is")
def test_a_strategy_in_the_code_is_counted_and_capped(stage: Stage) -> None:
    with stage.job("own", f"{FAILS} --restart-delay 1500", resume_max_num=2, **ON) as one:
        one.run()
        ended = one.until("job_running_exception")
        assert ended["restart_times"] >= 2
        assert "resume_max_num" in ended["status_desc"]
        mine = one.journal("in place by the strategy of its own code")
        assert mine
        assert "fixed" in mine[0]["note"].lower()


@together
@promise("resume_max_num -1 goes on without limit, with a growing wait between two tries")
def test_without_limit_the_wait_grows(stage: Stage) -> None:
    with stage.job("backoff", "--when none", resume_max_num=-1, **ON) as one:
        one.run()
        for attempt in range(1, 4):
            starts(one, attempt)
            one.strike("jobmanager")
        assert one.until("job_running")["restart_times"] == 3
        moves = [line for line in one.journal() if line["kind"] == "moved"]
        gaps = [
            (after["at_ms"] - before["at_ms"]) / 1000
            for before, after in pairwise(moves)
            if (before["phase"], after["phase"]) == ("restarting", "preparing")
        ]
        assert len(gaps) == 3
        for gap, wait in zip(gaps, (1, 2, 4), strict=True):
            assert wait * 0.9 <= gap < wait + 10
        figure("waited " + ", ".join(f"{gap:.1f} s" for gap in gaps))


@together
@promise("A failure that cannot heal is not retried: a class that is in no JAR")
def test_a_missing_class_is_not_retried(stage: Stage) -> None:
    # Not before it is seen to run, on a slow machine too: else it is its submission that fails.
    with stage.job("class", "--when class --after 200 --rate 50", resume_max_num=-1, **ON) as one:
        one.run()
        ended = one.until("job_running_exception")
        assert "headrace.examples.InNoJar" in ended["status_desc"]
        assert "dependency_jars" in ended["status_desc"]
        assert one.attempt == 1
        assert ended["restart_times"] <= 1


@together
@promise("A failure that cannot heal is not retried: the main class is missing when the job is restarted")
def test_a_main_class_that_went_missing_is_not_looked_for_again(stage: Stage) -> None:
    with stage.job("main", "--when none", main_class="headrace.examples.FailOnDemand", resume_max_num=-1, **ON) as one:
        one.run()
        one.until("job_running")
        staged_jar = one.folder(1) / "usrlib" / "failOnDemand.jar"
        shutil.copyfile(EXAMPLES / "jars" / "test.jar", staged_jar.with_suffix(".new"))
        staged_jar.with_suffix(".new").rename(staged_jar)  # the running JVM keeps the old file
        one.strike("jobmanager")
        ended = one.until("job_running_exception")
        assert "headrace.examples.FailOnDemand" in ended["status_desc"]
        assert ended["restart_times"] == 1
        assert one.attempt == 2
        assert one.kept("jobmanager").life is Life.NEVER


# -- from which state -------------------------------------------------------------------------------------------------


@together
@promise("A crash before the first checkpoint goes back to the same restore point, here a savepoint")
def test_a_crash_before_the_first_checkpoint_goes_back_to_the_savepoint(stage: Stage) -> None:
    with stage.counter("before-first") as one:
        one.stop(savepoint=True)
        savepoint = one.until("job_cancel_success")["savepoint_path"]
        one.change(checkpoint_interval=3600)
        one.run(resume=True)
        one.until("job_running")
        wait_until("it has gone on", lambda: (one.jobs.records(one.job_id) or 0) > 20)
        one.strike("jobmanager")
        assert restarted_from(one, 3) == savepoint
        wait_until("it goes on", lambda: (one.jobs.records(one.job_id) or 0) > 20)
        figure(f"{one.ends_exactly()} records, each once")


@together
@promise("A savepoint that is newer than the checkpoints left is what is restored")
def test_a_newer_savepoint_is_what_is_restored(stage: Stage) -> None:
    with stage.counter("newer", checkpoint_interval=3600) as one:
        one.checkpoint()
        savepoint = one.save()
        assert one.checkpoints()
        one.strike("jobmanager")
        assert restarted_from(one, 2) == savepoint
        wait_until("it goes on", lambda: (one.jobs.records(one.job_id) or 0) > 20)
        figure(f"{one.ends_exactly()} records, each once")


@together
@promise("resume_checkpoint=false: each restart is a clean start, never one in place from a checkpoint")
def test_without_resume_checkpoint_each_restart_is_a_clean_start(stage: Stage) -> None:
    with stage.counter("clean", resume_checkpoint=False) as one:
        one.grows()
        one.order("throw")
        assert restarted_from(one, 2) == ""
        assert one.detail()["restart_times"] == 1

        def times() -> int:
            return "".join(one.jobs.texts(f"{one.output}/")).splitlines().count("0 1 0")

        wait_until("number 0 was counted anew", lambda: times() == 2)


@together
@promise("After a clean start nothing of the earlier lineage is restored, whatever its checkpoints are numbered")
def test_a_clean_start_has_a_lineage_of_its_own(stage: Stage) -> None:
    with stage.counter("lineage") as one:
        wait_until("checkpoint 9 is there", lambda: max(one.checkpoints(), default=0) >= 9)
        one.stop()
        one.until("job_cancel_success")
        earlier = max(one.checkpoints())
        one.change(entrypoint_args=one.jobs.detail(one.job_id)["entrypoint_args"].replace("/lineage ", "/anew "))
        one.output = "anew"
        one.run()
        one.until("job_running")
        mine = one.flink().jobs()[0]["jid"]
        one.grows(1)
        one.strike("jobmanager")
        restored = restarted_from(one, 3)
        assert f"/{mine}/chk-" in restored
        assert int(restored.rpartition("chk-")[2]) < earlier
        one.grows(20)
        figure(
            f"checkpoint {earlier} lay there, {restored.rpartition('/')[2]} was restored; {one.ends_exactly()} records"
        )


@together
@promise("A newest checkpoint that is damaged is told; the job is not restarted without it")
def test_a_damaged_checkpoint_is_told(stage: Stage) -> None:
    with stage.counter("damaged") as one:
        one.grows()
        one.strike("jobmanager")
        one.ended("jobmanager")  # no more checkpoints; and the next attempt is begun after a second at least
        newest = one.checkpoints()[max(one.checkpoints())]
        (newest / "_metadata").write_bytes(b"")
        ended = one.until("job_running_exception")
        assert newest.name in ended["status_desc"]
        assert "cannot be read" in ended["status_desc"]
        assert "import-savepoint" in ended["status_desc"]
        assert one.attempt == 1


@together
@promise("Earlier attempts' checkpoints are cleared away, but never one that a restore might need")
def test_the_checkpoint_that_is_needed_stays(stage: Stage) -> None:
    with stage.counter("kept") as one:
        first = one.flink().jobs()[0]["jid"]
        place = one.home / "objects" / "test-bucket" / "jobs" / "checkpoint" / str(one.job_id)
        one.strike("jobmanager")
        starts(one, 2)
        one.strike("jobmanager")  # before any checkpoint of its own
        assert f"/{first}/chk-" in restarted_from(one, 3)
        assert (place / first).is_dir()
        one.grows(1)
        second = one.flink().jobs()[0]["jid"]
        one.strike("jobmanager")
        assert f"/{second}/chk-" in restarted_from(one, 4)
        assert not (place / first).exists()
        assert not one.folder(1).exists()
        figure(f"{one.ends_exactly()} records, each once, over 4 attempts")


# -- stopping meanwhile -----------------------------------------------------------------------------------------------


@together
@promise("A stop with savepoint of a job that waits for its next try takes its newest state, and a run goes on from it")
def test_a_job_that_is_restarted_is_stopped_with_its_newest_state(stage: Stage) -> None:
    with stage.counter("stopped") as one:
        one.strike("jobmanager")
        one.told("The next try is at", "job_submitting")
        one.stop(savepoint=True)
        stopped = one.until("job_cancel_success")
        newest = one.checkpoints()[max(one.checkpoints())]
        assert stopped["savepoint_path"].endswith("/".join(newest.parts[-2:]))
        assert stopped["has_savepoint"] is True
        assert stopped["savepoint_path"] in stopped["status_desc"]
        one.run(resume=True)
        one.until("job_running")
        one.grows(20)
        figure(f"{one.ends_exactly()} records, each once")


@together
@promise("A job that Flink restarts in place is shown as running with what goes on, and can be stopped")
def test_a_job_that_flink_restarts_is_stopped(stage: Stage) -> None:
    with stage.job("stopped-in-place", f"{FAILS} --restart-delay 600000", resume_max_num=-1, **ON) as one:
        one.run()
        shown = one.told("Flink is restarting the job", "job_running")
        assert "Failed on demand at record" in shown["status_desc"]
        one.stop()
        one.until("job_cancel_success")
        assert one.kept("jobmanager").life is Life.ENDED
