"""``headrace audit``: who did what."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from headrace.cli.client import ApiClient
from headrace.settings import load_settings


def audit(
    home: Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")] = None,
    job: Annotated[int | None, typer.Option(help="Only what was done to this job.")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    trace: Annotated[str | None, typer.Option(help="Only this, e.g. submitStreamJobs.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most lines, from the newest.")] = 50,
    *,
    server: Annotated[
        bool, typer.Option("--server", help="What was done to users, projects and keys; for its administrators.")
    ] = False,
) -> None:
    """Show who did what to which job, queue or package, the newest first."""
    query: dict[str, Any] = {"limit": limit, "user_name": user, "trace_name": trace}
    if job is not None:
        query |= {"resource_type": "job", "resource_id": str(job)}
    client = ApiClient.of_user(load_settings(home).home)
    given = {name: value for name, value in query.items() if value is not None}
    answer = client.call("GET", "/headrace/v1/audit" if server else "/headrace/v1/{p}/audit", query=given)
    table = Table("time (UTC)", "user", "did", "to", "name", "from", box=None)
    for line in answer["traces"]:
        at = datetime.fromtimestamp(line["at_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        thing = f"{line['resource_type']} {line['resource_id']}"
        table.add_row(at, line["user_name"], line["trace_name"], thing, line["resource_name"], line["source_ip"])
    Console(soft_wrap=True).print(table)
    if answer["count"] > len(answer["traces"]):
        typer.echo(f"{answer['count'] - len(answer['traces'])} older lines; see --limit")
