"""Flink's S3 file system (``flink-s3-fs-hadoop``) in the engine store: one JAR per engine line, which never changes.

::

    <store>/s3-1.20.1/flink-s3-fs-hadoop-1.20.1.jar      read-only, with a manifest as an engine has
    <store>/locks/install-s3-1.20.1.lock                 one installer at a time
    <store>/.tmp-s3-1.20.1-x7k2/                         an installation under way

It is on Maven Central, not on PyPI, so Maven's own client fetches it, with the operator's mirrors, proxies and
certificates; or it lies in a folder that an operator names (``s3_plugin_folder``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from headrace.domain.errors import EngineBroken
from headrace.flink import catalog, manifest, occupancy
from headrace.flink.installer import InstallProgress, Report, run_guarded

ARTIFACT = "flink-s3-fs-hadoop"


class S3Plugins:
    """The plugins in one engine store. Stateless: several processes and threads may use one store at the same time."""

    def __init__(
        self, store: Path, folder: Path | None = None, pins: Mapping[str, str] = catalog.S3_PINS, mvn: str = "mvn"
    ) -> None:
        """Takes the places.

        Args:
            store: the engine store.
            folder: an operator's folder with ``flink-s3-fs-hadoop-<version>.jar``; None = from Maven Central.
            pins: version -> the SHA-256 that the JAR must have.
            mvn: Maven's command.
        """
        self._store = store.expanduser().resolve()
        self._given = folder
        self._pins = pins
        self._mvn = mvn

    def find(self, engine: str) -> Path | None:
        """The JAR for an engine of this exact version, if it is here."""
        version = catalog.s3_plugin_for(engine)
        home = self._home(version)
        return home / _name(version) if manifest.complete(home) is not None else None

    def install(self, engine: str, report: Report = lambda _: None) -> Path:
        """Brings the JAR for an engine here, or finds it; blocks as long as that takes. Nothing is left of a failure.

        Raises:
            EngineBroken: it cannot be had; the message names both ways to it.
        """
        version = catalog.s3_plugin_for(engine)
        try:
            return self.find(engine) or self._install(version, report)
        except OSError as error:
            raise EngineBroken(f"{_title(version)} could not be installed: {error}") from error

    def verify(self, engine: str) -> tuple[str, ...]:
        """What differs from what was installed, one sentence each; reads every byte. None if it is not here."""
        home = self._home(catalog.s3_plugin_for(engine))
        return tuple(manifest.problems(home)) if home.exists() else ()

    def remove_unneeded(self, engines: tuple[str, ...]) -> None:
        """Removes those that none of these engines takes; a JVM that has one open keeps it."""
        needed = {self._home(catalog.s3_plugin_for(engine)) for engine in engines}
        for home in self._store.glob("s3-*"):
            with occupancy.tried(self._lock(home.name)) as free:
                if free and home not in needed:
                    manifest.discard(home)

    def _install(self, version: str, report: Report) -> Path:
        home = self._home(version)
        waiting = InstallProgress(_title(version), 0, None, "waiting for another installation")
        with occupancy.locked(self._lock(home.name), waiting=lambda: report(waiting)):
            if manifest.complete(home) is None:
                for left in self._store.glob(f".tmp-{home.name}-*"):
                    manifest.discard(left)
                workplace = Path(tempfile.mkdtemp(prefix=f".tmp-{home.name}-", dir=self._store))
                try:
                    self._place(self._fetched(version, workplace, report), home, version)
                finally:
                    manifest.discard(workplace)
        return home / _name(version)

    def _place(self, jar: Path, home: Path, version: str) -> None:
        """Seals the folder that the JAR is alone in, and gives it its name."""
        found = hashlib.sha256(jar.read_bytes()).hexdigest()
        wanted = self._pins.get(version, found)
        if found != wanted:
            raise EngineBroken(
                f"{_title(version)} has the SHA-256 {found}, but {wanted} is expected: it is another file than the one "
                "that was tested. Look at where it comes from: the folder s3_plugin_folder, or your Maven mirror."
            )
        manifest.seal(jar.parent, package=ARTIFACT, version=version, source_sha256=found)
        if home.exists():
            manifest.discard(home)  # damaged
        jar.parent.rename(home)
        manifest.close(home)

    def _fetched(self, version: str, workplace: Path, report: Report) -> Path:
        """A copy of the JAR, alone in a folder below ``workplace``."""
        copy = workplace / "whole" / _name(version)
        copy.parent.mkdir()
        source = self._from_folder(version) if self._given else self._from_maven(version, workplace, report)
        shutil.copyfile(source, copy)
        return copy

    def _from_folder(self, version: str) -> Path:
        assert self._given is not None
        source = self._given / _name(version)
        if not source.is_file():
            raise EngineBroken(f"{_title(version)} is not in s3_plugin_folder={str(self._given)!r}: put {source} there")
        return source

    def _from_maven(self, version: str, workplace: Path, report: Report) -> Path:
        mvn = shutil.which(self._mvn)
        if mvn is None:
            raise EngineBroken(
                f"{_title(version)} is needed for object_store=s3, and is not in the engine store. Install Maven "
                f"(command mvn; Debian: apt install maven), or put {_name(version)} into a folder and name it with "
                "HEADRACE_S3_PLUGIN_FOLDER."
            )
        local = workplace / "maven"
        command = [mvn, "--batch-mode", "--strict-checksums", "--no-transfer-progress", f"-Dmaven.repo.local={local}"]
        command += ["dependency:get", f"-Dartifact=org.apache.flink:{ARTIFACT}:{version}", "-Dtransitive=false"]
        (workplace / "scratch").mkdir()
        said = run_guarded(_guarded(command), workplace / "scratch", _title(version), report)
        jar = local / "org" / "apache" / "flink" / ARTIFACT / version / _name(version)
        if said is None and jar.is_file():
            return jar
        raise EngineBroken(
            f"{_title(version)} could not be had from Maven Central: {said or 'mvn left no file'}. It can also be put "
            f"into a folder as {_name(version)}; name that with HEADRACE_S3_PLUGIN_FOLDER."
        )

    def _home(self, version: str) -> Path:
        return self._store / f"s3-{version}"

    def _lock(self, name: str) -> Path:
        return self._store / "locks" / f"install-{name}.lock"


def _name(version: str) -> str:
    return f"{ARTIFACT}-{version}.jar"


def _title(version: str) -> str:
    return f"Flink's S3 file system {version}"


def _guarded(command: list[str]) -> list[str]:
    """Ends with its installer, even if that is killed: PR_SET_PDEATHSIG (1 in linux/prctl.h) holds over ``exec``."""
    start = (
        "import ctypes, os, signal, sys\n"
        "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
        "os.getppid() == int(sys.argv[1]) or os._exit(1)\n"
        "os.execv(sys.argv[2], sys.argv[2:])\n"
    )
    return [sys.executable, "-c", start, str(os.getpid()), *command]
