"""Evidence -> what a person reads. The words are those that real Flinks and JVMs said (tests/corpus)."""

from __future__ import annotations

import re

import pytest

from headrace.domain import diagnosis
from headrace.domain.diagnosis import RULES, diagnose
from headrace.domain.evidence import Rule
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    LostTaskManager,
    SavepointState,
    SavepointView,
    Sight,
    Trace,
)

LOG = "deployments/job-7-1/log/jobmanager.log"
SUPPRESSED = "org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy"
IN_MAIN = (
    "java.util.concurrent.CompletionException: org.apache.flink.client.deployment.application.ApplicationExecution"
    "Exception: Could not execute application.",
    "org.apache.flink.client.deployment.application.ApplicationExecutionException: Could not execute application.",
)


def failed(*causes: str, at: str = "", on: str = "") -> DeploymentView:
    """Flink gave the job up."""
    job = FlinkJob(FlinkState.FAILED, ever_ran=True, failure=causes[-1], trace=Trace(causes, at), failed_on=on)
    return DeploymentView(Sight.DEAD, job, exit_code=163, log=LOG)


def dead(exit_code: int | None, *causes: str, at: str = "") -> DeploymentView:
    """The JobManager has ended; its log ends with these."""
    evidence = causes[-1] if causes else ""
    return DeploymentView(Sight.DEAD, exit_code=exit_code, evidence=evidence, log=LOG, trace=Trace(causes, at))


def in_main(*causes: str, at: str = "com.acme.Job.main(Job.java:9)") -> DeploymentView:
    return dead(2, *IN_MAIN, *causes, at=at)


def lost(exit_code: int | None, *causes: str, silent: bool = False, oom_killed: bool = False) -> DeploymentView:
    """Flink gave the job up because a TaskManager was gone."""
    loss = (
        "org.apache.flink.runtime.jobmaster.JobMasterException: TaskManager with id job-7-1-taskmanager-2 is no longer"
    )
    gone = LostTaskManager(
        2, exit_code, causes[-1] if causes else "", silent, oom_killed, LOG.replace("jobm", "taskm"), Trace(causes)
    )
    other = LostTaskManager(1, 1, "long ago", log="deployments/job-7-1/log/taskmanager-1.log")
    job = FlinkJob(FlinkState.FAILED, failure=loss, trace=Trace((SUPPRESSED, f"{loss} reachable.")))
    return DeploymentView(Sight.DEAD, job, 163, lost_taskmanagers=(other, gone, other), log=LOG)


def program(message: str) -> str:
    return f"org.apache.flink.client.program.ProgramInvocationException: The main method caused an error: {message}"


def option(value: str, key: str) -> str:
    return f"java.lang.IllegalArgumentException: Could not parse value '{value}' for key '{key}'."


def fails_to(what: str) -> str:
    return f"org.apache.flink.util.FlinkRuntimeException: {what}"


ROLLBACK = "java.lang.IllegalStateException: Failed to rollback to checkpoint/savepoint file:/s/savepoint-1."
THRESHOLD = "Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to"

