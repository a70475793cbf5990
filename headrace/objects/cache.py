"""The jobs' JARs and files on this machine, each content once, for whichever jobs and deployments want it.

::

    <root>/contents/<sha256>          a content, read-only; deployments have hard links to it
    <root>/versions/<id>.json         which content one version of one object is
    <root>/parts/<id>.part  .json     one that is being fetched, and a hash of what is surely on the disk of it

A version is fetched by one thread, and whoever else wants it waits; a few are fetched at the same time. What broke off
goes on where it was. What was damaged is fetched anew: a content's hash is looked at before it is handed out.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.errors import ObjectReplaced
from headrace.objects.sources import Source

MARK_BYTES = 32 << 20
"""So often it is recorded how far a fetch is: a crash costs no more."""
CHUNK = 1 << 20
AT_ONCE = 4
"""Versions that are fetched at the same time."""
LOOK_S = 1.0
"""So often whoever waits says so."""

Told = Callable[[str], None]
"""Is told what goes on, or is waited for; an exception from it ends the call. Of a fetch, what came is kept."""


@dataclass(frozen=True)
class Staged:
    """What was put into a deployment: its content, in hex, and size in bytes."""

    sha256: str
    size: int


class StageCache:
    """One folder, used by one process at a time."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        """Opens ``root``, and creates it if needed; ``limit_bytes``: what is not in use is kept within it."""
        self._contents, self._versions, self._parts = (root / name for name in ("contents", "versions", "parts"))
        for folder in (self._contents, self._versions, self._parts):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._limit = limit_bytes
        self._locks: dict[str, threading.Lock] = {}
        self._wanted: Counter[str] = Counter()
        self._guard = threading.Lock()
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def put(self, source: Source, target: Path, told: Told = lambda _: None) -> Staged:
        """Makes ``target`` the content of this version: a hard link, or a copy where there can be none. It must not be
        written to.

        Raises:
            ObjectReplaced: there is another version now.
            Unavailable: it cannot be fetched now; a part of it may be there already, and the next call goes on.
            OSError: this machine's disk.
        """
        name = hashlib.sha256(source.version.encode()).hexdigest()[:32]
        with self._alone(name, lambda: told(f"waiting for another job, which fetches {source.name}")):
            staged = self._known(name) or self._brought(name, source, told)
            content = self._contents / staged.sha256
            os.utime(content)
            _link(content, target)
        self._make_room()
        return staged

    @contextlib.contextmanager
    def _alone(self, name: str, waiting: Callable[[], None]) -> Iterator[None]:
        with self._guard:
            self._wanted[name] += 1
            lock = self._locks.setdefault(name, threading.Lock())
        try:
            with _held(lock, waiting):
                yield
        finally:
            with self._guard:
                self._wanted[name] -= 1
                if not self._wanted[name]:
                    del self._wanted[name], self._locks[name]

    def _known(self, name: str) -> Staged | None:
        """The content of this version, if it is here and sound."""
        record = _read(self._versions / f"{name}.json")
        if record is None:
            return None
        staged = Staged(str(record["sha256"]), int(record["size"]))
        content = self._contents / staged.sha256
        try:
            if _hash(content).hexdigest() == staged.sha256:
                return staged
        except FileNotFoundError:
            return None
        content.unlink(missing_ok=True)
        return None

    def _brought(self, name: str, source: Source, told: Told) -> Staged:
        """Makes room for it first. A disk that is full all the same gets all the room there is, and another try."""
        with _held(self._places, lambda: told(f"waiting with {source.name}: {AT_ONCE} other files are fetched now")):
            part = self._parts / f"{name}.part"
            self._make_room(coming=source.size - (part.stat().st_size if part.exists() else 0))
            try:
                return self._fetched(name, source, told)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._make_room(limit=0):
                    raise
            return self._fetched(name, source, told)

    def _fetched(self, name: str, source: Source, told: Told) -> Staged:
        part = self._parts / f"{name}.part"
        with _Part(part, source.size) as writer:
            if writer.done < source.size:
                for piece in source.stream(writer.done):
                    writer.add(piece)
                    told(f"fetching {source.name}: {100 * writer.done // source.size} %")
            if writer.done != source.size:
                writer.drop()
                raise ObjectReplaced(
                    f"{source.reference} has {source.size} bytes, but {writer.done} of them came. It is fetched again."
                )
            staged = Staged(writer.finish(), source.size)
        # The record first: with it, the content is known to be wanted. Without a content it means nothing.
        with self._guard:
            _write(self._versions / f"{name}.json", {"sha256": staged.sha256, "size": staged.size})
        content = self._contents / staged.sha256
        if content.exists() and _hash(content).hexdigest() == staged.sha256:
            part.unlink()  # another object has the same content
        else:
            part.chmod(0o400)
            part.replace(content)
        writer.mark.unlink(missing_ok=True)
        return staged

    def _make_room(self, coming: int = 0, limit: int | None = None) -> bool:
        """Least recently used goes first, and never what a deployment has, or a thread is just about to. ``coming``:
        bytes that there must be room for besides. Whether anything went.
        """
        allowed, went = (self._limit if limit is None else limit) - coming, False
        with self._guard:
            busy = set(self._wanted)
            wanted = {record["sha256"] for name in busy if (record := _read(self._versions / f"{name}.json"))}
            files = [found for folder in (self._contents, self._parts) for found in _listed(folder)]
            total = sum(status.st_size for _, status in files)
            for path, status in sorted(files, key=lambda found: found[1].st_mtime_ns):
                if total <= allowed:
                    break
                if status.st_nlink == 1 and path.name not in wanted and path.name.partition(".")[0] not in busy:
                    path.unlink(missing_ok=True)
                    total -= status.st_size
                    went = True
            for path, _ in _listed(self._versions):
                record = _read(path)
                gone = record is None or not (self._contents / str(record["sha256"])).exists()
                if gone and path.name.partition(".")[0] not in busy:
                    path.unlink(missing_ok=True)
        return went


class _Part:
    """A content that is coming in. What an earlier try has left is gone on with, as far as it is sound."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self.mark = path.with_suffix(".json")
        self.done = 0
        self._hash = hashlib.sha256()
        self._marked = 0
        self._take_up(size)

    def __enter__(self) -> _Part:
        self._file = self._path.open("ab")
        return self

    def __exit__(self, *_: object) -> None:
        """However it ends, what has come is kept for the next try."""
        with self._file:
            if self._path.exists() and self.done > self._marked:
                self._record()

    def add(self, piece: bytes) -> None:
        self._file.write(piece)
        self._hash.update(piece)
        self.done += len(piece)
        if self.done - self._marked >= MARK_BYTES:
            self._record()

    def finish(self) -> str:
        """The hash, when all of it is on the disk."""
        self._record()
        return self._hash.hexdigest()

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)
        self.mark.unlink(missing_ok=True)

    def _record(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        _write(self.mark, {"done": self.done, "sha256": self._hash.hexdigest()})
        self._marked = self.done

    def _take_up(self, size: int) -> None:
        record = _read(self.mark)
        if record is not None and self._path.exists() and record["done"] <= min(size, self._path.stat().st_size):
            found = _hash(self._path, record["done"])
            if found.hexdigest() == record["sha256"]:
                self._hash, self.done, self._marked = found, record["done"], record["done"]
                os.truncate(self._path, self.done)
                return
        self.drop()


@contextlib.contextmanager
def _held(lock: threading.Lock | threading.Semaphore, waiting: Callable[[], None]) -> Iterator[None]:
    """``waiting`` is called when it must be waited for, and ends that by an exception."""
    if not lock.acquire(blocking=False):
        waiting()
        while not lock.acquire(timeout=LOOK_S):
            waiting()
    try:
        yield
    finally:
        lock.release()


def _listed(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # just renamed
            yield path, path.stat()


def _hash(path: Path, limit: int | None = None) -> Any:
    """Of the file, or of its first bytes."""
    found = hashlib.sha256()
    left = path.stat().st_size if limit is None else limit
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(CHUNK, left))):
            found.update(piece)
            left -= len(piece)
    return found


def _link(content: Path, target: Path) -> None:
    """``target`` appears whole or not at all, in place of one that may be there."""
    temporary = target.with_name(f".{target.name}.part")
    temporary.unlink(missing_ok=True)
    try:
        os.link(content, temporary)
    except OSError:  # another file system, too many links, or a file system without any
        shutil.copyfile(content, temporary)
        temporary.chmod(0o400)
    temporary.replace(target)
    temporary.unlink(missing_ok=True)  # a rename between two links of one file does nothing


def _read(path: Path) -> dict[str, Any] | None:
    """A record; None if there is none, or it is damaged."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(content))
    temporary.replace(path)
