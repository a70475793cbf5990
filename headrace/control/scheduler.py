"""Grants CUs and memory to waiting jobs, in turn. What fits is decided in ``headrace.domain.queue``."""

from __future__ import annotations

import threading
from collections.abc import Callable

from headrace.domain.deployment import claim_size, filled
from headrace.domain.errors import Refused
from headrace.domain.job import Job
from headrace.domain.queue import admit
from headrace.store.queues import QueueStore


class Scheduler:
    """One pass over the ledger at a time."""

    def __init__(self, queues: QueueStore, memory_mb: Callable[[], int], memory_per_cu_mb: int) -> None:
        """``memory_mb``: what may be promised to all jobs of this machine, now."""
        self._queues = queues
        self._memory_mb = memory_mb
        self._memory_per_cu_mb = memory_per_cu_mb
        self._reasons: dict[int, str] = {}
        self._lock = threading.Lock()

    def run(self) -> tuple[int, ...]:
        """Grants what fits; the ids of the jobs that got their grant."""
        with self._lock:
            unsizable: dict[int, str] = {}
            ledger = self._queues.ledger(lambda job: self._measure(job, unsizable))
            admission = admit(ledger.queues, self._memory_mb(), ledger.holding, ledger.waiting, ledger.pools)
            self._reasons = {**admission.waiting, **unsizable}
            return tuple(claim.job_id for claim in admission.granted if self._queues.grant(claim))

    def reason(self, job_id: int) -> str:
        """Why the job still waits, "" if that is not known."""
        return self._reasons.get(job_id, "")

    def _measure(self, job: Job, unsizable: dict[int, str]) -> tuple[int, int] | None:
        try:
            shape = claim_size(filled(job.spec, dict(job.variables)), self._memory_per_cu_mb)
        except Refused as error:
            # Validated when it was stored, so the settings have changed since: it waits, says so, and holds up nobody.
            unsizable[job.id] = f"cannot start: {error}"
            return None
        return shape.cu_milli, shape.memory_mb
