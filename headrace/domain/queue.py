"""The CU ledger: who holds what, who waits, who is next. ``admit`` is the scheduler's brain.

A job is admitted whole (its JobManager and all its TaskManagers) or not at all, first come first served:

- A job that waits for its queue's CUs lets nobody of the same queue pass.
- A job that waits for the machine's memory lets nobody at all pass: otherwise small jobs could starve it for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.domain.errors import NeverFits
from headrace.domain.sizing import cus


@dataclass(frozen=True)
class Claim:
    """What one job needs, or holds, of one queue (thousandths of a CU) and of the machine (MB)."""

    job_id: int
    queue: str
    cu_milli: int
    memory_mb: int
    order: int = 0
    """Turn: smaller is earlier."""


@dataclass(frozen=True)
class Admission:
    """Who is granted now, and why the others wait."""

    granted: tuple[Claim, ...] = ()
    waiting: Mapping[int, str] = field(default_factory=dict)


def admit(queues: Mapping[str, int], memory_mb: int, holding: Iterable[Claim], waiting: Iterable[Claim]) -> Admission:
    """Grants in turn what fits.

    Args:
        queues: capacity of each queue in thousandths of a CU.
        memory_mb: memory that may be promised to all jobs of this machine.
        holding: grants in force.
        waiting: jobs that are ready to start.
    """
    free, all_memory_mb = dict(queues), memory_mb
    for claim in holding:
        free[claim.queue] = free.get(claim.queue, 0) - claim.cu_milli
        memory_mb -= claim.memory_mb
    granted: list[Claim] = []
    reasons: dict[int, str] = {}
    blocked: set[str] = set()
    memory_blocked = False
    for claim in sorted(waiting, key=lambda c: (c.order, c.job_id)):
        left = free.get(claim.queue, 0)
        try:
            check_fits(claim, queues.get(claim.queue, 0), all_memory_mb)
        except NeverFits as error:  # queue or machine have become smaller: it waits, and holds up nobody
            reasons[claim.job_id] = str(error)
            continue
        if claim.queue in blocked or claim.cu_milli > left:
            blocked.add(claim.queue)
            reasons[claim.job_id] = f"waiting for {cus(claim.cu_milli)} CUs, {cus(max(left, 0))} free in its queue"
        elif memory_blocked or claim.memory_mb > memory_mb:
            memory_blocked = True
            reasons[claim.job_id] = (
                f"waiting for {claim.memory_mb} MB of memory, {max(memory_mb, 0)} MB free on this machine"
            )
        else:
            granted.append(claim)
            free[claim.queue] = left - claim.cu_milli
            memory_mb -= claim.memory_mb
    return Admission(tuple(granted), reasons)


def check_fits(claim: Claim, queue_milli: int, memory_mb: int) -> None:
    """Refuses a job that could never be admitted, however long it waits.

    Raises:
        NeverFits: it is larger than its whole queue, or than this machine's memory for jobs.
    """
    if claim.cu_milli > queue_milli:
        raise NeverFits(
            f"The job needs {cus(claim.cu_milli)} CUs, its queue has {cus(queue_milli)} in all. "
            "Lower cu_number or parallel_number, or choose a larger queue."
        )
    if claim.memory_mb > memory_mb:
        raise NeverFits(
            f"The job needs {claim.memory_mb} MB of memory, this machine can promise {memory_mb} MB to all jobs. "
            "Lower the job's CUs, or set HEADRACE_MEMORY_PER_CU_MB (DLI's is 4096; 1024 suits a laptop)."
        )
