"""The seeded failures: how each is made, what Headrace must say of it, and the cure, which is what it advises."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.corpus.stage import JARS, Stage, options
from tests.support.server import BUCKET, wait_until

SUBMIT, RUNNING, REFUSED, FINISHED = "job_submit_fail", "job_running_exception", "refused", "job_finish"
EITHER = "job_submit_fail or job_running_exception"
"""It fails while its tasks begin: whether all of them had run is a matter of moments."""
UNKNOWN = "unknown"
Deed = Callable[[Stage], None]


def nothing(_: Stage) -> None:
    """Nothing is done."""


@dataclass(frozen=True)
class Case:
    """One seeded failure.

    Attributes:
        how: which of the ways of ``headrace.corpus.Broken``; its other arguments are in ``args``.
        job: fields of the job. ``jar`` is its entrypoint.
        before: what is done to its surroundings before it runs; ``during``: while it runs.
        status: what becomes of it (any of the words in it); REFUSED = it cannot even be created (or run) so.
        rule: the rule of the diagnosis, UNKNOWN, or "" where another part of Headrace speaks.
        or_rule: another one that is right too, where what is seen is a matter of moments.
        says: what must be read besides.
        cure: the fields that are changed, as the suggestion tells; ``cure_args``: arguments; ``mend``: surroundings.
        healed: what becomes of it then.
    """

    name: str
    how: str = "none"
    args: Mapping[str, object] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    flink: str = "1.20"
    before: Deed = nothing
    during: Deed = nothing
    status: str = SUBMIT
    rule: str = ""
    or_rule: str = ""
    says: tuple[str, ...] = ()
    cure: Mapping[str, Any] = field(default_factory=dict)
    cure_args: Mapping[str, object] = field(default_factory=dict)
    mend: Deed = nothing
    healed: str = FINISHED

    @property
    def rules(self) -> tuple[str, ...]:
        """Those that are right."""
        return (self.rule, self.or_rule) if self.or_rule else (self.rule,)

    def fields(self, stage: Stage) -> dict[str, Any]:
        """Of the broken job."""
        given = {"jar": f"broken-{self.flink}.jar", "runtime_config": options(), "flink_version": self.flink}
        return {**given, **self.job, "args": self.arguments(stage, self.args)}

    def cured(self, stage: Stage) -> dict[str, Any]:
        """The fields that the cure changes."""
        changed = {"args": self.arguments(stage, {**self.args, **self.cure_args})} if self.cure_args else {}
        return {**changed, **self.cure}

    def arguments(self, stage: Stage, more: Mapping[str, object]) -> str:
        """``entrypoint_args``; PORT stands for one of this machine."""
        given = {"how": self.how, "records": 3, **more}
        return " ".join(f"--{name} {value}" for name, value in given.items()).replace("PORT", str(stage.port))


CORRECTED = {"how": "none"}
"""The code as it should be: the same JAR stands for the corrected one."""
FOR_EVER = 9_000_000


# -- surroundings ----------------------------------------------------------------------------------------------------


def take_rest_port(stage: Stage) -> None:
    """Somebody else listens on the JobManager's REST port after Headrace has chosen it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        rpc = free.getsockname()[1]
    stage.listen()
    stage.deployment.mkdir(parents=True, mode=0o700)
    (stage.deployment / "ports.json").write_text(json.dumps({"ports": [rpc, stage.port]}))


def import_savepoint(stage: Stage) -> None:
    path = stage.savepoint()
    body = {"job_id": stage.job_id, "savepoint_path": path}
    stage.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{stage.job_id}/import-savepoint", body)
    stage.resume = True


def import_and_lose_savepoint(stage: Stage) -> None:
    """The savepoint is a copy, which is gone again when the job is to start from it."""
    objects = stage.home / "objects"
    source = objects / stage.savepoint().removeprefix("obs://")
    copy = objects / BUCKET / "copies" / str(stage.job_id)
    shutil.copytree(source, copy)
    body = {"job_id": stage.job_id, "savepoint_path": f"obs://{BUCKET}/copies/{stage.job_id}"}
    stage.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{stage.job_id}/import-savepoint", body)
    stage.resume = True
    shutil.rmtree(copy)


def start_clean(stage: Stage) -> None:
    stage.resume = False


def kill(role: str) -> Deed:
    def deed(stage: Stage) -> None:
        stage.until("job_running")
        stage.signal(role, signal.SIGKILL)

    return deed


