"""Flink's memory model: what a process of a given size gives to heap, network, managed memory, metaspace …

Flink's start scripts compute this with a JVM (``bash-java-utils.jar``); here it is arithmetic. Source of the rules:
``ProcessMemoryUtils``, ``TaskExecutorFlinkMemoryUtils`` and ``JobManagerFlinkMemoryUtils`` of Flink 1.13 to 2.3, which
agree but for the default of ``taskmanager.memory.network.max`` (1 GB before 1.17, none since; here none). From
``NORMAL_TASKMANAGER_MB`` and ``NORMAL_JOBMANAGER_MB`` on, the result is Flink's own to the byte; a test compares.

Below, Flink's fixed defaults (256 MB metaspace, 192 MB overhead, twice 128 MB framework) leave little or nothing to
the job: 26 MB of task heap in a TaskManager of 1 GB. There the defaults shrink linearly to these at the floor, and a
job that needs another split sets the options itself:

=====================  ==============  ==============
default                TaskManager     JobManager
                       1728 → 1024 MB  1600 → 768 MB
=====================  ==============  ==============
JVM metaspace          256 → 160 MB    256 → 192 MB
JVM overhead, minimum  192 → 128 MB    192 → 128 MB
framework heap         128 → 96 MB     –
(framework) off-heap   128 → 96 MB     128 → 96 MB
managed, fraction      0.4 → 0.25      –
what remains           384 → 286 MB    1024 → 352 MB
                       task heap       heap
=====================  ==============  ==============
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from headrace.domain.errors import BadField
from headrace.domain.sizing import Shape
from headrace.flink.memory_options import MB, UNLIMITED, MemoryOptions

FLOOR_TASKMANAGER_MB: Final = 1024
FLOOR_JOBMANAGER_MB: Final = 768
NORMAL_TASKMANAGER_MB: Final = 1728
NORMAL_JOBMANAGER_MB: Final = 1600


@dataclass(frozen=True)
class JobManagerMemory:
    """Bytes of each part of a JobManager's process."""

    heap: int
    off_heap: int
    metaspace: int
    overhead: int
    limits_direct: bool
    """Flink leaves direct memory unlimited unless ``jobmanager.memory.enable-jvm-direct-memory-limit`` is true."""

    @property
    def process(self) -> int:
        """Bytes of the whole process."""
        return self.heap + self.off_heap + self.metaspace + self.overhead

    def jvm_args(self) -> tuple[str, ...]:
        """The arguments that keep the JVM within these parts."""
        direct = (f"-XX:MaxDirectMemorySize={self.off_heap}",) if self.limits_direct else ()
        return (f"-Xmx{self.heap}", f"-Xms{self.heap}", *direct, f"-XX:MaxMetaspaceSize={self.metaspace}")

    def options(self) -> dict[str, str]:
        """The same as Flink options, complete, so that nothing is left for Flink to derive."""
        return {
            "jobmanager.memory.process.size": f"{self.process}b",
            "jobmanager.memory.heap.size": f"{self.heap}b",
            "jobmanager.memory.off-heap.size": f"{self.off_heap}b",
            "jobmanager.memory.jvm-metaspace.size": f"{self.metaspace}b",
            "jobmanager.memory.jvm-overhead.min": f"{self.overhead}b",
            "jobmanager.memory.jvm-overhead.max": f"{self.overhead}b",
        }


