"""A log whose storage is away for longer than this machine keeps it, from a process's output to a real bucket."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.control.logs import LogShipper
from headrace.control.shipping import GONE, Rolling
from headrace.domain.job import JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.flink.command import Layout
from headrace.objects.s3 import S3Objects
from headrace.runtimes import logfiles, processes
from headrace.runtimes.logfiles import SHIPPED, LogFile
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.journal import Kind
from tests.support.seaweed import Seaweed, seaweed
from tests.support.server import wait_until
from tests.support.stores import access_to

AT_MS = 1_790_000_000_000  # 2026-09-21
BUCKET, ROLE = "logs", "taskmanager-1"
SPOOL_BYTES = 1 << 20
"""``log_spool_mb = 1``"""
SCRIPT = """
seq 1 20000
until [ -e away ]; do sleep 0.05; done
seq 20001 600000
until [ -e back ]; do sleep 0.05; done
seq 600001 600100
"""
AWAY, END = 600_000, 600_100
"""The last number while the storage is away, and of all."""


@dataclass
class Printer:
    """A job whose one process prints numbers; its keeper and its shipper are as they always are."""

    folder: Path
    jobs: JobStore
    store: S3Objects

    def __post_init__(self) -> None:
        self.job_id = self.jobs.create(Caller("p", "u"), JobSpec("j"), now_ms=AT_MS).id
        self.jobs.move(self.jobs.get(self.job_id), Record(Phase.RUNNING, attempt=1, first_attempt=1), now_ms=AT_MS)
        self.layout = Layout(self.folder / f"job-{self.job_id}-1")
        self.role = self.layout.role(ROLE)
        for folder in (self.role, self.layout.log):
            folder.mkdir(parents=True)
        self.log = LogFile(ROLE, "taskmanager.out", self.layout.logs(ROLE)[".out"], self.role / "spool.json")
        logfiles.want(self.layout, BUCKET)

    def start(self) -> None:
        command = {
            "argv": ["/bin/sh", "-c", SCRIPT],
            "env": {"PATH": "/usr/bin:/bin"},
            "cwd": str(self.role),
            "output": str(self.log.path),
            "fence": str(self.layout.folder),
            "holds": [],
            "spool": {"files": [str(self.log.path)], "bytes": SPOOL_BYTES},
        }
        (self.role / "command.json").write_text(json.dumps(command))
        processes.start(self.role)

    def go(self, until: str) -> None:
        (self.role / until).touch()

    def has(self, number: int) -> bool:
        """Whether it has printed this number as its last one until now."""
        size = self.log.size
        return self.log.read(max(0, size - 8), size).endswith(f"\n{number}\n".encode())

    def shipped(self) -> bytes:
        """What is in the bucket, its segments one behind the other."""
        found = [
            (int(match[1] or 0), info.key)
            for info in self.store.listing(BUCKET, f"jobs/logs/{self.job_id}/")
            if (match := re.search(r"/taskmanager\.out(?:\.(\d+))?\Z", info.key))
        ]
        return b"".join(self.store.read(BUCKET, key) for _, key in sorted(found))

    def mark(self) -> dict[str, Any]:
        """How far its log is."""
        noted: dict[str, dict[str, Any]] = json.loads((self.layout.folder / SHIPPED).read_text())
        return noted[f"{ROLE}/taskmanager.out"]

    def told(self) -> list[str]:
        return [entry.note for entry in self.jobs.history(self.job_id) if entry.kind is Kind.LOGS]


@pytest.fixture
def weed(tmp_path: Path) -> Iterator[Seaweed]:
    with seaweed(tmp_path / "weed") as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def printer(tmp_path: Path, weed: Seaweed) -> Iterator[Printer]:
    database = Database(tmp_path / "headrace.db")
    one = Printer(tmp_path / "deployments", JobStore(database), S3Objects(access_to(weed, timeout_s=5.0)))
    shipper = LogShipper(
        lambda: logfiles.all_owed(one.folder),
        one.store.put,
        one.jobs,
        lambda: AT_MS,
        period_s=0.1,
        rolling=Rolling(segment_bytes=256 << 10),
    )
    shipper.start()
    yield one
    shipper.stop()
    processes.end(processes.look(one.role), force=True)
    database.close()


def test_what_was_gone_when_the_storage_came_back_is_told_to_the_byte(weed: Seaweed, printer: Printer) -> None:
    printer.start()
    wait_until("the first numbers are in the bucket", lambda: printer.shipped().endswith(b"\n20000\n"))
    weed.kill()
    printer.go("away")
    wait_until("it has gone on", lambda: printer.has(AWAY))
    wait_until("the oldest are gone", lambda: printer.log.gone >= printer.log.size - SPOOL_BYTES - (SPOOL_BYTES >> 3))
    wait_until("their room is free", lambda: printer.log.path.stat().st_blocks * 512 < 2 * SPOOL_BYTES)
    wait_until("another segment was tried in vain", lambda: printer.mark().get("number", 0) > 0)
    assert len(printer.told()) == 1
    weed.start()
    printer.go("back")
    wait_until("the last numbers are in the bucket", lambda: printer.shipped().endswith(f"\n{END}\n".encode()))

    shipped = printer.shipped().decode()
    before, marker, after = re.split(r"(^\[Headrace: .*\n)", shipped, flags=re.MULTILINE)
    first, last = (list(map(int, part.splitlines())) for part in (before, after))
    assert first == list(range(1, 20_001))
    assert last == list(range(last[0], END + 1))
    lost = sum(len(f"{number}\n") for number in range(first[-1] + 1, last[0]))
    assert lost > 2 * SPOOL_BYTES
    assert marker == GONE.format(lost=lost)
    assert len(shipped) == printer.log.size - lost + len(marker)
    told = printer.told()
    assert [note for note in told if "gone" in note] == [
        f"{lost} bytes of {ROLE}/taskmanager.out were gone before they could be written to {BUCKET}."
    ]
    assert told[0].startswith(f"Logs are not written to {BUCKET} at the moment: The object storage at {weed.endpoint}")
