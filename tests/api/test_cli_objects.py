"""``headrace objects`` against the API, over a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from headrace.cli import objects
from headrace.cli.client import ApiClient, ApiError
from headrace.domain.errors import BadField

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cli(stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = ApiClient(url, PROJECT, "AK", "secret of AK")
    monkeypatch.setattr(objects, "_client", lambda _home: client)

    def call(*arguments: str) -> str:
        return CliRunner().invoke(objects.app, arguments, catch_exceptions=False).output

    return call


def test_put_ls_get(cli: Any, tmp_path: Path) -> None:
    source = tmp_path / "my file+ü.bin"
    source.write_bytes(bytes(range(256)) * 4000)
    assert cli("put", str(source), "obs://new/x/", "--create-bucket") == "obs://new/x/my file+ü.bin (1024000 bytes)\n"
    assert cli("put", str(source), "obs://new/x/again", "--create-bucket").startswith("obs://new/x/again")
    assert cli("ls") == "obs://b\nobs://new\n"
    assert cli("ls", "obs://new/x/m") == "     1024000 obs://new/x/my file+ü.bin\n"
    target = tmp_path / "target"
    target.mkdir()
    cli("get", "obs://new/x/my file+ü.bin", str(target))
    assert (target / source.name).read_bytes() == source.read_bytes()


def test_an_empty_file(cli: Any, tmp_path: Path) -> None:
    source = tmp_path / "empty"
    source.touch()
    cli("put", str(source), "obs://b/empty")
    assert cli("ls", "obs://b/empty") == "           0 obs://b/empty\n"


def test_what_is_wrong_is_told(cli: Any, tmp_path: Path) -> None:
    source = tmp_path / "f"
    source.write_bytes(b"x" * 3 * 1024 * 1024)
    with pytest.raises(ApiError, match=r"DLI\.11016"):
        cli("put", str(tmp_path / "f"), "obs://none/f")
    with pytest.raises(ApiError, match=r"DLI\.0009"):
        cli("put", str(source), "obs://b/f")
    with pytest.raises(BadField):
        cli("put", str(source), "f")
    with pytest.raises(ApiError, match=r"DLI\.12002"):
        cli("get", "obs://b/none", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.part").exists()


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="headrace serve"):
        CliRunner().invoke(objects.app, ["ls", "--home", str(tmp_path / "none")], catch_exceptions=False)
