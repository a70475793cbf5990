"""``headrace users``, ``keys`` and ``projects``: the Identity API from the command line. No secret is an argument."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.client import ApiClient, ApiError
from headrace.cli.tables import print_table
from headrace.identity.generated import new_password
from headrace.settings import load_settings

users = typer.Typer(help="Manage the users of the server.", no_args_is_help=True)
keys = typer.Typer(help="Manage access keys.", no_args_is_help=True)
projects = typer.Typer(help="Manage projects.", no_args_is_help=True)
members = typer.Typer(help="Manage who belongs to a project.", no_args_is_help=True)
projects.add_typer(members, name="members", help="Who belongs to a project: add, list, remove.")

KEYS = "/v3.0/OS-CREDENTIAL/credentials"

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")]
UserName = Annotated[str, typer.Argument(metavar="USER", help="Name of the user.")]
ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="Name of the project.")]
Description = Annotated[str, typer.Option(help="Words for others to read.")]
Generate = Annotated[
    bool, typer.Option("--generate", help="Make a password and print it once, instead of asking for one.")
]


@users.command("add")
def add_user(
    name: UserName,
    description: Description = "",
    *,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator of the whole server.")] = False,
    generate: Generate = False,
    home: HomeOption = None,
) -> None:
    """Make a user. The password is asked for, or read from standard input."""
    client, password = _client(home), _password(generate=generate)
    body = {"user": {"name": name, "password": password, "description": description}}
    made = client.call("POST", "/v3/users", body)["user"]
    if admin:
        client.call("PUT", f"/v3/system/users/{made['id']}/roles/admin")
    _tell_password(name, password, generate=generate)


@users.command("list")
def list_users(*, home: HomeOption = None) -> None:
    """List users."""
    print_table(
        ("name", "id", "state", "administrator", "description"),
        (
            (
                user["name"],
                user["id"],
                "enabled" if user["enabled"] else "disabled",
                "yes" if user["is_system_admin"] else "",
                user["description"],
            )
            for user in _client(home).call("GET", "/v3/users")["users"]
        ),
    )


@users.command("password")
def set_password(name: UserName, *, generate: Generate = False, home: HomeOption = None) -> None:
    """Set a user's password, asked for or read from standard input; ends their tokens and temporary keys."""
    client = _client(home)
    user_id, password = _user_id(client, name), _password(generate=generate)
    client.call("PATCH", f"/v3/users/{user_id}", {"user": {"password": password}})
    _tell_password(name, password, generate=generate)


@users.command("disable")
def disable_user(name: UserName, *, home: HomeOption = None) -> None:
    """Let a user in no more; jobs run on."""
    _change_user(home, name, enabled=False)


@users.command("enable")
def enable_user(name: UserName, *, home: HomeOption = None) -> None:
    """Let a disabled user in again."""
    _change_user(home, name, enabled=True)


@users.command("delete")
def delete_user(
    name: UserName,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
) -> None:
    """Delete a user with keys, roles and rights. The jobs stay; the name can never be used again."""
    client = _client(home)
    user_id = _user_id(client, name)
    if not yes:
        typer.confirm(f"Delete {name} for good?", abort=True)
    client.call("DELETE", f"/v3/users/{user_id}")
    typer.echo(f"{name} is deleted")


@keys.command("add")
def add_key(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="Whose; default: yours.")] = None,
    description: Description = "",
    *,
    home: HomeOption = None,
) -> None:
    """Make an access key and print its secret key, once."""
    client = _client(home)
    body = {"credential": {"user_id": _whose(client, user), "description": description}}
    made = client.call("POST", KEYS, body)["credential"]
    typer.echo(f"access key  {made['access']}\nsecret key  {made['secret']}")


@keys.command("list")
def list_keys(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="Whose; default: yours.")] = None,
    *,
    home: HomeOption = None,
) -> None:
    """List access keys, without their secrets."""
    client = _client(home)
    found = client.call("GET", KEYS, query={"user_id": _whose(client, user)})["credentials"]
    rows = ((key["access"], key["status"], key["create_time"][:19], key["description"]) for key in found)
    print_table(("access key", "state", "made (UTC)", "description"), rows)


