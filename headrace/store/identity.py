"""Projects, users and who belongs to what. Names of users are never used twice, because jobs name their owner by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, insert, literal, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import IdentityConflict, IdentityNotFound
from headrace.domain.rights import Principal
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.keys import AccessKey
from headrace.store.schema import access_keys, members, privileges, projects, tokens, users

ROLES = ("admin", "member")


@dataclass(frozen=True)
class Project:
    """The unit of isolation; ``id`` is 32 hex digits. Who belongs to a disabled one has no access to it."""

    id: str
    name: str
    description: str
    enabled: bool
    created_ms: int


@dataclass(frozen=True)
class User:
    """Somebody who can have keys and tokens; ``is_admin``: an administrator of the whole server."""

    id: str
    name: str
    description: str
    is_admin: bool
    enabled: bool
    created_ms: int


EXTERNAL = "external"
"""Instead of a password's hash: the user is an external Keystone's, and no password is right here."""


class IdentityStore:
    """The only place that writes projects, users and members."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @property
    def is_empty(self) -> bool:
        """Whether there has never been a user."""
        with self._db.read() as connection:
            return connection.execute(select(users.c.id).limit(1)).first() is None

    def found(self, project: Project, user: User, password_hash: str, key: AccessKey) -> None:
        """The first project, its administrator and a key pair of theirs: all or none."""
        with self._db.write() as connection:
            _insert(connection, projects, asdict(project), "project", project.name)
            row = {**asdict(user), "password_hash": password_hash, "deleted": False}
            _insert(connection, users, row, "user", user.name)
            connection.execute(insert(access_keys).values(asdict(key)))

    def add_project(self, project: Project, *, trace: Trace | None = None) -> None:
        """Raises IdentityConflict: another project has this name."""
        with self._db.write() as connection:
            _insert(connection, projects, asdict(project), "project", project.name)
            record(connection, trace.of("project", project.id, project.name) if trace else None)

    def change_project(self, project: Project, *, trace: Trace | None = None) -> None:
        """Stores name, description and enabled; raises IdentityNotFound, IdentityConflict."""
        changes = {"name": project.name, "description": project.description, "enabled": project.enabled}
        with self._db.write() as connection:
            try:
                done = connection.execute(update(projects).where(projects.c.id == project.id).values(changes))
            except IntegrityError as error:
                raise _taken("project", project.name) from error
            if not done.rowcount:
                raise IdentityNotFound.of("project", project.id)
            record(connection, trace.of("project", project.id, project.name) if trace else None)

    def project(self, project_id: str) -> Project:
        """Raises IdentityNotFound."""
        with self._db.read() as connection:
            row = connection.execute(select(projects).where(projects.c.id == project_id)).mappings().first()
        if row is None:
            raise IdentityNotFound.of("project", project_id)
        return Project(**row)

    def projects(self, *, name: str | None = None) -> list[Project]:
        """All, or the one of this name; by name."""
        query = select(projects).order_by(projects.c.name)
        with self._db.read() as connection:
            rows = connection.execute(query if name is None else query.where(projects.c.name == name)).mappings().all()
        return [Project(**row) for row in rows]

    def add_user(self, user: User, password_hash: str, *, trace: Trace | None = None) -> None:
        """``password_hash`` "" = no password opens it. Raises IdentityConflict: the name is or was somebody's."""
        row = {**asdict(user), "password_hash": password_hash, "deleted": False}
        with self._db.write() as connection:
            same = select(users.c.id).where(func.lower(users.c.name) == user.name.lower())
            if connection.execute(same).first() is not None:
                raise _taken("user", user.name)
            _insert(connection, users, row, "user", user.name)
            record(connection, trace.of("user", user.id, user.name) if trace else None)

    def change_user(self, user_id: str, *, trace: Trace | None = None, **changes: str | bool) -> None:
        """Stores description, enabled or is_admin: what is given, so that two changes at once are both kept.

        Raises:
            IdentityNotFound.
            IdentityConflict: no enabled administrator of the server would be left.
        """
        with self._db.write() as connection:
            name = _require_user(connection, user_id)
            connection.execute(update(users).where(users.c.id == user_id).values(changes))
            _require_an_administrator(connection)
            if changes.get("enabled") is False:
                _end_sessions(connection, user_id)
            record(connection, trace.of("user", user_id, name) if trace else None)

    def set_password(self, user_id: str, password_hash: str, *, trace: Trace | None = None) -> None:
        """Ends the user's tokens and temporary keys; raises IdentityNotFound."""
        with self._db.write() as connection:
            name = _require_user(connection, user_id)
            connection.execute(update(users).where(users.c.id == user_id).values(password_hash=password_hash))
            _end_sessions(connection, user_id)
            record(connection, trace.of("user", user_id, name) if trace else None)

    def delete_user(self, user_id: str, *, trace: Trace | None = None) -> None:
        """Keys, tokens, memberships and privileges go; the name stays taken. Jobs stay, with the administrators.

        Raises:
            IdentityNotFound.
            IdentityConflict: no enabled administrator of the server would be left.
        """
        gone = {"deleted": True, "enabled": False, "is_admin": False, "password_hash": ""}
        with self._db.write() as connection:
            name = _require_user(connection, user_id)
            connection.execute(update(users).where(users.c.id == user_id).values(gone))
            _require_an_administrator(connection)
            for table in (tokens, access_keys, members):
                connection.execute(delete(table).where(table.c.user_id == user_id))
            connection.execute(delete(privileges).where(privileges.c.user_name == name))
            record(connection, trace.of("user", user_id, name) if trace else None)

    def user(self, user_id: str) -> User:
        """Raises IdentityNotFound: there is none, or no more."""
        found = self._users(users.c.id == user_id)
        if not found:
            raise IdentityNotFound.of("user", user_id)
        return found[0]

    def users(self, *, name: str | None = None) -> list[User]:
        """All, or the one of this name; by name, without the deleted ones."""
        return self._users(users.c.name == name if name is not None else users.c.name != "")

    def password_hash(self, user_id: str) -> str:
        """What the password is verified with; "" = no password is right."""
        query = select(users.c.password_hash).where(users.c.id == user_id)
        with self._db.read() as connection:
            return str(connection.execute(query).scalar_one_or_none() or "")

    def set_role(self, project_id: str, user_id: str, role: str, *, trace: Trace | None = None) -> None:
        """The user's one role in the project, whatever it was; raises IdentityNotFound."""
        with self._db.write() as connection:
            name = _require_user(connection, user_id)
            if connection.execute(select(projects.c.id).where(projects.c.id == project_id)).first() is None:
                raise IdentityNotFound.of("project", project_id)
            assign(connection, project_id, user_id, role)
            record(connection, trace.of("project", project_id, name) if trace else None)

    def remove_role(self, project_id: str, user_id: str, role: str, *, trace: Trace | None = None) -> None:
        """What was granted to the user in the project goes with it.

        Raises:
            IdentityNotFound: the user has no such role there.
        """
        mine = (members.c.user_id == user_id) & (members.c.project_id == project_id)
        with self._db.write() as connection:
            name = _require_user(connection, user_id)
            if not connection.execute(delete(members).where(mine, members.c.role == role)).rowcount:
                raise IdentityNotFound(f"The user {name} does not have the role {role} in the project {project_id}.")
            granted = (privileges.c.user_name == name) & (privileges.c.project_id == project_id)
            connection.execute(delete(privileges).where(granted))
            record(connection, trace.of("project", project_id, name) if trace else None)

    def role(self, project_id: str, user_id: str) -> str | None:
        """The role that was given to the user in the project itself."""
        query = select(members.c.role).where(members.c.user_id == user_id, members.c.project_id == project_id)
        with self._db.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def members(self, project_id: str) -> list[tuple[User, str]]:
        """(user, role), by name."""
        query = select(users, members.c.role).join_from(members, users).where(members.c.project_id == project_id)
        with self._db.read() as connection:
            rows = connection.execute(query.order_by(users.c.name)).all()
        return [(_user(row), str(row.role)) for row in rows]

    def principal(self, user_id: str, project_id: str = "") -> Principal | None:
        """The user at work, None if there is none (any more) or they are disabled; ``project_id`` as in Principal."""
        with self._db.read() as connection:
            row = connection.execute(select(users).where(users.c.id == user_id, users.c.enabled)).first()
            if row is None:
                return None
            given = select(members.c.project_id, members.c.role).join_from(members, projects)
            query = given.where(members.c.user_id == user_id, projects.c.enabled)
            if row.is_admin:
                query = select(projects.c.id, literal("admin")).where(projects.c.enabled)
            roles = {str(project): str(role) for project, role in connection.execute(query)}
        return Principal(row.id, row.name, bool(row.is_admin), roles, project_id)

    def is_external(self, user_id: str) -> bool:
        """Whether the user came with a token of an external Keystone."""
        return self.password_hash(user_id) == EXTERNAL

    def _users(self, where: Any) -> list[User]:
        query = select(users).where(where, ~users.c.deleted).order_by(users.c.name)
        with self._db.read() as connection:
            return [_user(row) for row in connection.execute(query)]