def freeze_taskmanager(stage: Stage) -> None:
    stage.until("job_running")
    stage.signal("taskmanager-1", signal.SIGSTOP)


def put_a_file_in_the_way(stage: Stage) -> None:
    """The folder for checkpoints, which was well at the start, can no longer be written."""
    stage.until("job_running")
    folder = stage.home / "objects" / BUCKET / "jobs" / "checkpoint" / str(stage.job_id)
    wait_until("there is a checkpoint", lambda: any(folder.glob("*/chk-*/_metadata")))
    folder.rename(stage.scratch / f"checkpoints-{stage.job_id}")
    folder.write_bytes(b"in the way")


# -- the cases: whatever takes long comes first ------------------------------------------------------------------------

CODE: tuple[Case, ...] = (
    Case(
        "main never submits a job",
        "hang",
        status=SUBMIT,
        says=("main() did not submit a job", "jobmanager.log"),
        cure_args=CORRECTED,
    ),
    Case("main throws", "throw", {"name": "q3"}, rule="main() fails", says=("ledger of q3",), cure_args=CORRECTED),
    Case(
        "bad arguments",
        args={"amount": "many"},
        rule="main() fails",
        says=('NumberFormatException: For input string: "many"', "headrace.corpus.Broken.main(Broken.java:"),
        cure_args={"amount": 2},
    ),
    Case(
        "main throws on Flink 2",
        "throw",
        {"name": "q3"},
        flink="2.3",
        rule="main() fails",
        says=("ledger of q3",),
        cure_args=CORRECTED,
    ),
    Case("main exits with 0", "exit", {"amount": 0}, rule="exit in main()", says=("code 0",), cure_args=CORRECTED),
    Case("main exits with 3", "exit", {"amount": 3}, rule="exit in main()", says=("code 3",), cure_args=CORRECTED),
    Case("main exits with 1", "exit", {"amount": 1}, rule=UNKNOWN, says=("exit code 1",), cure_args=CORRECTED),
    Case("no operators", "no-operators", rule="no job", says=("No operators defined",), cure_args=CORRECTED),
    Case("no execute", "no-execute", rule="no job", says=("no execute() calls",), cure_args=CORRECTED),
    Case("no execute on Flink 2", "no-execute", flink="2.3", rule="no job", cure_args=CORRECTED),
    Case(
        "a function that is not serializable",
        "captured-object",
        rule="not serializable",
        says=("java.lang.Object", "Broken.run(Broken.java:"),
        cure_args=CORRECTED,
    ),
    Case("a lambda of unknown type", "type-of-lambda", rule="type of a lambda", cure_args=CORRECTED),
    Case("a second execute", "second-execute", status=FINISHED),
    Case(
        "a record that the code cannot take",
        "record",
        status=RUNNING,
        rule="code fails",
        says=("no colour", "headrace.corpus.Fault.map(Fault.java:", "log/taskmanager-1.log"),
        cure_args=CORRECTED,
    ),
    Case(
        "a restart strategy in the code",
        "strategy",
        {"amount": 2, "rate": 1},
        status=RUNNING,
        rule="code fails",
        says=("no colour", "restart_when_exception"),
        cure_args=CORRECTED,
    ),
    Case(
        "an exit in a task",
        "exit-in-task",
        {"amount": 5},
        status=RUNNING,
        rule="exit in a task",
        or_rule="TaskManager ends",  # it takes seconds to end, and its JobManager ends meanwhile
        says=("System.exit()",),
        cure_args=CORRECTED,
    ),
    Case("a crash of the JVM", "native", rule="crash of the JVM", says=("SIGSEGV",), cure_args=CORRECTED),
)

