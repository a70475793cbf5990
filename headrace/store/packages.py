"""DLI packages: which name of which project and group means which content."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, insert, select

from headrace.domain.errors import PackageNotFound
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

    def put(self, added: list[Package], *, trace: Trace | None = None) -> list[str]:
        """Adds packages, all or none; one of the same project, group and name is replaced, its creator and creation time kept.

        Returns:
            Keys of the contents that were replaced.
        """
        replaced = []
        with self._db.write() as connection:
            for package in added:
                same = _is(package.project_id, package.group, package.name)
                old = connection.execute(select(packages).where(same)).one_or_none()
                if old is not None:
                    replaced.append(old.object_key)
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
                shown = f"{package.group}/{package.name}" if package.group else package.name
                record(connection, trace.of("package", shown, package.name) if trace else None)
        return replaced

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
        same = _is(project_id, group, name)
        with self._db.write() as connection:
            key = connection.execute(delete(packages).where(same).returning(packages.c.object_key)).scalar_one_or_none()
            if key is not None:
                shown = f"{group}/{name}" if group else name
                record(connection, trace.of("package", shown, name) if trace else None)
                forget(connection, project_id, f"resources.{shown}")
                mates = select(packages.c.id).where(packages.c.project_id == project_id, packages.c.group_name == group)
                if connection.execute(mates).first() is None:
                    forget(connection, project_id, f"groups.{group}")
        if key is None:
            raise PackageNotFound.of(group, name)
        return str(key)


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
