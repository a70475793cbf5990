"""Granted privileges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert, select

from headrace.domain.rights import Grants
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.schema import privileges


def forget(connection: Connection, project_id: str, name: str) -> None:
    """What was granted on a thing goes with it, in the caller's transaction: a later one of its name is another."""
    connection.execute(delete(privileges).where(privileges.c.project_id == project_id, privileges.c.object == name))


class PrivilegeStore:
    """The only place that writes grants."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def of_user(self, project_id: str, user_name: str) -> Grants:
        """All that was granted to the user in the project: object -> privileges."""
        query = select(privileges).where(privileges.c.project_id == project_id, privileges.c.user_name == user_name)
        found: defaultdict[str, set[str]] = defaultdict(set)
        with self._db.read() as connection:
            for row in connection.execute(query):
                found[row.object].add(row.privilege)
        return {name: frozenset(rights) for name, rights in found.items()}

    def on_object(self, project_id: str, name: str) -> dict[str, frozenset[str]]:
        """User name -> privileges on the object, by user name."""
        query = select(privileges).where(privileges.c.project_id == project_id, privileges.c.object == name)
        found: defaultdict[str, set[str]] = defaultdict(set)
        with self._db.read() as connection:
            for row in connection.execute(query.order_by(privileges.c.user_name)):
                found[row.user_name].add(row.privilege)
        return {user: frozenset(rights) for user, rights in found.items()}

    def change(
        self,
        project_id: str,
        user_name: str,
        wanted: Iterable[tuple[str, frozenset[str]]],
        *,
        action: str,
        trace: Trace | None,
    ) -> None:
        """Grants, revokes or replaces ("update") the privileges on each object, all or none."""
        with self._db.write() as connection:
            for name, rights in wanted:
                mine = (
                    (privileges.c.project_id == project_id)
                    & (privileges.c.user_name == user_name)
                    & (privileges.c.object == name)
                )
                gone = mine if action == "update" else mine & privileges.c.privilege.in_(rights)
                connection.execute(delete(privileges).where(gone))
                if action != "revoke":
                    rows = [
                        {"project_id": project_id, "user_name": user_name, "object": name, "privilege": str(right)}
                        for right in sorted(rights)
                    ]
                    if rows:
                        connection.execute(insert(privileges), rows)
                record(connection, trace.of("privilege", name, user_name) if trace else None)
