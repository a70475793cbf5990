"""``headrace serve`` and ``headrace down``."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.domain.errors import HomeUnusable
from headrace.home import Home
from headrace.settings import Settings, load_settings

if TYPE_CHECKING:
    from headrace.identity.founding import Founded

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")]


def serve(
    home: HomeOption = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    init_admin: Annotated[
        str | None,
        typer.Option(
            help="First start of a shared installation: make this administrator, and tell the keys this once."
        ),
    ] = None,
    *,
    insecure_bind: Annotated[
        bool, typer.Option("--insecure-bind", help="Allow to listen beyond this machine without TLS.")
    ] = False,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C. Running jobs go on then, and are found again by the next serve."""
    from headrace import main  # noqa: PLC0415 - the other commands start without the server's parts

    settings = load_settings(home, host=host, port=port)
    _refuse_open_bind(settings, insecure_bind=insecure_bind)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)

    def ready(url: str) -> None:
        file = Home(settings.home).server_file
        published = "access_key" in json.loads(file.read_text())
        typer.echo(f"Headrace serves {url}" + (f"\nKeys: {file}" if published else ""))

    def founded(told: Founded) -> None:
        typer.echo(
            f"Administrator {told.user_name}. This is told once, and kept nowhere: write it down.\n"
            f"  project id  {told.project_id}\n"
            f"  access key  {told.access_key}\n"
            f"  secret key  {told.secret_key}\n"
            f"  password    {told.password}"
        )
        sys.stdout.flush()

    main.serve(settings, ready, init_admin, founded)


def down(
    home: HomeOption = None,
    *,
    savepoint: Annotated[
        bool, typer.Option("--savepoint", help="Make a savepoint of each job first, to resume from.")
    ] = False,
) -> None:
    """Stop the server of this home, and all its jobs; returns when no process is left."""
    from headrace.down import end_jobs  # noqa: PLC0415

    settings = load_settings(home)
    place = Home(settings.home)
    if not place.exists:
        typer.echo(f"Nothing to do: there is no home {settings.home}.")
        return
    pid = place.holder()
    if pid is not None:
        typer.echo(f"stopping the server (pid {pid})")
        os.kill(pid, signal.SIGTERM)
        while place.holder() is not None:
            time.sleep(0.05)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    end_jobs(settings, with_savepoint=savepoint, told=typer.echo)
    typer.echo("Nothing is running any more.")


def _refuse_open_bind(settings: Settings, *, insecure_bind: bool) -> None:
    if settings.host == "localhost" or insecure_bind:
        return
    try:
        loopback = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise HomeUnusable(
            f"host={settings.host!r} can be reached from other machines, and there is no TLS: signatures would be "
            "safe, but bodies could be read. Put a TLS proxy in front of a loopback address, or pass --insecure-bind."
        )
