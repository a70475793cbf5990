"""Jobs, their history and their notices. Each call is one transaction; writes are guarded by the job's version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headrace.domain import notes
from headrace.domain.deployment import references
from headrace.domain.errors import JobNotFound, NameTaken, QueueNotFound
from headrace.domain.job import ACTIVE, AT_REST, LIVE, Desired, Goal, Job, JobSpec, Phase, Record, may_hold
from headrace.domain.rights import Caller
from headrace.store import audit, codec, journal, restarts
from headrace.store.audit import Trace
from headrace.store.database import Database
from headrace.store.journal import HistoryEntry
from headrace.store.outgoing import owe_notice
from headrace.store.schema import deployments, grants, job_history, jobs, outbox, queues
from headrace.store.timeline import JobClock
from headrace.store.variables import values_in


class StaleJob(Exception):
    """The job was changed by somebody else since it was read: read it again."""


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list holds; None = any. ``matches`` is asked last."""

    phases: frozenset[Phase] | None = None
    matches: Callable[[Job], bool] | None = None
    queue_name: str | None = None
    name_part: str | None = None
    user_name: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    newest_first: bool = True


@dataclass(frozen=True)
class Draft:
    """A definition that comes from a file; ``over``: the job at rest that it replaces, None = a new job."""

    spec: JobSpec
    tags: tuple[tuple[str, str], ...] = ()
    over: Job | None = None


