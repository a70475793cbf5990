"""The settings of an S3 endpoint: what is refused at the start, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.cli import app
from headrace.domain.errors import HomeUnusable
from headrace.objects import access
from headrace.objects.access import Keys
from headrace.settings import Settings, load_settings

SECRET = "a-secret-that-nobody-may-see"
S3 = {"object_store": "s3", "s3_endpoint": "https://obs.example.com", "s3_access_key": "AK", "s3_secret_key": SECRET}


def given(tmp_path: Path, **changes: Any) -> Settings:
    return load_settings(tmp_path, **{**S3, **changes})


def test_an_endpoint_and_its_keys(tmp_path: Path) -> None:
    settings = given(tmp_path, s3_endpoint="https://obs.example.com:8443/", s3_region="eu-de", s3_path_style=False)
    found = access.of_settings(settings)
    assert (found.endpoint, found.region, found.path_style) == ("https://obs.example.com:8443", "eu-de", False)
    assert found.of("any") == Keys("AK", SECRET)
    for shown in (repr(settings), str(settings), repr(found), repr(found.default)):
        assert SECRET not in shown


def test_a_bucket_has_keys_of_its_own(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(f'{{"mine": {{"access_key": "MY", "secret_key": "{SECRET}"}}}}')
    found = access.of_settings(given(tmp_path, s3_secret_key="other", s3_bucket_keys_file=keys))
    assert found.of("mine") == Keys("MY", SECRET)
    assert found.of("theirs") == Keys("AK", "other")
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"s3_endpoint": None}, "needs s3_endpoint"),
        ({"s3_access_key": None}, "belong together"),
        ({"s3_secret_key": None}, "belong together"),
        ({"s3_access_key": None, "s3_secret_key": None}, "needs s3_access_key"),
        ({"object_store": "folder"}, "s3_endpoint, s3_access_key, s3_secret_key are used with object_store=s3 only"),
        ({"object_store": "embedded"}, "and that is embedded"),
        ({"object_store": "ftp"}, "'folder', 's3' or 'embedded'"),
        ({"s3_endpoint": "obs.example.com"}, "must be http"),
        ({"s3_endpoint": "ftp://obs.example.com"}, "must be http"),
        ({"s3_endpoint": "https://obs.example.com/bucket"}, "no bucket"),
        ({"s3_endpoint": "https://obs.example.com:port"}, "must be http"),
        ({"s3_endpoint": "https://AK:SK@obs.example.com"}, "must not have keys"),
        ({"s3_proxy": "proxy"}, "must be http"),
        ({"s3_proxy": "https://proxy:3128"}, "Flink speaks no TLS to a proxy"),
        ({"s3_timeout_seconds": 0}, "greater than 0"),
        ({"stage_cache_mb": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(home=tmp_path, **{key: value for key, value in {**S3, **changes}.items() if value is not None})
    assert words in str(refused.value.errors()[0]["msg"])


@pytest.mark.parametrize("store", ["folder", "embedded"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("s3_endpoint", "https://obs.example.com"),
        ("s3_region", "eu-de"),
        ("s3_path_style", "false"),
        ("s3_bucket_keys_file", "/keys.json"),
        ("s3_ca_file", "/ca.pem"),
        ("s3_proxy", "http://proxy:3128"),
        ("s3_timeout_seconds", "5"),
    ],
)
def test_what_has_no_use_with_the_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, name: str, value: str
) -> None:
    monkeypatch.setenv("HEADRACE_OBJECT_STORE", store)
    monkeypatch.setenv(f"HEADRACE_{name.upper()}", value)
    with pytest.raises(ValidationError) as refused:
        load_settings(tmp_path)
    message = str(refused.value.errors()[0]["msg"])
    assert f"{name} is used with object_store=s3 only, and that is {store}" in message
    assert "take it away" in message


@pytest.mark.parametrize("store", ["folder", "embedded"])
def test_the_plugins_folder_has_its_use_with_each_store(tmp_path: Path, store: str) -> None:
    settings = load_settings(tmp_path, object_store=store, s3_plugin_folder=tmp_path, embedded_s3_port=1)
    assert settings.s3_plugin_folder == tmp_path


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("S3_ENDPOINT", f"https://AKIA:{SECRET}@obs.example.com", "obs.example.com"),
        ("S3_PROXY", f"ftp://user:{SECRET}@proxy:3128", "proxy:3128"),
        ("S3_PROXY", f"user:p/@{SECRET}@proxy", "proxy"),
    ],
)
def test_the_command_tells_no_password_of_a_url(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    shown: str,
) -> None:
    monkeypatch.setenv("HEADRACE_OBJECT_STORE", "s3")
    monkeypatch.setenv(f"HEADRACE_{name}", value)
    monkeypatch.setattr("sys.argv", ["headrace", "objects", "ls", "--home", str(tmp_path)])
    with pytest.raises(SystemExit):
        app.main()
    told = capsys.readouterr().err
    assert f"@{shown}'" in told
    assert "AKIA" not in told
    assert SECRET not in told


@pytest.mark.parametrize("name", ["s3_secret_key", "s3_secert_key"])
def test_the_command_tells_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Neither of settings that do not fit together, nor of one that is misspelt."""
    (tmp_path / "headrace.toml").write_text(f'{name} = "{SECRET}"\n')
    monkeypatch.setattr("sys.argv", ["headrace", "objects", "ls", "--home", str(tmp_path)])
    with pytest.raises(SystemExit):
        app.main()
    told = capsys.readouterr().err
    assert "error: setting" in told
    assert SECRET not in told


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (f'{{"b": "{SECRET}"', "no JSON"),
        (f'["{SECRET}"]', "must hold"),
        (f'{{"b": {{"access_key": "A", "secret": "{SECRET}"}}}}', "no such pair of keys"),
        (f'{{"bad/name": {{"access_key": "A", "secret_key": "{SECRET}"}}}}', "'bad/name': is not a bucket's name"),
    ],
)
def test_a_file_of_keys_that_is_none(tmp_path: Path, content: str | None, words: str) -> None:
    keys = tmp_path / "keys.json"
    if content is not None:
        keys.write_text(content)
    with pytest.raises(HomeUnusable, match=words) as refused:
        access.of_settings(given(tmp_path, s3_bucket_keys_file=keys))
    assert SECRET not in str(refused.value)
    assert str(keys) in str(refused.value)


def test_a_ca_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="s3_ca_file"):
        access.of_settings(given(tmp_path, s3_ca_file=tmp_path / "none.pem"))


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(HomeUnusable, match=r"s3_ca_file=.* holds no certificate"):
        access.of_settings(given(tmp_path, s3_ca_file=tmp_path / "ca.pem"))


def test_what_is_shown_of_it_has_no_secret(tmp_path: Path) -> None:
    shown = repr(access.of_settings(given(tmp_path, s3_proxy=f"http://us:{SECRET}@proxy:3128")))
    assert SECRET not in shown
    assert "endpoint=" in shown
