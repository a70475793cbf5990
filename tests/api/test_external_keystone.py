"""Another Keystone issues the tokens: a second server, on a socket, that knows nothing of the first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from keystoneauth1 import exceptions as refusals
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.testclient import TestClient

from headrace.api.app import create_app
from headrace.domain.errors import NotSupported, Unavailable
from headrace.identity.accounts import Accounts
from headrace.identity.directory import Directory
from headrace.identity.founding import Identity
from headrace.identity.keystone import ExternalKeystone, api_url
from headrace.identity.passwords import Passwords
from headrace.settings import Settings
from headrace.store.audit import Trace
from headrace.store.identity import IdentityStore, User
from headrace.store.outsiders import Outsider, OutsiderStore
from tests.api.conftest import OTHER, PROJECT, Stand
from tests.support.people import PASSWORD, VAULT
from tests.support.serving import serving

JOBS = "/v1.0/{p}/streaming/jobs"


class Watch:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Here:
    """A server without users whose tokens come from ``url``."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        folder.mkdir()
        wanted = Settings(home=folder, keystone_url=url, keystone_cache_seconds=60, **settings)
        self.watch = Watch()
        self.stand = Stand(folder, wanted)
        self.stand.clock.ms = int(time.time() * 1000)
        self.users = IdentityStore(self.stand.database)
        clock = self.stand.clock
        self.keystone = ExternalKeystone(wanted, OutsiderStore(self.stand.database), clock, self.watch)
        keys = self.stand.services.accounts.keys
        directory = Directory(self.users, keys, VAULT, clock, self.keystone)
        identity = Identity(self.users, keys, VAULT, directory, Passwords())
        self.accounts = Accounts(identity, wanted, clock, self.watch)
        services = replace(self.stand.services, directory=directory, accounts=self.accounts)
        self.app = create_app(services)
        self.client = TestClient(self.app)

    def get(self, token: str, project: str = PROJECT) -> Any:
        return self.send("GET", JOBS.replace("{p}", project), token)

    def send(self, method: str, path: str, token: str, body: Any = None) -> Any:
        return self.client.request(method, path.replace("{p}", PROJECT), json=body, headers={"X-Auth-Token": token})