class JobStore:
    """The only place that writes jobs."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self,
        owner: Caller,
        spec: JobSpec,
        *,
        tags: Sequence[tuple[str, str]] = (),
        now_ms: int,
        trace: Trace | None = None,
    ) -> Job:
        """A new job in DRAFT.

        Raises:
            NameTaken: the project has a job of this name.
        """
        try:
            with self._db.write() as connection:
                job_id = _insert(connection, owner, spec, tags, now_ms)
                audit.record(connection, trace.of("job", job_id, spec.name) if trace else None)
        except IntegrityError as error:
            raise _name_taken(spec.name) from error
        return self.get(job_id)

    def bring_in(self, owner: Caller, drafts: Sequence[Draft], *, now_ms: int, trace: Trace | None = None) -> list[int]:
        """Makes a new job of each draft, or puts it over one at rest, all or none; returns the jobs' ids.

        A job that is put over is in DRAFT again; its attempts go on being counted and its savepoint stays. That is no
        decision of the reconciler's, but nobody else writes to a job at rest that no request is waiting for.

        Raises:
            StaleJob: such a job was changed meanwhile, or a name was taken.
        """
        ids = []
        try:
            with self._db.write() as connection:
                for draft in drafts:
                    if draft.over is None:
                        job_id = _insert(connection, owner, draft.spec, draft.tags, now_ms)
                    else:
                        job_id = draft.over.id
                        _put_over(connection, draft.over, draft, now_ms)
                    audit.record(connection, trace.of("job", job_id, draft.spec.name) if trace else None)
                    ids.append(job_id)
        except IntegrityError as error:
            raise StaleJob("a job of one of these names has just been made") from error
        return ids

    def named(self, project_id: str, names: Sequence[str]) -> dict[str, Job]:
        """The project's jobs of these names; those that are being deleted are gone already."""
        there = (jobs.c.project_id == project_id) & (jobs.c.goal != Goal.DELETE) & (jobs.c.phase != Phase.DELETED)
        with self._db.read() as connection:
            rows = connection.execute(select(jobs).where(there, jobs.c.name.in_(names)))
            return {row.name: codec.job_from_row(row) for row in rows}

    def get(self, job_id: int) -> Job:
        """The job, deleted ones included.

        Raises:
            JobNotFound: there never was such a job.
        """
        with self._db.read() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
        if row is None:
            raise JobNotFound.of(job_id)
        return codec.job_from_row(row)

    def find(self, project_id: str, job_id: int) -> Job:
        """The project's job; one that is being deleted is gone already.

        Raises:
            JobNotFound: no such job in this project.
        """
        try:
            job = self.get(job_id) if 0 < job_id < 2**63 else None
        except JobNotFound:
            job = None
        if job is None or job.project_id != project_id or job.desired.goal is Goal.DELETE:
            raise JobNotFound.of(job_id)
        return job

    def search(self, project_id: str, wanted: JobFilter, *, limit: int, offset: int) -> tuple[int, list[Job]]:
        """(number of all matches, one page of them), by creation time."""
        where = [jobs.c.project_id == project_id, jobs.c.goal != Goal.DELETE]
        if wanted.queue_name is not None:
            where.append(jobs.c.queue_name == wanted.queue_name)
        if wanted.user_name is not None:
            where.append(jobs.c.user_name == wanted.user_name)
        order = (jobs.c.created_ms, jobs.c.id)
        query = (
            select(jobs).where(*where).order_by(*(column.desc() for column in order) if wanted.newest_first else order)
        )
        with self._db.read() as connection:
            found = [codec.job_from_row(row) for row in connection.execute(query)]
        if wanted.name_part is not None:  # SQLite folds the case of ASCII letters only
            found = [job for job in found if wanted.name_part.lower() in job.spec.name.lower()]
        if wanted.tags:
            found = [job for job in found if set(wanted.tags) <= set(job.tags)]
        if wanted.phases is not None:
            found = [job for job in found if shown_phase(job) in wanted.phases]
        if wanted.matches is not None:
            found = [job for job in found if wanted.matches(job)]
        return len(found), found[offset : offset + limit]

    def unsettled(self) -> list[int]:
        """Ids of all jobs that need a look: live ones, those with a request not yet taken up, and those that shall be
        deleted (a delete is taken up when the job is cancelled, long before it is done).
        """
        active = jobs.c.phase.in_(ACTIVE)
        asked = (jobs.c.request_no > jobs.c.request_seen) | (jobs.c.goal == Goal.DELETE)
        pending = asked & (jobs.c.phase != Phase.DELETED)
        with self._db.read() as connection:
            return list(connection.execute(select(jobs.c.id).where(active | pending).order_by(jobs.c.id)).scalars())

    def respec(self, job: Job, spec: JobSpec, *, now_ms: int, trace: Trace | None = None) -> Job:
        """Records a changed definition.

        Raises:
            NameTaken: another job of the project has the new name.
            StaleJob: the job was changed meanwhile.
        """
        try:
            with self._db.write() as connection:
                _write(connection, job, _definition(spec, now_ms))
                text = notes.changed(job.spec, spec, trace.user_name if trace else "")
                if text:
                    journal.note(connection, job, text, journal.Kind.ASKED, now_ms)
                audit.record(connection, trace.of("job", job.id, spec.name) if trace else None)
        except IntegrityError as error:
            raise _name_taken(spec.name) from error
        return self.get(job.id)

    def request(self, job: Job, desired: Desired, *, trace: Trace | None = None) -> Job:
        """Records what the user wants.

        Raises:
            StaleJob: the job was changed meanwhile.
            QueueNotFound: it shall run in a queue that was deleted meanwhile.
        """
        with self._db.write() as connection:
            if desired.goal is Goal.RUN and job.spec.queue_name:
                _require_queue(connection, job)
            _write(connection, job, codec.desired_columns(desired))
            if desired.request_no != job.desired.request_no:
                text = notes.asked(desired, trace.user_name if trace else "")
                journal.note(connection, job, text, journal.Kind.ASKED, desired.requested_ms)
            audit.record(connection, trace.of("job", job.id, job.spec.name) if trace else None)
        return self.get(job.id)

    def import_savepoint(self, job: Job, path: str, *, now_ms: int, trace: Trace | None = None) -> Job:
        """Records ``path`` as the newest savepoint of a job at rest. It is no move, and nobody else writes to a job at
        rest that no request is waiting for; so the API may.

        Raises:
            StaleJob: the job was changed meanwhile.
        """
        with self._db.write() as connection:
            _write(connection, job, {"savepoint_path": path, "updated_ms": now_ms})
            text = notes.imported(path, trace.user_name if trace else "")
            journal.note(connection, job, text, journal.Kind.ASKED, now_ms)
            audit.record(connection, trace.of("job", job.id, job.spec.name) if trace else None)
        return self.get(job.id)

    def move(self, job: Job, record: Record, *, now_ms: int, clock: JobClock | None = None) -> Job:
        """Records a move, its history row, the restarts it counts (at the time of ``clock``), the deployment it begins
        (with the values of the variables) or ends, the grant it releases and the notice it owes, all in one
        transaction.

        Raises:
            StaleJob: the job was changed meanwhile.
        """
        values = codec.record_columns(record)
        begins = record.phase is Phase.PREPARING and not record.restarted
        if begins:
            values |= {"started_ms": None, "ended_ms": None}
        elif record.phase is Phase.RUNNING and job.started_ms is None:
            values["started_ms"] = now_ms
        elif record.phase in AT_REST:
            values["ended_ms"] = now_ms
        with self._db.write() as connection:
            if begins:  # what it is begun with stays, whatever becomes of the variables
                put_in = values_in(connection, job.project_id, references(job.spec))
                values["variables"] = sorted(put_in.items())
            _write(connection, job, values)
            journal.note_move(connection, job, record, now_ms)
            _keep_deployment(connection, job, record)
            if clock is not None:
                restarts.count(connection, job, record, clock)
            if not may_hold(record):
                connection.execute(delete(grants).where(grants.c.job_id == job.id))
            if job.spec.smn_topic:
                owe_notice(connection, job, record, now_ms)
        return self.get(job.id)

    def annotate(self, job: Job, note: str, *, now_ms: int | None = None) -> None:
        """Changes what a person reads while the job waits; no move. With ``now_ms``, the journal tells it too.

        Raises:
            StaleJob: the job was changed meanwhile.
        """
        with self._db.write() as connection:
            _write(connection, job, {"note": note})
            if now_ms is not None:
                journal.note(connection, job, note, journal.Kind.WAITING, now_ms)

    def tell(self, job_id: int, text: str, kind: journal.Kind, now_ms: int) -> None:
        """Adds a line to the journal that is about no move; of a deleted job there is none any more."""
        with self._db.write() as connection:
            row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
            if row is not None:
                journal.note(connection, codec.job_from_row(row), text, kind, now_ms)

    def restart_times(self, job: Job, now_ms: int, *, in_place: bool = True) -> list[int]:
        """When the job was restarted within the last hour of its present run, in milliseconds of the job clock;
        without ``in_place``, by new deployments only.
        """
        with self._db.read() as connection:
            return restarts.times(connection, job, now_ms, in_place=in_place)

    def restore_points(self) -> frozenset[str]:
        """All states that some job may be restored from: they must not be cleared away."""
        query = select(jobs.c.restore_path, jobs.c.savepoint_path).where(jobs.c.phase != Phase.DELETED)
        with self._db.read() as connection:
            return frozenset(path for row in connection.execute(query) for path in row if path)

    def history(self, job_id: int) -> list[HistoryEntry]:
        """The journal of the job, oldest first: all its moves, and what went on between them."""
        with self._db.read() as connection:
            return journal.lines(connection, job_id)

    def events(self, job_id: int, *, after: int | None, limit: int) -> list[HistoryEntry]:
        """A part of the journal, oldest first: the newest lines, or the first that follow the line ``after``."""
        with self._db.read() as connection:
            return journal.lines(connection, job_id, after=after, limit=limit)

    def last_event(self, job_id: int) -> int:
        """Number of the newest line of the journal; 0 = there is none."""
        query = select(func.max(job_history.c.id)).where(job_history.c.job_id == job_id)
        with self._db.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    def live_deployments(self) -> list[tuple[int, int]]:
        """(job id, attempt) of all deployments that may have processes."""
        query = select(deployments.c.job_id, deployments.c.attempt).where(deployments.c.live)
        with self._db.read() as connection:
            return [(row.job_id, row.attempt) for row in connection.execute(query)]

    def notices(self) -> list[dict[str, Any]]:
        """Bodies of all notices, oldest first."""
        with self._db.read() as connection:
            return list(connection.execute(select(outbox.c.body).order_by(outbox.c.id)).scalars())


