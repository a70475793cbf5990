"""Queues and their pools, within somebody else's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, select, update

from headrace.domain.pools import Bounds, Policy, default_of, first_policy
from headrace.domain.queue import Pool
from headrace.domain.sizing import MILLI
from headrace.store.audit import Trace
from headrace.store.schema import pools, queues

POLICIES = "scaling_policies"
OWN_CUS = "cu_count"
RECORDS = "scale_records"
MAX_RECORDS = 100
"""Details of a queue: its policies, and the CUs that it was made with. Of a pool: when it came to other CUs."""


def policies_of(details: Mapping[str, Any]) -> tuple[Policy, ...]:
    """The policies of a queue in a pool."""
    return tuple(Policy(**each) for each in details[POLICIES])


def pooled(details: Mapping[str, Any], policies: Sequence[Policy], cu_count: int) -> dict[str, Any]:
    """A queue's details, with these policies and the CUs that it had before it came into a pool."""
    return {**details, POLICIES: [asdict(policy) for policy in policies], OWN_CUS: details.get(OWN_CUS, cu_count)}


def joining(details: Mapping[str, Any], cu_count: int) -> dict[str, Any]:
    """Details of a queue of so many CUs that comes into a pool."""
    return pooled(details, (first_policy(cu_count),), cu_count)


def bounds_of(row: Row[Any]) -> Bounds:
    """What a pool is kept and may take."""
    return Bounds(row.name, row.min_cu, row.max_cu)


def members(connection: Connection, project_id: str, pool_name: str) -> dict[str, tuple[Policy, ...]]:
    """The policies of all queues of a pool, by the queue's name."""
    query = select(queues).where(queues.c.project_id == project_id, queues.c.pool_name == pool_name)
    return {row.name: policies_of(row.details) for row in connection.execute(query.order_by(queues.c.name))}


def shared(connection: Connection, project_id: str | None = None) -> list[Pool]:
    """The pools with queues, for the ledger; a queue is named by its id, as text."""
    together = (queues.c.project_id == pools.c.project_id) & (queues.c.pool_name == pools.c.name)
    query = select(queues.c.id, queues.c.details, pools.c.id.label("pool_id"), pools.c.max_cu).join(pools, together)
    if project_id is not None:
        query = query.where(queues.c.project_id == project_id)
    least: dict[int, dict[str, int]] = {}
    most: dict[int, int] = {}
    for row in connection.execute(query):
        most[row.pool_id] = row.max_cu * MILLI
        least.setdefault(row.pool_id, {})[str(row.id)] = default_of(policies_of(row.details)).min_cu * MILLI
    return [Pool(most[pool_id], kept) for pool_id, kept in least.items()]


@contextmanager
def scaling(connection: Connection, project_id: str, pool_name: str, trace: Trace | None) -> Iterator[None]:
    """Writes down if the pool comes to other CUs by what is done within; "" = there is no pool."""
    before = _actual(connection, project_id, pool_name)
    yield
    after = _actual(connection, project_id, pool_name)
    row = connection.execute(_pool(project_id, pool_name)).one_or_none()
    if row is None or trace is None or before == after:
        return
    record = {
        "max_cu": row.max_cu,
        "min_cu": row.min_cu,
        "current_cu": after,
        "origin_cu": before,
        "target_cu": after,
        "record_time": trace.at_ms,
        "status": "success",
        "fail_reason": "",
    }
    records = [*row.details.get(RECORDS, []), record][-MAX_RECORDS:]
    connection.execute(update(pools).where(pools.c.id == row.id).values(details={**row.details, RECORDS: records}))


def _pool(project_id: str, name: str) -> Any:
    return select(pools).where(pools.c.project_id == project_id, pools.c.name == name)


def _actual(connection: Connection, project_id: str, pool_name: str) -> int:
    """CUs that the pool comes to, 0 if there is none."""
    row = connection.execute(_pool(project_id, pool_name)).one_or_none()
    return bounds_of(row).actual(members(connection, project_id, pool_name).values()) if row is not None else 0
