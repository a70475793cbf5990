"""The fault suite on real Flink: a run of three minutes with a seed of its own. ``make faults`` has the long one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace.flink.engines import EngineStore
from tests.support.promises import promise

pytestmark = pytest.mark.flink
SEED = 20261122
MINUTES = 2.4
"""No fault is begun after so long; the last one's recovery and the end take the rest."""


@promise("Whatever breaks, in whatever order: every record is in the sink exactly once, and nothing is left behind")
def test_three_minutes_of_faults(engine_store: EngineStore) -> None:
    engine_store.install("1.20.5")
    command = ["faults", "--seed", str(SEED), "--faults", "60", "--minutes", str(MINUTES)]
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *command], check=False, capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "All promises hold" in done.stdout