def shown_phase(job: Job) -> Phase:
    """The phase as a user sees it: a run that was accepted but not yet taken up already counts as PREPARING, and a
    savepoint as SAVING.
    """
    phase, goal = job.record.phase, job.desired.goal
    if not job.request_pending:
        return phase
    if phase in AT_REST and goal not in (Goal.DELETE, Goal.SAVEPOINT):
        return Phase.PREPARING
    return Phase.SAVING if phase is Phase.RUNNING and goal is Goal.SAVEPOINT else phase


def _require_queue(connection: Connection, job: Job) -> None:
    name = job.spec.queue_name
    mine = (queues.c.project_id == job.project_id) & (queues.c.name == name)
    if connection.execute(select(queues.c.id).where(mine)).first() is None:
        raise QueueNotFound.of(name)


def _write(connection: Connection, job: Job, values: dict[str, Any]) -> None:
    guarded = update(jobs).where(jobs.c.id == job.id, jobs.c.version == job.version)
    if connection.execute(guarded.values(**values, version=job.version + 1)).rowcount != 1:
        raise StaleJob(f"job {job.id} is no longer at version {job.version}")


def _insert(connection: Connection, owner: Caller, spec: JobSpec, tags: Sequence[tuple[str, str]], now_ms: int) -> int:
    row = {
        **_definition(spec, now_ms),
        "project_id": owner.project_id,
        "user_name": owner.user_name,
        "user_id": owner.user_id,
        "tags": [list(tag) for tag in tags],
        **codec.desired_columns(Desired()),
        **codec.record_columns(Record()),
        "version": 1,
        "created_ms": now_ms,
    }
    job_id = int(connection.execute(insert(jobs).values(row).returning(jobs.c.id)).scalar_one())
    journal.note_phase(connection, job_id, Record(), now_ms)
    return job_id


