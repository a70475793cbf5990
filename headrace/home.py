"""The home: the folder with all state of one server. Private to its user; one server at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.errors import HomeUnusable

UNFIT = frozenset(":#\\%?*\n\r\t")
"""Characters that a class path, a URI or ``flink-conf.yaml`` would take for their own."""


@dataclass(frozen=True)
class Credentials:
    """A key pair of the home's administrator, and the project that it works in."""

    project_id: str
    access_key: str
    secret_key: str
    user_name: str = "admin"


class Home:
    """Paths and secrets below one folder, which is made private by the server that holds it, not by looking at it."""

    def __init__(self, folder: Path) -> None:
        """Raises HomeUnusable if the path cannot be a home's."""
        self.folder = folder.expanduser().resolve()
        unfit = sorted(set(str(self.folder)) & UNFIT)
        if unfit:
            raise HomeUnusable(
                f"The home {self.folder} has {unfit[0]!r} in its path, which Java class paths and Flink's "
                "configuration cannot hold. Choose another one."
            )

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "headrace.db"

    @property
    def server_file(self) -> Path:
        """Written when the server is ready: url, project_id, pid; access_key and secret_key of a published key."""
        return self.folder / "server.json"

    @property
    def exists(self) -> bool:
        """Whether a server has ever held it."""
        return (self.folder / "serve.lock").exists()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Holds the home for this process alone.

        Raises:
            HomeUnusable: another server holds it (names its pid), or the folder cannot be a home.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {entry.name for entry in self.folder.iterdir()}
        except OSError as error:
            raise HomeUnusable(f"The home {self.folder} cannot be used: {error}. Choose another one.") from error
        if "serve.lock" not in names and names - {"headrace.toml"}:
            raise HomeUnusable(f"{self.folder} holds other files than a home's. Choose an empty folder, or a new one.")
        self.folder.chmod(0o700)
        path = self.folder / "serve.lock"
        with open(path, "a+", opener=_private) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                pid = lock.read().strip() or "unknown"
                raise HomeUnusable(
                    f"Another Headrace (pid {pid}) serves the home {self.folder}. "
                    "Stop it first (headrace down), or use another --home."
                ) from error
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n")
            lock.flush()
            yield

    def holder(self) -> int | None:
        """The pid of the server that holds the home, None if none does."""
        path = self.folder / "serve.lock"
        if not path.exists():
            return None
        with path.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read().strip() or 0) or None
        return None

    @property
    def key_file(self) -> Path:
        """What opens the sealed secrets of the database, unless the setting ``key_file`` names another one."""
        return self.folder / "secrets.key"

    @property
    def notice_key_file(self) -> Path:
        """Key and certificate with which HTTP notices are signed."""
        return self.folder / "notice-key.pem"

    def old_credentials(self) -> Credentials | None:
        """The key pair that earlier versions kept in ``credentials.json``.

        Raises:
            HomeUnusable: the file is damaged.
        """
        path = self._old_file
        if not path.exists():
            return None
        try:
            return Credentials(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise HomeUnusable(f"{path} is damaged: {error}. Restore it, or remove it for a new key pair.") from error

    def forget_old_credentials(self) -> None:
        """Removes ``credentials.json``, once the database has what it held."""
        self._old_file.unlink(missing_ok=True)

    @property
    def _old_file(self) -> Path:
        return self.folder / "credentials.json"


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file that only its owner can read, whole or not at all."""
    write_private_text(path, json.dumps(content, indent=2) + "\n")


def write_private_text(path: Path, content: str) -> None:
    """Writes a file that only its owner can read, whole or not at all; once written, it outlives a power cut."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)
    with open(temporary, "x", opener=_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
