"""Opens the home's database: SQLite in WAL mode, migrated to this version's schema."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from headrace.domain.errors import HomeUnusable, Unavailable

BUSY_TIMEOUT_MS = 20_000

Step = Callable[[str], None]
"""Is told each point between which a crash may come; for tests that end Headrace there."""


def no_step(_name: str) -> None:
    """Nothing happens between two points."""


class Database:
    """One SQLite file. ``read()`` and ``write()`` are the only ways in, one transaction each."""

    def __init__(self, path: Path, step: Step = no_step) -> None:
        """Opens ``path``, which is created or migrated as needed; an older one is copied first. ``step`` is told
        "before commit" and "after commit" of each transaction that writes.

        Raises:
            HomeUnusable: the file is of a newer Headrace, or no database.
        """
        self.path = path
        self._step = step
        self._engine = create_engine(f"sqlite:///{path}", pool_size=16, max_overflow=16)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        try:
            _migrate(self._engine, path)
        except DatabaseError as error:
            self._engine.dispose()
            raise HomeUnusable(f"The database {path} cannot be used: {error.orig}. Use another home.") from error
        except BaseException:
            self._engine.dispose()
            raise
        event.listen(self._engine, "do_connect", _existing)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view; raises Unavailable while the file is gone or damaged."""
        with _told(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that alone may write; committed at its end, rolled back on an error.

        Raises:
            Unavailable: another program has the file locked for too long, its disk is full, or it is gone.
        """
        with _told(), self._engine.connect() as plain:
            connection = plain.execution_options(headrace_write=True)
            with connection.begin():
                yield connection
                self._step("before commit")
        self._step("after commit")

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise Unavailable(f"The database does not answer ({error.orig}); try again.") from error


def _existing(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> None:
    """Once it is open, a database that has gone is not made anew and empty under the feet of those who use it."""
    arguments[0] = f"{Path(arguments[0]).absolute().as_uri()}?mode=rw"
    options["uri"] = True


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin, not by the driver
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a move told to the user outlives a power cut
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("headrace_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", "headrace.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def _migrate(engine: Engine, path: Path) -> None:
    config = _alembic()
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    existed = path.exists() and path.stat().st_size > 0
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == head:
        return
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise HomeUnusable(
            f"The database {path} has schema {current}, which a newer Headrace made; this one knows {head}. "
            "Start the newer version, or use another home."
        )
    if existed and current is not None:
        _copy(path, path.with_name(f"{path.name}.schema-{current}.bak"))
    with engine.connect().execution_options(headrace_write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _copy(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as reader, sqlite3.connect(target) as writer:
        reader.backup(writer)
    reader.close()
    writer.close()
    target.chmod(0o600)