def _put_over(connection: Connection, job: Job, draft: Draft, now_ms: int) -> None:
    record = Record(
        attempt=job.record.attempt, request_seen=job.desired.request_no, savepoint_path=job.record.savepoint_path
    )
    values = {
        **_definition(draft.spec, now_ms),
        "tags": [list(tag) for tag in draft.tags],
        **codec.desired_columns(Desired(request_no=job.desired.request_no)),
        **codec.record_columns(record),
        "started_ms": None,
        "ended_ms": None,
        "variables": [],
    }
    _write(connection, job, values)
    journal.note_phase(connection, job.id, record.evolve(note="Overwritten by an import."), now_ms)


def _definition(spec: JobSpec, now_ms: int) -> dict[str, Any]:
    return {
        "spec": codec.spec_to_json(spec),
        "name": spec.name,
        "queue_name": spec.queue_name,
        "updated_ms": now_ms,
    }


def _keep_deployment(connection: Connection, job: Job, record: Record) -> None:
    if record.phase is Phase.PREPARING:
        connection.execute(insert(deployments).values(job_id=job.id, attempt=record.attempt, live=True))
    elif record.phase not in LIVE:
        connection.execute(update(deployments).where(deployments.c.job_id == job.id).values(live=False))


def _name_taken(name: str) -> NameTaken:
    return NameTaken(f"name={name!r}: a job of this name exists already in the project. Choose another name.")
