"""``headrace topics`` and ``headrace notices``: who is told when a job fails, and what became of it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headrace.cli.client import ApiClient, ApiError
from headrace.cli.tables import print_table
from headrace.settings import load_settings

topics = typer.Typer(help="Topics: whom the notices of jobs go to.", no_args_is_help=True)
notices = typer.Typer(help="What became of notices.", invoke_without_command=True)

TOPICS = "/v2/{p}/notifications/topics"
STATUS = {0: "to be confirmed", 1: "confirmed", 3: "canceled"}
PAGE = 100

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")]
Name = Annotated[str, typer.Argument(metavar="TOPIC", help="Name of the topic, as smn_topic of a job has it.")]


@topics.command("create")
def create(
    name: Name, *, display: Annotated[str, typer.Option(help="Words for people.")] = "", home: HomeOption = None
) -> None:
    """Make a topic, or find it there; prints its URN."""
    body = {"name": name, "display_name": display}
    typer.echo(_client(home).call("POST", TOPICS, body)["topic_urn"])


@topics.command("ls")
def ls(*, home: HomeOption = None) -> None:
    """List topics."""
    found = _all(_client(home), TOPICS, "topic")
    print_table(
        ("name", "display name", "URN"), ((one["name"], one["display_name"], one["topic_urn"]) for one in found)
    )


@topics.command("rm")
def rm(name: Name, *, home: HomeOption = None) -> None:
    """Delete a topic with its subscriptions. Jobs that name it cannot be run then."""
    client = _client(home)
    client.call("DELETE", _of(client, name))


@topics.command("subscribe")
def subscribe(
    name: Name,
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="http://…, https://… or an e-mail address.")],
    *,
    remark: Annotated[str, typer.Option(help="Words for people.")] = "",
    home: HomeOption = None,
) -> None:
    """Subscribe a URL or an e-mail address; its receiver is sent a link to confirm it by."""
    client = _client(home)
    scheme, mark, _ = endpoint.partition("://")
    body = {"protocol": scheme.lower() if mark else "email", "endpoint": endpoint, "remark": remark}
    made = client.call("POST", f"{_of(client, name)}/subscriptions", body)["subscription_urn"]
    listed = _all(client, f"{_of(client, name)}/subscriptions", "subscription")
    status = next((one["status"] for one in listed if one["subscription_urn"] == made), 0)
    typer.echo(f"{made} ({STATUS[status]})")


@topics.command("subscriptions")
def subscriptions(name: Name, *, home: HomeOption = None) -> None:
    """List who has subscribed to a topic."""
    client = _client(home)
    print_table(
        ("status", "protocol", "endpoint", "remark", "URN"),
        (
            (STATUS[one["status"]], one["protocol"], one["endpoint"], one["remark"], one["subscription_urn"])
            for one in _all(client, f"{_of(client, name)}/subscriptions", "subscription")
        ),
    )


@topics.command("unsubscribe")
def unsubscribe(
    urn: Annotated[str, typer.Argument(metavar="URN", help="URN of the subscription.")], *, home: HomeOption = None
) -> None:
    """Delete a subscription; what is on its way to it is sent no more."""
    _client(home).call("DELETE", f"/v2/{{p}}/notifications/subscriptions/{quote(urn, safe='')}")


@topics.command("publish")
def publish(
    name: Name,
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="The text; else it is read from standard input.")
    ] = None,
    *,
    subject: Annotated[str, typer.Option(help="The subject.")] = "",
    home: HomeOption = None,
) -> None:
    """Publish a message, for instance to try a subscription; prints its id."""
    client = _client(home)
    body = {"message": sys.stdin.read() if message is None else message, **({"subject": subject} if subject else {})}
    typer.echo(client.call("POST", f"{_of(client, name)}/publish", body)["message_id"])


@notices.callback()
def list_if_alone(context: typer.Context) -> None:
    """What became of notices; without a command: list."""
    if context.invoked_subcommand is None:
        list_notices()


@notices.command("list")
def list_notices(
    state: Annotated[str | None, typer.Option(help="Only those that are waiting, delivered or dead.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most lines, from the newest.")] = 50,
    *,
    home: HomeOption = None,
) -> None:
    """List notices, the newest first: waiting, delivered or dead, and why. For administrators of the project."""
    query = {"limit": limit, **({"state": state} if state else {})}
    answer = _client(home).call("GET", "/headrace/v1/{p}/notices", query=query)
    print_table(
        ("id", "time (UTC)", "topic", "job", "to", "state", "tries", "subject or error"),
        (
            (
                str(one["id"]),
                datetime.fromtimestamp(one["created_ms"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                one["topic"],
                "" if one["job_id"] is None else str(one["job_id"]),
                one["endpoint"] or "nobody",
                one["state"],
                str(one["attempts"]),
                one["error"] or one["subject"] or one["kind"],
            )
            for one in answer["notices"]
        ),
    )
    if answer["count"] > len(answer["notices"]):
        typer.echo(f"{answer['count'] - len(answer['notices'])} older ones: headrace notices list --limit")


@notices.command("retry")
def retry(
    number: Annotated[int, typer.Argument(metavar="ID", help="Number of the notice.")], *, home: HomeOption = None
) -> None:
    """Try one that waits or is dead at once, and again for as long as a new one."""
    _client(home).call("POST", f"/headrace/v1/{{p}}/notices/{number}/retry")


def _client(home: Path | None) -> ApiClient:
    return ApiClient.of_user(load_settings(home).home)


def _of(client: ApiClient, name: str) -> str:
    """Path of the topic of this name; raises ApiError if there is none."""
    found = client.call("GET", TOPICS, query={"name": name})["topics"]
    if not found:
        raise ApiError(404, "SMN.0006", f"there is no topic {name}. Create it first: headrace topics create {name}")
    return f"{TOPICS}/{quote(found[0]['topic_urn'], safe='')}"


def _all(client: ApiClient, path: str, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = client.call("GET", path, query={"limit": PAGE, "offset": len(found)})
        found += answer[f"{kind}s"]
        if not answer[f"{kind}s"] or len(found) >= answer[f"{kind}_count"]:
            return found
