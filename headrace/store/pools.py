"""Elastic resource pools (dli-contract §1.17, §4.5): CUs that several queues share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from headrace.domain.errors import NameTaken, PoolInUse, PoolNotFound, QueueNotFound, WrongState
from headrace.domain.pools import POLICIES, Bounds, Policy
from headrace.domain.sizing import MILLI, cus
from headrace.store import pooling, quotas
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.queues import Queue, add, find
from headrace.store.schema import grants, pools, queues

UPDATED = "update_time"


@dataclass(frozen=True)
class ElasticPool:
    """One pool; CUs are whole ones.

    Attributes:
        details: DLI fields that are only kept, and when the pool came to other CUs.
        queues: names of its queues.
        actual_cu: what it comes to with them.
    """

    id: int
    project_id: str
    name: str
    min_cu: int
    max_cu: int
    owner: str = ""
    created_ms: int = 0
    description: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    queues: tuple[str, ...] = ()
    actual_cu: int = 0

    @property
    def bounds(self) -> Bounds:
        """What it is kept and may take."""
        return Bounds(self.name, self.min_cu, self.max_cu)

    @property
    def updated_ms(self) -> int:
        """When it was last changed at a user's request."""
        return int(self.details.get(UPDATED, self.created_ms))

    @property
    def scale_records(self) -> list[dict[str, Any]]:
        """When it came to other CUs, the latest last; only the last ones are kept."""
        return list(self.details.get(pooling.RECORDS, []))


@dataclass(frozen=True)
class PoolChange:
    """What of a pool is to change; None stays."""

    min_cu: int | None = None
    max_cu: int | None = None
    description: str | None = None


