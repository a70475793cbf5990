"""Tags of jobs, queues, packages and pools, each stored in the row of its thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, Table, select, update

from headrace.domain.errors import BadField
from headrace.domain.job import Goal, Phase
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.schema import jobs, packages, pools, queues

MAX_TAGS = 20
"""Of one thing (dli-contract §2.3)."""

Tags = tuple[tuple[str, str], ...]
"""(key, value); keys differ."""


class Kind(StrEnum):
    """What can have tags; the name is the audit trail's."""

    JOB = "job"
    QUEUE = "queue"
    PACKAGE = "package"
    POOL = "pool"


@dataclass(frozen=True)
class Tagged:
    """A thing that can have tags.

    Attributes:
        id: of its row.
        group: of a package; "" = none, and of all others.
        owner: its creator's user name.
    """

    kind: Kind
    id: int
    name: str
    group: str
    owner: str
    tags: Tags


class TagStore:
    """Reads and changes tags; nothing else of the things."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_project(self, kind: Kind, project_id: str) -> list[Tagged]:
        """All things of this kind that the project has, oldest first."""
        table = _TABLES[kind]
        query = _things(kind).where(table.c.project_id == project_id).order_by(table.c.id)
        with self._db.read() as connection:
            return [_tagged(kind, row) for row in connection.execute(query)]

    def change(self, thing: Tagged, to: Callable[[Tags], Tags], *, trace: Trace | None = None) -> bool:
        """Replaces the thing's tags by what ``to`` makes of those that it has now; False if the thing is gone.

        ``to`` may raise: then nothing is changed.
        """
        table = _TABLES[thing.kind]
        with self._db.write() as connection:
            row = connection.execute(_things(thing.kind).where(table.c.id == thing.id)).one_or_none()
            if row is None:
                return False
            tags = to(_tagged(thing.kind, row).tags)
            if thing.kind is Kind.JOB:
                values: dict[str, Any] = {"tags": [list(tag) for tag in tags], "version": row.version + 1}
            else:
                kept = [{"key": key, "value": value} for key, value in tags]
                values = {"details": {**row.details, "tags": kept}}
            connection.execute(update(table).where(table.c.id == thing.id).values(values))
            shown = thing.id if thing.kind is Kind.JOB else f"{thing.group}/{thing.name}".removeprefix("/")
            record(connection, trace.of(thing.kind, shown, thing.name) if trace else None)
        return True


def merged(tags: Tags, more: Tags) -> Tags:
    """The tags with ``more``; a key that was there already takes the new value.

    Raises:
        BadField: they would be more than MAX_TAGS.
    """
    found = {**dict(tags), **dict(more)}
    if len(found) > MAX_TAGS:
        raise BadField(
            "tags", sorted(dict(more)), f"with these it would have {len(found)} tags; at most {MAX_TAGS} are allowed"
        )
    return tuple(found.items())


def without(tags: Tags, gone: tuple[tuple[str, str | None], ...]) -> Tags:
    """The tags without those of these keys; where a value is given too, only if it is that one."""
    return tuple(tag for tag in tags if tag not in gone and (tag[0], None) not in gone)


_TABLES: Mapping[Kind, Table] = {Kind.JOB: jobs, Kind.QUEUE: queues, Kind.PACKAGE: packages, Kind.POOL: pools}


def _things(kind: Kind) -> Select[Any]:
    table = _TABLES[kind]
    match kind:
        case Kind.JOB:
            columns = (jobs.c.id, jobs.c.name, jobs.c.user_name.label("owner"), jobs.c.tags, jobs.c.version)
            return select(*columns).where(jobs.c.goal != Goal.DELETE, jobs.c.phase != Phase.DELETED)
        case Kind.PACKAGE:
            return select(table.c.id, table.c.name, table.c.group_name, table.c.owner, table.c.details)
        case _:
            return select(table.c.id, table.c.name, table.c.owner, table.c.details)


def _tagged(kind: Kind, row: Row[Any]) -> Tagged:
    if kind is Kind.JOB:
        tags: Tags = tuple((key, value) for key, value in row.tags)
    else:
        tags = tuple((tag["key"], tag["value"]) for tag in row.details.get("tags") or ())
    group = row.group_name if kind is Kind.PACKAGE else ""
    return Tagged(kind, row.id, row.name, group, row.owner, tags)