EXAMPLES: list[tuple[str, DeploymentView, str]] = [
    ("machine was started anew", DeploymentView(Sight.DEAD, rebooted=True, evidence="old"), "restart_when_exception"),
    ("finished, but not in order", DeploymentView(Sight.DEAD, FlinkJob(FlinkState.FINISHED), -9), "output is complete"),
    (
        "finished, but not in order",
        DeploymentView(Sight.UNRESPONSIVE, FlinkJob(FlinkState.FINISHED)),
        "run the job again",
    ),
    ("JobManager is silent", DeploymentView(Sight.UNRESPONSIVE, evidence="old"), "manager_cu_number"),
    ("deployment has vanished", DeploymentView(Sight.REMOVED), "Run the job again"),
    ("deployment has vanished", DeploymentView(Sight.ABSENT), "Run the job again"),
    ("cancelled through Flink", DeploymentView(Sight.LIVE, FlinkJob(FlinkState.CANCELED)), "through Headrace"),
    (
        "killed for want of memory",
        DeploymentView(Sight.DEAD, exit_code=-9, oom_killed=True, evidence="old", log=LOG),
        "memory_reserve_mb",
    ),
    ("killed for want of memory", lost(-9, oom_killed=True), "memory_reserve_mb"),
    ("metaspace of the JobManager", dead(3, "Terminating due to java.lang.OutOfMemoryError: Metaspace"), "jobmanager."),
    ("metaspace of a TaskManager", lost(3, "Terminating due to java.lang.OutOfMemoryError: Metaspace"), "taskmanager."),
    ("heap of the JobManager", dead(3, "Terminating due to java.lang.OutOfMemoryError: Java heap space"), "manager_cu"),
    (
        "heap of a TaskManager",
        lost(3, "Terminating due to java.lang.OutOfMemoryError: Java heap space"),
        "Raise tm_cus",
    ),
    ("direct memory", failed("java.lang.OutOfMemoryError: Direct buffer memory. The direct out-of-"), "off-heap.size"),
    (
        "direct memory",
        failed("java.lang.OutOfMemoryError: Cannot reserve 1048576 bytes of direct buffer memory (allocated: 3)"),
        "off-heap.size",
    ),
    ("stack", in_main("java.lang.StackOverflowError", at="com.acme.Job.deep(Job.java:3)"), "-Xss"),
    (
        "network buffers",
        failed("java.io.IOException: Insufficient number of network buffers: required 2, but only 1 available."),
        "taskmanager.memory.network.max",
    ),
    (
        "slots",
        failed(
            SUPPRESSED,
            "java.util.concurrent.CompletionException: org.apache.flink.runtime.jobmanager.scheduler.NoResource"
            "AvailableException: Could not acquire the minimum required resources.",
        ),
        "parallel_number",
    ),
    (
        "crash of the JVM",
        lost(-6, "A fatal error has been detected by the Java Runtime Environment: SIGSEGV (0xb) at pc=0x1"),
        "crash report",
    ),
    (
        "state backend",
        failed(
            "org.apache.flink.runtime.client.JobExecutionException: Could not instantiate configured state backend",
            "org.apache.flink.util.DynamicCodeLoadingException: Cannot find configured state backend factory class: x",
            "java.lang.ClassNotFoundException: x",
        ),
        "state.backend.type",
    ),
    (
        "option value",
        in_main(
            program("Could not parse value 'soon' for key 'execution.checkpointing.interval'."),
            option("soon", "execution.checkpointing.interval"),
            "java.lang.NumberFormatException: text does not start with a number",
        ),
        "Correct execution.checkpointing.interval in runtime_config",
    ),
    ("option value", dead(1, "java.lang.Exception: Could not create actor system", option("x", "pekko.a")), "pekko.a"),
    (
        "JVM options",
        dead(1, "Error: Could not create the Java Virtual Machine.", "Unrecognized VM option 'NoSuchFlag'"),
        "env.java.opts",
    ),
    (
        "Java modules",
        in_main(
            "java.lang.reflect.InaccessibleObjectException: Unable to make field private java.lang.String java.util."
            'regex.Pattern.pattern accessible: module java.base does not "opens java.util.regex" to unnamed module @2'
        ),
        "--add-opens=java.base/java.util.regex=ALL-UNNAMED",
    ),
    (
        "file system",
        in_main(
            "org.apache.flink.core.fs.UnsupportedFileSystemSchemeException: Could not find a file system implementa"
            "tion for scheme 's3'. The scheme is directly supported by Flink through the following plugin(s): flink-s3"
        ),
        "obs://",
    ),
    (
        "port",
        dead(1, "java.net.BindException: Could not start rest endpoint on any port in port range 8081"),
        "Run the job again",
    ),
    (
        "Java version",
        failed(
            "java.lang.UnsupportedClassVersionError: com/acme/Lib has been compiled by a more recent version of the "
            "Java Runtime (class file version 65.0), this version of the Java Runtime only recognizes class file "
            "versions up to 61.0"
        ),
        "--release",
    ),
    (
        "Flink version",
        in_main(
            "java.lang.NoClassDefFoundError: org/apache/flink/api/common/functions/OpenContext",
            "java.lang.ClassNotFoundException: org.apache.flink.api.common.functions.OpenContext",
        ),
        "flink_version",
    ),
    (
        "Flink version",
        failed(
            "java.lang.NoSuchMethodError: 'int org.apache.flink.api.common.functions.RuntimeContext.getIndexOf()'",
        ),
        "flink_version",
    ),
    (
        "missing class",
        in_main("java.lang.NoClassDefFoundError: org/apache/flink/connector/kafka/source/KafkaSource"),
        "dependency_jars",
    ),
    (
        "library version",
        failed("java.lang.NoSuchMethodError: 'void com.google.common.base.Preconditions.checkArgument(boolean)'"),
        "dependency_jars",
    ),
    (
        "connector",
        in_main(
            program("Unable to create a sink"),
            "org.apache.flink.table.api.ValidationException: Cannot discover a connector using option: 'connector'='k'",
            "org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'kafka' that "
            "implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath.",
        ),
        "dependency_jars",
    ),
    (
        "missing class",
        failed("java.lang.NoClassDefFoundError: com/acme/Part", "java.lang.ClassNotFoundException: com.acme.Part"),
        "dependency_jars",
    ),
    (
        "not serializable",
        in_main(
            program("Object com.acme.Job$$Lambda$8@77 is not serializable"),
            "org.apache.flink.api.common.InvalidProgramException: Object com.acme.Job$$Lambda$8@77 is not serializable",
            "java.io.NotSerializableException: java.lang.Object",
        ),
        "transient",
    ),
    (
        "type of a lambda",
        in_main("org.apache.flink.api.common.functions.InvalidTypesException: The return type of function 'run'"),
        ".returns(",
    ),
    (
        "no job",
        in_main(
            program("No operators defined in streaming topology. Cannot execute."),
            "java.lang.IllegalStateException: No operators defined in streaming topology. Cannot execute.",
        ),
        "execute()",
    ),
    (
        "no job",
        dead(
            2,
            "org.apache.flink.client.deployment.application.ApplicationExecutionException: The application contains no "
            "execute() calls.",
        ),
        "execute()",
    ),
    ("no job", dead(0, "Flink's application FINISHED without a job"), "execute()"),
    (
        "savepoint is gone",
        failed(
            "java.io.FileNotFoundException: Cannot find checkpoint or savepoint file/directory '/s' on file system 'f'"
        ),
        "import-savepoint",
    ),
    (
        "operator is gone",
        failed(
            f"{ROLLBACK} Cannot map checkpoint/savepoint state for operator 1 to the new program, because the operator"
        ),
        "uid",
    ),
    (
        "maximum parallelism",
        failed(f"{ROLLBACK} Max parallelism mismatch between checkpoint/savepoint state and new program. Cannot map"),
        "pipeline.max-parallelism",
    ),
    (
        "type of state",
        failed(
            "java.lang.Exception: Exception while creating StreamOperatorStateContext.",
            "org.apache.flink.util.StateMigrationException: The new state typeSerializer for operator state must not b",
        ),
        "resume_savepoint",
    ),
    ("disk is full", failed(SUPPRESSED, "java.io.IOException: No space left on device", at="com.acme.Sink"), "space"),
    (
        "disk is full",
        failed("java.io.FileNotFoundException: /data/x (No space left on device)"),
        "Free some space",
    ),
    (
        "checkpoint folder",
        failed(
            fails_to("Failed to create checkpoint storage at checkpoint coordinator side."),
            "java.nio.file.FileAlreadyExistsException: /home/objects/b/cp",
        ),
        "obs_bucket",
    ),
    (
        "checkpoints time out",
        failed(SUPPRESSED, fails_to(f"{THRESHOLD} Checkpoint expired before completing., view the Checkpoint")),
        "execution.checkpointing.timeout",
    ),
    ("checkpoints fail", failed(fails_to(f"{THRESHOLD} Asynchronous task checkpoint failed., view")), "snapshotState"),
    ("not permitted", failed("java.io.FileNotFoundException: /etc/x (Permission denied)", at="c.Sink"), "another path"),
    ("not permitted", failed("java.nio.file.AccessDeniedException: /data/cp"), "another path"),
    (
        "missing file",
        failed("java.io.FileNotFoundException: /b/none.csv (No such file or directory)"),
        "entrypoint_args",
    ),
    (
        "connection refused",
        failed("java.net.ConnectException: Connection refused", at="com.acme.S.a(S.java:1)"),
        "addr",
    ),
    ("unknown host", failed("java.net.UnknownHostException: no.such.host", at="com.acme.S.a(S.java:1)"), "DNS"),
    (
        "TaskManager is silent",
        failed(SUPPRESSED, "java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id x timed out."),
        "tm_cus",
    ),
    (
        "TaskManager ends",
        failed(SUPPRESSED, "org.apache.flink.util.FlinkExpectedException: The TaskExecutor is shutting down."),
        "RECEIVED SIGNAL",
    ),
    ("TaskManager was silent", lost(-9, silent=True), "tm_cus"),
    ("TaskManager was killed", lost(-9, "java.lang.Exception: of yesterday"), "restart_when_exception"),
    ("TaskManager was killed", lost(143), "restart_when_exception"),
    ("TaskManager was killed", lost(None), "restart_when_exception"),
    ("exit in a task", lost(5), "throw an exception"),
    ("JobManager was killed", dead(-9, "java.lang.Exception: of yesterday"), "restart_when_exception"),
    ("JobManager was killed", dead(143), "restart_when_exception"),
    ("JobManager was killed", dead(None), "restart_when_exception"),
    ("exit in main()", dead(0), "entrypoint_args"),
    ("exit in main()", dead(3), "entrypoint_args"),
    ("main() fails", in_main(program("the ledger is closed"), "java.lang.IllegalStateException: the ledger"), "entryp"),
    ("code fails", failed(SUPPRESSED, "java.lang.IllegalStateException: x", at="com.acme.Map.map(Map.java:3)"), "data"),
]


