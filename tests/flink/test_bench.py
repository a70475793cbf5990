"""`make bench` runs, says what it measured, and leaves nothing. What it measured is judged by people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.flink.engines import EngineStore
from tests.support.server import EXAMPLES, processes_of

pytestmark = pytest.mark.flink


def test_a_pair_is_measured_and_nothing_is_left(engine_store: EngineStore, tmp_path: Path) -> None:
    engine_store.install("1.20.5")
    environment = {**os.environ, "HEADRACE_ENGINE_STORE": str(engine_store.root), "TMPDIR": str(tmp_path)}
    bench = [sys.executable, str(EXAMPLES.parent / "bench" / "start.py"), "--pairs", "1"]
    done = subprocess.run(bench, check=False, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^ratio A/B \d+\.\d+ \(min \d+\.\d+, max \d+\.\d+\)$", done.stdout, re.MULTILINE), done.stdout
    assert processes_of(tmp_path) == []
    assert list(tmp_path.glob("headrace-bench-*")) == []
