"""Users of an external Keystone, whom its tokens make known here: so that they own jobs and can be granted rights."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, insert, select

from headrace.domain.rights import Principal
from headrace.store.database import Database
from headrace.store.identity import EXTERNAL, IdentityStore, Project, User, assign
from headrace.store.schema import members, projects, users


@dataclass(frozen=True)
class Outsider:
    """Whom an external Keystone vouches for.

    Attributes:
        project_id: "" = its token is for no project.
        role: in that project.
    """

    user_id: str
    user_name: str
    domain_id: str
    project_id: str = ""
    project_name: str = ""
    role: str = "member"


class OutsiderStore:
    """Records them when they come."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._users = IdentityStore(database)

    def admit(self, outsider: Outsider, *, now_ms: int) -> Principal | None:
        """Who they are here: user, project and role are recorded when they come first, and when the role changes.

        Their name stays what it was at first. If it was somebody's already, their domain's id is added to it.
        None: the user was disabled or deleted here, or the project was disabled; or a user of this server has this id.
        """
        with self._db.read() as connection:
            settled = _is_settled(connection, outsider)
        if not settled:
            with self._db.write() as connection:
                _settle(connection, outsider, now_ms)
        return self.known(outsider)

    def known(self, outsider: Outsider) -> Principal | None:
        """The same, of one who was admitted before: nothing is recorded."""
        principal = self._users.principal(outsider.user_id, outsider.project_id)
        if principal is None or not self._users.is_external(outsider.user_id):
            return None  # the id of a user of this server is no other's
        if not outsider.project_id:
            return replace(principal, roles={}, is_system_admin=False)
        if principal.role_in(outsider.project_id) is None:
            return None
        # The role is this token's own: another one of the same user may have been recorded since. And what the user
        # may do in other projects is what a token for those says.
        return replace(principal, roles={outsider.project_id: outsider.role}, is_system_admin=False)


def _is_settled(connection: Connection, outsider: Outsider) -> bool:
    known = connection.execute(select(users.c.id).where(users.c.id == outsider.user_id)).first() is not None
    role = select(members.c.role).where(
        members.c.user_id == outsider.user_id, members.c.project_id == outsider.project_id
    )
    return known and (not outsider.project_id or connection.execute(role).scalar_one_or_none() == outsider.role)


def _settle(connection: Connection, outsider: Outsider, now_ms: int) -> None:
    user_id, project_id = outsider.user_id, outsider.project_id
    kept = connection.execute(select(users.c.password_hash).where(users.c.id == user_id)).first()
    if kept is None:
        # Folded here: SQLite folds the case of ASCII letters only.
        taken = {name.lower() for name in connection.execute(select(users.c.name)).scalars()}
        names = (outsider.user_name, f"{outsider.user_name}@{outsider.domain_id}", user_id)
        user = User(
            user_id,
            next(name for name in names if name.lower() not in taken),
            "",
            is_admin=False,
            enabled=True,
            created_ms=now_ms,
        )
        row = {**asdict(user), "password_hash": EXTERNAL, "deleted": False}
        connection.execute(insert(users).values(row))
    elif kept.password_hash != EXTERNAL:
        return  # a user of this server, or a deleted one: no role follows from a token
    if not project_id:
        return
    if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
        taken = set(connection.execute(select(projects.c.name)).scalars())
        name = outsider.project_name if outsider.project_name not in taken else project_id
        row = asdict(Project(project_id, name, "", enabled=True, created_ms=now_ms))
        connection.execute(insert(projects).values(row))
    assign(connection, project_id, user_id, outsider.role)
