"""DLI packages: which name of which project and group means which content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from headrace.domain.errors import PackageNotFound
from headrace.store import quotas
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.privileges import forget
from headrace.store.schema import packages


@dataclass(frozen=True)
class Package:
    """One package; ``group`` is "" outside any group, ``object_key`` names its content."""

    project_id: str
    group: str
    name: str
    kind: str
    object_key: str
    owner: str
    created_ms: int
    updated_ms: int
    details: dict[str, Any] = field(default_factory=dict)


class PackageStore:
    """The only place that writes packages."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(
        self,
        added: list[Package],
        *,
        replacing: Callable[[Package], None] = lambda _: None,
        dropping: Callable[[Package], None] | None = None,
        limits: Mapping[str, int] | None = None,
        trace: Trace | None = None,
    ) -> list[str]:
        """Adds packages, all or none; one of the same project, group and name is replaced, but its creator and creation
        time stay.

        Args:
            added: all of one project and group.
            replacing: called with each that is there already, as it is then; may raise.
            dropping: the rest of the group, if it is one, is dropped; called with each, may raise. None: it stays.
            limits: the project's quotas.
            trace: of who asks.

        Returns:
            Keys of the contents that were replaced or dropped.

        Raises:
            QuotaExceeded: ``limits`` allow no more packages.
        """
        gone = []
        with self._db.write() as connection:
            for package in added:
                same = _is(package.project_id, package.group, package.name)
                old = connection.execute(select(packages).where(same)).one_or_none()
                if old is not None:
                    replacing(_package(old))
                    gone.append(old.object_key)
                    connection.execute(delete(packages).where(same))
                connection.execute(
                    insert(packages).values(
                        project_id=package.project_id,
                        group_name=package.group,
                        name=package.name,
                        kind=package.kind,
                        object_key=package.object_key,
                        owner=old.owner if old else package.owner,
                        created_ms=old.created_ms if old else package.created_ms,
                        updated_ms=package.updated_ms,
                        details=package.details,
                    )
                )
                record(connection, _about(trace, package.group, package.name))
            if dropping is not None and added[0].group:
                gone += _drop_others(connection, added, dropping, trace)
            quotas.check(connection, added[0].project_id, limits or {}, "SL_PKG_RESOURCE")
        return gone

    def give(
        self,
        project_id: str,
        group: str,
        name: str | None,
        new_owner: str,
        *,
        giving: Callable[[Package], None] = lambda _: None,
        trace: Trace | None = None,
    ) -> None:
        """Makes another user the creator of a package, or of all packages of a group.

        Args:
            project_id: of the packages.
            group: "" = the package is in none.
            name: None = all of the group.
            new_owner: name of a user.
            giving: called with each; may raise.
            trace: of who asks.

        Raises:
            PackageNotFound: no such package, or nothing in the group.
        """
        where = [packages.c.project_id == project_id, packages.c.group_name == group]
        if name is not None:
            where.append(packages.c.name == name)
        with self._db.write() as connection:
            found = [_package(row) for row in connection.execute(select(packages).where(*where))]
            if not found:
                raise PackageNotFound.of(group, name or "*")
            for package in found:
                giving(package)
            connection.execute(update(packages).where(*where).values(owner=new_owner))
            for package in found:
                record(connection, _about(trace, package.group, package.name))

    def of_project(self, project_id: str) -> list[Package]:
        """All packages of the project, by group and name."""
        query = select(packages).where(packages.c.project_id == project_id)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(packages.c.group_name, packages.c.name))
            return [_package(row) for row in rows]

    def find(self, project_id: str, group: str, name: str) -> Package:
        """The package.

        Raises:
            PackageNotFound: no such package in the project.
        """
        with self._db.read() as connection:
            row = connection.execute(select(packages).where(_is(project_id, group, name))).one_or_none()
        if row is None:
            raise PackageNotFound.of(group, name)
        return _package(row)

    def object_key(self, project_id: str, group: str, name: str) -> str:
        """The key of the package's content; raises PackageNotFound."""
        return self.find(project_id, group, name).object_key

    def delete(self, project_id: str, group: str, name: str, *, trace: Trace | None = None) -> str:
        """Deletes the package; returns the key of its content.

        Raises:
            PackageNotFound: no such package in the project.
        """
        with self._db.write() as connection:
            row = connection.execute(select(packages).where(_is(project_id, group, name))).one_or_none()
            if row is None:
                raise PackageNotFound.of(group, name)
            _drop(connection, _package(row), trace)
        return str(row.object_key)


def _drop(connection: Connection, package: Package, trace: Trace | None) -> None:
    """Deletes the package, and what was granted on it; with the last of a group, what was granted on that."""
    project_id, group = package.project_id, package.group
    connection.execute(delete(packages).where(_is(project_id, group, package.name)))
    record(connection, _about(trace, group, package.name))
    forget(connection, project_id, f"resources.{shown_name(group, package.name)}")
    mates = select(packages.c.id).where(packages.c.project_id == project_id, packages.c.group_name == group)
    if connection.execute(mates).first() is None:
        forget(connection, project_id, f"groups.{group}")


def _drop_others(
    connection: Connection, kept: list[Package], dropping: Callable[[Package], None], trace: Trace | None
) -> list[str]:
    """Drops what else is in the group of ``kept``; the keys of the contents."""
    one, names = kept[0], [package.name for package in kept]
    others = select(packages).where(
        packages.c.project_id == one.project_id, packages.c.group_name == one.group, packages.c.name.not_in(names)
    )
    found = [_package(row) for row in connection.execute(others)]
    for package in found:
        dropping(package)
        _drop(connection, package, replace(trace, trace_name="deleteResource") if trace else None)
    return [package.object_key for package in found]


def shown_name(group: str, name: str) -> str:
    """As a job names the package."""
    return f"{group}/{name}" if group else name


def _about(trace: Trace | None, group: str, name: str) -> Trace | None:
    return trace.of("package", shown_name(group, name), name) if trace else None


def _is(project_id: str, group: str, name: str) -> ColumnElement[bool]:
    return and_(packages.c.project_id == project_id, packages.c.group_name == group, packages.c.name == name)


def _package(row: Row[Any]) -> Package:
    return Package(
        project_id=row.project_id,
        group=row.group_name,
        name=row.name,
        kind=row.kind,
        object_key=row.object_key,
        owner=row.owner,
        created_ms=row.created_ms,
        updated_ms=row.updated_ms,
        details=row.details,
    )
