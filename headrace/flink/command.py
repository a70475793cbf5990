"""Starts Flink without its scripts: the command lines and environments of a JobManager and of a TaskManager."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.deployment import DeploymentPlan
from headrace.flink import config, memory
from headrace.flink.engines import Engine

JOBMANAGER = "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint"
TASKMANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

# Flink's own list for Java 17 and later (``env.java.opts.all`` of its distribution's configuration).
_ADD_EXPORTS = (
    "java.rmi/sun.rmi.registry",
    "jdk.compiler/com.sun.tools.javac.api",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.compiler/com.sun.tools.javac.parser",
    "jdk.compiler/com.sun.tools.javac.tree",
    "jdk.compiler/com.sun.tools.javac.util",
    "java.security.jgss/sun.security.krb5",
    "java.base/sun.net.util",
)
_ADD_OPENS = (
    "java.base/java.lang",
    "java.base/java.net",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.lang.reflect",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
)


@dataclass(frozen=True)
class Command:
    """What a keeper starts, and the configuration that goes with it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    options: Mapping[str, str]


@dataclass(frozen=True)
class Layout:
    """The folders of one deployment, absolute. ``lib`` is a link to the engine's: Flink looks for ``usrlib`` beside
    the folder that ``FLINK_LIB_DIR`` names.
    """

    folder: Path

    @property
    def lib(self) -> Path:
        """Link to the engine's libraries."""
        return self.folder / "lib"

    @property
    def usrlib(self) -> Path:
        """The user's JARs."""
        return self.folder / "usrlib"

    @property
    def plugins(self) -> Path:
        """Links to the engine's plugins and ours."""
        return self.folder / "plugins"

    @property
    def classpath(self) -> Path:
        """On the JVM's class path; holds ``userData``, so that its files are found as ``file:`` URLs."""
        return self.folder / "classpath"

    @property
    def log(self) -> Path:
        """Log files."""
        return self.folder / "log"

    def logs(self, role: str) -> dict[str, Path]:
        """{suffix: file} of one process: what Flink logs, what it prints, and its garbage collector's."""
        return {suffix: self.log / f"{role}{suffix}" for suffix in (".log", ".out", "-gc.log")}

    @property
    def tmp(self) -> Path:
        """Temporary files of the JVMs and of Flink."""
        return self.folder / "tmp"

    @property
    def archive(self) -> Path:
        """What Flink leaves of finished jobs."""
        return self.folder / "archive"

    def role(self, role: str) -> Path:
        """The keeper's folder of one process: "jobmanager", "taskmanager-1" …"""
        return self.folder / role

    def conf(self, role: str) -> Path:
        """The configuration of one process."""
        return self.role(role) / "conf"

    def work(self, role: str) -> Path:
        """The working folder of one process, with a link to ``userData`` and nothing else."""
        return self.role(role) / "work"


def jobmanager(
    plan: DeploymentPlan, engine: Engine, layout: Layout, options: Mapping[str, str], main_class: str
) -> Command:
    """A JobManager in application mode.

    Raises:
        BadField: the memory does not suffice, or a memory option is wrong.
    """
    parts = memory.jobmanager(plan.shape.jobmanager_memory_mb, options, field="manager_cu_number")
    merged = {**options, **parts.options()}
    argv = [
        *_jvm(engine, layout, "jobmanager", merged, parts.jvm_args()),
        "-XX:TieredStopAtLevel=1",  # it only coordinates: less compiling is a quicker start
        *("-classpath", _class_path(engine, layout), JOBMANAGER),
        *("--configDir", str(layout.conf("jobmanager"))),
        *("--job-classname", main_class),
    ]
    if engine.minor >= (2, 0):  # before, a second execute() fails when the job's id is given
        argv += ["--job-id", flink_job_id(plan)]
    if plan.restore_path:
        argv += ["--fromSavepoint", plan.restore_path]
    # Behind "--" Flink's launcher takes nothing for its own: -r, -s and -D reach main() too.
    return Command((*argv, "--", *plan.args), _environment(engine, layout, "jobmanager"), merged)


