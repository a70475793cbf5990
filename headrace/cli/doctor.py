"""``headrace doctor``: what is missing on this machine, and how to get it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from headrace.domain.errors import BucketForbidden, EngineUnknown, HeadraceError
from headrace.flink import catalog
from headrace.flink.engines import EngineStore
from headrace.flink.s3 import S3Plugins
from headrace.home import Home
from headrace.objects import access
from headrace.objects.s3 import S3Objects
from headrace.runtimes import machine
from headrace.settings import Settings, load_settings

NEEDED_DISK_MB = 2048


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``remedy`` says how to get what is missing."""

    good: bool
    what: str
    remedy: str = ""
    fatal: bool = True


def doctor(home: Annotated[Path | None, typer.Option("--home", help="Folder with all state.")] = None) -> None:
    """Look at this machine: what is missing for running jobs, and how to get it. Exit code 1 if something is."""
    settings = load_settings(home)
    console = Console(highlight=False, soft_wrap=True)
    broken = False
    for check in CHECKS:
        for finding in check(settings):
            mark = (
                "[green]ok[/]     " if finding.good else ("[red]missing[/]" if finding.fatal else "[yellow]note[/]   ")
            )
            console.print(f"{mark} {finding.what}")
            if not finding.good:
                console.print(f"        → {finding.remedy}", markup=False)
                broken = broken or finding.fatal
    raise typer.Exit(1 if broken else 0)


def _system(_: Settings) -> Iterator[Finding]:
    yield Finding(
        sys.platform == "linux", f"Linux ({sys.platform})", "the runtime `local` needs Linux: /proc and pidfd"
    )
    yield Finding(hasattr(os, "pidfd_open"), "pidfd", "use Linux 5.3 or newer")
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(sys.version_info >= (3, 11), f"Python {version}", "use Python 3.11 or newer")


def _memory(settings: Settings) -> Iterator[Finding]:
    total = settings.memory_limit_mb if settings.memory_limit_mb is not None else machine.memory_mb()
    free = total - settings.memory_reserve_mb
    needed = 2 * settings.memory_per_cu_mb
    yield Finding(
        free >= needed,
        f"memory for jobs: {free} MB of {total} MB (1 CU = {settings.memory_per_cu_mb} MB)",
        f"the smallest job (2 CUs) needs {needed} MB: set HEADRACE_MEMORY_PER_CU_MB=1024 or give the machine more",
    )


def _disk(settings: Settings) -> Iterator[Finding]:
    for name, folder in (("home", settings.home), ("engine store", settings.engine_store)):
        existing = folder.expanduser().resolve()
        while not existing.exists():
            existing = existing.parent
        free_mb = shutil.disk_usage(existing).free // machine.MB
        writable = existing.is_dir() and os.access(existing, os.W_OK)
        what = f"{name} {folder}: {free_mb} MB free"
        remedy = f"make {existing} writable and have {NEEDED_DISK_MB} MB free, or set another folder"
        yield Finding(writable and free_mb >= NEEDED_DISK_MB, what, remedy)


def _engines(settings: Settings) -> Iterator[Finding]:
    store = EngineStore(settings.engine_store, settings.engine_java_homes)
    installed = [engine.version for engine in store.installed()]
    try:
        default = catalog.resolve(
            None, aliases=settings.engine_aliases, default=settings.engine_default, installed=installed
        )
    except EngineUnknown as error:
        yield Finding(good=False, what=f"default Flink {settings.engine_default}", remedy=str(error))
        return
    yield Finding(
        default in installed,
        f"Flink {default} (default) in the engine store; installed: {', '.join(installed) or 'none'}",
        f"headrace engines install {default} (about 300 MB from PyPI); the first job does it by itself too",
        fatal=False,
    )
    if settings.object_store != "folder":
        yield _s3(settings, default)


def _s3(settings: Settings, engine: str) -> Finding:
    """Without it no job can be prepared whose buckets are behind an endpoint."""
    found = S3Plugins(settings.engine_store, settings.s3_plugin_folder).find(engine)
    by_itself = settings.s3_plugin_folder is not None or shutil.which("mvn") is not None
    return Finding(
        found is not None,
        f"Flink's S3 file system for Flink {engine}: {found or 'not in the engine store'}",
        f"headrace engines install {engine} --s3; the first job does it by itself too"
        if by_itself
        else "install Maven (command mvn; Debian: apt install maven), or put flink-s3-fs-hadoop-"
        f"{catalog.s3_plugin_for(engine)}.jar into a folder and name it with HEADRACE_S3_PLUGIN_FOLDER",
        fatal=not by_itself,
    )


def _endpoint(settings: Settings) -> Iterator[Finding]:
    if settings.object_store != "s3":
        return
    what = f"object storage at {settings.s3_endpoint}"
    try:
        yield Finding(good=True, what=f"{what}: {_buckets(S3Objects(access.of_settings(settings)))}")
    except HeadraceError as error:
        yield Finding(good=False, what=what, remedy=str(error))


def _buckets(objects: S3Objects) -> str:
    """What the keys reach. Those that are limited to buckets may be forbidden to list any, and are good as well."""
    try:
        return f"{len(objects.buckets())} bucket(s)"
    except BucketForbidden:
        own = [bucket for bucket in sorted(objects.access.keys) if objects.has_bucket(bucket)]
        named = f"; with keys of their own: {', '.join(own)}" if own else ""
        return f"it takes the keys, which may not list buckets{named}"


def _server(settings: Settings) -> Iterator[Finding]:
    pid = Home(settings.home).holder()
    yield Finding(
        pid is not None,
        f"server of {settings.home}: {f'running (pid {pid})' if pid else 'not running'}",
        f"headrace serve --home {settings.home}",
        fatal=False,
    )


CHECKS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _system,
    _memory,
    _disk,
    _engines,
    _endpoint,
    _server,
)