@pytest.mark.parametrize(("rule", "view", "advice"), EXAMPLES, ids=[f"{n}-{e[0]}" for n, e in enumerate(EXAMPLES)])
def test_a_known_cause_comes_with_a_suggestion(rule: str, view: DeploymentView, advice: str) -> None:
    found = diagnose(view)
    assert (found.rule, advice in found.suggestion) == (rule, True), found
    assert diagnosis.explain(view) == " ".join(text for text in (found.cause, found.suggestion, found.where) if text)
    assert "{" not in diagnosis.explain(view).replace("${", "")
    assert found.cause[0].isupper() or found.cause.startswith("main()")
    assert found.cause.endswith(".")


def test_every_rule_has_an_example_and_a_name_of_its_own() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert {name for name, _, _ in EXAMPLES} == set(names)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.name))
def test_a_rule_looks_for_words_or_at_facts(rule: Rule) -> None:
    assert rule.pattern or rule.when
    assert rule.sees
    assert rule.suggestion.endswith(".")
    groups = {"who", "ended", *re.compile(rule.pattern).groupindex}
    assert set(re.findall(r"\{(\w+)\}", rule.cause + rule.suggestion)) <= groups


def test_the_words_shown_are_those_that_the_rule_saw() -> None:
    known = {rule: diagnose(view).cause for rule, view, _ in EXAMPLES}
    assert known["state backend"].endswith("Cannot find configured state backend factory class: x.")
    assert "Could not parse value 'soon'" in known["option value"] or "pekko" in known["option value"]
    assert known["checkpoint folder"].endswith("FileAlreadyExistsException: /home/objects/b/cp.")
    assert known["JVM options"] == (
        "The JobManager was not started, as its JVM refuses an option: Unrecognized VM option 'NoSuchFlag'."
    )
    assert known["main() fails"] == (
        "main() failed before there was a job: java.lang.IllegalStateException: the ledger "
        "(at com.acme.Job.main(Job.java:9))."
    )


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        (failed("com.acme.Oops: 42"), "The cause is not known. Flink says: com.acme.Oops: 42."),
        (
            DeploymentView(Sight.DEAD, FlinkJob(FlinkState.FAILED), exit_code=163),
            "The cause is not known. Flink gave the job up without a reason.",
        ),
        (
            dead(1, "com.acme.Oops: 42"),
            "The cause is not known: the JobManager ended (exit code 1); the last error in its log is: com.acme.Oops: "
            "42.",
        ),
        (dead(239), "The cause is not known: the JobManager ended (exit code 239)."),
        (lost(1), "The cause is not known: TaskManager 2 ended (exit code 1)."),
        (DeploymentView(Sight.LIVE), "The cause is not known."),
    ],
)
def test_the_unknown_is_called_so_and_shown_as_it_is(view: DeploymentView, cause: str) -> None:
    found = diagnose(view)
    assert (found.cause, found.suggestion, found.rule, found.heals) == (cause, "", "", True)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-15, "killed by SIGTERM"),
        (143, "killed by SIGTERM"),
        (-35, "killed by signal 35"),
        (-999, "killed by signal 999"),
        (None, "exit code not known"),
    ],
)
def test_how_a_process_ended(code: int | None, said: str) -> None:
    assert said in diagnosis.explain(dead(code))


