"""CUs -> the shape of a deployment: how many processes, each with how much CPU, memory and slots.

The formulas are DLI's (user manual "Creating a Flink Jar Job"; dli-contract §4). 1 CU = 1 vCPU + 4 GB. Headrace can
scale the memory of a CU (setting ``memory_per_cu_mb``); CUs themselves, and so the ledger, stay DLI's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from headrace.domain.errors import BadField
from headrace.domain.job import JobSpec

DLI_MEMORY_PER_CU_MB = 4096
MILLI = 1000
"""The ledger counts thousandths of a CU, so that v2's 0.5 vCPU adds up exactly."""

JOBMANAGER_CPU = "kubernetes.jobmanager.cpu"
TASKMANAGER_CPU = "kubernetes.taskmanager.cpu"
JOBMANAGER_MEMORY = "jobmanager.memory.process.size"
TASKMANAGER_MEMORY = "taskmanager.memory.process.size"
OVERRIDES = frozenset({JOBMANAGER_CPU, TASKMANAGER_CPU, JOBMANAGER_MEMORY, TASKMANAGER_MEMORY})
"""runtime_config keys that win over the form (user manual, "Creating a Flink Jar Job", Table 6)."""


@dataclass(frozen=True)
class Shape:
    """The processes of one deployment and what they cost.

    Attributes:
        jobmanager_cpu, taskmanager_cpu: vCPUs of one process.
        jobmanager_memory_mb, taskmanager_memory_mb: memory of one process on this machine, scaled.
        taskmanagers: how many of them.
        slots: slots of one TaskManager; ``slots * taskmanagers >= parallelism``.
        cu_milli: what the queue is charged, in thousandths of a CU.
    """

    jobmanager_cpu: float
    jobmanager_memory_mb: int
    taskmanager_cpu: float
    taskmanager_memory_mb: int
    taskmanagers: int
    slots: int
    parallelism: int
    cu_milli: int

    @property
    def memory_mb(self) -> int:
        """Memory promised to all processes together."""
        return self.jobmanager_memory_mb + self.taskmanagers * self.taskmanager_memory_mb


@dataclass(frozen=True)
class _Process:
    cpu: Fraction
    memory_mb: Fraction  # in DLI's measure, not scaled


def size(spec: JobSpec, options: Mapping[str, str], memory_per_cu_mb: int = DLI_MEMORY_PER_CU_MB) -> Shape:
    """The shape of the job's deployment.

    Args:
        spec: the job.
        options: its parsed ``runtime_config``; only ``OVERRIDES`` are looked at.
        memory_per_cu_mb: memory of 1 CU on this machine.

    Raises:
        BadField: the numbers do not fit together.
    """
    v2 = spec.resource_config_version == "v2"
    jobmanager, taskmanager = _v2_processes(spec) if v2 else _v1_processes(spec)
    jobmanager = _override(jobmanager, options, JOBMANAGER_CPU, JOBMANAGER_MEMORY)
    taskmanager = _override(taskmanager, options, TASKMANAGER_CPU, TASKMANAGER_MEMORY)
    parallelism = spec.resource_config.parallel_number if v2 else spec.parallel_number
    taskmanagers, slots = _v2_slots(spec) if v2 else _v1_slots(spec)
    scale = Fraction(memory_per_cu_mb, DLI_MEMORY_PER_CU_MB)
    cpu = jobmanager.cpu + taskmanagers * taskmanager.cpu
    memory = jobmanager.memory_mb + taskmanagers * taskmanager.memory_mb
    return Shape(
        jobmanager_cpu=float(jobmanager.cpu),
        jobmanager_memory_mb=int(jobmanager.memory_mb * scale),
        taskmanager_cpu=float(taskmanager.cpu),
        taskmanager_memory_mb=int(taskmanager.memory_mb * scale),
        taskmanagers=taskmanagers,
        slots=slots,
        parallelism=parallelism,
        cu_milli=ceil(max(cpu, memory / DLI_MEMORY_PER_CU_MB) * MILLI),
    )


