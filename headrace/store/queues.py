"""Queues and the CU ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import NameTaken, QueueInUse, QueueNotFound
from headrace.domain.job import LIVE, Goal, Job, Phase
from headrace.domain.queue import Claim
from headrace.store import codec
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.privileges import forget
from headrace.store.schema import grants, jobs, queues


@dataclass(frozen=True)
class Queue:
    """A dedicated pool of CUs; capacities in thousandths of a CU. ``details`` are DLI fields that are only kept."""

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


@dataclass(frozen=True)
class Ledger:
    """Who holds what and who waits; claims name their queue by its id, as text."""

    queues: dict[str, int]
    holding: tuple[Claim, ...]
    waiting: tuple[Claim, ...]


class QueueStore:
    """The only place that writes queues and grants."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, queue: Queue, *, trace: Trace | None = None) -> Queue:
        """A new queue; ``queue.id`` is ignored.

        Raises:
            NameTaken: the project has a queue of this name.
        """
        values = {
            "project_id": queue.project_id,
            "name": queue.name,
            "queue_type": queue.queue_type,
            "cu_milli": queue.cu_milli,
            "owner": queue.owner,
            "created_ms": queue.created_ms,
            "description": queue.description,
            "details": queue.details,
        }
        try:
            with self._db.write() as connection:
                connection.execute(insert(queues).values(values))
                record(connection, trace.of("queue", queue.name, queue.name) if trace else None)
        except IntegrityError as error:
            raise NameTaken(f"queue_name={queue.name!r}: a queue of this name exists already.") from error
        return self.find(queue.project_id, queue.name)

    def of_project(self, project_id: str) -> list[Queue]:
        """All queues of the project, by name."""
        used = select(func.coalesce(func.sum(grants.c.cu_milli), 0)).where(grants.c.queue_id == queues.c.id)
        query = select(queues, used.scalar_subquery().label("used_milli")).where(queues.c.project_id == project_id)
        with self._db.read() as connection:
            return [
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
                )
                for row in connection.execute(query.order_by(queues.c.name))
            ]

    def find(self, project_id: str, name: str) -> Queue:
        """The queue; names are case-insensitive, as in DLI.

        Raises:
            QueueNotFound: no such queue in the project.
        """
        for queue in self.of_project(project_id):
            if queue.name == name.lower():
                return queue
        raise QueueNotFound(f"There is no queue named {name}. Create it first, or choose another queue.")

    def delete(self, project_id: str, name: str, *, trace: Trace | None = None) -> None:
        """Deletes an unused queue.

        Raises:
            QueueNotFound: no such queue.
            QueueInUse: a job of the queue is not at rest.
        """
        queue = self.find(project_id, name)
        active = (jobs.c.phase.in_(LIVE)) | (
            (jobs.c.request_no > jobs.c.request_seen) & (jobs.c.goal == Goal.RUN) & (jobs.c.phase != Phase.DELETED)
        )
        using = select(jobs.c.id).where(jobs.c.project_id == project_id, jobs.c.queue_name == queue.name, active)
        with self._db.write() as connection:
            users = list(connection.execute(using).scalars())
            if users:
                leaving = set(connection.execute(using.where(jobs.c.goal == Goal.DELETE)).scalars())
                listed = ", ".join(f"{job_id}, being deleted" if job_id in leaving else str(job_id) for job_id in users)
                raise QueueInUse(
                    f"The queue {queue.name} runs jobs ({listed}). Stop them first, or try again soon.",
                    passing=leaving == set(users),
                )
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
            rows = connection.execute(waiting).all()
        claims = []
        for row in rows:
            job = codec.job_from_row(row)
            needed = measure(job)
            if needed is not None:
                claims.append(Claim(job.id, str(row.queue_id), *needed, order=job.desired.requested_ms))
        return Ledger(capacity, held, tuple(claims))

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
