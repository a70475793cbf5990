"""One broken job on a real server: it is made, told, mended as it was advised, and runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from headrace.cli.client import ApiClient
from tests.support.server import BUCKET, Jobs, is_jvm, processes_of, wait_until

JARS = Path(__file__).parent / "jars"
PATIENCE_S = 420.0
"""Many jobs start at once on two cores."""
SNAPSHOT_S = 0.25
QUICK = {
    "env.java.opts.jobmanager": "-XX:+UseSerialGC",
    "env.java.opts.taskmanager": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
}
"""Small jobs start quicker so."""


class Statuses:
    """All jobs as the API lists them; many who wait share one look at it."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._at = 0.0
        self._jobs: dict[int, dict[str, Any]] = {}

    def of(self, job_id: int) -> dict[str, Any]:
        """{status, status_desc, …}, at most ``SNAPSHOT_S`` old."""
        with self._lock:
            if time.monotonic() - self._at > SNAPSHOT_S:
                answer = self._client.call("GET", "/v1.0/{p}/streaming/jobs", query={"limit": 100})
                self._jobs = {int(job["job_id"]): job for job in answer["job_list"]["jobs"]}
                self._at = time.monotonic()
            return self._jobs.get(job_id, {"status": "", "status_desc": ""})


@dataclass
class Stage:
    """What a case can do to its job and around it."""

    jobs: Jobs
    statuses: Statuses
    home: Path
    scratch: Path
    name: str
    savepoint: Callable[[], str]
    """The path of a savepoint of a stateful job; made once for all cases."""
    job_id: int = 0
    kept: list[socket.socket] = field(default_factory=list)
    resume: bool = False

    @property
    def deployment(self) -> Path:
        """The folder of the first attempt."""
        return self.home / "deployments" / f"job-{self.job_id}-1"

    def create(self, fields: Mapping[str, Any]) -> None:
        self.job_id = self.jobs.create(re.sub(r"\W+", "-", self.name), **fields)

    def update(self, changes: Mapping[str, Any]) -> None:
        body = {key: value for key, value in changes.items() if key not in ("jar", "args")}
        if "jar" in changes:
            body["entrypoint"] = f"obs://{BUCKET}/{changes['jar']}"
        if "args" in changes:
            body["entrypoint_args"] = changes["args"]
        if body:
            self.jobs.client.call("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{self.job_id}", body)

    def run(self) -> None:
        """Asks for a run, and waits until that is taken up."""
        before = self.jobs.detail(self.job_id)["status"]
        self.jobs.run(self.job_id, resume=self.resume)
        wait_until(
            f"{self.name} is run", lambda: self.statuses.of(self.job_id)["status"] not in ("", before), PATIENCE_S
        )

    def until(self, *statuses: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            job = self.statuses.of(self.job_id)
            return job if job["status"] in statuses else None

        return wait_until(f"{self.name} is {' or '.join(statuses)}", reached, PATIENCE_S)

    def upload(self, source: Path, key: str) -> None:
        self.jobs.client.upload(source, BUCKET, key)

    def write(self, key: str, content: bytes) -> None:
        path = self.scratch / key
        path.write_bytes(content)
        self.upload(path, key)

    def forget(self, key: str) -> None:
        """Deletes an object, or all below a folder."""
        path = self.home / "objects" / BUCKET / key
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def jvm(self, role: str) -> int:
        """The pid of one process of the deployment."""
        mark = f"/{role}.log"
        found = [
            pid
            for pid in processes_of(self.deployment)
            if is_jvm(pid) and mark in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        ]
        assert len(found) == 1, f"{self.name}: {role} has the processes {found}"
        return found[0]

    def signal(self, role: str, number: signal.Signals) -> None:
        os.kill(self.jvm(role), number)

    @cached_property
    def port(self) -> int:
        """A port of this machine on which nobody answers, until ``listen``."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            return int(free.getsockname()[1])

    def listen(self) -> None:
        """Answers on ``port`` from now on."""
        self.kept.append(socket.create_server(("127.0.0.1", self.port)))

    def close(self) -> None:
        for listener in self.kept:
            listener.close()


def options(**given: str) -> str:
    """``runtime_config``; names with ``__`` in place of dots."""
    pairs = {**QUICK, **{name.replace("__", ".").replace("_", "-"): value for name, value in given.items()}}
    return json.dumps([{"key": key, "value": value} for key, value in pairs.items() if value])


def stamped(jar: Path, target: Path, class_version: int) -> Path:
    """The JAR as a compiler for another Java would have made it: its classes say that they are of that version."""
    with zipfile.ZipFile(jar) as source, zipfile.ZipFile(target, "w") as made:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename.endswith(".class"):
                content = content[:6] + class_version.to_bytes(2, "big") + content[8:]
            made.writestr(entry, content)
    return target
