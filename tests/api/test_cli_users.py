"""``headrace users``, ``keys`` and ``projects`` against the API, over a real socket."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from headrace.api.app import create_app
from headrace.cli.app import app
from headrace.cli.client import ApiClient, ApiError
from headrace.store.identity import IdentityStore
from tests.api.conftest import OTHER, PROJECT, Stand
from tests.support.people import VAULT, accounts_of
from tests.support.serving import serving

Cli = Callable[..., str]


@pytest.fixture
def users(bare: Stand) -> IdentityStore:
    return bare.services.accounts.users


@pytest.fixture
def served(bare: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    bare.clock.ms = int(time.time() * 1000)
    monkeypatch.delenv("HEADRACE_PROJECT_ID", raising=False)
    with serving(create_app(replace(bare.services, directory=bare.services.accounts.directory))) as url:
        monkeypatch.setenv("HEADRACE_URL", url)
        yield url


@pytest.fixture
def cli(served: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs ``headrace`` with the keys of a user, by default of the server's administrator."""

    def call(*words: str, user: str = "boss", typed: str = "") -> str:
        monkeypatch.setenv("HEADRACE_ACCESS_KEY", f"KEY-{user}")
        monkeypatch.setenv("HEADRACE_SECRET_KEY", f"secret of KEY-{user}")
        return CliRunner().invoke(app, words, input=typed, catch_exceptions=False).output

    return call


def words(table: str) -> list[list[str]]:
    """The lines of a table, without its head."""
    return [line.split() for line in table.splitlines()[1:] if line.strip()]


def right(bare: Stand, user: str, password: str) -> bool:
    accounts = accounts_of(bare.database, bare.services.settings, bare.clock)
    return accounts._passwords.verify(accounts.users.password_hash(accounts.users.users(name=user)[0].id), password)


def test_the_life_of_a_user(cli: Cli, users: IdentityStore, bare: Stand) -> None:
    said = cli("users", "add", "eve", "--description", "new", typed="an eve's password\n")
    assert said == "the password of eve is set\n"
    [eve] = users.users(name="eve")
    assert (eve.description, eve.is_admin, right(bare, "eve", "an eve's password")) == ("new", False, True)
    said = cli("users", "password", "eve", "--generate")
    assert right(bare, "eve", said.removeprefix("password of eve: ").strip())
    assert cli("users", "password", "eve", typed="another password\n") == "the password of eve is set\n"
    assert right(bare, "eve", "another password")
    assert ["eve", eve.id, "enabled", "new"] in words(cli("users", "list"))
    assert cli("users", "disable", "eve") == "eve is disabled\n"
    assert ["eve", eve.id, "disabled", "new"] in words(cli("users", "list"))
    assert cli("users", "enable", "eve") == "eve is enabled\n"
    assert "Aborted" in cli("users", "delete", "eve", typed="n\n")
    assert users.users(name="eve") == [eve]
    assert cli("users", "delete", "eve", "--yes") == "eve is deleted\n"
    assert users.users(name="eve") == []


def test_an_administrator_is_made(cli: Cli, users: IdentityStore) -> None:
    said = cli("users", "add", "root", "--admin", "--generate")
    assert re.fullmatch(r"password of root: [A-Za-z0-9]{20}\n", said)
    assert users.users(name="root")[0].is_admin


def test_keys(cli: Cli, bare: Stand) -> None:
    said = cli("keys", "add", "--description", "for CI", user="sub")
    made = dict(line.split("  ") for line in said.splitlines())
    stored = bare.services.accounts.keys.find(made["access key"])
    assert stored is not None
    assert (stored.user_id, stored.description) == ("id-of-sub", "for CI")
    assert VAULT.open(stored.sealed_secret, stored.access_key) == made["secret key"]
    listed = cli("keys", "list", user="sub")
    assert [line[0] for line in words(listed)] == ["KEY-sub", made["access key"]]
    assert made["secret key"] not in listed
    assert [line[0] for line in words(cli("keys", "list", "sub"))] == ["KEY-sub", made["access key"]]
    cli("keys", "add", "tester")
    assert len(words(cli("keys", "list", "tester"))) == 2
    assert cli("keys", "remove", made["access key"], user="sub") == f"{made['access key']} is removed\n"
    assert len(words(cli("keys", "list", user="sub"))) == 1


def test_projects_and_their_members(cli: Cli, users: IdentityStore) -> None:
    made = cli("projects", "add", "three", "--description", "orders").strip()
    assert users.project(made).description == "orders"
    assert ["three", made, "enabled", "orders"] in words(cli("projects", "list"))
    assert [line[0] for line in words(cli("projects", "list", user="sub"))] == ["one"]
    assert cli("projects", "members", "add", "three", "sub") == "sub is member of three\n"
    assert cli("projects", "members", "add", "three", "sub", "--admin") == "sub is admin of three\n"
    assert words(cli("projects", "members", "list", "three")) == [["sub", "admin"]]
    assert cli("projects", "members", "remove", "three", "sub") == "sub is no member of three\n"
    assert users.members(made) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("users", "add", "tester"), "never used twice"),
        (("users", "delete", "nobody", "--yes"), "no user named nobody"),
        (("users", "disable", "boss"), "last administrator"),
        (("users", "password", "sub"), "8 to 128"),
        (("keys", "remove", "NONE"), "NONE"),
        (("projects", "add", "one"), "already"),
        (("projects", "members", "add", "nowhere", "sub"), "no project named nowhere"),
    ],
)
def test_refusals_are_told(cli: Cli, command: tuple[str, ...], said: str) -> None:
    with pytest.raises(ApiError, match=said):
        cli(*command, typed="long enough\n" if "add" in command else "short\n")


def test_who_is_no_administrator_manages_nobody(cli: Cli) -> None:
    with pytest.raises(ApiError, match="no administrator of the server"):
        cli("users", "add", "eve", user="tester", typed="long enough\n")
    with pytest.raises(ApiError, match="may not see it"):
        cli("keys", "add", "sub", user="tester")


def test_the_project_is_the_only_one_or_must_be_named(
    served: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, bare: Stand
) -> None:
    assert cli("objects", "ls", user="tester") == ""
    assert ApiClient.of_user(bare.home).project_id == PROJECT
    with pytest.raises(ApiError, match=f"HEADRACE_PROJECT_ID to one of your projects: {PROJECT}"):
        cli("objects", "ls", user="both")
    monkeypatch.setenv("HEADRACE_PROJECT_ID", OTHER)
    assert cli("objects", "ls", user="both") == ""
    assert ApiClient.of_user(bare.home).project_id == OTHER


def test_half_a_key_pair_is_none(served: str, bare: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEADRACE_SECRET_KEY", raising=False)
    monkeypatch.setenv("HEADRACE_ACCESS_KEY", "KEY-boss")
    with pytest.raises(ApiError, match="both"):
        ApiClient.of_user(bare.home)
    monkeypatch.delenv("HEADRACE_ACCESS_KEY")
    with pytest.raises(ApiError, match="set HEADRACE_ACCESS_KEY and HEADRACE_SECRET_KEY to yours"):
        ApiClient.of_user(bare.home)