class PoolStore:
    """The only place that writes pools, and which queues are in them."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, pool: ElasticPool, *, limits: Mapping[str, int] | None = None, trace: Trace | None = None
    ) -> ElasticPool:
        """A new pool without queues; ``pool.id`` is ignored.

        Raises:
            BadField: its minimum is over its maximum.
            NameTaken: the project has a pool of this name.
            QuotaExceeded: ``limits`` allow no more pools or CUs.
        """
        pool.bounds.check({}, "min_cu", pool.min_cu)
        with self._db.write() as connection:
            if connection.execute(_named(pool.project_id, pool.name)).one_or_none() is not None:
                raise NameTaken(f"elastic_resource_pool_name={pool.name!r}: a pool of this name exists already.")
            connection.execute(
                insert(pools).values(
                    project_id=pool.project_id,
                    name=pool.name,
                    description=pool.description,
                    min_cu=pool.min_cu,
                    max_cu=pool.max_cu,
                    owner=pool.owner,
                    created_ms=pool.created_ms,
                    details=pool.details,
                )
            )
            quotas.check(connection, pool.project_id, limits or {}, "ELASTIC_RESOURCE_POOL", "CU")
            record(connection, _about(trace, pool.name))
            return _find(connection, pool.project_id, pool.name)

    def of_project(self, project_id: str) -> list[ElasticPool]:
        """All pools of the project, by name."""
        query = select(pools).where(pools.c.project_id == project_id).order_by(pools.c.name)
        with self._db.read() as connection:
            return [_pool(connection, row) for row in connection.execute(query).all()]

    def find(self, project_id: str, name: str) -> ElasticPool:
        """The pool, whatever the case of the name; raises PoolNotFound."""
        with self._db.read() as connection:
            return _find(connection, project_id, name)

    def update(
        self,
        project_id: str,
        name: str,
        change: PoolChange,
        *,
        limits: Mapping[str, int] | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Changes a pool, and with it what queues may take that inherit its maximum.

        Raises:
            PoolNotFound: no such pool.
            BadField: its queues could take more, or are kept more.
            PoolInUse: its jobs hold more.
            QuotaExceeded: ``limits`` allow no more CUs.
        """
        with self._db.write() as connection:
            pool = _find(connection, project_id, name)
            wanted = replace(
                pool.bounds,
                min_cu=pool.min_cu if change.min_cu is None else change.min_cu,
                max_cu=pool.max_cu if change.max_cu is None else change.max_cu,
            )
            mates = pooling.members(connection, project_id, pool.name)
            raised_only = change.max_cu is None or wanted.max_cu >= pool.max_cu
            wanted.check(mates, *(("min_cu", wanted.min_cu) if raised_only else ("max_cu", wanted.max_cu)))
            _check_held(connection, pool, wanted)
            values: dict[str, Any] = {"min_cu": wanted.min_cu, "max_cu": wanted.max_cu}
            if change.description is not None:
                values["description"] = change.description
            with pooling.scaling(connection, project_id, pool.name, trace):
                connection.execute(update(pools).where(pools.c.id == pool.id).values(values))
                for mate, policies in mates.items():
                    _give(connection, project_id, mate, wanted.share(policies))
            if wanted.max_cu > pool.max_cu:
                quotas.check(connection, project_id, limits or {}, "CU")
            _touch(connection, pool.id, trace)
            record(connection, _about(trace, pool.name))

    def delete(self, project_id: str, name: str, *, trace: Trace | None = None) -> None:
        """Deletes a pool without queues; raises PoolNotFound, PoolInUse."""
        with self._db.write() as connection:
            pool = _find(connection, project_id, name)
            if pool.queues:
                raise PoolInUse(
                    f"The elastic resource pool {pool.name} has {len(pool.queues)} queues, such as {pool.queues[0]}. "
                    "Delete its queues first."
                )
            connection.execute(delete(pools).where(pools.c.id == pool.id))
            record(connection, _about(trace, pool.name))

    def create_queue(
        self, queue: Queue, *, limits: Mapping[str, int] | None = None, trace: Trace | None = None
    ) -> Queue:
        """A new queue in the pool that it names: it is kept, and may take, its own CUs, until its policies change.

        Raises:
            PoolNotFound: no such pool.
            BadField: the pool has not got so much.
            NameTaken, QuotaExceeded: as for any queue.
        """
        count = queue.cu_milli // MILLI
        with self._db.write() as connection:
            pool = _find(connection, queue.project_id, queue.pool_name)
            details = pooling.joining(queue.details, count)
            with pooling.scaling(connection, pool.project_id, pool.name, trace):
                add(connection, replace(queue, pool_name=pool.name, details=details), limits or {}, trace)
            pool.bounds.check(pooling.members(connection, pool.project_id, pool.name), "cu_count", count)
            return find(connection, queue.project_id, queue.name)

    def join(self, project_id: str, name: str, queue_name: str, *, trace: Trace | None = None) -> None:
        """Puts a queue into a pool; it is kept, and may take, the CUs that it has.

        Raises:
            PoolNotFound, QueueNotFound: no such pool, no such queue.
            WrongState: the queue is in a pool already.
            BadField: the pool has not got so much.
            PoolInUse: what its jobs and those of the queue hold together is more than the pool has.
        """
        with self._db.write() as connection:
            pool, queue = _find(connection, project_id, name), find(connection, project_id, queue_name)
            if queue.pool_name:
                raise WrongState(f"The queue {queue.name} is in the elastic resource pool {queue.pool_name} already.")
            held = _held(connection, pool) + queue.used_milli
            if held > pool.max_cu * MILLI:
                raise PoolInUse(
                    f"With the jobs of the queue {queue.name} the pool {pool.name} would hold {cus(held)} CUs, it has "
                    f"{pool.max_cu}. Stop jobs first, or raise the max_cu of the pool."
                )
            details = pooling.joining(queue.details, queue.cu_count)
            with pooling.scaling(connection, project_id, pool.name, trace):
                connection.execute(
                    update(queues).where(queues.c.id == queue.id).values(pool_name=pool.name, details=details)
                )
            mates = pooling.members(connection, project_id, pool.name)
            pool.bounds.check(mates, "queue_name", queue.name)
            record(connection, trace.of("queue", queue.name, queue.name) if trace else None)

    def set_policies(
        self, project_id: str, name: str, queue_name: str, policies: Sequence[Policy], *, trace: Trace | None = None
    ) -> None:
        """Changes what a queue is kept and may take; the policies must have been checked.

        Raises:
            PoolNotFound, QueueNotFound: no such pool, no such queue in it.
            BadField: the pool has not got so much.
            PoolInUse: the queue's jobs hold more.
        """
        with self._db.write() as connection:
            pool, queue = _find(connection, project_id, name), find(connection, project_id, queue_name)
            if queue.pool_name != pool.name:
                raise QueueNotFound(f"There is no queue named {queue.name} in the elastic resource pool {pool.name}.")
            share = pool.bounds.share(policies)
            if share * MILLI < queue.used_milli:
                raise PoolInUse(
                    f"The jobs of the queue {queue.name} hold {cus(queue.used_milli)} CUs, so it cannot be limited to "
                    f"{share}. Stop jobs first, or choose a larger max_cu."
                )
            details = pooling.pooled(queue.details, policies, queue.cu_count)
            with pooling.scaling(connection, project_id, pool.name, trace):
                connection.execute(update(queues).where(queues.c.id == queue.id).values(details=details))
                _give(connection, project_id, queue.name, share)
            mates = pooling.members(connection, project_id, pool.name)
            pool.bounds.check(mates, POLICIES, f"max_cu {share}")
            record(connection, trace.of("queue", queue.name, queue.name) if trace else None)