CLASSES: tuple[Case, ...] = (
    Case(
        "a class is missing in main",
        "class-in-main",
        rule="missing class",
        says=("headrace/corpus/parts/Part",),
        cure={"dependency_jars": [f"obs://{BUCKET}/parts.jar"]},
    ),
    Case(
        "a class is missing in a task",
        "class-in-task",
        status=RUNNING,
        rule="missing class",
        says=("headrace/corpus/parts/Part", "log/taskmanager-1.log"),
        cure={"dependency_jars": [f"obs://{BUCKET}/parts.jar"]},
    ),
    Case(
        "another version of a library",
        "class-in-main",
        job={"dependency_jars": [f"obs://{BUCKET}/parts-old.jar"]},
        rule="library version",
        says=("Part.touch()",),
        cure={"dependency_jars": [f"obs://{BUCKET}/parts.jar"]},
    ),
    Case(
        "a library for a newer Java",
        "class-in-task",
        job={"dependency_jars": [f"obs://{BUCKET}/parts-java21.jar"]},
        status=RUNNING,
        rule="Java version",
        says=("class file version 65.0",),
        cure={"dependency_jars": [f"obs://{BUCKET}/parts.jar"]},
    ),
    Case(
        "a connector is missing",
        "connector",
        {"name": "kafka"},
        rule="connector",
        says=("'kafka'", "dependency_jars"),
        cure_args={"name": "blackhole"},
    ),
    Case(
        "a JAR for Flink 1 on Flink 2, in main",
        "removed-in-main",
        job={"jar": "broken-1.20.jar"},
        flink="2.3",
        rule="Flink version",
        cure={"flink_version": "1.20"},
    ),
    Case(
        "a JAR for Flink 1 on Flink 2, in a task",
        "removed-in-task",
        job={"jar": "broken-1.20.jar"},
        flink="2.3",
        status=RUNNING,
        rule="Flink version",
        says=("NoSuchMethodError", "getIndexOfThisSubtask"),
        cure={"flink_version": "1.20"},
    ),
    Case(
        "a JAR for Flink 2 on Flink 1.17",
        "removed-in-task",
        job={"jar": "broken-2.3.jar"},
        flink="1.17",
        rule="Flink version",
        says=("OpenContext",),
        cure={"flink_version": "2.3"},
    ),
    Case(
        "a class that reaches into Java",
        "inside-of-java",
        rule="Java modules",
        says=("--add-opens=java.base/java.util.regex=ALL-UNNAMED",),
        cure={"runtime_config": options(env__java__opts__all="--add-opens=java.base/java.util.regex=ALL-UNNAMED")},
    ),
)

MEMORY: tuple[Case, ...] = (
    Case(
        "the heap of a TaskManager is full",
        "heap",
        {"amount": 500},
        status=RUNNING,
        rule="heap of a TaskManager",
        says=("tm_cus",),
        cure={"cu_number": 3, "tm_cus": 2},
    ),
    Case(
        "the heap of the JobManager is full",
        "heap-in-main",
        {"amount": 600},
        rule="heap of the JobManager",
        says=("manager_cu_number",),
        cure={"cu_number": 3, "manager_cu_number": 2},
    ),
    Case(
        "the metaspace of a TaskManager is full",
        "classes",
        {"amount": 4000},
        job={"runtime_config": options(taskmanager__memory__jvm_metaspace__size="64m")},
        status=RUNNING,
        rule="metaspace of a TaskManager",
        cure={"runtime_config": options(taskmanager__memory__jvm_metaspace__size="160m")},
    ),
    Case(
        "the metaspace of the JobManager is full",
        "classes-in-main",
        {"amount": 4000},
        job={"runtime_config": options(jobmanager__memory__jvm_metaspace__size="64m")},
        rule="metaspace of the JobManager",
        cure={"runtime_config": options(jobmanager__memory__jvm_metaspace__size="160m")},
    ),
    Case(
        "direct memory is full",
        "direct",
        {"amount": 250},
        job={"cu_number": 3, "tm_cus": 2},
        status=RUNNING,
        rule="direct memory",
        cure={"runtime_config": options(taskmanager__memory__task__off_heap__size="300m")},
    ),
    Case(
        "the stack of main is full",
        "deep",
        {"amount": 200_000},
        rule="stack",
        says=("-Xss",),
        cure={"runtime_config": options(env__java__opts__all="-Xss64m")},
    ),
    Case(
        "too few network buffers",
        "channels",
        {"amount": 4},
        job={
            "parallel_number": 4,
            "runtime_config": options(
                taskmanager__memory__network__min="1m",
                taskmanager__memory__network__max="1m",
            ),
        },
        status=EITHER,
        rule="network buffers",
        cure={
            "runtime_config": options(taskmanager__memory__network__min="64m", taskmanager__memory__network__max="128m")
        },
    ),
    Case(
        "too few slots",
        "parallelism",
        {"amount": 3},
        job={"runtime_config": options(slot__request__timeout="8000")},
        rule="slots",
        says=("parallel_number",),
        cure={"parallel_number": 3},
    ),
    Case(
        "more memory than there is",
        job={"runtime_config": options(taskmanager__memory__task__heap__size="4g")},
        status=REFUSED,
        says=("taskmanager.memory.task.heap.size",),
        cure={"runtime_config": options(taskmanager__memory__task__heap__size="64m")},
    ),
)

