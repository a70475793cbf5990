"""The scheduler on queues that share a pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.control.scheduler import Scheduler
from headrace.domain.job import Desired, Goal, JobSpec, Phase, Record
from headrace.domain.pools import Policy
from headrace.domain.queue import Claim
from headrace.domain.rights import Caller
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.pools import ElasticPool, PoolChange, PoolStore
from headrace.store.queues import Queue, QueueStore


class Site:
    """Project p: a pool of 8 CUs with the queues a (2 kept) and b (1 kept), each of which may take all of it."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.jobs, self.queues, self.pools = (
            JobStore(self.database),
            QueueStore(self.database),
            PoolStore(self.database),
        )
        self.pools.create(ElasticPool(0, "p", "pool", 4, 8))
        for name, kept in (("a", 2), ("b", 1)):
            self.pools.create_queue(Queue(0, "p", name, "general", 1000, pool_name="pool"))
            self.pools.set_policies("p", "pool", name, [Policy("00:00", "24:00", 1, kept, 1, inherit=True)])
        self.pools.create(ElasticPool(0, "other", "pool", 1, 1))
        self.pools.create_queue(Queue(0, "other", "a", "general", 1000, pool_name="pool"))
        self.scheduler = Scheduler(self.queues, lambda: 10**9, 1024)

    def waiting(self, name: str, cus: int, queue: str, project: str = "p") -> int:
        """A job that waits for so many CUs."""
        spec = JobSpec(name, queue_name=queue, cu_number=cus, parallel_number=cus - 1)
        job_id = self.jobs.create(Caller(project, "u"), spec, now_ms=1).id
        self.jobs.request(self.jobs.get(job_id), Desired(Goal.RUN, 1, requested_ms=job_id))
        for phase in (Phase.PREPARING, Phase.WAITING):
            self.jobs.move(self.jobs.get(job_id), Record(phase, attempt=1, request_seen=1), now_ms=2)
        return job_id


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "headrace.db")
    yield made
    made.database.close()


def test_queues_share_their_pool(site: Site) -> None:
    first, second, third = site.waiting("1", 5, "a"), site.waiting("2", 4, "b"), site.waiting("3", 2, "a")
    assert site.scheduler.run() == (first,)
    assert site.scheduler.reason(second) == "waiting for 4 CUs, 3 free in its queue's pool"
    assert site.scheduler.reason(third) == "waiting for 2 CUs, 2 free in its queue's pool"
    site.pools.update("p", "pool", PoolChange(max_cu=11))
    assert site.scheduler.run() == (second, third)
    assert sum(queue.used_milli for queue in site.queues.of_project("p")) == 11_000


def test_what_is_kept_for_a_queue_is_there(site: Site) -> None:
    first, second, third = site.waiting("1", 6, "b"), site.waiting("2", 2, "b"), site.waiting("3", 2, "a")
    assert site.scheduler.run() == (first, third)
    assert "free in its queue's pool" in site.scheduler.reason(second)


def test_the_pool_of_another_project_is_another_one(site: Site) -> None:
    site.waiting("1", 6, "a")
    theirs = site.waiting("2", 2, "a", "other")
    site.pools.update("other", "pool", PoolChange(min_cu=2, max_cu=2))
    site.pools.set_policies("other", "pool", "a", [Policy("00:00", "24:00", 1, 2, 2)])
    assert theirs in site.scheduler.run()


def test_a_grant_that_the_pool_has_not_got_is_refused(site: Site) -> None:
    """The ledger was read, then somebody else was quicker."""
    first, second = site.waiting("1", 6, "a"), site.waiting("2", 3, "b")
    ids = {queue.name: str(queue.id) for queue in site.queues.of_project("p")}
    assert site.queues.grant(Claim(first, ids["a"], 6000, 1))
    assert not site.queues.grant(Claim(second, ids["b"], 3000, 1))
    assert site.queues.grant(Claim(second, ids["b"], 2000, 1))


def test_what_a_queue_may_take_leaves_out_what_is_kept_for_others(site: Site) -> None:
    assert {queue.name: queue.cu_milli for queue in site.queues.of_project("p")} == {"a": 7000, "b": 6000}
    site.queues.delete("p", "a")
    assert site.queues.find("p", "b").cu_milli == 8000
