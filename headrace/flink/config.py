"""Flink's configuration of one deployment: our defaults, the user's options over them, and over both what Headrace
must own. Written by a YAML library, merged first: a duplicate key kills the JVM of 1.20 and 2.x.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import BadField
from headrace.domain.sizing import OVERRIDES
from headrace.flink.watch import HISTORY_SIZE

_REASONS = {
    "address": "Headrace sets the addresses and ports of a deployment",
    "folders": "Headrace sets the folders of a deployment",
    "form": "it follows from a field of the job; set that field instead",
    "cluster": "Headrace runs the processes itself, without Kubernetes, YARN or ZooKeeper",
    "restart": "use restart_when_exception and resume_max_num, or set a strategy in the code",
    "start": "Headrace decides what the job starts from and how its code is loaded",
    "scaling": "dynamic scaling and job priorities are not supported",
    "store": "the operator sets how the object store is reached (settings s3_*); code uses obs://, s3:// and s3a:// as "
    "they are, without keys",
    "java": "Headrace chooses the Java of an engine; an operator can set HEADRACE_ENGINE_JAVA_HOMES",
}

_OWNED = {
    "jobmanager.rpc.": "address",
    "jobmanager.bind-host": "address",
    "taskmanager.host": "address",
    "taskmanager.bind-host": "address",
    "taskmanager.rpc.": "address",
    "taskmanager.data.port": "address",
    "taskmanager.data.bind-port": "address",
    "rest.": "address",
    "blob.server.port": "address",
    "queryable-state.": "address",
    "security.ssl.": "address",
    "fs.obs.": "folders",
    "s3.": "store",
    "s3a.": "store",
    "fs.s3.": "store",
    "fs.s3a.": "store",
    "flink.hadoop.fs.obs.": "store",
    "flink.hadoop.fs.dew.": "store",
    "flink.hadoop.fs.s3.": "store",
    "flink.hadoop.fs.s3a.": "store",
    "security.delegation.token": "store",
    "io.tmp.dirs": "folders",
    "web.": "folders",
    "blob.storage.directory": "folders",
    "jobmanager.archive.": "folders",
    "historyserver.": "folders",
    "process.": "folders",
    "env.log.": "folders",
    "env.pid.": "folders",
    "state.savepoints.dir": "folders",
    "execution.checkpointing.savepoint-dir": "folders",
    "state.checkpoints.create-subdir": "folders",
    "execution.checkpointing.create-subdir": "folders",
    "parallelism.default": "form",
    "taskmanager.numberOfTaskSlots": "form",
    "taskmanager.cpu.cores": "form",
    "jobmanager.memory.flink.size": "form",
    "taskmanager.memory.flink.size": "form",
    "high-availability": "cluster",
    "kubernetes.": "cluster",
    "yarn.": "cluster",
    "zookeeper.": "cluster",
    "jobmanager.scheduler": "cluster",
    "scheduler-mode": "cluster",
    "restart-strategy": "restart",
    "execution.target": "start",
    "execution.attached": "start",
    "execution.savepoint": "start",
    "execution.savepoint-restore-mode": "start",
    "execution.state-recovery.": "start",
    "execution.shutdown-on-": "start",
    "execution.submit-failed-job-on-application-error": "start",
    "pipeline.jars": "start",
    "pipeline.classpaths": "start",
    "pipeline.name": "form",
    "$internal.": "start",
    "plugin.": "start",
    "flink.dli.job.scale.": "scaling",
    "flink.dli.job.priority": "scaling",
    "env.java.home": "java",
}
"""Keys that Headrace owns: exact names, or prefixes where they end in "." or "-", or name a family."""

_S3_TUNING = re.compile(
    r"s3\.upload\.(?:min\.part\.size|max\.concurrent\.uploads)"
    r"|(?:s3|s3a|fs\.s3a)\.(?:attempts\.maximum|retry\..+|connection\.(?:maximum|timeout|establish\.timeout)"
    r"|socket\..+|threads\..+|max\.total\.tasks|multipart\.(?:size|threshold)|fast\.upload\..+|readahead\.range"
    r"|block\.size|experimental\.input\.fadvise|server-side-encryption-algorithm)"
)
"""Options of Flink's S3 file system that a job may set: they neither say where the store is nor who asks."""

MOST_RESTARTS_PER_HOUR = 3600
"""One a second: the delay between two restarts is that long."""

SMALL_TASKMANAGER_MB = 1728
"""Below Flink's own default size of a TaskManager."""


def check_options(options: Mapping[str, str]) -> None:
    """Refuses options of ``runtime_config`` that Headrace owns.

    Raises:
        BadField: names the key and says why.
    """
    for key, value in options.items():
        if key in OVERRIDES or _S3_TUNING.fullmatch(key):
            continue
        reason = next((reason for owned, reason in _OWNED.items() if key == owned or _is_family(key, owned)), None)
        if reason is not None:
            raise BadField(f"runtime_config.{key}", value, f"this key cannot be set: {_REASONS[reason]}")
    for process in ("jobmanager", "taskmanager"):
        jvm_options(process, options)


