"""Settings of the channels: what belongs together, and that no error tells a secret."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.cli import app
from headrace.settings import Settings, load_settings

SECRET = "sesame-never-told"
MAIL = {"smtp_host": "mail.example.com", "smtp_from": "headrace@example.com"}
SMN = {
    "smn_endpoint": "https://smn.example.com",
    "smn_project_id": "p",
    "smn_access_key": "a",
    "smn_secret_key": SECRET,
}


@pytest.mark.parametrize(
    "given",
    [
        {},
        MAIL,
        {**MAIL, "smtp_user": "u", "smtp_password": SECRET},
        {**MAIL, "smtp_security": "none"},
        SMN,
        {"notice_allowed_networks": ["10.0.0.0/8", "fd00::/8", "192.168.1.1"]},
    ],
)
def test_what_is_whole_is_taken(tmp_path: Path, given: dict[str, Any]) -> None:
    settings = load_settings(tmp_path, **given)
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"smtp_host": "mail.example.com", "smtp_password": SECRET}, "smtp_host needs smtp_from"),
        ({**MAIL, "smtp_from": "Headrace <headrace@example.com>"}, "smtp_host needs smtp_from"),
        ({**MAIL, "smtp_from": "a@example.com\nBcc: b@example.com"}, "smtp_host needs smtp_from"),
        ({**MAIL, "smtp_password": SECRET}, "need each other"),
        ({**MAIL, "smtp_user": "u"}, "need each other"),
        ({**MAIL, "smtp_user": "u", "smtp_password": SECRET, "smtp_security": "none"}, "in clear"),
        ({**SMN, "smn_endpoint": "smn.example.com"}, "must be a URL"),
        ({**SMN, "smn_endpoint": f"https://u:{SECRET}@smn.example.com"}, "without a password"),
        ({**SMN, "smn_project_id": ""}, "smn_endpoint needs"),
        ({"smn_endpoint": "https://smn.example.com", "smn_secret_key": SECRET}, "smn_endpoint needs"),
        ({"smtp_password": SECRET, "smtp_user": "u"}, "smtp_user, smtp_password: nothing without smtp_host"),
        ({"smtp_port": 25, "smtp_security": "none"}, "smtp_port, smtp_security: nothing without smtp_host"),
        ({"smtp_port": 587}, "smtp_port: nothing without smtp_host"),
        ({"smtp_from": "headrace@example.com"}, "smtp_from: nothing without smtp_host"),
        ({"smn_access_key": "a", "smn_secret_key": SECRET}, "smn_access_key, smn_secret_key: nothing without smn_end"),
        ({**SMN, "smn_endpoint": "https://["}, "must be a URL"),
        ({**SMN, "smn_endpoint": "https://smn.example.com?x=1"}, "must be a URL"),
        ({"public_url": "headrace.example.com"}, "must be a URL"),
        ({"public_url": "https://headrace.example.com/#"}, "must be a URL"),
        ({"public_url": "https://headrace.example.com:99999"}, "must be a URL"),
        ({"public_url": f"https://u:{SECRET}@headrace.example.com"}, "must be a URL"),
        ({"notice_ca_file": "/nonexistent.pem"}, "notice_ca_file.*nonexistent.pem cannot be read: No such file"),
        ({**MAIL, "smtp_ca_file": "/dev/null"}, "smtp_ca_file.*/dev/null has no certificates in PEM"),
        ({"notice_give_up_hours": float("inf")}, "less than or equal to 8760"),
        ({"notice_kept_days": 1e300}, "less than or equal to 36500"),
        ({"notice_retry_seconds": float("nan")}, "notice_retry_seconds"),
        ({"notice_allowed_networks": ["::ffff:10.0.0.0/104"]}, "means IPv4 addresses"),
        ({"notice_allowed_networks": ["10.0.0.1/8"]}, "host bits"),
        ({"notice_allowed_networks": ["inside"]}, "does not appear to be"),
        ({"smtp_password": [SECRET]}, "valid string"),
        ({"smtp_pasword": SECRET}, "not permitted"),
    ],
)
def test_what_is_not_is_refused_without_telling_secrets(
    tmp_path: Path,
    given: dict[str, Any],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ValidationError, match=f"(?s){told}") as caught:
        load_settings(tmp_path, **given)
    assert SECRET not in str(caught.value)

    def refuse() -> None:
        raise caught.value

    monkeypatch.setattr(app, "app", refuse)
    with pytest.raises(SystemExit):
        app.main()
    shown = " ".join(capsys.readouterr().err.split())
    assert re.search(told, shown)
    assert SECRET not in shown


def test_a_base_has_no_slash_at_its_end(tmp_path: Path) -> None:
    given = {**SMN, "smn_endpoint": "https://smn.example.com/gate/", "public_url": "http://127.0.0.1:8080/"}
    settings = load_settings(tmp_path, **given)
    assert (settings.smn_endpoint, settings.public_url) == ("https://smn.example.com/gate", "http://127.0.0.1:8080")


def test_a_value_that_is_no_secret_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_PORT", "70000")
    monkeypatch.setattr(sys, "argv", ["headrace", "down", "--home", str(tmp_path)])
    with pytest.raises(SystemExit):
        app.main()
    assert "setting port" in (shown := capsys.readouterr().err)
    assert "70000" in shown


def test_which_values_may_be_shown() -> None:
    assert set(Settings.model_fields) - Settings.tellable() == {"s3_secret_key", "smtp_password", "smn_secret_key"}
