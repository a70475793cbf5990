"""``headrace jobs``: jobs and their journals, from the command line."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from headrace.cli import logs
from headrace.cli.client import ApiClient
from headrace.domain.job import AT_REST
from headrace.settings import load_settings

app = typer.Typer(help="Look at jobs, run and stop them.", no_args_is_help=True)

STREAMING = "/v1.0/{p}/streaming/jobs"
EVENTS = "/headrace/v1/{p}/jobs/{job_id}/events"
PAGE = 100
"""Jobs or lines of one request."""
FOLLOW_SECONDS = 0.5
WAY_BACK = 20
"""So many lines tell enough of why a job is as it is."""
IN_PASSING = frozenset({"waiting", "restarting"})
"""Phases that a job went through: what their lines say is past when the next one comes."""

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")]
JobId = Annotated[int, typer.Argument(metavar="JOB", help="Number of the job.")]
JobIds = Annotated[list[int], typer.Argument(metavar="JOB...", help="Numbers of jobs.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, as the API gives it.")]


@app.command("list")
def list_jobs(
    status: Annotated[str, typer.Option(help="Only jobs that are, e.g., job_running.")] = "",
    queue: Annotated[str, typer.Option(help="Only jobs of this queue.")] = "",
    name: Annotated[str, typer.Option(help="Only jobs with this in their name.")] = "",
    *,
    as_json: AsJson = False,
    home: HomeOption = None,
) -> None:
    """List jobs, the newest first."""
    given = {"status": status, "queue_name": queue, "name": name, "show_detail": "true"}
    found = list(_jobs(_client(home), {key: value for key, value in given.items() if value}))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table("id", "name", "status", "queue", "CUs", "restarts", "started (UTC)", box=None)
    for job in found:
        cus = str(_cus(job["job_config"])) if "job_config" in job else "–"
        at = _time(job["start_time"]) if job["start_time"] else "–"
        words = (job["name"], job["status"], job["queue_name"] or "–", cus, str(job["restart_times"]), at)
        table.add_row(str(job["job_id"]), *words)
    Console(soft_wrap=True).print(table)


@app.command()
def show(job_id: JobId, *, as_json: AsJson = False, home: HomeOption = None) -> None:
    """Show a job: where it stands and why, and what it is."""
    job = _detail(_client(home), job_id)
    if as_json:
        typer.echo(json.dumps(job, indent=2))
        return
    config = job["job_config"]
    typer.echo(_headline(job))
    checkpoints = f"every {config['checkpoint_interval']} s, {config['checkpoint_mode']}"
    for name, value in (
        ("restarts", f"{job['restart_times']} ({_restart_rule(config)})"),
        ("savepoint", job["savepoint_path"] or "none"),
        ("checkpoints", checkpoints if config["checkpoint_enabled"] else "as its code says"),
        ("kept in", config["checkpoint_path"] or config["obs_bucket"] or "the home"),
        ("queue", f"{job['queue_name'] or 'none'}, {_cus(config)} CUs, parallelism {config['parallel_number']}"),
        ("engine", f"Flink {config['flink_version']}" if config["flink_version"] else "Flink of the operator's choice"),
        ("entrypoint", f"{config['entrypoint'] or 'none'} {job['main_class']}".rstrip()),
        ("arguments", job["entrypoint_args"] or "none"),
        ("created", f"{_time(job['create_time'])} UTC by {job['user_name']}"),
        ("started", f"{_time(job['start_time'])} UTC" if job["start_time"] else "never"),
    ):
        typer.echo(f"{name:<12} {_plain(value)}")


@app.command()
def events(
    job_id: JobId,
    limit: Annotated[int, typer.Option(min=1, max=2000, help="Most lines, from the newest.")] = 50,
    *,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as the API gives it.")] = False,
    home: HomeOption = None,
) -> None:
    """Show a job's journal: why it waits, was restarted, failed. The oldest line comes first."""
    client = _client(home)
    found = _events(client, job_id, {"limit": limit})
    for event in found:
        typer.echo(_line(event, as_json=as_json))
    if not follow_on:
        return
    try:
        for event in follow(client, job_id, found[-1]["id"] if found else 0, pause):
            typer.echo(_line(event, as_json=as_json))
    except KeyboardInterrupt:
        return


@app.command()
def explain(job_id: JobId, *, home: HomeOption = None) -> None:
    """Say why a job is as it is: why it waits, is restarted, has failed; and how it came to that."""
    client = _client(home)
    job = _detail(client, job_id)
    typer.echo(_headline(job))
    told = _telling(_present_run(_events(client, job_id, {"limit": PAGE})))
    if told:
        typer.echo("How it came to that:")
    for event in told[-WAY_BACK:]:
        typer.echo(f"  {_line(event, as_json=False)}")


@app.command("logs")
def show_logs(
    job_id: JobId,
    log: Annotated[str, typer.Argument(help="Which one, e.g. taskmanager-1.out.")] = "jobmanager.log",
    *,
    attempt: Annotated[int | None, typer.Option(min=1, help="Attempt; default: the newest.")] = None,
    tail_kb: Annotated[int, typer.Option(min=0, help="From so many KB before its end.")] = 64,
    follow_on: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    home: HomeOption = None,
) -> None:
    """Show what a process of a job logs or prints, while it runs and after its end."""
    client = _client(home)
    found = logs.listed(client, job_id)
    chosen = logs.chosen(found, attempt, log)
    if chosen is None:
        names = "".join(f"\n  attempt {one['attempt']}: {logs.short(one)}" for one in found)
        typer.echo(
            f"{log} is not a log of the job {job_id} on the server's machine. There are:{names or ' none'}", err=True
        )
        raise typer.Exit(1)
    try:
        for part in logs.shown(logs.text(client, job_id, chosen, tail_kb << 10), follow=follow_on, wait=pause):
            typer.echo(part, nl=False)
    except KeyboardInterrupt:
        return


