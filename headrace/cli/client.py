"""Client of the HTTP API with signed requests: what the command line, the demo and the tests use."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3

from headrace import signing
from headrace.home import Home

CHUNK = 256 * 1024


class ApiError(Exception):
    """The server refused a request, or there is no server."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}" if code else message)
        self.status = status
        self.code = code
        self.message = message


class ApiClient:
    """Calls one server in the name of one key pair."""

    def __init__(self, url: str, project_id: str, access_key: str, secret_key: str) -> None:
        """``project_id`` "" = the only one that the key's user has."""
        self.url = url
        self.access_key = access_key
        self._project_id = project_id
        self._secret_key = secret_key
        self._pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=120))

    @classmethod
    def of_home(cls, home: Path) -> ApiClient:
        """The client of the server that serves this home, with the keys that it tells.

        Raises:
            ApiError: no server serves the home, or it tells nobody its keys.
        """
        told = _server_file(home)
        if "access_key" not in told:
            raise ApiError(
                0, "", f"{told['url']} tells nobody its keys: set HEADRACE_ACCESS_KEY and HEADRACE_SECRET_KEY to yours."
            )
        return cls(told["url"], told["project_id"], told["access_key"], told["secret_key"])

    @classmethod
    def of_user(cls, home: Path) -> ApiClient:
        """The same, but what the environment says comes first.

        HEADRACE_ACCESS_KEY and HEADRACE_SECRET_KEY are the keys; HEADRACE_PROJECT_ID is the project, else the user's
        only one; HEADRACE_URL is the server, else that of the home.

        Raises:
            ApiError: no server serves the home, or there are no keys.
        """
        names = ("ACCESS_KEY", "SECRET_KEY", "PROJECT_ID", "URL")
        access_key, secret_key, project_id, url = (os.environ.get(f"HEADRACE_{name}", "") for name in names)
        if bool(access_key) != bool(secret_key):
            raise ApiError(0, "", "Set both HEADRACE_ACCESS_KEY and HEADRACE_SECRET_KEY, or neither.")
        if url and not access_key:
            raise ApiError(0, "", f"HEADRACE_URL is {url}: set HEADRACE_ACCESS_KEY and HEADRACE_SECRET_KEY to yours.")
        if access_key:
            return cls((url or _server_file(home)["url"]).rstrip("/"), project_id, access_key, secret_key)
        told = cls.of_home(home)
        return cls(told.url, project_id or told.project_id, told.access_key, told._secret_key)  # noqa: SLF001

    @property
    def project_id(self) -> str:
        """The project that ``{p}`` stands for.

        Raises:
            ApiError: none was named, and the user has several or none.
        """
        if not self._project_id:
            projects = self.call("GET", "/v3/auth/projects")["projects"]
            if len(projects) != 1:
                names = ", ".join(f"{project['id']} ({project['name']})" for project in projects) or "there is none"
                raise ApiError(0, "", f"Set HEADRACE_PROJECT_ID to one of your projects: {names}.")
            self._project_id = str(projects[0]["id"])
        return self._project_id

    def call(self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None) -> Any:
        """The parsed answer. ``{p}`` in ``path`` stands for the project id.

        Raises:
            ApiError: any answer of 400 or more.
        """
        data = b"" if body is None else json.dumps(body).encode()
        response = self._send(method, self._target(path, query), data, "application/json")
        content = response.data
        self._check(response.status, content)
        return json.loads(content) if content else None

    def create_bucket(self, bucket: str) -> None:
        """Makes a bucket, or finds it there."""
        try:
            self.call("PUT", f"/headrace/v1/{{p}}/buckets/{quote(bucket, safe='')}")
        except ApiError as error:
            if error.code != "DLI.0006":
                raise

    def upload(self, source: Path, bucket: str, key: str) -> None:
        """Puts a file of this machine into a bucket; streamed."""
        with source.open("rb") as file:
            response = self._send("PUT", self._target(_object(bucket, key)), file, "application/octet-stream")
            self._check(response.status, response.data)

    def download(self, bucket: str, key: str) -> Iterator[bytes]:
        """The content of an object, in pieces."""
        response = self._send("GET", self._target(_object(bucket, key)), b"", "application/json", stream=True)
        if response.status >= 400:
            self._check(response.status, response.read())
        yield from response.stream(CHUNK)

    def _target(self, path: str, query: Mapping[str, object] | None = None) -> str:
        target = path.replace("{p}", self.project_id) if "{p}" in path else path
        return f"{target}?{urlencode({k: str(v) for k, v in query.items()})}" if query else target

    def _send(self, method: str, target: str, body: Any, content_type: str, *, stream: bool = False) -> Any:
        path, _, query = target.partition("?")
        headers = [
            ("content-type", content_type),
            ("host", urlsplit(self.url).netloc),
            ("x-sdk-date", signing.timestamp(datetime.now(UTC))),
        ]
        body_hash = None
        if isinstance(body, bytes):
            body_hash = hashlib.sha256(body).hexdigest()
        else:
            headers.append((signing.PAYLOAD, signing.UNSIGNED))
        request = signing.SignedRequest(
            method=method, path=path, query=query, headers=tuple(headers), body_hash=body_hash
        )
        authorization = signing.sign(request, self.access_key, self._secret_key)
        try:
            return self._pool.request(
                method,
                self.url + target,
                body=body or None,
                headers={**dict(headers), "authorization": authorization},
                preload_content=not stream,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ApiError(0, "", f"{self.url} does not answer: {error}") from error

    @staticmethod
    def _check(status: int, content: bytes) -> None:
        if status < 400:
            return
        try:
            answer = json.loads(content)
        except ValueError:
            answer = {}
        told = answer if isinstance(answer, list) and answer else [answer]
        messages = dict.fromkeys(one.get("error_msg") or one.get("message") or f"HTTP {status}" for one in told)
        raise ApiError(status, told[0].get("error_code") or told[0].get("code") or "", " ".join(messages))


def _server_file(home: Path) -> dict[str, str]:
    path = home.expanduser() / "server.json"
    pid = Home(home).holder()
    if pid is None or not path.exists():
        raise ApiError(0, "", f"No server serves the home {home}. Start it: headrace serve --home {home}")
    return dict(json.loads(path.read_text()))


def _object(bucket: str, key: str) -> str:
    return f"/headrace/v1/{{p}}/objects/{quote(bucket, safe='')}/{quote(key, safe='/')}"