_SIZE_FLAGS = (
    *("-Xmx", "-Xms", "-Xmn", "-XX:MaxHeapSize", "-XX:InitialHeapSize", "-XX:MaxRAM", "-XX:InitialRAM", "-XX:MinRAM"),
    *("-XX:MaxDirectMemorySize", "-XX:MaxMetaspaceSize"),
)
_LAUNCH_FLAGS = ("-cp", "-classpath", "--class-path", "-jar", "-m", "--module", "-p", "-XX:Flags", "-XX:VMOptionsFile")


def jvm_options(process: str, options: Mapping[str, str]) -> list[str]:
    """The words of ``env.java.opts``, ``….all`` and ``….<process>``, which Flink's scripts would hand to the JVM.

    Raises:
        BadField: a quote is not closed, or a word would change the memory promised or what is started.
    """
    words: list[str] = []
    for key in ("env.java.opts", "env.java.opts.all", f"env.java.opts.{process}"):
        field, text = f"runtime_config.{key}", options.get(key, "")
        try:
            found = shlex.split(text)
        except ValueError as error:
            raise BadField(field, text, f"{error}; close the quote") from error
        for word in found:
            if word.startswith(_SIZE_FLAGS):
                raise BadField(
                    field, word, "the sizes follow from the CUs; set jobmanager.memory.* or taskmanager.memory.*"
                )
            if not word.startswith("-") or word.split("=")[0].split(":")[0] in _LAUNCH_FLAGS or word in _LAUNCH_FLAGS:
                raise BadField(field, word, "only options of the JVM itself can be given, such as -Dkey=value")
        words += found
    return words


def user_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options that are handed on to Flink; DLI's overrides of the form are not, they have become the shape."""
    return {key: value for key, value in options.items() if key not in OVERRIDES}


def _is_family(key: str, owned: str) -> bool:
    return key.startswith(owned if owned.endswith((".", "-")) else f"{owned}.")


def uri(path: Path) -> str:
    """A folder of this machine as Flink's Path reads it: it decodes no percent signs."""
    return f"file://{path}"


@dataclass(frozen=True)
class Places:
    """Folders (absolute) and ports of one deployment."""

    folder: Path
    objects: Path
    state: Path
    rpc_port: int
    rest_port: int
    s3: Path | None = None
    """The settings of the S3 endpoint; None = the buckets are the folders in ``objects``."""


def build(plan: DeploymentPlan, minor: tuple[int, int], places: Places) -> dict[str, str]:
    """The whole configuration but memory, which ``headrace.flink.memory`` adds per process."""
    return _defaults(plan, places) | user_options(plan.options) | _owned(plan, minor, places)


def _defaults(plan: DeploymentPlan, places: Places) -> dict[str, str]:
    """What the user may override."""
    checkpoints = plan.checkpoint_dir or uri(places.state / "checkpoints")
    options = {
        "state.checkpoints.dir": checkpoints,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # Bare numbers are milliseconds to all versions; 1.17 dies of "200 ms" here.
        # A TaskManager that starts before its JobManager would wait 10 s before it tries again.
        "cluster.registration.error-delay": "200",
        "cluster.registration.initial-timeout": "200",
        "cluster.registration.refused-registration-delay": "1000",
        # Flink's own 10 s would show counts that are up to 10 s old.
        "metrics.fetcher.update-interval": "1000",
        # A TaskManager that was killed is noticed after two heartbeats, a frozen one after the timeout. Two are less
        # than the second until Flink's first restart: else that fails too, on the slots of the dead, and counts.
        "heartbeat.interval": "300",
        "heartbeat.timeout": "15000",
        # All TaskManagers start with the job: slots that are not there after a minute never come.
        "slot.request.timeout": "60000",
        # Else a JobManager older than a minute would not wait for the TaskManager that Headrace starts in place of a
        # lost one, but restart the job, and fail, again and again until it is there. Akka knows no more than 248 days.
        "resourcemanager.standalone.start-up-time": "17280000000",
    }
    if plan.shape.taskmanager_memory_mb < SMALL_TASKMANAGER_MB:
        # The default of 64 MB starves a batch job's reads where direct memory is scarce: its task hangs.
        options["taskmanager.memory.framework.off-heap.batch-shuffle.size"] = "32m"
    if places.s3 is not None:
        # A store that is away for a while costs checkpoints, not the job: with Flink's own 0 it would fail with the
        # first one, and then could not even restore.
        options["execution.checkpointing.tolerable-failed-checkpoints"] = "2147483647"
    if plan.checkpoint_interval_s is not None:
        options["execution.checkpointing.interval"] = f"{plan.checkpoint_interval_s} s"
        options["execution.checkpointing.mode"] = "EXACTLY_ONCE" if plan.exactly_once else "AT_LEAST_ONCE"
    return options