def taskmanager(
    plan: DeploymentPlan, engine: Engine, layout: Layout, options: Mapping[str, str], number: int
) -> Command:
    """The TaskManager of this number, from 1.

    Raises:
        BadField: the memory does not suffice, or a memory option is wrong.
    """
    shape, role = plan.shape, f"taskmanager-{number}"
    parts = memory.taskmanager(shape.taskmanager_memory_mb, options, shape.slots, shape.taskmanager_cpu, field="tm_cus")
    resource_id = {"taskmanager.resource-id": f"{plan.name}-{role}"}
    merged = {**options, **parts.options(), **resource_id}
    dynamic = [word for key, value in parts.options().items() for word in ("-D", f"{key}={value}")]
    argv = (
        *_jvm(engine, layout, role, merged, parts.jvm_args()),
        *("-classpath", _class_path(engine, layout), TASKMANAGER),
        *("--configDir", str(layout.conf(role)), *dynamic),
    )
    return Command(argv, _environment(engine, layout, role), merged)


def flink_job_id(plan: DeploymentPlan) -> str:
    """The JobID (32 hex digits) that we assign: it follows from the deployment's name and its project, so that a job of
    another home with the same number is not taken for this one where both write to one bucket.
    """
    return hashlib.sha256(f"{plan.project_id}/{plan.name}".encode()).hexdigest()[:32]


def module_options(java_major: int) -> tuple[str, ...]:
    """What Flink needs of a Java of this feature release to see its inside."""
    if java_major < 17:
        return ()
    exports = (f"--add-exports={name}=ALL-UNNAMED" for name in _ADD_EXPORTS)
    return (*exports, *(f"--add-opens={name}=ALL-UNNAMED" for name in _ADD_OPENS))


def _jvm(
    engine: Engine, layout: Layout, role: str, options: Mapping[str, str], sizes: tuple[str, ...]
) -> tuple[str, ...]:
    return (
        str(engine.java),
        *sizes,
        "-XX:+ExitOnOutOfMemoryError",
        f"-Djava.io.tmpdir={layout.tmp}",
        f"-Duser.home={layout.work(role)}",
        "-XX:-UsePerfData",
        *((f"-XX:SharedArchiveFile={engine.archive}",) if engine.archive else ()),
        *module_options(engine.java_major),
        f"-Dlog.file={layout.logs(role)['.log']}",
        _gc_log(engine.java_major, layout, role),
        f"-Dlog4j.configurationFile={(layout.conf(role) / 'log4j.properties').as_uri()}",
        *config.jvm_options("taskmanager" if role.startswith("taskmanager") else "jobmanager", options),
    )


def _gc_log(java_major: int, layout: Layout, role: str) -> str:
    """One file, never rolled by the JVM, as with all logs. Named from the working folder: Java puts something else in
    place of a "%p" in a path.
    """
    path = os.path.relpath(layout.logs(role)["-gc.log"], layout.work(role))
    return f"-Xlog:gc:file={path}:time,level:filecount=0" if java_major >= 9 else f"-Xloggc:{path}"


def _class_path(engine: Engine, layout: Layout) -> str:
    """The deployment's own folder comes last: the class archive holds for class paths that begin with the engine's."""
    return ":".join([*(str(jar) for jar in engine.lib_jars), str(layout.classpath)])


def _environment(engine: Engine, layout: Layout, role: str) -> dict[str, str]:
    """Complete: nothing of Headrace's own environment reaches user code."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",  # file names outside ASCII
        "HOME": str(layout.work(role)),
        "JAVA_HOME": str(engine.java.parent.parent),
        "FLINK_LIB_DIR": str(layout.lib),
        "FLINK_PLUGINS_DIR": str(layout.plugins),
        "FLINK_CONF_DIR": str(layout.conf(role)),
    }
