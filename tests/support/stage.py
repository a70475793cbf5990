"""One server on which the tests of a module play at once: most of their time they wait, and not for one another."""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from headrace.cli.client import ApiClient, ApiError
from headrace.faults.watch import Watch
from headrace.flink.engines import EngineStore
from headrace.flink.rest import FlinkRest
from headrace.runtimes import files, processes
from headrace.runtimes.processes import Kept, Life
from tests.support.server import BUCKET, EXAMPLES, Jobs, ServerUnderTest, processes_of, wait_until

Test = TypeVar("Test", bound=Callable[..., None])
AT_ONCE = 4
"""More starting JVMs than that only make one another late."""
RATE = 50
"""Records a second of a counter."""


@dataclass
class Playing:
    """A job on the stage, as its user sees it and as the kernel does."""

    home: Path
    jobs: Jobs
    job_id: int
    output: str = ""

    # -- as its user ----------------------------------------------------------------------------------------------

    def run(self, *, resume: bool = False) -> None:
        """Asks for a run."""
        self.jobs.run(self.job_id, resume=resume)

    def stop(self, *, savepoint: bool = False) -> None:
        """Asks for a stop."""
        self.jobs.stop(self.job_id, savepoint=savepoint)

    def until(self, *wanted: str) -> dict[str, Any]:
        """The details, when the job has one of these statuses."""
        return self.jobs.until(self.job_id, *wanted)

    def detail(self) -> dict[str, Any]:
        """The details now."""
        return self.jobs.detail(self.job_id)

    def change(self, **fields: Any) -> None:
        """Changes the definition."""
        self.jobs.client.call("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{self.job_id}", fields)

    def save(self) -> str:
        """Triggers a savepoint; its path."""
        self.jobs.client.call("POST", f"/v1.0/{{p}}/streaming/jobs/{self.job_id}/savepoint", {"action": "TRIGGER"})
        before = self.detail()["savepoint_path"]
        return wait_until("the savepoint is made", lambda: self._newer_than(before))

    def _newer_than(self, before: str) -> str:
        detail = self.detail()
        assert detail["status"] in ("job_savepointing", "job_running"), detail["status_desc"]
        return str(detail["savepoint_path"]) if detail["savepoint_path"] != before else ""

    def told(self, text: str, *statuses: str) -> dict[str, Any]:
        """The first details whose ``status_desc`` has these words."""

        def looked() -> dict[str, Any] | None:
            detail = self.detail()
            return (
                detail if text in detail["status_desc"] and detail["status"] in (statuses or detail.values()) else None
            )

        return wait_until(f"status_desc has {text!r}", looked)

    def journal(self, text: str = "") -> list[dict[str, Any]]:
        """All lines whose note has these words, oldest first."""
        path = f"/headrace/v1/{{p}}/jobs/{self.job_id}/events"
        events = self.jobs.client.call("GET", path, query={"limit": 1000})["events"]
        return [event for event in events if text in event["note"]]

    def written(self) -> int:
        """Lines in the finished files of a counter's output; cheap, and no proof of anything."""
        folder = self.home / "objects" / BUCKET / self.output
        with suppress(FileNotFoundError):
            found = [path for path in folder.iterdir() if not path.name.startswith(".")]
            return sum(path.read_bytes().count(b"\n") for path in found)
        return 0

    def grows(self, by: int = RATE) -> int:
        """Waits until a counter has written so many more records; how many there are."""
        goal = self.written() + by
        return wait_until(f"{self.output} has {goal} records", lambda: (now := self.written()) >= goal and now)

    def exact(self) -> int:
        """How many numbers a counter has written, each exactly once."""
        return len(self.jobs.counted(self.output))

    def ends_exactly(self) -> int:
        """Stops a counter with a savepoint, which commits all that was counted; as ``exact``."""
        self.stop(savepoint=True)
        self.until("job_cancel_success")
        return self.exact()

    def order(self, what: str) -> Path:
        """Puts an order for ``Poison`` where the job looks for it; it is deleted when it is carried out."""
        path = self.home / "objects" / BUCKET / f"poison-{self.output}" / what
        path.parent.mkdir(exist_ok=True)
        path.touch()
        return path

    # -- as the kernel sees it ------------------------------------------------------------------------------------

    @property
    def attempt(self) -> int:
        """Number of the newest deployment."""
        found = (self.home / "deployments").glob(f"job-{self.job_id}-*")
        return max((int(folder.name.rpartition("-")[2]) for folder in found), default=0)

    def folder(self, attempt: int | None = None) -> Path:
        """Of a deployment, or of the newest."""
        return self.home / "deployments" / f"job-{self.job_id}-{attempt or self.attempt}"

    def kept(self, role: str, attempt: int | None = None) -> Kept:
        """How a process stands."""
        return processes.look(self.folder(attempt) / role)

    def strike(self, role: str, number: signal.Signals = signal.SIGKILL) -> float:
        """Sends a signal to a live process of the newest deployment; when, in seconds since boot."""
        kept = self.kept(role)
        assert kept.life is Life.RUNS, f"{role} {kept.life}"
        assert kept.identity is not None
        os.kill(kept.identity.pid, number)
        return since_boot()

    def ended(self, role: str, attempt: int | None = None) -> Kept:
        """The process, when its end is on record."""

        def ended() -> Kept | None:
            kept = self.kept(role, attempt)
            return kept if kept.life is Life.ENDED else None

        return wait_until(f"{role} has ended", ended)

    def flink(self) -> FlinkRest:
        """REST of the newest deployment's JobManager."""
        return FlinkRest(int(files.read(self.folder() / "ports.json")["ports"][1]))

    def restored(self) -> str:
        """Where Flink itself says that the job was restored from when it was started, "" = nowhere."""
        rest = self.flink()
        last = rest.checkpoints(rest.jobs()[0]["jid"])["latest"]["restored"] or {}
        return str(last.get("external_path") or "")

    def checkpoint(self) -> None:
        """Has Flink make a checkpoint now (Flink 1.17 and later)."""
        rest = self.flink()
        job = rest.jobs()[0]["jid"]
        before = rest.checkpoints(job)["counts"]["completed"]
        rest._call("POST", f"/jobs/{job}/checkpoints", {})
        wait_until("the checkpoint is made", lambda: rest.checkpoints(job)["counts"]["completed"] > before)

    def checkpoints(self) -> dict[int, Path]:
        """The job's complete checkpoints by number, of all its runs; a number of several runs shows the newest."""
        folder = self.home / "objects" / BUCKET / "jobs" / "checkpoint" / str(self.job_id)
        found = sorted(folder.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime_ns)
        return {int(path.parent.name.removeprefix("chk-")): path.parent for path in found}


