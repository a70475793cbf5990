"""The list of faults. What each does to real jobs is in ``flink``, what it does to the fake runtime in ``fake``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reach(StrEnum):
    """Whom a fault strikes."""

    JOB = "one job"
    ALL = "all jobs, or Headrace"


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Attributes:
        asks: it is a request of a user, which other faults may strike.
        needs_another: it shows only in what another fault sets going.
        seam: where it is injected, if it is not the real thing; "" = it is.
    """

    name: str
    summary: str
    reach: Reach = Reach.JOB
    asks: bool = False
    needs_another: bool = False
    seam: str = ""


_JOBS = (
    Kind("jobmanager-killed", "SIGKILL of a JobManager"),
    Kind("jobmanager-frozen", "SIGSTOP of a JobManager, until it is given up and ended"),
    Kind("jobmanager-hangs", "SIGSTOP of a JobManager for some seconds: its REST hangs, and nothing must follow"),
    Kind("taskmanager-killed", "SIGKILL of a TaskManager"),
    Kind("taskmanager-frozen", "SIGSTOP of a TaskManager, until it is given up and replaced"),
    Kind("taskmanager-exits", "the job's code calls System.exit in a TaskManager"),
    Kind("taskmanager-out-of-memory", "the job's code fills the heap of a TaskManager"),
    Kind("code-throws", "the job's code throws an exception"),
    Kind("deployment-killed", "SIGKILL of the JobManager and all TaskManagers of a job"),
    Kind("keepers-killed", "SIGKILL of a JVM and of the keeper that would have told its end"),
    Kind("savepoint", "a savepoint is triggered", asks=True),
    Kind("stop-and-resume", "stop with savepoint, and run from it again", asks=True),
)
_ALL = (
    Kind("headrace-killed", "SIGKILL of Headrace, and a new start some seconds later", Reach.ALL),
    Kind("headrace-stopped", "SIGTERM of Headrace, and a new start some seconds later", Reach.ALL),
    Kind("headrace-frozen", "SIGSTOP of Headrace for some seconds", Reach.ALL),
    Kind(
        "headrace-killed-at-step",
        "SIGKILL of Headrace at a step between two things that it records or does",
        Reach.ALL,
        needs_another=True,
        seam="Seams.step of headrace.main names the steps; the signal is real",
    ),
    Kind(
        "headrace-killed-saving",
        "SIGKILL of Headrace between the request of a savepoint and its answer",
        Reach.ALL,
        seam="Seams.step of headrace.main names the steps; the signal is real",
    ),
    Kind("database-locked", "another program holds a write lock on the database for some seconds", Reach.ALL),
    Kind("database-gone", "the database is moved away for some seconds", Reach.ALL),
    Kind(
        "disk-full",
        "no process can write to any file for some seconds",
        Reach.ALL,
        seam="RLIMIT_FSIZE of all processes: the kernel refuses writes with EFBIG in place of ENOSPC",
    ),
    Kind(
        "clock-jumps",
        "the wall clock goes two hours forward, or back again",
        Reach.ALL,
        needs_another=True,
        seam="Seams.now_ms of headrace.main",
    ),
    Kind(
        "machine-rebooted",
        "all processes end and nobody sees how; Headrace starts in another boot of the machine",
        Reach.ALL,
        seam="SIGKILL of all processes; then the boot ids on record are changed, in place of the kernel's",
    ),
)
KINDS: tuple[Kind, ...] = (*_JOBS, *_ALL)


def named(name: str) -> Kind:
    """The kind of this name.

    Raises:
        LookupError: there is none.
    """
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise LookupError(f"There is no fault {name!r}. There are: {', '.join(kind.name for kind in KINDS)}.")
