"""The vendor's SDK as client, with every kind of credentials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import urllib3
from huaweicloudsdkcore.auth import credentials as sdk  # type: ignore[import-untyped]
from huaweicloudsdkcore.exceptions.exceptions import (  # type: ignore[import-untyped]
    ClientRequestException,
    SdkException,
)
from huaweicloudsdkcore.region.region import Region  # type: ignore[import-untyped]
from huaweicloudsdkcore.signer.signer import Signer  # type: ignore[import-untyped]
from huaweicloudsdkdli.v1 import DliClient, model  # type: ignore[import-untyped]

from headrace.api.app import create_app
from tests.api.conftest import OTHER, PROJECT, Stand
from tests.support.people import PASSWORD
from tests.support.serving import serving


class BasicCredentials(sdk.BasicCredentials):  # type: ignore[misc]
    """X-Auth-Token instead of a signature. The SDK goes by the name of the class."""

    def __init__(self, token: str, project_id: str) -> None:
        super().__init__("-", "-", project_id)
        self._token = token

    def sign_request(self, request: Any) -> Any:
        request.header_params["X-Auth-Token"] = self._token
        Signer.process_request_uri(request)
        return request


@pytest.fixture
def served(bare: Stand, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The people of the store at a real server, which is the SDK's IAM too."""
    bare.clock.ms = int(time.time() * 1000)
    services = replace(bare.services, directory=bare.services.accounts.directory)
    with serving(create_app(services)) as url:
        monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", url)
        yield url


def dli(credentials: Any, url: str) -> Any:
    return DliClient.new_builder().with_credentials(credentials).with_endpoints([url]).build()


def jobs(client: Any) -> int:
    return int(client.list_flink_jobs(model.ListFlinkJobsRequest()).job_list.total_count)


def token_of(url: str, user: str, project: str) -> str:
    fields = {"name": user, "password": PASSWORD, "domain": {"name": "Default"}}
    identity = {"methods": ["password"], "password": {"user": fields}}
    body = {"auth": {"identity": identity, "scope": {"project": {"name": project}}}}
    answer = urllib3.request("POST", f"{url}/v3/auth/tokens", json=body, timeout=60)
    assert answer.status == 201
    return str(answer.headers["X-Subject-Token"])


def temporary(url: str, token: str, seconds: int = 900) -> Any:
    identity = {"methods": ["token"], "token": {"duration_seconds": seconds}}
    answer = urllib3.request(
        "POST",
        f"{url}/v3.0/OS-CREDENTIAL/securitytokens",
        json={"auth": {"identity": identity}},
        headers={"X-Auth-Token": token},
        timeout=60,
    )
    assert answer.status == 201, answer.data
    return answer.json()["credential"]


def test_with_keys_and_a_project(served: str) -> None:
    assert jobs(dli(sdk.BasicCredentials("KEY-tester", "secret of KEY-tester", PROJECT), served)) == 0
    with pytest.raises(ClientRequestException) as refused:
        jobs(dli(sdk.BasicCredentials("KEY-tester", "secret of KEY-tester", OTHER), served))
    assert (refused.value.status_code, refused.value.error_code) == (403, "DLI.0016")


def test_without_a_project_it_asks_for_that_of_the_region(served: str) -> None:
    def client(region: str, user: str, secret: str = "") -> Any:
        keys = sdk.BasicCredentials(f"KEY-{user}", secret or f"secret of KEY-{user}")
        return DliClient.new_builder().with_credentials(keys).with_region(Region(region, served)).build()

    assert jobs(client("one", "tester")) == 0
    assert jobs(client("two", "both")) == 0
    with pytest.raises(SdkException, match="Failed to get project id of region 'two'"):
        jobs(client("two", "tester"))
    with pytest.raises(SdkException, match="The signature does not match"):
        jobs(client("one-more", "tester", "wrong"))


def test_with_a_token(served: str) -> None:
    token = token_of(served, "both", "two")
    assert jobs(dli(BasicCredentials(token, OTHER), served)) == 0
    with pytest.raises(ClientRequestException) as refused:
        jobs(dli(BasicCredentials(token, PROJECT), served))
    assert refused.value.error_code == "DLI.0016"
    with pytest.raises(ClientRequestException) as refused:
        jobs(dli(BasicCredentials(token + "x", OTHER), served))
    error = refused.value
    assert (error.status_code, error.error_code, len(error.request_id)) == (401, "DLI.0013", 32)


def test_with_temporary_keys(served: str, bare: Stand) -> None:
    made = temporary(served, token_of(served, "both", "two"))
    expires = datetime.fromisoformat(made["expires_at"])
    assert int(expires.timestamp() * 1000) == bare.clock.ms + 900_000

    def client(project: str = OTHER, security_token: str | None = made["securitytoken"]) -> Any:
        keys = sdk.BasicCredentials(made["access"], made["secret"], project)
        return dli(keys.with_security_token(security_token) if security_token else keys, served)

    assert jobs(client()) == 0
    for wrong in (client(PROJECT), client(security_token=None), client(security_token=made["securitytoken"] + "x")):
        with pytest.raises(ClientRequestException) as refused:
            jobs(wrong)
        assert refused.value.status_code in (401, 403)
    permanent = sdk.BasicCredentials("KEY-both", "secret of KEY-both", OTHER)
    with pytest.raises(ClientRequestException, match="X-Security-Token"):
        jobs(dli(permanent.with_security_token(made["securitytoken"]), served))
    bare.services.accounts.users.set_password("id-of-both", "changed")
    with pytest.raises(ClientRequestException):
        jobs(client())


def test_temporary_keys_expire_and_lead_to_nothing_that_lasts(bare: Stand) -> None:
    bare.services = replace(bare.services, directory=bare.services.accounts.directory)
    bare.client = bare.client.__class__(create_app(bare.services))
    wish = {"auth": {"identity": {"methods": ["token"], "token": {"id": "token of tester", "duration_seconds": 1000}}}}
    path = "/v3.0/OS-CREDENTIAL/securitytokens"
    made = bare.ok("POST", path, wish, status=201, ak="KEY-tester")["credential"]
    mine: Any = {
        "ak": made["access"],
        "secret": made["secret"],
        "more": {"X-Security-Token": made["securitytoken"]},
    }
    assert bare.send("GET", "/v1.0/{p}/streaming/jobs", **mine).status_code == 200
    before = bare.rows()
    for method, where, body in (
        ("POST", "/v3.0/OS-CREDENTIAL/credentials", {"credential": {"user_id": "id-of-tester"}}),
        ("PUT", "/v3.0/OS-CREDENTIAL/credentials/KEY-tester", {"credential": {"status": "inactive"}}),
        ("DELETE", "/v3.0/OS-CREDENTIAL/credentials/KEY-tester", None),
        ("POST", "/v3/users/id-of-tester/password", {"user": {"original_password": PASSWORD, "password": "new one!!"}}),
    ):
        assert bare.send(method, where, body, **mine).status_code == 403, where
    no_token = {"auth": {"identity": {"methods": ["token"]}}}
    assert bare.send("POST", path, no_token, **mine).status_code == 400
    for seconds in (899, 86401):
        wish["auth"]["identity"]["token"]["duration_seconds"] = seconds  # type: ignore[index]
        assert bare.send("POST", path, wish, ak="KEY-tester").status_code == 400
    assert bare.rows() == before
    bare.clock.ms += 1_000_000
    assert bare.send("GET", "/v1.0/{p}/streaming/jobs", **mine).status_code == 401
