"""An immutable folder: a list of its files with their SHA-256 sums, and nobody may write to it.

The list is a file in the folder itself, so one rename puts both in place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

FILE_NAME = "headrace-manifest.json"


@dataclass(frozen=True)
class Manifest:
    """What a folder holds. ``files`` maps a path relative to the folder to (SHA-256, size in bytes)."""

    package: str
    version: str
    source_sha256: str
    java: str
    files: dict[str, tuple[str, int]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files.values())


def seal(folder: Path, *, package: str, version: str, source_sha256: str, java: str = "") -> None:
    """Write the manifest, bring everything to the disk, and take away all write permissions but the folder's own.

    The folder's own stays because renaming a folder into another one needs it: call ``close`` after the rename.
    """
    files = {str(path.relative_to(folder)): _record(path) for path in _files(folder)}
    listed = Manifest(package, version, source_sha256, java, files)
    path = folder / FILE_NAME
    path.write_text(json.dumps(asdict(listed), indent=1, sort_keys=True))
    _record(path)
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            _permit(Path(parent, name), write=False)


def close(folder: Path) -> None:
    """Make the renamed folder itself read-only, and the rename lasting."""
    _permit(folder, write=False)
    for directory in (folder, folder.parent):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read(folder: Path) -> Manifest | None:
    """The manifest, or None when there is no readable one."""
    try:
        raw = json.loads((folder / FILE_NAME).read_text())
        files = {str(name): (str(sha256), int(size)) for name, (sha256, size) in raw["files"].items()}
        return Manifest(raw["package"], raw["version"], raw["source_sha256"], raw["java"], files)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None


def complete(folder: Path) -> Manifest | None:
    """The manifest, if every file is there with its size (a few hundred ``stat``: quick enough for every start)."""
    listed = read(folder)
    if listed is None:
        return None
    for name, (_, size) in listed.files.items():
        try:
            if (folder / name).stat().st_size != size:
                return None
        except OSError:
            return None
    return listed


def problems(folder: Path) -> Iterator[str]:
    """Every difference between the folder and its manifest, by reading all bytes."""
    listed = read(folder)
    if listed is None:
        yield f"{folder.name}: not there, or its {FILE_NAME} is unreadable"
        return
    there = {str(path.relative_to(folder)) for path in _files(folder)} - {FILE_NAME}
    for name in sorted(there | set(listed.files)):
        if name not in there:
            yield f"{folder.name}/{name}: missing"
        elif name not in listed.files:
            yield f"{folder.name}/{name}: was not installed by Headrace"
        else:
            try:
                if _sha256(folder / name) != listed.files[name][0]:
                    yield f"{folder.name}/{name}: its content has changed"
            except OSError as error:
                yield f"{folder.name}/{name}: unreadable ({error.strerror})"


def discard(folder: Path) -> None:
    """Remove a folder that nobody uses, sealed or not. What cannot be removed now is left for the next sweep."""
    for parent, _, _ in os.walk(folder):  # top down: a folder is made writable before it is entered
        _permit(Path(parent), write=True)
    shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            yield Path(parent, name)


def _record(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return digest, file.tell()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _permit(path: Path, *, write: bool) -> None:
    writable = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
    with suppress(OSError):
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not path.is_symlink():
            path.chmod(mode | stat.S_IRWXU if write else mode & ~writable)
