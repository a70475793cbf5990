"""Queues and the CU ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import BadField, NameTaken, NotSupported, QueueInUse, QueueNotFound
from headrace.domain.job import ACTIVE, Goal, Job, Phase
from headrace.domain.pools import Policy
from headrace.domain.queue import Claim, Pool
from headrace.domain.sizing import MILLI, cus
from headrace.store import codec, pooling, quotas
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.privileges import forget
from headrace.store.schema import grants, jobs, queues


@dataclass(frozen=True)
class Queue:
    """A dedicated number of CUs, or a share of a pool's; capacities in thousandths of a CU.

    Attributes:
        cu_milli: all that its jobs may ever hold; in a pool, what is kept for the pool's other queues is left out.
        details: DLI fields that are only kept; in a pool, its policies too.
        pool_name: "" = it is in no pool.
    """

    id: int
    project_id: str
    name: str
    queue_type: str
    cu_milli: int
    owner: str = ""
    created_ms: int = 0
    description: str = ""
    used_milli: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    pool_name: str = ""

    @property
    def cu_count(self) -> int:
        """CUs that it was made with, or scaled to; in a pool its policies say what it may take."""
        return int(self.details[pooling.OWN_CUS]) if self.pool_name else self.cu_milli // MILLI

    @property
    def policies(self) -> tuple[Policy, ...]:
        """Its share of the pool, () if it is in none."""
        return pooling.policies_of(self.details) if self.pool_name else ()


@dataclass(frozen=True)
class Ledger:
    """Who holds what and who waits; claims and pools name a queue by its id, as text."""

    queues: dict[str, int]
    holding: tuple[Claim, ...]
    waiting: tuple[Claim, ...]
    pools: tuple[Pool, ...] = ()


def rows(connection: Connection, project_id: str) -> list[Queue]:
    """All queues of the project, by name."""
    used = select(func.coalesce(func.sum(grants.c.cu_milli), 0)).where(grants.c.queue_id == queues.c.id)
    query = select(queues, used.scalar_subquery().label("used_milli")).where(queues.c.project_id == project_id)
    found = [
        Queue(
            id=row.id,
            project_id=row.project_id,
            name=row.name,
            queue_type=row.queue_type,
            cu_milli=row.cu_milli,
            owner=row.owner,
            created_ms=row.created_ms,
            description=row.description,
            used_milli=row.used_milli,
            details=row.details,
            pool_name=row.pool_name,
        )
        for row in connection.execute(query.order_by(queues.c.name))
    ]
    shared = {queue: pool for pool in pooling.shared(connection, project_id) for queue in pool.least}
    for place, queue in enumerate(found):
        pool = shared.get(str(queue.id))
        if pool is not None:
            found[place] = replace(queue, cu_milli=min(queue.cu_milli, pool.most(str(queue.id))))
    return found


def find(connection: Connection, project_id: str, name: str) -> Queue:
    """The queue; names are case-insensitive, as in DLI; raises QueueNotFound."""
    for queue in rows(connection, project_id):
        if queue.name == name.lower():
            return queue
    raise QueueNotFound.of(name)


def add(connection: Connection, queue: Queue, limits: Mapping[str, int], trace: Trace | None) -> None:
    """Inserts the queue; ``queue.id`` is ignored; raises NameTaken, QuotaExceeded."""
    taken = select(queues.c.id).where(queues.c.project_id == queue.project_id, queues.c.name == queue.name)
    if connection.execute(taken).one_or_none() is not None:
        raise NameTaken(f"queue_name={queue.name!r}: a queue of this name exists already.")
    connection.execute(
        insert(queues).values(
            project_id=queue.project_id,
            name=queue.name,
            queue_type=queue.queue_type,
            cu_milli=queue.cu_milli,
            owner=queue.owner,
            created_ms=queue.created_ms,
            description=queue.description,
            details=queue.details,
            pool_name=queue.pool_name,
        )
    )
    kinds = ("QUEUE",) if queue.pool_name else ("QUEUE", "CU")  # the pool's CUs count already
    quotas.check(connection, queue.project_id, limits, *kinds)
    record(connection, trace.of("queue", queue.name, queue.name) if trace else None)


class QueueStore:
    """The only place that writes queues and grants."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, queue: Queue, *, limits: Mapping[str, int] | None = None, trace: Trace | None = None) -> Queue:
        """A new queue outside any pool; ``queue.id`` is ignored.

        Raises:
            NameTaken: the project has a queue of this name.
            QuotaExceeded: ``limits`` allow no more queues or CUs.
        """
        with self._db.write() as connection:
            add(connection, queue, limits or {}, trace)
            return find(connection, queue.project_id, queue.name)

    def of_project(self, project_id: str) -> list[Queue]:
        """All queues of the project, by name."""
        with self._db.read() as connection:
            return rows(connection, project_id)

    def find(self, project_id: str, name: str) -> Queue:
        """The queue; names are case-insensitive, as in DLI.

        Raises:
            QueueNotFound: no such queue in the project.
        """
        with self._db.read() as connection:
            return find(connection, project_id, name)

    def scale(
        self,
        project_id: str,
        name: str,
        more: int,
        *,
        bounds: range,
        limits: Mapping[str, int] | None = None,
        trace: Trace | None = None,
    ) -> Queue:
        """Gives a queue ``more`` whole CUs, or takes them if it is negative; never below what its jobs hold.

        Args:
            project_id: of the queue.
            name: of the queue.
            more: CUs to add.
            bounds: CUs that a queue may have.
            limits: the project's quotas.
            trace: of who asks.

        Raises:
            QueueNotFound: no such queue.
            NotSupported: it is in a pool.
            BadField: it would have too many or too few.
            QueueInUse: its jobs hold more.
            QuotaExceeded: ``limits`` allow no more CUs.
        """
        with self._db.write() as connection:
            queue = find(connection, project_id, name)
            if queue.pool_name:
                raise NotSupported(
                    f"The queue {queue.name} is in the elastic resource pool {queue.pool_name}: it is not scaled by "
                    "itself. Change its scaling policies, or the pool."
                )
            wanted = queue.cu_milli // MILLI + more
            if wanted not in bounds:
                raise BadField(
                    "cu_count", abs(more), f"the queue would have {wanted} CUs; {bounds[0]} to {bounds[-1]} are allowed"
                )
            if wanted * MILLI < queue.used_milli:
                raise QueueInUse(
                    f"The jobs of the queue {queue.name} hold {cus(queue.used_milli)} CUs, so it cannot be scaled in "
                    f"to {wanted}. Stop jobs first, or scale in by less."
                )
            connection.execute(update(queues).where(queues.c.id == queue.id).values(cu_milli=wanted * MILLI))
            if more > 0:
                quotas.check(connection, project_id, limits or {}, "CU")
            record(connection, trace.of("queue", queue.name, queue.name) if trace else None)
            return find(connection, project_id, name)

    def keep(
        self,
        project_id: str,
        name: str,
        change: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        trace: Trace | None = None,
    ) -> None:
        """Changes the details that are only kept; raises QueueNotFound, and what ``change`` raises."""
        with self._db.write() as connection:
            queue = find(connection, project_id, name)
            details = change(dict(queue.details))
            connection.execute(update(queues).where(queues.c.id == queue.id).values(details=details))
            record(connection, trace.of("queue", queue.name, queue.name) if trace else None)

    def usage(self, project_id: str) -> dict[str, int]:
        """How much the project has of each kind that can have a quota."""
        with self._db.read() as connection:
            return quotas.used(connection, project_id)

    def delete(self, project_id: str, name: str, *, trace: Trace | None = None) -> None:
        """Deletes an unused queue.

        Raises:
            QueueNotFound: no such queue.
            QueueInUse: a job of the queue is not at rest.
        """
        active = (jobs.c.phase.in_(ACTIVE)) | (
            (jobs.c.request_no > jobs.c.request_seen) & (jobs.c.goal == Goal.RUN) & (jobs.c.phase != Phase.DELETED)
        )
        using = select(jobs.c.id).where(jobs.c.project_id == project_id, jobs.c.queue_name == name.lower(), active)
        with self._db.write() as connection:
            queue = find(connection, project_id, name)
            users = list(connection.execute(using).scalars())
            if users:
                leaving = set(connection.execute(using.where(jobs.c.goal == Goal.DELETE)).scalars())
                listed = ", ".join(f"{job_id}, being deleted" if job_id in leaving else str(job_id) for job_id in users)
                raise QueueInUse(
                    f"The queue {queue.name} runs jobs ({listed}). Stop them first, or try again soon.",
                    passing=leaving == set(users),
                )
            with pooling.scaling(connection, project_id, queue.pool_name, trace):
                connection.execute(delete(queues).where(queues.c.id == queue.id))
            forget(connection, project_id, f"queues.{queue.name}")
            record(connection, trace.of("queue", queue.name, queue.name) if trace else None)

    def ledger(self, measure: Callable[[Job], tuple[int, int] | None]) -> Ledger:
        """Everything the scheduler needs, in one consistent view.

        Args:
            measure: what a job needs: (thousandths of a CU, MB); None leaves it out.
        """
        waiting = (
            select(jobs, queues.c.id.label("queue_id"))
            .join(queues, (queues.c.project_id == jobs.c.project_id) & (queues.c.name == jobs.c.queue_name))
            .outerjoin(grants, grants.c.job_id == jobs.c.id)
            .where(jobs.c.phase == Phase.WAITING, grants.c.job_id.is_(None))
        )
        with self._db.read() as connection:
            capacity = {str(row.id): row.cu_milli for row in connection.execute(select(queues))}
            held = tuple(
                Claim(row.job_id, str(row.queue_id), row.cu_milli, row.memory_mb)
                for row in connection.execute(select(grants))
            )
            pools = tuple(pooling.shared(connection))
            jobs_waiting = connection.execute(waiting).all()
        claims = []
        for row in jobs_waiting:
            job = codec.job_from_row(row)
            needed = measure(job)
            if needed is not None:
                claims.append(Claim(job.id, str(row.queue_id), *needed, order=job.desired.requested_ms))
        return Ledger(capacity, held, tuple(claims), pools)

    def grant(self, claim: Claim) -> bool:
        """Grants the claim to its job if that still waits; False if the database refuses it."""
        waits = select(jobs.c.id).where(jobs.c.id == claim.job_id, jobs.c.phase == Phase.WAITING)
        try:
            with self._db.write() as connection:
                if connection.execute(waits).one_or_none() is None:
                    return False
                connection.execute(
                    insert(grants).values(
                        job_id=claim.job_id,
                        queue_id=int(claim.queue),
                        cu_milli=claim.cu_milli,
                        memory_mb=claim.memory_mb,
                    )
                )
        except IntegrityError:
            return False
        return True

    def held_by(self, job_id: int) -> Claim | None:
        """The grant of the job, None if it holds nothing."""
        with self._db.read() as connection:
            row = connection.execute(select(grants).where(grants.c.job_id == job_id)).one_or_none()
        return Claim(row.job_id, str(row.queue_id), row.cu_milli, row.memory_mb) if row else None