@keys.command("remove")
def remove_key(
    access_key: Annotated[str, typer.Argument(metavar="ACCESS_KEY", help="The key, not its secret.")],
    *,
    home: HomeOption = None,
) -> None:
    """Remove an access key: it is good for nothing any more."""
    _client(home).call("DELETE", f"{KEYS}/{access_key}")
    typer.echo(f"{access_key} is removed")


@projects.command("add")
def add_project(name: ProjectName, description: Description = "", *, home: HomeOption = None) -> None:
    """Make a project, and print its id."""
    body = {"project": {"name": name, "description": description}}
    typer.echo(_client(home).call("POST", "/v3/projects", body)["project"]["id"])


@projects.command("list")
def list_projects(*, home: HomeOption = None) -> None:
    """List projects: all for an administrator of the server, else yours."""
    found = _client(home).call("GET", "/v3/projects")["projects"]
    rows = (
        (project["name"], project["id"], "enabled" if project["enabled"] else "disabled", project["description"])
        for project in found
    )
    print_table(("name", "id", "state", "description"), rows)


@members.command("add")
def add_member(
    project: ProjectName,
    user: UserName,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="An administrator of the project, not a member.")] = False,
    home: HomeOption = None,
) -> None:
    """Let a user into a project, or change the role there."""
    client = _client(home)
    role = "admin" if admin else "member"
    client.call("PUT", f"{_membership(client, project, user)}/{role}")
    typer.echo(f"{user} is {role} of {project}")


@members.command("list")
def list_members(project: ProjectName, *, home: HomeOption = None) -> None:
    """List who belongs to a project, besides the administrators of the server."""
    client = _client(home)
    query = {"scope.project.id": _project_id(client, project)}
    found = client.call("GET", "/v3/role_assignments", query=query)["role_assignments"]
    print_table(("user", "role"), ((held["user"]["name"], held["role"]["name"]) for held in found))


@members.command("remove")
def remove_member(project: ProjectName, user: UserName, *, home: HomeOption = None) -> None:
    """Let a user into a project no more: what was granted there is gone, jobs stay."""
    client = _client(home)
    path = _membership(client, project, user)
    for role in client.call("GET", path)["roles"]:
        client.call("DELETE", f"{path}/{role['id']}")
    typer.echo(f"{user} is no member of {project}")


def _client(home: Path | None) -> ApiClient:
    return ApiClient.of_user(load_settings(home).home)


def _named(client: ApiClient, kind: str, name: str) -> str:
    """The id of the user or project of this name."""
    found = client.call("GET", f"/v3/{kind}s", query={"name": name})[f"{kind}s"]
    if not found:
        raise ApiError(404, "", f"There is no {kind} named {name}, or you may not see it.")
    return str(found[0]["id"])


def _user_id(client: ApiClient, name: str) -> str:
    return _named(client, "user", name)


def _project_id(client: ApiClient, name: str) -> str:
    return _named(client, "project", name)


def _membership(client: ApiClient, project: str, user: str) -> str:
    return f"/v3/projects/{_project_id(client, project)}/users/{_user_id(client, user)}/roles"


def _whose(client: ApiClient, user: str | None) -> str:
    """The id of the user, or of the one whose key this client has."""
    if user is not None:
        return _user_id(client, user)
    return str(client.call("GET", f"{KEYS}/{client.access_key}")["credential"]["user_id"])


def _change_user(home: Path | None, name: str, *, enabled: bool) -> None:
    client = _client(home)
    client.call("PATCH", f"/v3/users/{_user_id(client, name)}", {"user": {"enabled": enabled}})
    typer.echo(f"{name} is {'enabled' if enabled else 'disabled'}")


def _password(*, generate: bool) -> str:
    if generate:
        return new_password()
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _tell_password(name: str, password: str, *, generate: bool) -> None:
    typer.echo(f"password of {name}: {password}" if generate else f"the password of {name} is set")