@dataclass(frozen=True)
class TaskManagerMemory:
    """Bytes of each part of a TaskManager's process, with its slots and CPU cores."""

    framework_heap: int
    task_heap: int
    framework_off_heap: int
    task_off_heap: int
    network: int
    managed: int
    metaspace: int
    overhead: int
    slots: int
    cpu: float

    @property
    def flink(self) -> int:
        """Bytes of what Flink calls total Flink memory: the process without metaspace and overhead."""
        heap, off_heap = self.framework_heap + self.task_heap, self.framework_off_heap + self.task_off_heap
        return heap + off_heap + self.network + self.managed

    @property
    def process(self) -> int:
        """Bytes of the whole process."""
        return self.flink + self.metaspace + self.overhead

    def jvm_args(self) -> tuple[str, ...]:
        """The arguments that keep the JVM within these parts."""
        heap = self.framework_heap + self.task_heap
        direct = self.framework_off_heap + self.task_off_heap + self.network
        limits = (f"-XX:MaxDirectMemorySize={direct}", f"-XX:MaxMetaspaceSize={self.metaspace}")
        return (f"-Xmx{heap}", f"-Xms{heap}", *limits)

    def options(self) -> dict[str, str]:
        """The same as Flink options, complete: TaskManagerRunner derives nothing and starts only with all of them."""
        parts = {
            "process.size": self.process,
            "framework.heap.size": self.framework_heap,
            "task.heap.size": self.task_heap,
            "framework.off-heap.size": self.framework_off_heap,
            "task.off-heap.size": self.task_off_heap,
            "network.min": self.network,
            "network.max": self.network,
            "managed.size": self.managed,
            "jvm-metaspace.size": self.metaspace,
            "jvm-overhead.min": self.overhead,
            "jvm-overhead.max": self.overhead,
        }
        sizes = {f"taskmanager.memory.{name}": f"{size}b" for name, size in parts.items()}
        return {**sizes, "taskmanager.cpu.cores": str(self.cpu), "taskmanager.numberOfTaskSlots": str(self.slots)}


def jobmanager(
    process_mb: int, options: Mapping[str, str], *, field: str = "jobmanager.memory.process.size"
) -> JobManagerMemory:
    """Split a JobManager of ``process_mb``; the job's ``jobmanager.memory.*`` options are honoured.

    Raises BadField: on ``field`` if the size is under the floor, on an option that is malformed or does not fit.
    """
    _require_floor(process_mb, FLOOR_JOBMANAGER_MB, field)
    at = _Interpolation(process_mb, FLOOR_JOBMANAGER_MB, NORMAL_JOBMANAGER_MB)
    defaults = {
        "off-heap.size": at.size(96, 128),
        "jvm-metaspace.size": at.size(192, 256),
        "jvm-overhead.min": at.size(128, 192),
        "jvm-overhead.max": "1g",
        "jvm-overhead.fraction": "0.1",
    }
    settings = MemoryOptions("jobmanager.memory.", options, defaults, process_mb * MB, field)
    off_heap = settings.size("off-heap.size")
    metaspace = settings.size("jvm-metaspace.size")
    if settings.given("heap.size"):
        heap = settings.size("heap.size")
        if settings.given("flink.size") and not settings.given("off-heap.size"):
            off_heap = settings.rest("flink.size", settings.size("flink.size"), heap)
        overhead = settings.overhead_beside(heap + off_heap + metaspace)
    elif settings.given("flink.size"):
        heap = settings.rest("flink.size", settings.size("flink.size"), off_heap)
        overhead = settings.overhead_beside(heap + off_heap + metaspace)
    else:
        overhead = settings.share("jvm-overhead", settings.process)
        heap = settings.rest(None, settings.process, metaspace + overhead + off_heap)
    limited = options.get("jobmanager.memory.enable-jvm-direct-memory-limit", "").strip().lower() == "true"
    return JobManagerMemory(heap, off_heap, metaspace, overhead, limited)


