"""``headrace serve`` in a process of its own: a laptop's first start, a shared installation's, and an older home's."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.client import ApiClient, ApiError
from tests.support.server import wait_until

KEYS = ("HEADRACE_ACCESS_KEY", "HEADRACE_SECRET_KEY", "HEADRACE_PROJECT_ID", "HEADRACE_URL")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)


def command(home: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "headrace", "serve", "--home", str(home), "--port", "0", *more]


@contextmanager
def serve(home: Path, *more: str) -> Iterator[dict[str, Any]]:
    """What ``server.json`` tells, and under "said" what the server has printed."""
    said = home.parent / "said"
    with said.open("w") as output:
        process = subprocess.Popen(command(home, *more), stdout=output, stderr=subprocess.STDOUT, env=os.environ)
        try:

            def ready() -> dict[str, Any] | None:
                assert process.poll() is None, said.read_text()
                file = home / "server.json"
                told = json.loads(file.read_text()) if file.exists() else {}
                return {**told, "said": said.read_text()} if told.get("pid") == process.pid else None

            told = wait_until("the server is ready", ready, 60)
            wait_until("it says so", lambda: "Headrace serves" in said.read_text(), 10)
            yield {**told, "said": said.read_text()}
        finally:
            process.terminate()
            process.wait(60)


def refused(home: Path, *more: str) -> str:
    done = subprocess.run(command(home, *more), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_laptop(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home) as told:
        assert f"Keys: {home / 'server.json'}" in told["said"]
        client = ApiClient.of_home(home)
        assert client.call("GET", "/v1.0/{p}/queues")["queues"] == []
        assert [project["name"] for project in client.call("GET", "/v3/projects")["projects"]] == ["headrace"]
        assert [user["name"] for user in client.call("GET", "/v3/users")["users"]] == ["admin"]
    assert "has users already" in refused(home, "--init-admin", "eve")
    with serve(home) as again:
        assert [again[name] for name in ("access_key", "secret_key", "project_id")] == [
            told[name] for name in ("access_key", "secret_key", "project_id")
        ]
    (home / "secrets.key").rename(tmp_path / "elsewhere")
    assert "secrets.key is missing" in refused(home)
    assert not (home / "secrets.key").exists()


def test_a_shared_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    assert "--init-admin='a b'" in refused(home, "--init-admin", "a b")
    with serve(home, "--init-admin", "ada") as told:
        assert set(told) - {"said"} == {"url", "project_id", "pid"}
        lines = [line.split("  ") for line in told["said"].splitlines() if line.startswith("  ")]
        secrets = {line[1].strip(): line[-1].strip() for line in lines}
        assert set(secrets) == {"project id", "access key", "secret key", "password"}
        assert "Keys:" not in told["said"]
        for client_of in (ApiClient.of_user, ApiClient.of_home):
            with pytest.raises(ApiError, match="tells nobody its keys"):
                client_of(home)
        monkeypatch.setenv("HEADRACE_ACCESS_KEY", secrets["access key"])
        monkeypatch.setenv("HEADRACE_SECRET_KEY", secrets["secret key"])
        client = ApiClient.of_user(home)
        assert client.project_id == secrets["project id"] == told["project_id"]
        assert client.call("GET", "/v3/users")["users"][0]["is_system_admin"] is True
    files = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert secrets["access key"].encode() in files
    assert secrets["secret key"].encode() not in files
    assert secrets["password"].encode() not in files
    with serve(home) as again:
        assert secrets["secret key"] not in again["said"]
        assert ApiClient.of_user(home).call("GET", "/v1.0/{p}/queues")["queues"] == []
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    with closing(sqlite3.connect(home / "headrace.db")) as database:  # docs/users.md, "keys are lost"
        database.execute("UPDATE access_keys SET published = 1 WHERE access_key = ?", [secrets["access key"]])
        database.commit()
    with serve(home) as rescued:
        assert rescued["secret_key"] == secrets["secret key"]


def test_an_older_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    older = {"project_id": "0" * 32, "access_key": "OLD", "secret_key": "old secret", "user_name": "admin"}
    (home / "credentials.json").write_text(json.dumps(older))
    (home / "serve.lock").touch()
    with serve(home) as told:
        assert {name: told[name] for name in ("project_id", "access_key", "secret_key")} == {
            name: older[name] for name in ("project_id", "access_key", "secret_key")
        }
        assert ApiClient.of_home(home).call("GET", "/v1.0/{p}/queues")["queues"] == []
    assert not (home / "credentials.json").exists()