def assign(connection: Connection, project_id: str, user_id: str, role: str) -> None:
    """The user's one role in the project, in the caller's own transaction."""
    statement = upsert(members).values(user_id=user_id, project_id=project_id, role=role)
    connection.execute(statement.on_conflict_do_update(index_elements=["user_id", "project_id"], set_={"role": role}))


def _user(row: Row[Any]) -> User:
    return User(row.id, row.name, row.description, row.is_admin, row.enabled, row.created_ms)


def _taken(kind: str, name: str) -> IdentityConflict:
    hint = " Names of users are never used twice, not even those of deleted ones." if kind == "user" else ""
    return IdentityConflict(f"name={name!r}: there is a {kind} of this name already. Choose another one.{hint}")


def _insert(connection: Connection, table: Table, row: dict[str, Any], kind: str, name: str) -> None:
    try:
        connection.execute(insert(table).values(row))
    except IntegrityError as error:
        raise _taken(kind, name) from error


def _require_user(connection: Connection, user_id: str) -> str:
    """The user's name."""
    query = select(users.c.name).where(users.c.id == user_id, ~users.c.deleted)
    name = connection.execute(query).scalar_one_or_none()
    if name is None:
        raise IdentityNotFound.of("user", user_id)
    return str(name)


def _require_an_administrator(connection: Connection) -> None:
    query = select(users.c.id).where(users.c.is_admin, users.c.enabled, ~users.c.deleted)
    if connection.execute(query).first() is None:
        raise IdentityConflict(
            "This is the last administrator of the server: make another one first, else nobody could manage it."
        )


def _end_sessions(connection: Connection, user_id: str) -> None:
    connection.execute(delete(tokens).where(tokens.c.user_id == user_id))
    temporary = (access_keys.c.user_id == user_id) & access_keys.c.expires_ms.is_not(None)
    connection.execute(delete(access_keys).where(temporary))