def taskmanager(
    process_mb: int,
    options: Mapping[str, str],
    slots: int,
    cpu: float,
    *,
    field: str = "taskmanager.memory.process.size",
) -> TaskManagerMemory:
    """Split a TaskManager of ``process_mb``; the job's ``taskmanager.memory.*`` options are honoured.

    Raises BadField: on ``field`` if the size is under the floor, on an option that is malformed or does not fit.
    """
    _require_floor(process_mb, FLOOR_TASKMANAGER_MB, field)
    at = _Interpolation(process_mb, FLOOR_TASKMANAGER_MB, NORMAL_TASKMANAGER_MB)
    defaults = {
        "framework.heap.size": at.size(96, 128),
        "framework.off-heap.size": at.size(96, 128),
        "task.off-heap.size": "0",
        "managed.fraction": str(at.value(0.25, 0.4)),
        "network.min": "64m",
        "network.max": f"{UNLIMITED}b",
        "network.fraction": "0.1",
        "jvm-metaspace.size": at.size(160, 256),
        "jvm-overhead.min": at.size(128, 192),
        "jvm-overhead.max": "1g",
        "jvm-overhead.fraction": "0.1",
    }
    settings = MemoryOptions("taskmanager.memory.", options, defaults, process_mb * MB, field)
    metaspace = settings.size("jvm-metaspace.size")
    framework_heap, framework_off_heap, task_off_heap = (
        settings.size(f"{name}.size") for name in ("framework.heap", "framework.off-heap", "task.off-heap")
    )
    fixed = framework_heap + framework_off_heap + task_off_heap
    overhead: int | None = None
    if settings.given("flink.size"):
        flink = settings.size("flink.size")
    elif settings.given("task.heap.size") and settings.given("managed.size"):
        named = fixed + settings.size("task.heap.size") + settings.size("managed.size")
        flink = named + settings.share_beside("network", named)
    else:
        overhead = settings.share("jvm-overhead", settings.process)
        flink = settings.rest(None, settings.process, metaspace + overhead)
    managed = settings.size("managed.size") if settings.given("managed.size") else settings.part("managed", flink)
    if settings.given("task.heap.size"):
        task_heap = settings.size("task.heap.size")
        network = settings.rest("task.heap.size", flink, fixed + managed + task_heap)
        settings.require_range("network", network)
    else:
        network = settings.share("network", flink)
        task_heap = settings.rest(None, flink, fixed + managed + network)
    if overhead is None:
        overhead = settings.overhead_beside(flink + metaspace)
    return TaskManagerMemory(
        framework_heap=framework_heap,
        task_heap=task_heap,
        framework_off_heap=framework_off_heap,
        task_off_heap=task_off_heap,
        network=network,
        managed=managed,
        metaspace=metaspace,
        overhead=overhead,
        slots=slots,
        cpu=_cores(options, cpu),
    )


@dataclass(frozen=True)
class _Interpolation:
    """Between a floor and the size from which Flink's own defaults hold."""

    process_mb: int
    floor_mb: int
    normal_mb: int

    def value(self, at_floor: float, normal: float) -> float:
        if self.process_mb >= self.normal_mb:
            return normal
        return at_floor + (normal - at_floor) * (self.process_mb - self.floor_mb) / (self.normal_mb - self.floor_mb)

    def size(self, at_floor_mb: int, normal_mb: int) -> str:
        return f"{int(self.value(at_floor_mb, normal_mb) * MB)}b"


def _cores(options: Mapping[str, str], cpu: float) -> float:
    text = options.get("taskmanager.cpu.cores")
    if text is None:
        return float(cpu)
    try:
        return float(text)
    except ValueError:
        raise BadField("taskmanager.cpu.cores", text, "must be a number of CPU cores, such as 1.0") from None


def _require_floor(process_mb: int, floor_mb: int, field: str) -> None:
    if process_mb < floor_mb:
        raise BadField(field, f"{process_mb} MB", f"must be at least {floor_mb} MB: Flink does not run in less")


def check(shape: Shape, options: Mapping[str, str], *, jobmanager_field: str, taskmanager_field: str) -> None:
    """Raises BadField if Flink could not run processes of this shape; the fields are named as the caller knows them."""
    jobmanager(shape.jobmanager_memory_mb, options, field=jobmanager_field)
    taskmanager(shape.taskmanager_memory_mb, options, shape.slots, shape.taskmanager_cpu, field=taskmanager_field)