SETTINGS: tuple[Case, ...] = (
    Case(
        "a state backend that there is not",
        job={"runtime_config": options(state__backend__type="nonsense")},
        rule="state backend",
        says=("nonsense", "state.backend.type"),
        cure={"runtime_config": options(state__backend__type="hashmap")},
    ),
    Case(
        "a value that Flink cannot read",
        job={"runtime_config": options(execution__checkpointing__interval="soon")},
        rule="option value",
        says=("Correct execution.checkpointing.interval",),
        cure={"runtime_config": options(execution__checkpointing__interval="1 s")},
    ),
    Case(
        "a value that the TaskManager cannot read",
        job={"runtime_config": options(taskmanager__network__retries="often")},
        rule="option value",
        says=("Correct taskmanager.network.retries",),
        cure={"runtime_config": options(taskmanager__network__retries="1")},
    ),
    Case(
        "a key that Headrace owns",
        job={"runtime_config": options(rest__port="8081")},
        status=REFUSED,
        says=("rest.port", "cannot be set"),
        cure={"runtime_config": options()},
    ),
    Case(
        "an option that the TaskManager's JVM does not know",
        job={"runtime_config": options(env__java__opts__taskmanager="-XX:+NoSuchFlag")},
        rule="JVM options",
        says=("NoSuchFlag",),
        cure={"runtime_config": options()},
    ),
    Case(
        "a stack too small for the JobManager's JVM",
        job={"runtime_config": options(env__java__opts__jobmanager="-Xss10k")},
        rule="JVM options",
        says=("stack size specified is too small",),
        cure={"runtime_config": options()},
    ),
    Case(
        "a file system that there is not",
        "scheme",
        {"name": "gs://bucket/x"},
        rule="file system",
        says=("gs://", "obs://"),
        cure_args={"name": f"obs://{BUCKET}/x"},
    ),
)

ARTIFACTS: tuple[Case, ...] = (
    Case(
        "no such main class",
        job={"main_class": "headrace.corpus.Brokn"},
        status=REFUSED,
        says=("headrace.corpus.Brokn", "did you mean headrace.corpus.Broken?"),
        cure={"main_class": "headrace.corpus.Broken"},
    ),
    Case(
        "a main class without main(String[])",
        job={"main_class": "headrace.corpus.NoMain"},
        status=REFUSED,
        says=("public static void main(String[])",),
        cure={"main_class": "headrace.corpus.Broken"},
    ),
    Case(
        "a JAR for Java 21 on Java 17",
        job={"jar": "broken-java21.jar"},
        status=REFUSED,
        says=("Java 21", "--release 17"),
        cure={"jar": "broken-1.20.jar"},
    ),
    Case(
        "a JAR for Java 17 on Java 11",
        job={"jar": "broken-java17.jar"},
        flink="1.17",
        status=REFUSED,
        says=("Java 17", "--release 11", "newer Java"),
        cure={"flink_version": "1.20"},
    ),
    Case(
        "a JAR that is none",
        job={"jar": "none.jar"},
        before=lambda stage: stage.write("none.jar", b"<html>404</html>"),
        status=REFUSED,
        says=("not a JAR", "upload it anew"),
        mend=lambda stage: stage.upload(JARS / "flink-1" / "broken.jar", "none.jar"),
        cure={"jar": "none.jar"},
    ),
    Case(
        "a JAR that has gone",
        job={"jar": "gone.jar"},
        before=lambda stage: stage.forget("gone.jar"),
        status=REFUSED,
        says=("gone.jar",),
        mend=lambda stage: stage.upload(JARS / "flink-1" / "broken.jar", "gone.jar"),
        cure={"jar": "gone.jar"},
    ),
    Case(
        "a Flink that there is not",
        job={"jar": "broken-1.20.jar"},
        flink="1.99",
        status=REFUSED,
        says=("1.99", "Available: "),
        cure={"flink_version": "1.20"},
    ),
    Case(
        "a Flink that cannot be downloaded",
        job={"jar": "broken-1.20.jar"},
        flink="1.18",
        says=("Flink 1.18.1", "could not be installed"),
        cure={"flink_version": "1.20"},
    ),
)