def cus(milli: int) -> str:
    """Thousandths of a CU as a person reads them: 2000 -> "2", 500 -> "0.5"."""
    return f"{milli / MILLI:g}"


def memory_mb(text: str, field: str) -> int:
    """DLI's memory notation in MB: "4 GB", "8G", "2048MB", "2048m", "4" (GB is the default unit).

    Raises:
        BadField: not of this notation.
    """
    match = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(g|gb|gib|m|mb|mib)?\s*", text, re.IGNORECASE)
    if match is None:
        raise BadField(field, text, 'must be a size such as "4 GB" or "4096 MB"')
    unit = (match[2] or "g").lower()
    return int(Fraction(match[1]) * (1024 if unit.startswith("g") else 1))


def _v1_processes(spec: JobSpec) -> tuple[_Process, _Process]:
    compute = spec.cu_number - spec.manager_cu_number
    if compute < 1:
        raise BadField("cu_number", spec.cu_number, f"must be greater than manager_cu_number={spec.manager_cu_number}")
    if spec.tm_cus > compute:
        raise BadField(
            "tm_cus", spec.tm_cus, f"one TaskManager must fit into cu_number - manager_cu_number = {compute} CUs"
        )
    if spec.parallel_number > 4 * compute:
        raise BadField(
            "parallel_number",
            spec.parallel_number,
            f"must not exceed 4 x (cu_number - manager_cu_number) = {4 * compute}",
        )
    return _cu_process(spec.manager_cu_number), _cu_process(spec.tm_cus)


def _cu_process(cu: int) -> _Process:
    return _Process(Fraction(cu), Fraction(cu * DLI_MEMORY_PER_CU_MB))


def _v1_slots(spec: JobSpec) -> tuple[int, int]:
    """(TaskManagers, slots of each). With tm_slot_num: parallel_number / tm_slot_num TaskManagers. Unset (0): as many
    as fit, (cu_number - manager_cu_number) / tm_cus, with (parallel_number * tm_cus) / (cu_number - manager_cu_number)
    slots each, rounded so that together they hold the whole parallelism.
    """
    if spec.tm_slot_num > 0:
        return ceil(Fraction(spec.parallel_number, spec.tm_slot_num)), spec.tm_slot_num
    taskmanagers = (spec.cu_number - spec.manager_cu_number) // spec.tm_cus
    return taskmanagers, ceil(Fraction(spec.parallel_number, taskmanagers))


def _v2_slots(spec: JobSpec) -> tuple[int, int]:
    config = spec.resource_config
    return ceil(Fraction(config.parallel_number, config.max_slot)), config.max_slot


def _v2_processes(spec: JobSpec) -> tuple[_Process, _Process]:
    config = spec.resource_config
    return (
        _Process(Fraction(str(config.jobmanager.cpu)), Fraction(config.jobmanager.memory_mb)),
        _Process(Fraction(str(config.taskmanager.cpu)), Fraction(config.taskmanager.memory_mb)),
    )


def _override(process: _Process, options: Mapping[str, str], cpu_key: str, memory_key: str) -> _Process:
    cpu, memory = process.cpu, process.memory_mb
    if cpu_key in options:
        text = options[cpu_key]
        field = f"runtime_config.{cpu_key}"
        if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) is None:
            raise BadField(field, text, "must be a number of vCPUs, such as 1 or 0.5")
        cpu = Fraction(text)
        if cpu < Fraction(1, 2):
            raise BadField(field, text, "must be at least 0.5")
    if memory_key in options:
        field = f"runtime_config.{memory_key}"
        memory = Fraction(memory_mb(options[memory_key], field))
        if memory < 2048:
            raise BadField(field, options[memory_key], "must be at least 2 GB")
    return _Process(cpu, memory)
