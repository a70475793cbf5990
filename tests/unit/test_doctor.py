"""``headrace doctor`` and the object storage: whether the endpoint answers, and takes the keys."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from tests.support.listening import HttpListener
from tests.support.s3_answers import answering
from tests.support.seaweed import seaweed


def diagnosed(endpoint: str, secret_key: str, tmp_path: Path, patch: pytest.MonkeyPatch, **more: str) -> str:
    settings = {
        "OBJECT_STORE": "s3",
        "S3_ENDPOINT": endpoint,
        "S3_ACCESS_KEY": "AKOWNER0000000000000",
        "S3_SECRET_KEY": secret_key,
        "ENGINE_STORE": str(tmp_path / "engines"),
        **more,
    }
    for name, value in settings.items():
        patch.setenv(f"HEADRACE_{name}", value)
    return CliRunner().invoke(app, ["doctor", "--home", str(tmp_path / "home")]).output


def test_the_endpoint_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with seaweed(tmp_path / "weed") as weed:
        weed.create_bucket("mine")
        good = diagnosed(weed.endpoint, weed.secret_key, tmp_path, monkeypatch)
        assert f"ok      object storage at {weed.endpoint}: 1 bucket(s)" in good
        wrong = diagnosed(weed.endpoint, "wrong-secret", tmp_path, monkeypatch)
    assert f"missing object storage at {weed.endpoint}" in wrong
    assert "Correct s3_access_key and s3_secret_key" in wrong
    assert "wrong-secret" not in wrong
    gone = diagnosed(weed.endpoint, weed.secret_key, tmp_path, monkeypatch)
    assert f"The object storage at {weed.endpoint} cannot be reached" in gone


class OneBucket(BaseHTTPRequestHandler):
    """An endpoint with the bucket "mine", whose list nobody may have."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path.startswith("/mine") else 404)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>AccessDenied</Code></Error>")


def test_keys_that_are_limited_to_buckets_are_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(403, "AccessDenied") as url:
        told = diagnosed(url, "secret", tmp_path, monkeypatch)
    assert f"ok      object storage at {url}: it takes the keys, which may not list buckets\n" in told
    keys = tmp_path / "keys.json"
    pair = {"access_key": "AK1", "secret_key": "SK1"}
    keys.write_text(json.dumps({"mine": pair, "gone": pair}))
    with HttpListener(OneBucket, {}) as listener:
        own = diagnosed(listener.url, "secret", tmp_path, monkeypatch, S3_BUCKET_KEYS_FILE=str(keys))
    assert "it takes the keys, which may not list buckets; with keys of their own: mine\n" in own