STATE: tuple[Case, ...] = (
    Case(
        "a savepoint of another operator",
        "state",
        {"uid": "renamed"},
        before=import_savepoint,
        rule="operator is gone",
        says=("uid",),
        cure_args={"uid": "remembering"},
        healed="job_running",
    ),
    Case(
        "a savepoint of another type of state",
        "state",
        {"type": "string"},
        before=import_savepoint,
        status=EITHER,
        rule="type of state",
        cure_args={"type": "long"},
        healed="job_running",
    ),
    Case(
        "a savepoint of another maximum parallelism",
        "state",
        job={"runtime_config": options(pipeline__max_parallelism="64")},
        before=import_savepoint,
        rule="maximum parallelism",
        cure={"runtime_config": options()},
        healed="job_running",
    ),
    Case(
        "a savepoint that has gone",
        "state",
        before=import_and_lose_savepoint,
        rule="savepoint is gone",
        says=("resume_savepoint",),
        mend=start_clean,
    ),
    Case(
        "a folder for checkpoints that is a file",
        job={"runtime_config": options(state__checkpoints__dir=f"obs://{BUCKET}/a-file/checkpoints")}
        | {"checkpoint_enabled": True, "checkpoint_interval": 1, "obs_bucket": BUCKET},
        before=lambda stage: stage.write("a-file", b"in the way"),
        rule="checkpoint folder",
        says=("objects/test-bucket/a-file",),
        mend=lambda stage: stage.forget("a-file"),
    ),
    Case(
        "checkpoints that never complete",
        "stall",
        {"amount": 4},
        job={"runtime_config": options(execution__checkpointing__timeout="1 s")}
        | {"checkpoint_enabled": True, "checkpoint_interval": 1, "obs_bucket": BUCKET},
        status=RUNNING,
        rule="checkpoints time out",
        cure={"runtime_config": options(execution__checkpointing__timeout="60 s")},
    ),
    Case(
        "checkpoints that fail",
        args={"records": FOR_EVER},
        job={"checkpoint_enabled": True, "checkpoint_interval": 1, "obs_bucket": BUCKET},
        during=put_a_file_in_the_way,
        status=RUNNING,
        rule="checkpoints fail",
        mend=lambda stage: stage.forget(f"jobs/checkpoint/{stage.job_id}"),
        healed="job_running",
    ),
)

OUTSIDE: tuple[Case, ...] = (
    Case(
        "a service that does not answer",
        "connect",
        {"name": "127.0.0.1:PORT"},
        status=RUNNING,
        rule="connection refused",
        mend=lambda stage: stage.listen(),
    ),
    Case(
        "a host that there is not",
        "connect",
        {"name": "no.such.host.invalid:80"},
        status=RUNNING,
        rule="unknown host",
        says=("no.such.host.invalid",),
        mend=lambda stage: stage.listen(),
        cure_args={"name": "127.0.0.1:PORT"},
    ),
    Case(
        "a disk that is full",
        "write",
        {"name": "/dev/full"},
        status=RUNNING,
        rule="disk is full",
        cure_args={"name": "/dev/null"},
    ),
    Case(
        "a file that may not be written",
        "write",
        {"name": "/proc/sys/kernel/ostype"},
        status=RUNNING,
        rule="not permitted",
        cure_args={"name": "/dev/null"},
    ),
    Case(
        "a file that is not there",
        "read",
        {"name": f"obs://{BUCKET}/absent.csv"},
        status=RUNNING,
        rule="missing file",
        says=("absent.csv",),
        mend=lambda stage: stage.write("absent.csv", b"1,2\n"),
    ),
    Case(
        "a port that somebody else has taken",
        before=take_rest_port,
        rule="port",
    ),
    Case(
        "a TaskManager is killed",
        args={"records": FOR_EVER},
        during=kill("taskmanager-1"),
        status=RUNNING,
        rule="TaskManager was killed",
        says=("SIGKILL",),
        healed="job_running",
    ),
    Case(
        "a JobManager is killed",
        args={"records": FOR_EVER},
        during=kill("jobmanager"),
        status=RUNNING,
        rule="JobManager was killed",
        says=("SIGKILL",),
        healed="job_running",
    ),
    Case(
        "a TaskManager is frozen",
        args={"records": FOR_EVER},
        job={"runtime_config": options(heartbeat__timeout="5000", heartbeat__interval="1000")},
        during=freeze_taskmanager,
        status=RUNNING,
        rule="TaskManager is silent",
        healed="job_running",
    ),
)

CASES: tuple[Case, ...] = (*CODE, *STATE, *OUTSIDE, *CLASSES, *MEMORY, *SETTINGS, *ARTIFACTS)