def _owned(plan: DeploymentPlan, minor: tuple[int, int], places: Places) -> dict[str, str]:
    local = "127.0.0.1"
    return {
        "jobmanager.rpc.address": local,
        "jobmanager.rpc.port": str(places.rpc_port),
        "jobmanager.bind-host": local,
        "taskmanager.host": local,
        "taskmanager.bind-host": local,
        "rest.address": local,
        "rest.bind-address": local,
        "rest.port": str(places.rest_port),
        "rest.bind-port": str(places.rest_port),
        "blob.server.port": "0",
        "web.submit.enable": "false",
        "web.refresh-interval": "200",
        "web.exception-history-size": str(HISTORY_SIZE),  # restarts in place are counted by it
        "web.tmpdir": str(places.folder / "tmp"),
        "io.tmp.dirs": str(places.folder / "tmp"),
        "jobmanager.archive.fs.dir": uri(places.folder / "archive"),
        **({"fs.obs.s3.settings": str(places.s3)} if places.s3 else {"fs.obs.local.root": str(places.objects)}),
        "state.savepoints.dir": uri(places.state / "savepoints"),
        "parallelism.default": str(plan.shape.parallelism),
        "taskmanager.numberOfTaskSlots": str(plan.shape.slots),
        "execution.target": "embedded",
        "execution.attached": "true",
        "execution.shutdown-on-application-finish": "true",
        **_restart_strategy(plan, minor),
    }


def _restart_strategy(plan: DeploymentPlan, minor: tuple[int, int]) -> dict[str, str]:
    """Always set: with checkpoints, Flink's own default would restart a failing job for ever."""
    key = "restart-strategy.type" if minor >= (1, 19) else "restart-strategy"
    if plan.restarts_left == 0:
        return {key: "none"}
    if plan.restarts_left is None:  # without limit, so with a backoff
        return {
            key: "exponential-delay",
            "restart-strategy.exponential-delay.initial-backoff": "1 s",
            "restart-strategy.exponential-delay.max-backoff": "1 min",
        }
    # Flink makes an array of this size: far more than an hour can see is as good as any number.
    most = min(plan.restarts_left, MOST_RESTARTS_PER_HOUR)
    return {
        key: "failure-rate",
        "restart-strategy.failure-rate.max-failures-per-interval": str(most),
        "restart-strategy.failure-rate.failure-rate-interval": "1 h",
        "restart-strategy.failure-rate.delay": "1 s",
    }


def checkpoint_dir(options: Mapping[str, str]) -> str:
    """Where checkpoints of these options go, unless the job's code says otherwise (the newer key wins)."""
    return options.get("execution.checkpointing.dir") or options["state.checkpoints.dir"]


def write(folder: Path, options: Mapping[str, str], minor: tuple[int, int]) -> None:
    """Writes the configuration as this Flink reads it: ``config.yaml`` since 1.19, before that ``flink-conf.yaml``.

    Raises:
        BadField: a value cannot be written in the old notation, which knows no quotes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if minor >= (1, 19):
        # Quoted throughout: YAML 1.2, as Flink reads it, takes other words for numbers than YAML 1.1, as we write it.
        text = yaml.safe_dump(dict(options), default_style='"', allow_unicode=True, width=2**20)
        (folder / "config.yaml").write_text(text, encoding="utf-8")
        return
    for key, value in options.items():
        if "#" in value or value != value.strip():
            remedy = "Flink before 1.19 cannot read values with '#' or outer blanks from its configuration"
            raise BadField(f"runtime_config.{key}", value, remedy)
    lines = [f"{key}: {value}\n" for key, value in sorted(options.items()) if value]
    (folder / "flink-conf.yaml").write_text("".join(lines), encoding="utf-8")


LOG4J = """\
monitorInterval = 0
rootLogger.level = {root}
rootLogger.appenderRef.file.ref = File
{loggers}
appender.file.name = File
appender.file.type = File
appender.file.append = true
appender.file.fileName = ${{sys:log.file}}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss,SSS}} %-5p %-60c %x - %m%n
"""
"""One file that only grows, so that an offset tells for ever what of it is in the bucket; keepers free what is old."""

QUIET = {"org.apache.pekko": "WARN", "akka": "WARN", "org.apache.kafka": "INFO", "org.apache.hadoop": "INFO"}


def write_log4j(path: Path, levels: Mapping[str, str]) -> None:
    """Writes ``log4j.properties``: Flink's own layout, with the job's levels."""
    lines = []
    for number, (logger, level) in enumerate(sorted((QUIET | dict(levels)).items())):
        if logger:
            lines.append(f"logger.l{number}.name = {logger}\nlogger.l{number}.level = {level}")
    path.write_text(LOG4J.format(root=levels.get("", "INFO"), loggers="\n".join(lines)), encoding="utf-8")
