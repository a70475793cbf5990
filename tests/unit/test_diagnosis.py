"""Evidence -> what a person reads."""

from __future__ import annotations

import signal

import pytest

from headrace.domain import diagnosis
from headrace.domain.observation import DeploymentView, FlinkJob, FlinkState, SavepointState, SavepointView, Sight


def failed(failure: str) -> DeploymentView:
    return DeploymentView(Sight.DEAD, FlinkJob(FlinkState.FAILED, ever_ran=True, failure=failure), exit_code=163)


def dead(exit_code: int | None, evidence: str = "") -> DeploymentView:
    return DeploymentView(Sight.DEAD, exit_code=exit_code, evidence=evidence)


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        (failed("boom"), "Flink: boom"),
        (failed(""), "Flink gave the job up without a reason."),
        (dead(-9), "The JobManager ended (killed by SIGKILL)."),
        (dead(-15), "The JobManager ended (killed by SIGTERM)."),
        (dead(-35), "The JobManager ended (killed by signal 35)."),
        (dead(-999), "The JobManager ended (killed by signal 999)."),
        (dead(1), "The JobManager ended (exit code 1)."),
        (dead(None), "The JobManager ended (exit code not known)."),
        (dead(1, "Exception in main()"), "The JobManager ended (exit code 1): Exception in main()"),
        (dead(0), "main() ended the JobManager with exit code 0 before Flink finished the job."),
        (DeploymentView(Sight.UNRESPONSIVE), "The JobManager lives but does not answer any more; it was ended."),
        (DeploymentView(Sight.ABSENT), "The deployment has vanished"),
        (DeploymentView(Sight.REMOVED), "The deployment has vanished"),
        (
            DeploymentView(Sight.LIVE, FlinkJob(FlinkState.CANCELED)),
            "The job was cancelled by somebody else than Headrace, through Flink.",
        ),
        (
            DeploymentView(Sight.LIVE, lost_taskmanagers=(-9, 1, None)),
            "A TaskManager ended (killed by SIGKILL, exit code 1, exit code not known).",
        ),
        (DeploymentView(Sight.LIVE, FlinkJob(FlinkState.FAILED), lost_taskmanagers=(1,)), "Flink gave the job up"),
    ],
)
def test_the_cause(view: DeploymentView, cause: str) -> None:
    assert diagnosis.explain(view).startswith(cause)


CORPUS = [
    (
        "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Could not acquire the minimum "
        "required resources.",
        "parallel_number",
    ),
    ("java.lang.OutOfMemoryError: Metaspace. The metaspace out-of-memory error has occurred.", "metaspace"),
    ("java.lang.OutOfMemoryError: Java heap space", "tm_cus"),
    ("java.lang.OutOfMemoryError: Direct buffer memory", "tm_cus"),
    ("java.lang.NoSuchMethodError: 'void com.google.common.base.Preconditions.checkArgument(boolean)'", "provided"),
    ("java.lang.IncompatibleClassChangeError: Found class X, but interface was expected", "provided"),
    ("java.lang.NoClassDefFoundError: org/apache/kafka/clients/consumer/ConsumerConfig", "dependency_jars"),
    ("java.lang.ClassNotFoundException: com.mysql.cj.jdbc.Driver", "dependency_jars"),
    ("java.lang.UnsupportedClassVersionError: com/acme/Job has been compiled by a more recent version", "--release"),
    (
        "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/s. Cannot map "
        "checkpoint/savepoint state for operator 1 to the new program",
        "uids",
    ),
    ("java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory: missing _metadata", "state"),
    ("java.net.BindException: Could not start rest endpoint on any port in port range 8081", "port"),
    ("java.io.IOException: No space left on device", "disk is full"),
]


@pytest.mark.parametrize(("said", "advice"), CORPUS)
def test_a_known_cause_comes_with_a_suggestion(said: str, advice: str) -> None:
    explained = diagnosis.explain(failed(said))
    assert explained.startswith(f"Flink: {said}")
    assert advice in explained.removeprefix(f"Flink: {said}")
    from_a_log = diagnosis.explain(dead(1, said))
    assert advice in from_a_log.removeprefix(f"The JobManager ended (exit code 1): {said}")


def test_each_rule_has_an_example_and_wins_it() -> None:
    explained = [diagnosis.explain(failed(said)) for said, _ in CORPUS]
    won = {advice for _, advice in diagnosis.RULES if any(text.endswith(advice) for text in explained)}
    assert won == {advice for _, advice in diagnosis.RULES}


def test_the_unknown_is_shown_as_it_is() -> None:
    assert diagnosis.explain(failed("com.acme.Oops: 42")) == "Flink: com.acme.Oops: 42"


def test_a_kill_by_nobody_hints_at_the_kernel() -> None:
    assert "short of memory" in diagnosis.explain(dead(-signal.SIGKILL))
    assert "short of memory" not in diagnosis.explain(dead(-signal.SIGTERM))
    assert "short of memory" not in diagnosis.explain(dead(-signal.SIGKILL, "OutOfMemoryError: Metaspace"))


@pytest.mark.parametrize(
    ("flink", "said"),
    [
        (None, "Flink says not answering yet."),
        (FlinkJob(FlinkState.CREATED), "Flink says CREATED."),
        (FlinkJob(FlinkState.RESTARTING, failure="boom"), "Flink says RESTARTING. boom"),
    ],
)
def test_why_it_never_ran(flink: FlinkJob | None, said: str) -> None:
    text = diagnosis.never_ran(DeploymentView(Sight.LIVE, flink))
    assert said in text
    assert "start_patience_seconds" in text


@pytest.mark.parametrize(
    ("savepoint", "reason"),
    [
        (SavepointView(), "did not complete in time"),
        (SavepointView(SavepointState.IN_PROGRESS), "did not complete in time"),
        (SavepointView(SavepointState.FAILED, reason="disk full"), "(disk full)"),
    ],
)
def test_why_a_savepoint_failed(savepoint: SavepointView, reason: str) -> None:
    text = diagnosis.savepoint_failed(DeploymentView(Sight.LIVE, savepoint=savepoint))
    assert reason in text
    assert "still runs" in text
    alone = diagnosis.not_saved(DeploymentView(Sight.LIVE, savepoint=savepoint))
    assert reason in alone
    assert "runs on" in alone


@pytest.mark.parametrize("state", sorted(FlinkState))
def test_only_a_restart_is_worth_a_word_of_a_running_job(state: FlinkState) -> None:
    text = diagnosis.restarting(DeploymentView(Sight.LIVE, FlinkJob(state, restarts=2)))
    expected = "Flink is restarting the job (restart 2)."
    assert text == (expected if state in (FlinkState.RESTARTING, FlinkState.FAILING) else "")


def test_a_job_that_does_not_answer_yet_is_well() -> None:
    assert diagnosis.restarting(DeploymentView(Sight.LIVE)) == ""