@dataclass
class Stage:
    """One server, with the JARs of both lines of Flink."""

    server: ServerUnderTest
    watch: Watch
    futures: dict[str, Future[None]] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Of the server."""
        return self.server.home

    def start(self) -> None:
        """Starts the server again, after it was killed."""
        self.server.start()

    def jobs(self, flink: str = "1.20") -> Jobs:
        """What a user does, by a connection of their own."""
        return Jobs(ApiClient.of_home(self.home), flink)

    @contextmanager
    def job(
        self, name: str, args: str, *, flink: str = "1.20", jar: str = "failOnDemand.jar", **more: Any
    ) -> Iterator[Playing]:
        """A job that is not run yet; at the end it is deleted, or after a failure only stopped: its logs stay."""
        jobs = self.jobs(flink)
        place = "" if flink.startswith("1.") else "flink-2/"
        options = {"obs_bucket": BUCKET, "checkpoint_enabled": True, "checkpoint_interval": 1, **more}
        one = Playing(self.home, jobs, jobs.create(name, f"{place}{jar}", args, **options), name)
        try:
            yield one
        except BaseException:
            with suppress(ApiError):
                one.stop()
            raise
        with suppress(ApiError):
            one.jobs.delete(one.job_id)

    @contextmanager
    def counter(self, name: str, *, flink: str = "1.20", **more: Any) -> Iterator[Playing]:
        """A StatefulCounter that runs and has written something."""
        place = f"obs://{BUCKET}"
        args = f"--rate {RATE} --output {place}/{name} --poison {place}/poison-{name}"
        options = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": -1, **more}
        with self.job(name, args, flink=flink, jar="statefulCounter.jar", **options) as one:
            one.run()
            one.until("job_running")
            if options.get("checkpoint_interval", 1) == 1:
                one.grows(1)
            yield one


@contextmanager
def staged(
    request: pytest.FixtureRequest,
    folder: Path,
    engines: EngineStore,
    environment: dict[str, str] | None = None,
    *,
    home: str = "home",
    seamed: bool = True,
) -> Iterator[Stage]:
    """A stage; the module's tests that are ``together`` begin at once, and nothing is left at the end."""
    engines.install("1.20.5")
    server = ServerUnderTest(folder / home, engines.root, environment or {}, seamed=seamed)
    jobs = Jobs(server.start())
    jobs.lay_out()
    for jar in (EXAMPLES / "jars" / "flink-2").glob("*.jar"):
        jobs.client.upload(jar, BUCKET, f"flink-2/{jar.name}")
    stage = Stage(server, Watch(server.home))
    stage.watch.start()
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for test, given in _together(request):
                stage.futures[_key(test, given)] = pool.submit(test, stage, **given)
            yield stage
            pool.shutdown(cancel_futures=True)
    finally:
        stage.watch.stop()
        server.down()
        wait_until("no process is left", lambda: not processes_of(folder), 30)


def together(test: Test) -> Test:
    """A test whose only fixture is ``stage``: all such tests of a module run at once, and each awaits its own end."""

    @functools.wraps(test)
    def awaited(stage: Stage, **given: object) -> None:
        stage.futures[_key(test, given)].result()

    awaited.plays = test  # type: ignore[attr-defined]
    return awaited  # type: ignore[return-value]


def since_boot() -> float:
    """Seconds since boot, as keepers write them down."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _key(test: Callable[..., None], given: Mapping[str, object]) -> str:
    return f"{test.__name__}{sorted(given.items())}"


def _together(request: pytest.FixtureRequest) -> list[tuple[Callable[..., None], dict[str, Any]]]:
    """Those that are to be run, with their parameters, in their order."""
    mine = [item for item in request.session.items if getattr(item, "module", None) is request.node.obj]
    found = [item for item in mine if isinstance(item, pytest.Function) and hasattr(item.obj, "plays")]
    return [(item.obj.plays, item.callspec.params if hasattr(item, "callspec") else {}) for item in found]
