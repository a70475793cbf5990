"""The content of DLI packages: ``<root>/<uuid>_<name>``, written once and never changed.

Which package has which content is known to the store's table; a file without a row there is a leftover.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from headrace.domain.errors import PackageNotFound
from headrace.objects.folder import CHUNK
from headrace.objects.sources import Source


class PackageFiles:
    """The folder with all packages' content."""

    def __init__(self, root: Path) -> None:
        """Opens ``root``, and creates it if needed."""
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()

    def add(self, name: str, content: Iterator[bytes]) -> str:
        """Copies a package's content in, piece by piece; returns its key, DLI's ``underlying_name``."""
        key = f"{uuid4()}_{name}"
        staging = self._root / f"{key}#0"
        try:
            with staging.open("wb") as file:
                for piece in content:
                    file.write(piece)
            staging.rename(self._root / key)
        finally:
            staging.unlink(missing_ok=True)
        return key

    def source(self, key: str, reference: str) -> Source:
        """The content of a key; raises PackageNotFound if it is gone."""
        file = self._root / key
        if not file.is_file():
            raise PackageNotFound(f"The content of the package {key} is missing on this machine. Upload it again.")

        def stream(begin: int) -> Iterator[bytes]:
            with file.open("rb") as opened:
                opened.seek(begin)
                while piece := opened.read(CHUNK):
                    yield piece

        def read(begin: int, end: int) -> bytes:
            with file.open("rb") as opened:
                opened.seek(begin)
                return opened.read(end - begin)

        return Source(reference, f"package {key}", file.stat().st_size, stream, read)

    def drop(self, key: str) -> None:
        """Deletes the content of a key."""
        (self._root / key).unlink(missing_ok=True)
