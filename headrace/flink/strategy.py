"""Which restart strategy a job has. REST names one that the code has set by ``RestartStrategies``; where it was set as
an option (``env.configure``, or the environment's own configuration), Flink 1.20 says it in its log only.
"""

from __future__ import annotations

import re
from pathlib import Path

_USED = re.compile(
    r"Using restart back off time strategy (\w+?)RestartBackoffTimeStrategy(.*) for .*\(([0-9a-f]{32})\)\.?$"
)
_OURS = re.compile(r'^"?restart-strategy(?:\.type)?"?: "?([\w-]+)"?\s*$', re.MULTILINE)
HEAD_BYTES = 4 << 20
"""Flink says it when a job begins; later the log may be long, and its beginning gone."""
_CLASSES = {"none": "No", "failure-rate": "FailureRate", "exponential-delay": "ExponentialDelay"}
"""Of Flink's, for the kinds that ``headrace.flink.config`` sets."""


def own_in_log(log: Path, conf: Path, flink_job: str) -> str:
    """The strategy of this Flink job as Flink's log names it, if it is of another kind than the one that the
    configuration in ``conf`` sets; "" = it is not, or the log does not tell.
    """
    kind = _CLASSES.get(_configured(conf), "")
    try:
        with log.open("rb") as file:
            for line in file.read(HEAD_BYTES).decode("utf-8", "replace").splitlines():
                used = _USED.search(line) if flink_job in line else None
                if used is not None:
                    return "" if used[1] == kind else f"{used[1]}{used[2]}"
    except OSError:
        return ""  # no log, no word
    return ""


def _configured(conf: Path) -> str:
    for name in ("config.yaml", "flink-conf.yaml"):
        if (conf / name).is_file():
            found = _OURS.search((conf / name).read_text("utf-8"))
            return found[1] if found else ""
    return ""