@pytest.mark.parametrize(
    ("view", "where"),
    [
        (dead(0), LOG),
        (failed("x.Y: z"), LOG),
        (failed("x.Y: z", on="job-7-1-taskmanager-3"), "deployments/job-7-1/log/taskmanager-3.log"),
        (lost(5), "deployments/job-7-1/log/taskmanager.log"),
    ],
)
def test_where_to_look(view: DeploymentView, where: str) -> None:
    assert diagnose(view).where == f"Look at {where}."


def test_a_log_that_is_not_known_is_not_named() -> None:
    assert diagnose(DeploymentView(Sight.DEAD, exit_code=0)).where == ""


def test_a_taskmanager_that_was_replaced_long_ago_is_not_to_blame() -> None:
    gone = (LostTaskManager(1, 3, "Terminating due to java.lang.OutOfMemoryError: Java heap space"),)
    job = FlinkJob(FlinkState.FAILED, failure="java.net.UnknownHostException: x")
    assert diagnose(DeploymentView(Sight.DEAD, job, 163, gone)).rule == "unknown host"
    assert diagnose(DeploymentView(Sight.DEAD, None, 2, gone, evidence="java.net.UnknownHostException: x")).rule == (
        "unknown host"
    )
    assert diagnose(DeploymentView(Sight.LIVE, None, lost_taskmanagers=gone)).rule == "heap of a TaskManager"


