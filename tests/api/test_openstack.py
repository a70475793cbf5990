"""The ``openstack`` command and keystoneauth as clients, over a real socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openstack as openstack_sdk
import pytest
from keystoneauth1 import exceptions as refusals
from keystoneauth1.access.access import AccessInfo
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import generic
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from headrace.api.app import create_app
from tests.api.conftest import OTHER, PROJECT, Stand
from tests.support.people import PASSWORD
from tests.support.serving import serving

OpenStack = Callable[..., Any]


@pytest.fixture
def served(bare: Stand) -> Iterator[str]:
    """The people of the store at a real server, with the real time."""
    bare.clock.ms = int(time.time() * 1000)
    services = replace(bare.services, directory=bare.services.accounts.directory)
    with serving(create_app(services)) as url:
        yield url


@pytest.fixture
def openstack(served: str, tmp_path: Path) -> OpenStack:
    """Runs ``openstack`` as a member of a project, and gives its answer (parsed), or what it complained of."""

    def run(*words: str, password: str = PASSWORD) -> Any:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "OS_AUTH_URL": f"{served}/v3",
            "OS_USERNAME": "tester",
            "OS_PASSWORD": password,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_PROJECT_NAME": "one",
            "OS_PROJECT_DOMAIN_ID": "default",
        }
        tool = Path(sys.executable).with_name("openstack")
        done = subprocess.run([tool, *words], env=environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            return done.stderr.strip()
        return json.loads(done.stdout) if "-f" in words else done.stdout

    return run


AS_JSON = ("-f", "json")


def test_a_token_the_catalog_and_the_projects(openstack: OpenStack, bare: Stand, served: str) -> None:
    token = openstack("token", "issue", *AS_JSON)
    assert (token["project_id"], token["user_id"]) == (PROJECT, "id-of-tester")
    answer = bare.services.accounts.directory.token(token["id"])
    assert answer is not None
    assert (answer.user_name, answer.project_id) == ("tester", PROJECT)
    catalog = openstack("catalog", "list", *AS_JSON)
    assert {entry["Type"] for entry in catalog} == {"identity", "dli", "dliv2", "smn"}
    [dli] = [entry for entry in catalog if entry["Type"] == "dli"]
    assert {endpoint["url"] for endpoint in dli["Endpoints"]} == {f"{served}/v1.0/{PROJECT}"}
    assert openstack("project", "list", *AS_JSON) == [{"ID": PROJECT, "Name": "one"}]
    assert openstack("project", "list", "--my-projects", *AS_JSON) == [{"ID": PROJECT, "Name": "one"}]


def signed_in(url: str, user: str = "tester", password: str = PASSWORD, project: str = "") -> AccessInfo:
    """As the command does it, in this process: it takes a second and a half to start."""
    scope: dict[str, Any] = {"project_name": project, "project_domain_id": "default"} if project else {}
    plugin = generic.Password(url, username=user, password=password, user_domain_name="Default", **scope)
    access: AccessInfo = plugin.get_access(Session())
    return access


def test_without_the_version_in_the_url_and_without_a_project(served: str) -> None:
    assert signed_in(served, project="one").project_id == PROJECT
    assert signed_in(f"{served}/v3/").project_id == PROJECT
    assert signed_in(f"{served}/v3", user="both").project_id is None


def test_refusals_are_told_in_its_own_words(openstack: OpenStack, served: str) -> None:
    wrong = openstack("token", "issue", password="wrong")
    assert "The user or the password is wrong" in wrong
    assert "HTTP 401" in wrong
    with pytest.raises(refusals.Unauthorized, match="no role in it"):
        signed_in(f"{served}/v3", project="two")
    refused = openstack("user", "create", "eve")
    assert "403" in refused
    assert "no administrator of the server" in refused


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_an_administrators_work(served: str, bare: Stand) -> None:
    """What ``openstack project``, ``user`` and ``role`` call, in one process as it takes a second to start."""
    connection = openstack_sdk.connection.Connection(
        auth={"auth_url": f"{served}/v3", "username": "boss", "password": PASSWORD, "user_domain_id": "default"},
        region_name="headrace",
        identity_api_version="3",
    )
    identity: Any = connection.identity
    users = bare.services.accounts.users
    three = identity.create_project(name="three", description="orders", is_enabled=True, domain_id="default")
    assert (three.name, three.description, three.is_enabled) == ("three", "orders", True)
    eve = identity.create_user(name="eve", password="an eve's password", is_enabled=True)
    assert (eve.name, eve.is_enabled, identity.find_user("eve").id) == ("eve", True, eve.id)
    member = identity.find_role("member")
    identity.assign_project_role_to_user(project=three, user=eve, role=member)
    assert users.members(three.id) == [(users.user(eve.id), "member")]
    [held] = identity.role_assignments(scope_project_id=three.id, include_names=True)
    assert (held.role["name"], held.user["name"], held.scope["project"]["name"]) == ("member", "eve", "three")
    assert [project.name for project in identity.user_projects(eve)] == ["three"]
    assert {user.name for user in identity.users()} >= {"eve", "boss", "tester"}
    assert [role.name for role in identity.roles()] == ["admin", "member"]
    admin = identity.find_role("admin")
    identity.assign_system_role_to_user(user=eve, role=admin, system="all")
    assert users.user(eve.id).is_admin
    identity.unassign_system_role_from_user(user=eve, role=admin, system="all")
    assert not users.user(eve.id).is_admin
    assert not identity.update_user(eve, is_enabled=False).is_enabled
    assert not identity.update_project(three, is_enabled=False).is_enabled
    identity.unassign_project_role_from_user(project=three, user=eve, role=member)
    identity.delete_user(eve, ignore_missing=False)
    with pytest.raises(openstack_sdk.exceptions.ConflictException, match="never used twice"):
        identity.create_user(name="eve")
    assert identity.find_user("eve") is None
    assert [domain.name for domain in identity.domains()] == ["Default"]
    assert [project.name for project in identity.projects(name="three")] == ["three"]


def test_ones_own_password(openstack: OpenStack, served: str) -> None:
    new = "another password"
    openstack("user", "password", "set", "--original-password", PASSWORD, "--password", new)
    with pytest.raises(refusals.Unauthorized, match="wrong"):
        signed_in(f"{served}/v3")
    assert signed_in(f"{served}/v3", password=new).project_id == PROJECT


def test_keystoneauth_finds_dli_in_the_catalog(served: str) -> None:
    auth = Password(f"{served}/v3", username="both", password=PASSWORD, project_name="two", user_domain_name="Default")
    session = Session(auth)
    dli = Adapter(session, service_type="dli", region_name="headrace", interface="public")
    assert dli.get_endpoint() == f"{served}/v1.0/{OTHER}"
    assert dli.get("/streaming/jobs").json()["job_list"]["total_count"] == 0
    assert session.get_project_id() == OTHER
    with pytest.raises(refusals.Forbidden):
        session.get(f"{served}/v1.0/{PROJECT}/streaming/jobs")
    access = auth.get_access(session)
    assert (access.role_names, access.username, access.project_domain_id) == (["member"], "both", "default")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_openstacksdk_calls_dli_as_otcextensions_does(served: str, bare: Stand) -> None:
    """A project by name without its domain, the endpoint by its service type, versions looked for and not found."""
    auth = {"auth_url": f"{served}/v3", "username": "tester", "password": PASSWORD, "project_name": "one"}
    connection = openstack_sdk.connection.Connection(
        auth={**auth, "user_domain_name": "Default"}, region_name="headrace", identity_api_version="3"
    )
    session: Any = connection.session
    for service_type in ("dli", "dliv2"):
        found = {"service_type": service_type, "interface": "public", "region_name": "headrace"}
        path = "/streaming/jobs" if service_type == "dli" else "/resources"
        assert session.get(path, endpoint_filter=found).status_code == 200
    created = session.post(
        "/queues",
        json={"queue_name": "by_openstack", "queue_type": "general", "cu_count": 16},
        endpoint_filter={"service_type": "dli"},
    )
    assert created.json()["queue_name"] == "by_openstack"
    assert [queue.name for queue in bare.services.queues.of_project(PROJECT)] == ["by_openstack"]
    data = session.get_endpoint_data(service_type="dli", discover_versions=True)
    assert data.url == f"{served}/v1.0/{PROJECT}"
    for probe in ("/v1.0/", "/v1.0", f"/v1.0/{PROJECT}"):
        with pytest.raises(refusals.NotFound):
            session.get(f"{served}{probe}")
