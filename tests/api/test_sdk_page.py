"""The Python of docs/clients.md, as it stands there."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from headrace.api.app import create_app
from tests.api.conftest import PROJECT, Stand
from tests.support.people import PASSWORD
from tests.support.serving import serving

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "clients.md").read_text("utf-8")
SCRIPTS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("script", SCRIPTS, ids=["key", "looked up", "token"])
def test_a_script_of_the_page(
    bare: Stand, script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare.clock.ms = int(time.time() * 1000)
    known = {
        "HEADRACE_PROJECT_ID": PROJECT,
        "HEADRACE_PROJECT_NAME": "one",
        "HEADRACE_ACCESS_KEY": "KEY-tester",
        "HEADRACE_SECRET_KEY": "secret of KEY-tester",
        "OS_USERNAME": "tester",
        "OS_PASSWORD": PASSWORD,
        "HUAWEICLOUD_SDK_IAM_ENDPOINT": "",  # set by a script, and put back by the test
    }
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    with serving(create_app(replace(bare.services, directory=bare.services.accounts.directory))) as url:
        monkeypatch.setenv("HEADRACE_URL", url)
        exec(compile(script, "docs/clients.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == "0\n"
    assert os.environ["HEADRACE_PROJECT_ID"] == PROJECT


def test_the_page_names_the_version_that_is_tested() -> None:
    assert f"| Python SDK `huaweicloudsdkdli` | {version('huaweicloudsdkdli')} |" in PAGE
    assert f"python-openstackclient {version('python-openstackclient').split('.')[0]}," in PAGE
    assert f"openstacksdk {version('openstacksdk').split('.')[0]} |" in PAGE
