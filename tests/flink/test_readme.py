"""The first job of README.md, as it stands there: its commands and its script, on real Flink."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import PATIENCE_S, ServerUnderTest

pytestmark = pytest.mark.flink

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text("utf-8")


def script() -> str:
    found = re.search(r"^<!-- first_job\.py.*?^```python\n(.*?)^```", README, re.M | re.S)
    assert found is not None
    return found[1]


def commands() -> list[str]:
    section = README.split("## First job in five minutes")[1].split("\n## ")[0]
    return [line for block in re.findall(r"^```sh\n(.*?)^```", section, re.M | re.S) for line in block.splitlines()]


def test_the_first_job(server: ServerUnderTest, tmp_path: Path) -> None:
    server.start()
    (tmp_path / "first_job.py").write_text(script())
    environment = {
        **os.environ,
        "HEADRACE_HOME": str(server.home),
        "HEADRACE_ENGINE_STORE": str(server.engine_store),
    }
    said: dict[str, str] = {}
    for line in commands():
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            environment.setdefault(name, value)
            continue
        program, *arguments = shlex.split(line)
        if program == "make" or arguments[0] == "serve" or "pip" in arguments:
            continue  # the tests themselves run in what these make; the server is there
        if program == ".venv/bin/headrace":
            called = [sys.executable, "-m", "headrace", *arguments]
        else:
            assert [program, *arguments] == [".venv/bin/python", "first_job.py"]
            called = [sys.executable, str(tmp_path / "first_job.py")]
        done = subprocess.run(
            called, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}\n{server.log()[-3000:]}"
        said[line.removeprefix(".venv/bin/")] = done.stdout

    job = said["python first_job.py"]
    statuses = [line.split()[0] for line in job.splitlines() if line.startswith("job_")]
    assert statuses[-1] == "job_running"
    assert statuses.count("job_cancel_success") == 1
    assert re.search(r"^savepoint: obs://my-bucket/jobs/savepoint/1/.+", job, re.M)
    assert "obs://my-bucket/counted/" in said["headrace objects ls obs://my-bucket/counted"]
    assert "1.20.5" in said["headrace engines"]
    assert "my-counter" in said["headrace down --savepoint"]
    assert len(list((server.home / "objects/my-bucket/jobs/savepoint/1").iterdir())) == 2


def test_the_sdk_is_the_one_that_is_tested() -> None:
    wanted = re.search(r"huaweicloudsdkdli==[\d.]+", README)
    assert wanted is not None
    assert f'"{wanted[0]}"' in (REPOSITORY / "pyproject.toml").read_text("utf-8")
