"""The content of DLI packages: ``<root>/<uuid>_<name>``, written once and never changed.

Which package has which content is known to the store's table; a file without a row there is a leftover.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from headrace.domain.errors import PackageNotFound
from headrace.objects.folder import copy_whole


class PackageFiles:
    """The folder with all packages' content."""

    def __init__(self, root: Path) -> None:
        """Opens ``root``, and creates it if needed."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()

    def add(self, name: str, source: Path) -> str:
        """Copies a package's content in; returns its key, DLI's ``underlying_name``."""
        key = f"{uuid4()}_{name}"
        copy_whole(source, self._root / key)
        return key

    def path(self, key: str) -> Path:
        """The file of a key; raises PackageNotFound if it is gone."""
        file = self._root / key
        if not file.is_file():
            raise PackageNotFound(f"The content of the package {key} is missing on this machine. Upload it again.")
        return file

    def drop(self, key: str) -> None:
        """Deletes the content of a key."""
        (self._root / key).unlink(missing_ok=True)
