"""``headrace doctor`` and the object storage: whether the endpoint answers, and takes the keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from tests.support.seaweed import seaweed


def diagnosed(endpoint: str, secret_key: str, tmp_path: Path, patch: pytest.MonkeyPatch) -> str:
    settings = {
        "OBJECT_STORE": "s3",
        "S3_ENDPOINT": endpoint,
        "S3_ACCESS_KEY": "AKOWNER0000000000000",
        "S3_SECRET_KEY": secret_key,
        "ENGINE_STORE": str(tmp_path / "engines"),
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
