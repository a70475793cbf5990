"""One job under faults: a StatefulCounter with an exactly-once sink, as its user and as the kernel see it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.domain.job import Phase, deployment_name
from headrace.faults.oracle import Promise, PromiseBroken, Tally, restarts_agree
from headrace.faults.records import NotReadable, Recorded, Records
from headrace.faults.served import Served
from headrace.runtimes import processes
from headrace.runtimes.processes import Identity, Kept, Life

BUCKET = "faults"
QUEUE = "faults"
JAR = "statefulCounter.jar"
RATE = 50
GROWTH = 2 * RATE
"""Records by which the sink of a job that is well has grown: more than one checkpoint brings."""


@dataclass(frozen=True)
class Shape:
    """How a job is laid out."""

    name: str
    parallel: int = 1


@dataclass
class Subject:
    """One job; ``taskmanagers`` of one slot each."""

    served: Served
    records: Records
    shape: Shape
    job_id: int = 0
    tally: Tally = field(default_factory=Tally)
    refused: str = ""
    """What the API said last when it refused something."""
    _read: dict[Path, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the job."""
        return self.shape.name

    @property
    def cus(self) -> int:
        """What it takes."""
        return 1 + self.shape.parallel

    # -- as its user ----------------------------------------------------------------------------------------------

    def create(self, flink: str) -> None:
        """Lays the job out, by the API; it is not run yet."""
        place = f"obs://{BUCKET}"
        spec = {
            "name": self.name,
            "queue_name": QUEUE,
            "entrypoint": f"{place}/{JAR}",
            "entrypoint_args": f"--rate {RATE} --output {place}/{self.name} --poison {place}/poison-{self.name}",
            "flink_version": flink,
            "obs_bucket": BUCKET,
            "cu_number": self.cus,
            "parallel_number": self.shape.parallel,
            "tm_cus": 1,
            "tm_slot_num": 1,
            "checkpoint_enabled": True,
            "checkpoint_interval": 1,
            "restart_when_exception": True,
            "resume_checkpoint": True,
            "resume_max_num": -1,
            "runtime_config": "heartbeat.timeout=8000",  # so long Flink waits for a frozen TaskManager, in ms
        }
        job = self.served.call("POST", "/v1.0/{p}/streaming/flink-jobs", spec)["job"]
        self.job_id = int(job["job_id"])

    def run(self, *, resume: bool = False) -> None:
        """Asks for a run; raises ApiError."""
        body = {"job_ids": [self.job_id], "resume_savepoint": resume}
        self.served.call("POST", "/v1.0/{p}/streaming/jobs/run", body)

    def stop(self) -> None:
        """Asks for a stop with savepoint; raises ApiError."""
        body = {"job_ids": [self.job_id], "trigger_savepoint": True}
        self.served.call("POST", "/v1.0/{p}/streaming/jobs/stop", body)

    def save(self) -> None:
        """Asks for a savepoint; raises ApiError."""
        self.served.call("POST", f"/v1.0/{{p}}/streaming/jobs/{self.job_id}/savepoint", {"action": "TRIGGER"})

    def detail(self) -> dict[str, Any]:
        """DLI's details; raises ApiError."""
        return dict(self.served.call("GET", f"/v1.0/{{p}}/streaming/jobs/{self.job_id}")["job_detail"])

    # -- as the kernel sees it ------------------------------------------------------------------------------------

    @property
    def recorded(self) -> Recorded:
        """What Headrace has on record; raises NotReadable."""
        return self.records.job(self.job_id)

    @property
    def deployment(self) -> Path:
        """The folder of the newest attempt."""
        folders = (self.served.home / "deployments").glob(f"job-{self.job_id}-*")
        newest = max((int(folder.name.rpartition("-")[2]) for folder in folders), default=1)
        return self.served.home / "deployments" / deployment_name(self.job_id, newest)

    def kept(self, pattern: str = "*") -> dict[str, Kept]:
        """The live JVMs of the newest attempt, by role, in order."""
        roles = sorted(record.parent for record in self.deployment.glob(f"{pattern}/process.json"))
        found = {role.name: processes.look(role) for role in roles}
        return {name: kept for name, kept in found.items() if kept.life is Life.RUNS}

    def poison(self, order: str) -> Path:
        """Writes what the job's code takes for an order (``Poison.java``)."""
        path = self.served.home / "objects" / BUCKET / f"poison-{self.name}" / order
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    @property
    def at_rest(self) -> bool:
        """Whether it has stopped as asked; raises NotReadable."""
        recorded = self.recorded
        return recorded.phase is Phase.STOPPED and not recorded.pending

    # -- whether it is well ---------------------------------------------------------------------------------------

    def whole(self) -> bool:
        """Whether it runs as asked, with all its processes, none of them frozen; raises NotReadable, ApiError."""
        recorded = self.recorded
        if recorded.phase is not Phase.RUNNING or recorded.pending or self.detail()["status"] != "job_running":
            return False
        roles = self.kept()
        awake = [name for name, kept in roles.items() if kept.identity is not None and not frozen(kept.identity)]
        return len(awake) == len(roles) == 1 + self.shape.parallel and "jobmanager" in roles

    def count(self) -> int:
        """Reads the sink's new files; the greatest number so far.

        Raises:
            PromiseBroken: one is there twice, or a file that was read is gone or has changed.
        """
        folder = self.served.home / "objects" / BUCKET / self.name
        found = {path: path.stat().st_size for path in folder.glob("*") if not path.name.startswith(".")}
        for path, size in self._read.items():
            if found.get(path) != size:
                raise PromiseBroken(Promise.KEPT, f"{path} had {size} bytes, and has {found.get(path, 'vanished')}")
        for path, size in found.items():
            if path not in self._read:
                self._read[path] = size
                self.tally.take(path.read_text(), str(path))
        return self.tally.greatest

    def check_restarts(self) -> None:
        """Raises PromiseBroken if ``restart_times`` is not what the journal tells; NotReadable."""
        found, journal = self.records.restarts(self.job_id)
        restarts_agree(found, journal)

    def told(self) -> str:
        """Where it stands, for a person."""
        try:
            recorded = self.recorded
        except NotReadable as error:
            return f"{self.name}: {error}"
        roles = ", ".join(f"{name} {kept.identity.pid if kept.identity else '?'}" for name, kept in self.kept().items())
        return (
            f"{self.name}: {recorded.phase} of attempt {recorded.attempt}, request pending: {recorded.pending}, "
            f"processes: {roles or 'none'}, {len(self.tally.numbers)} records"
        )


def frozen(process: Identity) -> bool:
    """Whether it is stopped by a signal."""
    try:
        return (Path("/proc") / str(process.pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def strike(process: Identity, number: signal.Signals) -> None:
    """Sends a signal to this very process, if it lives."""
    if process.lives():
        os.kill(process.pid, number)
