"""A process under a keeper that does nothing, as a deployment's would be."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.runtimes import processes


def start_kept(folder: Path) -> Path:
    """Starts it; returns its folder."""
    folder.mkdir(parents=True)
    command = {
        "argv": ["/bin/sleep", "3600"],
        "env": {},
        "cwd": str(folder),
        "output": str(folder / "output"),
        "fence": str(folder),
        "holds": [],
        "spool": {"files": [], "bytes": 1 << 20},
    }
    (folder / "command.json").write_text(json.dumps(command))
    processes.start(folder)
    return folder
