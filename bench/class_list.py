"""Writes ``headrace/flink/classes.txt.gz`` anew: the classes that JobManagers and TaskManagers load as they start.

Runs two example jobs through Headrace on every tested engine, and merges what their JVMs say they loaded. Engines that
are already installed use their archive meanwhile, which is no harm: classes out of an archive are listed as well.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import tempfile
from pathlib import Path

from start import BUCKET, Headrace

from headrace.flink import catalog, sharing
from headrace.flink.engines import EngineStore
from headrace.settings import load_settings

USERS = re.compile(r"headrace/|mygroup/|org/apache/flink/examples/|.*\$Proxy\d|.*0x0")
"""What belongs to a job, or is made by the JVM as it goes."""

JOBS: tuple[dict[str, object], ...] = (
    {},
    {
        "entrypoint": f"obs://{BUCKET}/statefulCounter.jar",
        "main_class": "headrace.examples.StatefulCounter",
        "entrypoint_args": f"--rate 50 --output obs://{BUCKET}/out",
        "obs_bucket": BUCKET,
        "checkpoint_enabled": True,
        "checkpoint_interval": 1,
    },
)


def main() -> None:
    settings = load_settings()
    store = EngineStore(settings.engine_store, settings.engine_java_homes)
    lines: set[str] = set()
    for version in catalog.TESTED:
        engine = store.install(version)
        for job in JOBS:
            with tempfile.TemporaryDirectory(prefix="headrace-classes-") as name:
                folder = Path(name)
                told = [
                    {"key": f"env.java.opts.{role}", "value": f"-XX:DumpLoadedClassList={folder / role}.list"}
                    for role in ("jobmanager", "taskmanager")
                ]
                more = {**job, "runtime_config": json.dumps(told)}
                with contextlib.closing(Headrace(folder, engine, store, more)) as ours:
                    ours.start_once(1)
                for path in folder.glob("*.list"):
                    lines.update(line for line in path.read_text().splitlines() if not USERS.match(line))
        print(f"Flink {version}: {len(lines)} lines so far")
    named = sorted(line for line in lines if line[0] not in "#@")
    text = "\n".join([*named, *sorted(line for line in lines if line[0] == "@")])
    sharing.CLASSES.write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
