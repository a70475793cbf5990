"""The figures of one run: for a person, and as JSON for ``docs/reliability.md``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from headrace.faults.run import Recovery

FOLDER_VARIABLE = "HEADRACE_FIGURES"


@dataclass(frozen=True)
class Figures:
    """What a run has shown. A run whose promises do not all hold has no figures.

    Attributes:
        runtime: "Flink 1.20" or "fake".
        seconds: the whole run, its beginning and end included.
        records: counted in the sinks, each exactly once.
        samples: looks at the processes, which never found two deployments of one job.
    """

    seed: int
    runtime: str
    seconds: float
    records: int
    samples: int
    recoveries: Sequence[Recovery] = field(default_factory=tuple)

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Per kind: how many there were, and how long it took until all was well (median, longest), in seconds.

        Of those that struck alone, if there are any: in company one waits for the other.
        """
        kinds: dict[str, list[Recovery]] = {}
        for recovery in self.recoveries:
            kinds.setdefault(recovery.kind, []).append(recovery)
        figures = {}
        for kind, found in sorted(kinds.items()):
            seconds = [one.seconds for one in found if one.alone] or [one.seconds for one in found]
            figures[kind] = {"faults": len(found), "median_s": round(median(seconds), 1), "max_s": max(seconds)}
        return figures

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "seed": self.seed,
            "runtime": self.runtime,
            "faults": len(self.recoveries),
            "seconds": round(self.seconds, 1),
            "records": self.records,
            "doubled": 0,
            "lost": 0,
            "samples": self.samples,
            "kinds": self.by_kind(),
            "each": [asdict(recovery) for recovery in self.recoveries],
        }

    def write(self, folder: Path | None) -> Path | None:
        """Into the folder, or the one that HEADRACE_FIGURES names; None if there is neither."""
        named = os.environ.get(FOLDER_VARIABLE)
        place = folder or (Path(named) if named else None)
        if place is None:
            return None
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"faults-{self.runtime.split()[0].lower()}.json"
        path.write_text(json.dumps(self.as_json(), indent=1) + "\n")
        return path
