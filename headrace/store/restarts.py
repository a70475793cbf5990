"""The restarts of the last hour, each written in the transaction of the move that counts it."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert, select

from headrace.domain.job import Job, Phase, Record
from headrace.domain.restart import HOUR_MS
from headrace.store.schema import restarts
from headrace.store.timeline import JobClock


def count(connection: Connection, job: Job, record: Record, clock: JobClock) -> None:
    """One row per restart that this move counts; those in place first."""
    in_place = max(0, record.flink_restarts - job.record.flink_restarts) if record.attempt == job.record.attempt else 0
    total = max(0, record.restarts - job.record.restarts)
    mine = {
        "job_id": job.id,
        "attempt": record.attempt,
        "starting": record.phase is Phase.STARTING,
        "clock_ms": clock.now_ms(),
    }
    rows = [{**mine, "in_place": number < in_place} for number in range(total)]
    if rows:
        past = (restarts.c.job_id == job.id) & (restarts.c.clock_ms <= clock.now_ms() - HOUR_MS)
        connection.execute(delete(restarts).where(past))
        connection.execute(insert(restarts), rows)
    if rows or record.phase is Phase.RESTARTING:  # after a boot, neither may lie far ahead
        clock.anchor(connection)


def times(connection: Connection, job: Job, now_ms: int, *, in_place: bool = True) -> list[int]:
    """See JobStore.restart_times."""
    mine = (restarts.c.job_id == job.id) & (restarts.c.attempt >= job.record.first_attempt)
    if not in_place:
        mine &= restarts.c.in_place.is_(False)
    query = select(restarts.c.clock_ms).where(mine, restarts.c.clock_ms > now_ms - HOUR_MS)
    return list(connection.execute(query.order_by(restarts.c.clock_ms)).scalars())


def in_place(connection: Connection, job: Job) -> list[int]:
    """When Flink has restarted the present attempt since it came up, within the last hour: job clock, milliseconds,
    ascending.
    """
    mine = (restarts.c.job_id == job.id) & (restarts.c.attempt == job.record.attempt)
    mine &= restarts.c.in_place & restarts.c.starting.is_(False)
    return list(connection.execute(select(restarts.c.clock_ms).where(mine).order_by(restarts.c.clock_ms)).scalars())
