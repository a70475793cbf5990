"""All of Headrace but its API, on real stores and the runtime in memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.deployment import plan
from headrace.domain.job import Desired, Goal, JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.runtimes.fake import FakeRuntime
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.queues import Queue, QueueStore
from tests.support.clocks import job_clock

LIMIT_S = 60.0


class Site:
    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.jobs, self.queues = JobStore(self.database), QueueStore(self.database)
        self.queues.create(Queue(0, "p", "wide", "general", 4000))
        self.queues.create(Queue(0, "p", "narrow", "general", 2000))
        self.memory_mb = 5 * 4096
        self.scheduler = Scheduler(self.queues, lambda: self.memory_mb, 4096)
        self.runtime = FakeRuntime()
        self.reconciler = Reconciler(
            jobs=self.jobs,
            queues=self.queues,
            runtime=self.runtime,
            scheduler=self.scheduler,
            planner=lambda job, left: plan(job, "1.20.5", 4096, left),
            patience={},
            monotonic=time.monotonic,
            now_ms=lambda: 1,
            clock=job_clock(self.database),
        )

    def job(self, name: str, cus: int = 2, queue: str = "wide", runtime_config: str = "") -> int:
        spec = JobSpec(name, queue_name=queue, cu_number=cus, parallel_number=cus - 1, runtime_config=runtime_config)
        return self.jobs.create(Caller("p", "u"), spec, now_ms=1).id

    def ask(self, job_id: int, goal: Goal) -> None:
        job = self.jobs.get(job_id)
        self.jobs.request(job, Desired(goal, job.desired.request_no + 1, requested_ms=job_id))

    def waiting(self, name: str, cus: int = 2, queue: str = "wide", runtime_config: str = "") -> int:
        job_id = self.job(name, cus, queue, runtime_config)
        self.ask(job_id, Goal.RUN)
        for phase in (Phase.PREPARING, Phase.WAITING):
            self.jobs.move(self.jobs.get(job_id), Record(phase, attempt=1, request_seen=1), now_ms=2)
        return job_id

    def phase(self, job_id: int) -> Phase:
        return self.jobs.get(job_id).record.phase


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        threading.Event().wait(0.005)