def _named(project_id: str, name: str) -> Any:
    return select(pools).where(pools.c.project_id == project_id, pools.c.name == name.lower())


def _find(connection: Connection, project_id: str, name: str) -> ElasticPool:
    row = connection.execute(_named(project_id, name)).one_or_none()
    if row is None:
        raise PoolNotFound.of(name)
    return _pool(connection, row)


def _pool(connection: Connection, row: Row[Any]) -> ElasticPool:
    mates = pooling.members(connection, row.project_id, row.name)
    return ElasticPool(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        min_cu=row.min_cu,
        max_cu=row.max_cu,
        owner=row.owner,
        created_ms=row.created_ms,
        description=row.description,
        details=row.details,
        queues=tuple(mates),
        actual_cu=pooling.bounds_of(row).actual(mates.values()),
    )


def _about(trace: Trace | None, name: str) -> Trace | None:
    return trace.of("elasticResourcePool", name, name) if trace else None


def _give(connection: Connection, project_id: str, queue_name: str, share: int) -> None:
    mine = (queues.c.project_id == project_id) & (queues.c.name == queue_name)
    connection.execute(update(queues).where(mine, queues.c.cu_milli != share * MILLI).values(cu_milli=share * MILLI))


def _held(connection: Connection, pool: ElasticPool) -> int:
    """What the pool's jobs hold, in thousandths of a CU."""
    mine = (queues.c.project_id == pool.project_id) & (queues.c.pool_name == pool.name)
    query = select(func.coalesce(func.sum(grants.c.cu_milli), 0)).select_from(grants.join(queues)).where(mine)
    return int(connection.execute(query).scalar_one())


def _check_held(connection: Connection, pool: ElasticPool, wanted: Bounds) -> None:
    held = _held(connection, pool)
    if held > wanted.max_cu * MILLI:
        raise PoolInUse(
            f"The jobs of the elastic resource pool {pool.name} hold {cus(held)} CUs, so max_cu={wanted.max_cu} is too "
            "small. Stop jobs first, or choose a larger max_cu."
        )


def _touch(connection: Connection, pool_id: int, trace: Trace | None) -> None:
    if trace is None:
        return
    row = connection.execute(select(pools.c.details).where(pools.c.id == pool_id)).one()
    details = {**row.details, UPDATED: trace.at_ms}
    connection.execute(update(pools).where(pools.c.id == pool_id).values(details=details))
