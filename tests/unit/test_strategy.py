"""Whose restart strategy it is, by Flink's own log."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.flink.strategy import own_in_log

JOB = "7dcf7b4470edcffc9f498c63fd8a2851"
OTHER = "8dcf7b4470edcffc9f498c63fd8a2852"
HEAD = "2026-11-22 20:35:20,495 INFO  org.apache.flink.runtime.jobmaster.JobMaster                 [] - "
FIXED = "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=2147483647, backoffTimeMS=1500)"
RATE = (
    "FailureRateRestartBackoffTimeStrategy(FailureRateRestartBackoffTimeStrategy(failuresIntervalMS=3600000,"
    "backoffTimeMS=1000,maxFailuresPerInterval=4)"
)
NONE = "NoRestartBackoffTimeStrategy"


def used(strategy: str, job: str = JOB) -> str:
    return f"{HEAD}Using restart back off time strategy {strategy} for A job (1.0) ({job}).\n"


@pytest.mark.parametrize(
    ("conf", "log", "own"),
    [
        (
            '"restart-strategy.type": "failure-rate"',
            used(FIXED),
            "FixedDelay(maxNumberRestartAttempts=2147483647, backoffTimeMS=1500)",
        ),
        ('"restart-strategy.type": "failure-rate"', used(RATE), ""),
        ("restart-strategy: none", used(NONE), ""),
        ("restart-strategy: none", used(FIXED), "FixedDelay(maxNumberRestartAttempts=2147483647, backoffTimeMS=1500)"),
        ('"restart-strategy.type": "failure-rate"', used(FIXED, OTHER) + used(RATE), ""),
        ('"restart-strategy.type": "failure-rate"', f"{HEAD}Submitting job ({JOB}).\n", ""),
        ('"restart-strategy.type": "exponential-delay"', None, ""),
    ],
)
def test_a_strategy_of_its_own(tmp_path: Path, conf: str, log: str | None, own: str) -> None:
    name = "config.yaml" if '"' in conf else "flink-conf.yaml"
    (tmp_path / name).write_text(f"a: b\n{conf}\nrestart-strategy.failure-rate.delay: 1 s\n")
    if log is not None:
        (tmp_path / "jobmanager.log").write_text(f"{HEAD}Starting.\n{log}")
    assert own_in_log(tmp_path / "jobmanager.log", tmp_path, JOB) == own
