"""The audit trail: who did what to which thing. Rows are written in the transaction of what they tell; none changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, func, insert, select

from headrace.store.database import Database
from headrace.store.schema import audit


@dataclass(frozen=True)
class Trace:
    """One line of the trail.

    Attributes:
        trace_name: the name that Cloud Trace Service has for it (dli-contract §5.8), e.g. ``createStreamJarJob``.
        resource_type: job, queue, package, …
    """

    at_ms: int
    project_id: str
    user_name: str
    trace_name: str
    request_id: str
    source_ip: str
    resource_type: str = ""
    resource_id: str = ""
    resource_name: str = ""

    def of(self, resource_type: str, resource_id: object, resource_name: str = "") -> Trace:
        """The same, about this thing."""
        return replace(self, resource_type=resource_type, resource_id=str(resource_id), resource_name=resource_name)


@dataclass(frozen=True)
class AuditFilter:
    """Which lines; None = any."""

    user_name: str | None = None
    trace_name: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None


def record(connection: Connection, trace: Trace | None) -> None:
    """Writes the line in the caller's own transaction; None (nobody asked) is written nowhere."""
    if trace is not None:
        connection.execute(insert(audit).values(asdict(trace)))


class AuditStore:
    """Reads the trail."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, *traces: Trace) -> None:
        """Writes lines of their own, of what changes no row."""
        with self._db.write() as connection:
            for trace in traces:
                record(connection, trace)

    def search(self, project_id: str, wanted: AuditFilter, *, limit: int, offset: int) -> tuple[int, list[Trace]]:
        """(number of all matches, one page of them), newest first."""
        where = [audit.c.project_id == project_id]
        for name in ("user_name", "trace_name", "resource_type", "resource_id"):
            value = getattr(wanted, name)
            if value is not None:
                where.append(audit.c[name] == value)
        if wanted.from_ms is not None:
            where.append(audit.c.at_ms >= wanted.from_ms)
        if wanted.to_ms is not None:
            where.append(audit.c.at_ms <= wanted.to_ms)
        query = select(audit).where(*where).order_by(audit.c.id.desc()).limit(limit).offset(offset)
        with self._db.read() as connection:
            total = connection.execute(select(func.count()).select_from(audit).where(*where)).scalar_one()
            rows = connection.execute(query).mappings().all()
        return int(total), [Trace(**{name: row[name] for name in Trace.__dataclass_fields__}) for row in rows]
