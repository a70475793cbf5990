"""How main() itself ended, as Flink 2 archives it (``jobmanager.archive.fs.dir``); Flink 1 tells only its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headrace.domain.observation import Trace
from headrace.flink import stacktrace, views

FINISHED_WITHOUT_A_JOB = "Flink's application FINISHED without a job"


def trouble(folder: Path) -> Trace:
    """Why main() failed, or that it ended without a job; without causes if neither is told."""
    for path in sorted(folder.rglob("application-summary")):
        try:
            entries = {entry["path"]: json.loads(entry["json"]) for entry in json.loads(path.read_text())["archive"]}
        except (ValueError, KeyError, TypeError):
            continue  # half written
        document: dict[str, Any] = next((d for name, d in entries.items() if _is_application(name)), {})
        exceptions: dict[str, Any] = next((d for name, d in entries.items() if name.endswith("/exceptions")), {})
        if document.get("status") == "FINISHED" and not document.get("jobs"):
            return Trace((FINISHED_WITHOUT_A_JOB,))
        return stacktrace.read(views.latest_failure(exceptions))
    return Trace()


def _is_application(name: str) -> bool:
    parts = name.strip("/").split("/")
    return len(parts) == 2 and parts[0] == "applications" and parts[1] != "overview"