@pytest.fixture
def elsewhere(tmp_path: Path, migrated: Path) -> Stand:
    """The other Keystone; its people are those of the store."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    shutil.copyfile(migrated, folder / "db.sqlite")
    stand = Stand(folder, Settings(home=folder))
    stand.clock.ms = int(time.time() * 1000)
    return stand


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Here]]:
    """Makes servers that ask the Keystone at a URL."""
    with ExitStack() as stack:

        def here(url: str, **settings: Any) -> Here:
            made = Here(tmp_path / "here", url, **settings)
            stack.callback(made.stand.database.close)
            return made

        yield here


@pytest.fixture
def url(elsewhere: Stand) -> Iterator[str]:
    services = replace(elsewhere.services, directory=elsewhere.services.accounts.directory)
    with serving(create_app(services)) as address:
        yield address
    elsewhere.database.close()


def token_of(url: str, user: str, project_name: str | None = None) -> str:
    auth = Password(
        f"{url}/v3", username=user, password=PASSWORD, user_domain_name="Default", project_name=project_name
    )
    return str(auth.get_token(Session()))


def test_its_tokens_open_the_project_that_they_are_for(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    assert here.get("nothing").status_code == 401
    assert here.users.projects() == []
    token = token_of(url, "tester", project_name="one")
    assert here.get(token).status_code == 200
    assert [(project.id, project.name) for project in here.users.projects()] == [(PROJECT, "one")]
    assert [(user.name, role) for user, role in here.users.members(PROJECT)] == [("tester", "admin")]
    assert here.get(token, OTHER).status_code == 403
    queue = {"queue_name": "q", "queue_type": "general", "cu_count": 16}
    assert here.send("POST", "/v1.0/{p}/queues", token, queue).status_code == 200
    member = token_of(url, "sub", project_name="one")
    assert here.get(member).status_code == 200
    assert here.send("POST", "/v1.0/{p}/queues", member, {**queue, "queue_name": "r"}).status_code == 403


def test_its_administrators_are_none_of_this_server(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    token = token_of(url, "boss", project_name="one")
    assert here.get(token).status_code == 200
    assert here.send("POST", "/v3/projects", token, {"project": {"name": "x"}}).status_code == 403
    assert [project["name"] for project in here.send("GET", "/v3/projects", token).json()["projects"]] == ["one"]


def test_which_roles_make_an_administrator_is_set(url: str, make: Callable[..., Here]) -> None:
    here = make(url, keystone_admin_roles=["member"])
    for user, role in (("tester", "member"), ("sub", "admin")):
        assert here.get(token_of(url, user, project_name="one")).status_code == 200
        assert (user, role) in [(member.name, held) for member, held in here.users.members(PROJECT)]


def test_a_token_for_no_project_opens_none(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    token = token_of(url, "both")
    assert here.get(token).status_code == 403
    assert here.users.projects() == []


def test_this_server_issues_no_tokens_and_says_who_does(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    with serving(here.app) as own, pytest.raises(refusals.BadRequest, match=f"takes its tokens from {url}"):
        token_of(own, "tester")
    token = token_of(url, "tester", project_name="one")
    for method, path, body in (
        ("GET", "/v3/auth/tokens", None),
        ("POST", "/v3.0/OS-CREDENTIAL/securitytokens", {"auth": {"identity": {"methods": ["token"]}}}),
    ):
        answer = here.send(method, path, token, body)
        assert (answer.status_code, url in answer.json()["error_msg"]) == (400, True)
    mine = here.users.users(name="tester")[0]
    answer = here.send("POST", "/v3.0/OS-CREDENTIAL/credentials", token, {"credential": {"user_id": mine.id}})
    assert (answer.status_code, "external Keystone" in answer.json()["error_msg"]) == (400, True)
    with pytest.raises(NotSupported, match="external Keystone"):
        here.accounts.set_password(mine, "a long password", trace=Trace(1, "", "root", "x", "", ""))
    assert here.users.is_external(mine.id)


def test_an_answer_is_believed_for_a_while_and_no_longer(url: str, elsewhere: Stand, make: Callable[..., Here]) -> None:
    here = make(url)
    token = token_of(url, "tester", project_name="one")
    assert here.get(token).status_code == 200
    elsewhere.services.accounts.users.set_password("id-of-tester", "changed")
    here.watch.now += 59
    assert here.get(token).status_code == 200
    here.watch.now += 1
    assert here.get(token).status_code == 401


def test_a_token_that_ends_is_not_believed_any_longer(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    token = token_of(url, "tester", project_name="one")
    assert here.get(token).status_code == 200
    here.stand.clock.ms += 24 * 3_600_000
    assert here.get(token).status_code == 401


def test_a_role_that_was_taken_away(url: str, elsewhere: Stand, make: Callable[..., Here]) -> None:
    here = make(url)
    assert here.get(token_of(url, "tester", project_name="one")).status_code == 200
    elsewhere.services.accounts.users.set_role(PROJECT, "id-of-tester", "member")
    assert here.get(token_of(url, "tester", project_name="one")).status_code == 200
    assert [role for _, role in here.users.members(PROJECT)] == ["member"]


def test_who_is_disabled_here_does_not_get_in(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    assert here.get(token_of(url, "tester", project_name="one")).status_code == 200
    boss = User("b" * 32, "local", "", is_admin=True, enabled=True, created_ms=1)
    here.users.add_user(boss, "")
    here.users.change_user(here.users.users(name="tester")[0].id, enabled=False)
    assert here.get(token_of(url, "tester", project_name="one")).status_code == 401
    assert here.get(token_of(url, "sub", project_name="one")).status_code == 200
    here.users.change_project(replace(here.users.project(PROJECT), enabled=False))
    assert here.get(token_of(url, "sub", project_name="one")).status_code == 401


def test_who_is_disabled_here_is_so_at_once(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    token = token_of(url, "tester", project_name="one")
    assert here.get(token).status_code == 200
    here.users.add_user(User("b" * 32, "local", "", is_admin=True, enabled=True, created_ms=1), "")
    here.users.change_user(here.users.users(name="tester")[0].id, enabled=False)
    assert here.get(token).status_code == 401


def test_each_token_has_its_own_role(url: str, elsewhere: Stand, make: Callable[..., Here]) -> None:
    here = make(url)
    admin = token_of(url, "tester", project_name="one")
    assert here.get(admin).status_code == 200
    elsewhere.services.accounts.users.set_role(PROJECT, "id-of-tester", "member")
    member = token_of(url, "tester", project_name="one")
    assert here.get(member).status_code == 200
    queue = {"queue_name": "q", "queue_type": "general", "cu_count": 16}
    assert here.send("POST", "/v1.0/{p}/queues", member, queue).status_code == 403
    here.users.set_role(PROJECT, "id-of-tester", "admin")  # as another token of theirs would do meanwhile
    assert here.send("POST", "/v1.0/{p}/queues", member, queue).status_code == 403


@pytest.mark.parametrize("is_admin", [True, False])
def test_an_id_that_is_somebodys_here_is_not_theirs(url: str, make: Callable[..., Here], *, is_admin: bool) -> None:
    here = make(url)
    here.users.add_user(User("id-of-sub", "root", "", is_admin=is_admin, enabled=True, created_ms=1), "hash")
    assert here.get(token_of(url, "sub", project_name="one")).status_code == 401
    assert here.users.projects() == []


def test_a_name_that_is_somebodys_here_is_not_theirs(url: str, make: Callable[..., Here]) -> None:
    here = make(url)
    here.users.add_user(User("c" * 32, "Tester", "", is_admin=True, enabled=True, created_ms=1), "")
    assert here.get(token_of(url, "tester", project_name="one")).status_code == 200
    assert [user.name for user, _ in here.users.members(PROJECT)] == ["tester@default"]


def test_names_differ_whatever_the_case_of_their_letters(make: Callable[..., Here]) -> None:
    here = make("http://localhost:1")
    for number, name in enumerate(("Émile", "Émile", "éMILE")):
        outsider = Outsider(f"u{number}", name, f"d{number}", "p", "x")
        principal = OutsiderStore(here.stand.database).admit(outsider, now_ms=1)
        assert principal is not None
        assert principal.user_name == (name if number == 0 else f"{name}@d{number}")


def test_silence_is_no_yes(tmp_path: Path, make: Callable[..., Here]) -> None:
    with serving(FastAPI()) as gone:
        pass
    here = make(gone)
    answer = here.get("some-token")
    assert (answer.status_code, answer.json()["error_code"]) == (503, "DLI.0999")
    assert gone in answer.json()["error_msg"]


TOKEN: dict[str, Any] = {
    "user": {"id": "u" * 32, "name": "eve", "domain": {"id": "d"}},
    "project": {"id": "p" * 32, "name": "x"},
    "roles": [{"name": "admin"}],
    "expires_at": "2999-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=500),
        Response(status_code=403),
        Response(status_code=204),
        RedirectResponse("/elsewhere"),
        Response("<html>", media_type="text/html"),
        JSONResponse([]),
        JSONResponse({"token": None}),
        JSONResponse({"token": {}}),
        JSONResponse({"token": {**TOKEN, "more": "x" * 2_000_000}}),
        Response("[" * 100_000, media_type="application/json"),
        JSONResponse({"token": {**TOKEN, "user": {"name": "eve"}}}),
        JSONResponse({"token": {**TOKEN, "project": {"id": "../x", "name": "x"}}}),
        JSONResponse({"token": {**TOKEN, "expires_at": "never"}}),
        JSONResponse({"token": {**TOKEN, "user": {**TOKEN["user"], "name": "a\nb"}}}),
    ],
)
def test_what_is_no_answer_is_no_yes(make: Callable[..., Here], answer: Response) -> None:
    app = FastAPI()
    app.get("/v3/auth/tokens")(lambda: answer)
    with serving(app) as url:
        here = make(url)
        with pytest.raises(Unavailable, match=url):
            here.keystone.token("some-token")
    assert here.users.users() == []


@pytest.mark.parametrize(
    ("token", "in_"),
    [
        (TOKEN, True),
        ({**TOKEN, "expires_at": "2999-01-01T00:00:00.000000"}, True),
        ({**TOKEN, "expires_at": "2001-01-01T00:00:00Z"}, False),
    ],
)
def test_what_is_one(make: Callable[..., Here], token: Any, *, in_: bool) -> None:
    app = FastAPI()
    app.get("/v3/auth/tokens")(lambda: JSONResponse({"token": token}))
    with serving(app) as url:
        here = make(url + "/v3/")
        principal = here.keystone.token("some-token")
        assert (principal is not None) == in_
        assert all(here.keystone.token(bad) is None for bad in ("", "a b", "a\r\nb", "\udc80", "ä", "x" * 9000))


@pytest.mark.parametrize("url", ["https://iam/v3", "https://iam/v3/", "https://iam", "https://iam/"])
def test_the_version_may_be_left_out(url: str) -> None:
    assert api_url(url) == "https://iam/v3"
