"""``headrace audit`` against the API, over a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.cli.client import ApiClient
from tests.api.conftest import PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand


def test_audit(stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = ApiClient(url, PROJECT, "AK", "secret of AK")
    monkeypatch.setattr(ApiClient, "of_user", lambda _home: client)
    first = stand.create(name="first")
    stand.create(name="second")
    stand.run(first)

    def lines(*arguments: str) -> list[list[str]]:
        result = CliRunner().invoke(app, ["audit", "--home", str(tmp_path), *arguments], catch_exceptions=False)
        assert result.exit_code == 0
        return [line.split() for line in result.output.splitlines()[1:]]

    told = [line[2:6] for line in lines("--job", str(first))]
    assert told == [["tester", "submitStreamJobs", "job", "1"], ["tester", "createStreamJarJob", "job", "1"]]
    assert [line[3] for line in lines("--trace", "createStreamJarJob")] == ["createStreamJarJob"] * 2
    assert lines("--user", "nobody") == []
    assert lines("--limit", "1")[-1][1:3] == ["older", "lines;"]
