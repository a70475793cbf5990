"""``headrace engines``: the Flink versions that are installed on this machine.

Works on the engine store itself, with or without a running server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from headrace.domain.errors import EngineUnknown, HeadraceError
from headrace.flink import catalog
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.installer import InstallProgress, Report
from headrace.flink.s3 import S3Plugins
from headrace.settings import load_settings

app = typer.Typer(help="Install, check and remove Flink versions.", no_args_is_help=False)

VersionArgument = Annotated[str, typer.Argument(metavar="VERSION", help='"1.20" for its newest patch, or "1.20.5".')]


@app.callback(invoke_without_command=True)
def engines(context: typer.Context) -> None:
    """List the engines, unless a command is given."""
    if context.invoked_subcommand is None:
        list_engines()


@app.command("list")
def list_engines() -> None:
    """Show what is installed, who uses it, and what else can be installed."""
    store = _store()
    plugins = _plugins()
    table = Table("Flink", "State", "Java", "S3", "Size", "Used by process", box=None, pad_edge=False)
    newest = {catalog.minor_of(version): version for version in catalog.KNOWN}
    folders = store.versions()
    for version in sorted({*newest.values(), *folders}, key=catalog.version_key):
        if version in folders:
            table.add_row(*_row(store, plugins, version))
        else:
            java = catalog.java_for(version).split(".")[0]
            tested = ", tested" if version in catalog.TESTED else ""
            table.add_row(version, f"can be installed{tested}", java, "", "", "")
    console = Console()
    console.print(f"Engine store: {store.root}", soft_wrap=True)
    console.print(table)


@app.command()
def install(
    version: VersionArgument,
    s3: Annotated[
        bool | None,
        typer.Option(
            "--s3/--no-s3", help="With Flink's S3 file system. Default: if the setting object_store needs it."
        ),
    ] = None,
) -> None:
    """Install a Flink version with its Java, and with Flink's S3 file system where that is needed."""
    with _told():
        settings = load_settings()
        store = _store()
        exact = version
        if not catalog.is_exact(version):  # an exact one may be newer than our catalogue
            exact = catalog.resolve(
                version, aliases=settings.engine_aliases, default=settings.engine_default, installed=store.versions()
            )
        with _progress() as report:
            engine = store.install(exact, report)
            needed = settings.object_store != "folder" if s3 is None else s3
            jar = _plugins().install(exact, report) if needed else None
        typer.echo(f"Flink {engine.version} on Java {engine.java_major}: {engine.home}")
        if jar is not None:
            typer.echo(f"Flink's S3 file system: {jar}")


@app.command()
def verify(version: Annotated[str | None, typer.Argument(help="Default: all that are installed.")] = None) -> None:
    """Compare every file with what was installed; exit code 1 if anything differs."""
    with _told():
        store = _store()
        problems = 0
        for exact in (_installed(store, version),) if version else store.versions():
            found = (*store.verify(exact), *_plugins().verify(exact))
            problems += len(found)
            typer.echo(f"Flink {exact}: {'as installed' if not found else f'{len(found)} problems'}")
            for problem in found:
                typer.echo(f"  {problem}")
        if problems:
            raise typer.Exit(1)


@app.command()
def remove(version: VersionArgument) -> None:
    """Remove an engine that no job uses, and its Java if no other engine needs that."""
    with _told():
        store = _store()
        exact = _installed(store, version)
        store.remove(exact)
        _plugins().remove_unneeded(store.versions())
        typer.echo(f"Flink {exact} removed")


def _store() -> EngineStore:
    settings = load_settings()
    return EngineStore(settings.engine_store, settings.engine_java_homes)


def _plugins() -> S3Plugins:
    settings = load_settings()
    return S3Plugins(settings.engine_store, settings.s3_plugin_folder)


def _row(store: EngineStore, plugins: S3Plugins, version: str) -> tuple[str, ...]:
    engine: Engine | None = store.find(version)
    users = ", ".join(map(str, store.users(version))) or "-"
    if engine is None:
        return (version, "incomplete: install it again", "", "", "", users)
    s3 = "yes" if plugins.find(version) else "no"
    tested = ", tested" if version in catalog.TESTED else ""
    return (version, f"installed{tested}", str(engine.java_major), s3, f"{engine.size / (1 << 20):.0f} MB", users)


def _installed(store: EngineStore, asked: str) -> str:
    """The installed version that is meant: exactly this one, or the newest patch of a minor."""
    for version in reversed(store.versions()):
        if asked in (version, catalog.minor_of(version)):
            return version
    raise EngineUnknown(f"Flink {asked} is not installed; installed are: {', '.join(store.versions()) or 'none'}")


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on standard error that counts a download and pulses while there is nothing to count."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def report(step: InstallProgress) -> None:
            text = f"{step.what}: {step.note}"
            progress.update(task, description=text, completed=step.done_bytes, total=step.total_bytes)

        yield report


@contextmanager
def _told() -> Iterator[None]:
    """Print an error's sentence instead of a stack trace."""
    try:
        yield
    except HeadraceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