def test_what_no_new_deployment_heals_is_not_tried_again() -> None:
    healing = {rule: diagnosis.heals(view) for rule, view, _ in EXAMPLES}
    assert not healing["missing class"]
    assert not healing["Java version"]
    assert not healing["operator is gone"]
    assert healing["connection refused"]
    assert healing["disk is full"]
    assert healing["code fails"]


@pytest.mark.parametrize(
    ("flink", "said"),
    [
        (None, "main() did not submit a job"),
        (FlinkJob(FlinkState.CREATED), "Flink says CREATED."),
        (FlinkJob(FlinkState.RESTARTING, failure="boom"), "Flink says RESTARTING. boom"),
    ],
)
def test_why_it_never_ran(flink: FlinkJob | None, said: str) -> None:
    text = diagnosis.never_ran(DeploymentView(Sight.LIVE, flink, log=LOG))
    assert said in text
    assert "start_patience_seconds" in text
    assert LOG in text


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


def test_a_restart_comes_with_its_cause_and_what_to_do() -> None:
    job = FlinkJob(FlinkState.RESTARTING, restarts=2, failure="java.net.UnknownHostException: x")
    text = diagnosis.restarting(DeploymentView(Sight.LIVE, job))
    assert text.startswith("Flink is restarting the job (restart 2). A host that the job connects to has no address")
    assert "entrypoint_args" in text


def test_a_job_that_does_not_answer_yet_is_well() -> None:
    assert diagnosis.restarting(DeploymentView(Sight.LIVE)) == ""
