"""Global variables. The value of a sensitive one is stored as the Vault has sealed it, and read by nobody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import VariableNotFound, VariableTaken
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.schema import variables


@dataclass(frozen=True)
class Variable:
    """One global variable.

    Attributes:
        id: 0 until it is stored.
        value: as stored: of a sensitive one, sealed.
        user_name, user_id: who created it.
    """

    project_id: str
    name: str
    value: str
    is_sensitive: bool
    user_name: str
    user_id: str
    created_ms: int
    updated_ms: int
    id: int = 0


class VariableStore:
    """The only place that writes variables."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(self, variable: Variable, *, trace: Trace | None = None) -> Variable:
        """A new variable.

        Raises:
            VariableTaken: the project has a variable of this name.
        """
        values = {name: getattr(variable, name) for name in Variable.__dataclass_fields__ if name != "id"}
        try:
            with self._db.write() as connection:
                made = connection.execute(insert(variables).values(values).returning(variables.c.id)).scalar_one()
                record(connection, trace.of("variable", variable.name, variable.name) if trace else None)
        except IntegrityError as error:
            raise VariableTaken(
                f"The object exists. The project has a global variable {variable.name} already; change that one, or "
                "choose another name."
            ) from error
        return replace(variable, id=int(made))

    def find(self, project_id: str, name: str) -> Variable:
        """The project's variable.

        Raises:
            VariableNotFound: it has none of this name.
        """
        same = (variables.c.project_id == project_id) & (variables.c.name == name)
        with self._db.read() as connection:
            row = connection.execute(select(variables).where(same)).mappings().one_or_none()
        if row is None:
            raise VariableNotFound.of(name)
        return Variable(**row)

    def page(self, project_id: str, *, limit: int, offset: int) -> tuple[int, list[Variable]]:
        """(number of all variables of the project, one page of them), oldest first."""
        mine = variables.c.project_id == project_id
        query = select(variables).where(mine).order_by(variables.c.id).limit(limit).offset(offset)
        with self._db.read() as connection:
            total = connection.execute(select(func.count()).select_from(variables).where(mine)).scalar_one()
            return int(total), [Variable(**row) for row in connection.execute(query).mappings()]

    def set_value(self, variable: Variable, value: str, *, now_ms: int, trace: Trace | None = None) -> None:
        """Replaces the value; one that is sensitive comes sealed.

        Raises:
            VariableNotFound: it was deleted meanwhile.
        """
        with self._db.write() as connection:
            changed = update(variables).where(variables.c.id == variable.id)
            if connection.execute(changed.values(value=value, updated_ms=now_ms)).rowcount != 1:
                raise VariableNotFound.of(variable.name)
            record(connection, trace.of("variable", variable.name, variable.name) if trace else None)

    def delete(self, variable: Variable, *, trace: Trace | None = None) -> None:
        """Deletes the variable; attempts that were begun with it keep its value.

        Raises:
            VariableNotFound: it was deleted meanwhile.
        """
        with self._db.write() as connection:
            if connection.execute(delete(variables).where(variables.c.id == variable.id)).rowcount != 1:
                raise VariableNotFound.of(variable.name)
            record(connection, trace.of("variable", variable.name, variable.name) if trace else None)

    def values(self, project_id: str, names: Iterable[str]) -> dict[str, str]:
        """Values of those of the named variables that may be put into jobs: they exist, and none is sensitive."""
        with self._db.read() as connection:
            return values_in(connection, project_id, names)


def values_in(connection: Connection, project_id: str, names: Iterable[str]) -> dict[str, str]:
    """As ``VariableStore.values``, in the caller's own transaction."""
    wanted = frozenset(names)
    if not wanted:
        return {}
    query = select(variables.c.name, variables.c.value).where(
        variables.c.project_id == project_id, ~variables.c.is_sensitive
    )
    return {row.name: row.value for row in connection.execute(query) if row.name in wanted}