@app.command()
def run(
    job_ids: JobIds,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="From the job's newest savepoint, not clean.")] = False,
    home: HomeOption = None,
) -> None:
    """Run jobs that are not active."""
    _each(_client(home), "run", job_ids, {"resume_savepoint": resume})


@app.command()
def stop(
    job_ids: JobIds,
    *,
    savepoint: Annotated[bool, typer.Option("--savepoint", help="Make a savepoint first, to resume from.")] = False,
    home: HomeOption = None,
) -> None:
    """Stop jobs, those too that are being restarted."""
    _each(_client(home), "stop", job_ids, {"trigger_savepoint": savepoint})


@app.command()
def delete(
    job_ids: JobIds,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Delete jobs, in whatever state; what they put into buckets stays."""
    if not yes:
        typer.confirm(f"Delete {', '.join(map(str, job_ids))} for good?", abort=True)
    _each(_client(home), "delete", job_ids, {})


@app.command()
def savepoint(
    job_id: JobId,
    to: Annotated[str, typer.Option(help="Folder below which it goes, obs://bucket/folder.")] = "",
    *,
    home: HomeOption = None,
) -> None:
    """Ask for a savepoint of a running job, which goes on; its journal tells when it is made."""
    body = {"action": "TRIGGER", "savepoint_path": to}
    _client(home).call("POST", f"{STREAMING}/{job_id}/savepoint", body)
    typer.echo(f"job {job_id}: a savepoint is asked for")


def follow(client: ApiClient, job_id: int, after: int, wait: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The lines of the journal that follow the line ``after``, as they come; ``wait`` while there is none.

    Raises:
        ApiError: the job is gone, or the server is.
    """
    while True:
        found = _events(client, job_id, {"after": after, "limit": PAGE})
        for event in found:
            after = event["id"]
            yield event
        if not found:
            wait()


def pause() -> None:
    """Until the journal is looked at again."""
    time.sleep(FOLLOW_SECONDS)


def _client(home: Path | None) -> ApiClient:
    return ApiClient.of_user(load_settings(home).home)


def _jobs(client: ApiClient, query: dict[str, str]) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        page = client.call("GET", STREAMING, query={**query, "limit": PAGE, "offset": offset})["job_list"]["jobs"]
        yield from page
        offset += len(page)
        if len(page) < PAGE:
            return


def _detail(client: ApiClient, job_id: int) -> dict[str, Any]:
    return dict(client.call("GET", f"{STREAMING}/{job_id}")["job_detail"])


def _events(client: ApiClient, job_id: int, query: dict[str, int]) -> list[dict[str, Any]]:
    path = EVENTS.replace("{job_id}", str(job_id))
    return list(client.call("GET", path, query=query)["events"])


def _each(client: ApiClient, action: str, job_ids: list[int], more: dict[str, Any]) -> None:
    """Raises ApiError if all were refused, and ends with exit code 1 if some were."""
    told = client.call("POST", f"{STREAMING}/{action}", {"job_ids": job_ids, **more})
    refused = False
    for job_id, element in zip(job_ids, told, strict=True):
        if element["is_success"] == "true":
            typer.echo(f"job {job_id}: {action} is asked for")
        else:
            refused = True
            typer.echo(f"job {job_id}: {element['error_code']}: {element['error_msg']}", err=True)
    if refused:
        raise typer.Exit(1)


def _headline(job: dict[str, Any]) -> str:
    why = f"\n{_plain(job['status_desc'])}" if job["status_desc"] else ""
    return f"job {job['job_id']} ({job['name']}): {job['status']}{why}"


def _line(event: dict[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(event)
    attempt = f"#{event['attempt']}"
    return f"{_time(event['at_ms'])}  {attempt:<4} {event['status']:<22} {_what(event)}".rstrip()


def _what(event: dict[str, Any]) -> str:
    """What is not in the status: DLI has one word for much that goes on before a job runs, and after."""
    moved = event["kind"] == "moved"
    return f"{event['phase'] + ': ' if moved else ''}{_plain(event['note'])}".removesuffix(": ")


def _present_run(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines since the job was at rest; of one at rest, those since it was at rest before that."""
    moves = [number for number, event in enumerate(found) if event["kind"] == "moved"]
    rests = [number for number in moves if found[number]["phase"] in AT_REST]
    if rests and rests[-1] == moves[-1]:
        rests.pop()
    return found[rests[-1] + 1 :] if rests else found


def _telling(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines that answer something."""
    passed = [event for event in found[:-1] if event["kind"] != "moved" or event["phase"] not in IN_PASSING]
    return [event for event in (*passed, *found[-1:]) if event["note"]]


def _restart_rule(config: dict[str, Any]) -> str:
    if not config["restart_when_exception"]:
        return "off"
    most = config["resume_max_num"]
    state = "from the newest checkpoint" if config["resume_checkpoint"] else "without state"
    return f"on, {'without limit' if most < 0 else f'at most {most} an hour'}, {state}"


def _cus(config: dict[str, Any]) -> int:
    return int(config["real_cu_number"] or config["cu_number"])


def _plain(text: str) -> str:
    """One line without control characters: the words of user code must not rule the terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
