"""The clients that DLI's users have: the vendor's Python SDK, and requests as Terraform's Go library sends them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import pytest
from huaweicloudsdkcore.auth import credentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException  # type: ignore[import-untyped]
from huaweicloudsdkcore.region.region import Region  # type: ignore[import-untyped]
from huaweicloudsdkdli.v1 import DliClient, model  # type: ignore[import-untyped]

from headrace import signing
from tests.support.golang import marshal, unmarshal


class Sdk:
    """The vendor's client of one server, each operation by its name and the fields of its request."""

    def __init__(self, client: Any) -> None:
        self.client = client

    @classmethod
    def with_project(cls, url: str, access_key: str, secret_key: str, project_id: str) -> Sdk:
        """A key pair and the project's id: nobody else is asked."""
        return cls._at(url, credentials.BasicCredentials(access_key, secret_key, project_id))

    @classmethod
    def without_project(cls, url: str, access_key: str, secret_key: str, region: str) -> Sdk:
        """A key pair alone: the project is looked up whose name is the region's id.

        Where, says the environment: HUAWEICLOUD_SDK_IAM_ENDPOINT.
        """
        pair = credentials.BasicCredentials(access_key, secret_key)
        return cls(DliClient.new_builder().with_credentials(pair).with_region(Region(region, url)).build())

    @classmethod
    def with_token(cls, url: str, token: str, project_id: str) -> Sdk:
        """A token; the SDK has no credentials of this kind, so its users write these five lines."""

        class BasicCredentials(credentials.BasicCredentials):  # type: ignore[misc]  # the SDK demands this very name
            def sign_request(self, request: Any) -> Any:
                credentials.Signer.process_request_uri(request)
                request.header_params["X-Auth-Token"] = token
                return request

        return cls._at(url, BasicCredentials("-", "-", project_id))

    @classmethod
    def _at(cls, url: str, given: Any) -> Sdk:
        return cls(DliClient.new_builder().with_credentials(given).with_endpoints([url]).build())

    def __call__(self, operation: str, body: Mapping[str, Any] | None = None, **parameters: Any) -> Any:
        """The SDK's answer, e.g. of ``sdk("show_flink_job", job_id=7)``."""
        request = getattr(model, "".join(word.title() for word in operation.split("_")) + "Request")
        if body is not None:
            parameters["body"] = getattr(model, request.openapi_types["body"])(**body)
        return getattr(self.client, operation)(request(**parameters))

    def refused(
        self, status: int, code: str, operation: str, body: Mapping[str, Any] | None = None, **parameters: Any
    ) -> str:
        """The message of a call that must fail so, with a request id."""
        with pytest.raises(ClientRequestException) as caught:
            self(operation, body, **parameters)
        error = caught.value
        assert (error.status_code, error.error_code) == (status, code), error
        assert re.fullmatch("[0-9a-f]{32}", error.request_id), error
        assert error.error_msg or code == "404", error  # a package that is not there: DLI sends no body
        return str(error.error_msg)


OK_CODES = {"GET": (200,), "POST": (200, 201, 202), "PUT": (200, 201, 202), "DELETE": (200, 202, 204)}
"""golangsdk/provider_client.go, defaultOkCodes."""

LANGUAGE = {"Content-Type": "application/json", "X-Language": "en-us"}
"""golangsdk/openstack/dli/v1/flinkjob/requests.go, RequestOpts; on its calls without a body too."""


class ProviderError(Exception):
    """golangsdk's ErrUnexpectedResponseCode."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        super().__init__(f"{method} {path}: {status} {body.decode(errors='replace')}")
        self.status = status
        self.body = body

    def is_gone(self) -> bool:
        """404, or what parseDliFlinkErrToError404 makes one: 400 with the code of a missing job."""
        return self.status == 404 or (
            self.status == 400 and unmarshal(self.body, "DliError")["error_code"] == "DLI.16001"
        )


@dataclass
class GoClient:
    """Requests as golangsdk sends them: the host is not signed, and two headers are added after signing.

    ``sent`` remembers every one: the line, what was signed, the body, and the status of the answer.
    """

    url: str
    project_id: str
    access_key: str
    secret_key: str
    security_token: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        into: str = "",
        ok: tuple[int, ...] = (),
        headers: Mapping[str, str] = LANGUAGE,
    ) -> Any:
        """The answer as Go decodes it; None if it is not read.

        Raises:
            ProviderError: its status is not one that this call takes for success.
            UnmarshalError: Go could not decode it.
        """
        target = path.replace("{p}", self.project_id)
        content = b"" if body is None else marshal(body)
        typed = {"Content-Type": "application/json"} if content else {}
        status, answer = self._send(method, target, content, {**typed, **headers})
        self.sent[-1] |= {"request": f"{method} {path}", **({"body": body} if content else {}), "status": status}
        if status not in (ok or OK_CODES[method]):
            raise ProviderError(method, path, status, answer)
        return unmarshal(answer, into) if into and status != 204 else None

    def _send(self, method: str, target: str, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        signed = {name.lower(): value for name, value in headers.items()} | {
            "accept": "application/json",
            "user-agent": "terraform-provider-iac golangsdk/2.0.0",
            "x-sdk-date": signing.timestamp(datetime.now(UTC)),
        }
        path, _, query = target.partition("?")
        request = signing.SignedRequest(method, path, query, sorted(signed.items()), sha256(content).hexdigest())
        added = {
            "authorization": signing.sign(request, self.access_key, self.secret_key),
            "x-project-id": self.project_id,
            **({"x-security-token": self.security_token} if self.security_token else {}),
        }
        self.sent.append({"signed": ";".join(sorted(signed))})
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, target, body=content or None, headers={**signed, **added})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
