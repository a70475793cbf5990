"""The CU ledger: who holds what, who waits, who is next. ``admit`` is the scheduler's brain.

A job is admitted whole (its JobManager and all its TaskManagers) or not at all, first come first served:

- A job that waits for its queue's CUs lets nobody of the same queue pass.
- A job that waits for the CUs of its queue's pool lets nobody of the same pool pass, but for what is kept for the other
  queues: it could not have that anyway.
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
class Pool:
    """CUs that several queues share: all of them together hold no more than it has, in thousandths of a CU.

    Attributes:
        least: queue -> what is kept for it, whatever the others would like to have.
    """

    cu_milli: int
    least: Mapping[str, int]

    def most(self, queue: str) -> int:
        """The most that the queue could ever hold: all but what is kept for the others."""
        return max(0, self.cu_milli - sum(kept for other, kept in self.least.items() if other != queue))

    def left(self, queue: str, held: Mapping[str, int]) -> int:
        """What the queue could hold besides what it holds, while the others hold what they do."""
        others = sum(max(held.get(other, 0), kept) for other, kept in self.least.items() if other != queue)
        return self.cu_milli - others - held.get(queue, 0)


@dataclass(frozen=True)
class Admission:
    """Who is granted now, and why the others wait."""

    granted: tuple[Claim, ...] = ()
    waiting: Mapping[int, str] = field(default_factory=dict)


def admit(
    queues: Mapping[str, int],
    memory_mb: int,
    holding: Iterable[Claim],
    waiting: Iterable[Claim],
    pools: Iterable[Pool] = (),
) -> Admission:
    """Grants in turn what fits.

    Args:
        queues: capacity of each queue in thousandths of a CU.
        memory_mb: memory that may be promised to all jobs of this machine.
        holding: grants in force.
        waiting: jobs that are ready to start.
        pools: CUs that queues share; a queue is in one of them or in none.
    """
    all_memory_mb = memory_mb
    room = _Room(queues, pools)
    for claim in holding:
        room.take(claim)
        memory_mb -= claim.memory_mb
    granted: list[Claim] = []
    reasons: dict[int, str] = {}
    memory_blocked = False
    for claim in sorted(waiting, key=lambda c: (c.order, c.job_id)):
        try:
            check_fits(claim, room.most(claim.queue), all_memory_mb)
        except NeverFits as error:  # queue or machine have become smaller: it waits, and holds up nobody
            reasons[claim.job_id] = str(error)
            continue
        if reason := room.refuses(claim):
            reasons[claim.job_id] = reason
        elif memory_blocked or claim.memory_mb > memory_mb:
            memory_blocked = True
            reasons[claim.job_id] = (
                f"waiting for {claim.memory_mb} MB of memory, {max(memory_mb, 0)} MB free on this machine"
            )
        else:
            granted.append(claim)
            room.take(claim)
            memory_mb -= claim.memory_mb
    return Admission(tuple(granted), reasons)


class _Room:
    """What is left in queues and pools while grants are given, and who stands in line there."""

    def __init__(self, queues: Mapping[str, int], pools: Iterable[Pool]) -> None:
        self._queues = queues
        self._pools = {queue: pool for pool in pools for queue in pool.least}
        self._held: dict[str, int] = {}
        self._lines: set[str] = set()
        self._crowded: list[Pool] = []

    def most(self, queue: str) -> int:
        """The most that the queue could ever hold."""
        capacity = self._queues.get(queue, 0)
        pool = self._pools.get(queue)
        return capacity if pool is None else min(capacity, pool.most(queue))

    def take(self, claim: Claim) -> None:
        """The claim is granted."""
        self._held[claim.queue] = self._held.get(claim.queue, 0) + claim.cu_milli

    def refuses(self, claim: Claim) -> str:
        """Why the claim waits in this line, "" if it does not; from then on nobody passes it."""
        held = self._held.get(claim.queue, 0)
        left = self._queues.get(claim.queue, 0) - held
        if claim.queue in self._lines or claim.cu_milli > left:
            self._lines.add(claim.queue)
            return f"waiting for {cus(claim.cu_milli)} CUs, {cus(max(left, 0))} free in its queue"
        pool = self._pools.get(claim.queue)
        if pool is None:
            return ""
        shared = pool.left(claim.queue, self._held)
        own = pool.least[claim.queue] - held
        crowded = any(pool is other for other in self._crowded)
        if claim.cu_milli > (min(shared, own) if crowded else shared):
            self._crowded.append(pool)
            self._lines.add(claim.queue)
            return f"waiting for {cus(claim.cu_milli)} CUs, {cus(max(shared, 0))} free in its queue's pool"
        return ""


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
