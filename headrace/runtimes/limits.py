"""What an operator sets of the runtime ``local``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What an operator sets of the runtime; times in seconds.

    Attributes:
        unresponsive_after_s: a live JobManager is UNRESPONSIVE when its REST was silent for so long.
        taskmanager_silent_after_s: a live TaskManager is silent when Flink has not heard of it for so long.
        kept_attempts: logs and checkpoints of so many attempts of a job are kept.
        spool_bytes: so much of each log stays on this machine.
        log_wait_s: so long a removed deployment's logs wait for a bucket that cannot be written to.
    """

    unresponsive_after_s: float = 120.0
    taskmanager_silent_after_s: float = 30.0
    kept_attempts: int = 5
    spool_bytes: int = 128 << 20
    log_wait_s: float = 3600.0


DEFAULTS = Limits()
