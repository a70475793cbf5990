"""A real ``headrace serve`` in a process of its own, and the life of jobs in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from headrace.cli.client import ApiClient

T = TypeVar("T")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PATIENCE_S = 180.0
BUCKET = "test-bucket"
QUICK = ("env.java.opts.taskmanager", "-XX:TieredStopAtLevel=1")
ENDS = frozenset({"job_submit_fail", "job_running_exception", "job_cancel_fail", "job_finish", "job_cancel_success"})


def wait_until(what: str, look: Callable[[], T | None], patience_s: float = PATIENCE_S) -> T:
    """The first true value of ``look``; fails after a generous limit. Looking takes a twentieth of the time at most:
    what is waited for needs the machine more.
    """
    deadline = time.monotonic() + patience_s
    while True:
        began = time.monotonic()
        found = look()
        if found:
            return found
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {patience_s} s"
        time.sleep(min(max(0.05, 20 * (now - began)), 0.5))


def quick(runtime_config: str) -> str:
    """As given, with TaskManagers that compile less: jobs of tests end long before that pays."""
    if runtime_config.startswith("[") or QUICK[0] in runtime_config:
        return runtime_config
    return f"{runtime_config}\n{'='.join(QUICK)}".strip()


def jar_family(flink: str) -> str:
    return "flink-1" if flink.startswith("1.") else "flink-2"


def processes_of(folder: Path) -> list[int]:
    """Pids of all processes whose command line names the folder (JVMs, keepers)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if str(folder) in command and state != "Z" and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def is_jvm(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve().name == "java"
    except OSError:
        return False


@dataclass
class ServerUnderTest:
    """``start`` it, ``kill`` it, ``start`` it again on the same home.

    Attributes:
        seamed: it is the server of ``tests/support/seamed.py``, which obeys the files in ``orders``.
    """

    home: Path
    engine_store: Path
    environment: dict[str, str] = field(default_factory=dict)
    seamed: bool = False
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> ApiClient:
        self.home.mkdir(parents=True, exist_ok=True)
        log = (self.home.parent / f"{self.home.name}.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                self._command(),
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
        pid = self.process.pid
        process = self.process

        def ready() -> bool:
            assert process.poll() is None, self.log()[-3000:]
            path = self.home / "server.json"
            return path.exists() and json.loads(path.read_text())["pid"] == pid

        wait_until("the server is ready", ready)
        return ApiClient.of_home(self.home)

    def client(self) -> ApiClient:
        """A connection of its own; starts the server if it does not run."""
        running = self.process is not None and self.process.poll() is None
        return ApiClient.of_home(self.home) if running else self.start()

    def jobs(self) -> Jobs:
        """Jobs on the default engine, everything laid out."""
        one = Jobs(self.client())
        if not (self.home / "objects" / BUCKET).exists():
            one.lay_out()
        return one

    @property
    def orders(self) -> Path:
        """What a seamed server is ordered, see ``headrace/faults/server.py``."""
        return self.home.parent / "orders"

    def _command(self) -> list[str]:
        if not self.seamed:
            return [sys.executable, "-m", "headrace", "serve", "--home", str(self.home), "--port", "0"]
        self.orders.mkdir(exist_ok=True)
        return [sys.executable, "-m", "tests.support.seamed", str(self.orders)]

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def down(self, *options: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "headrace", "down", "--home", str(self.home), *options],
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        if self.process is not None:
            self.process.wait(60)
        return done.stdout

    def log(self) -> str:
        return (self.home.parent / f"{self.home.name}.log").read_text()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "HEADRACE_MEMORY_PER_CU_MB": "1024",
            "HEADRACE_MEMORY_LIMIT_MB": "32768",  # the same admissions on every machine
            "HEADRACE_ENGINE_STORE": str(self.engine_store),
            **({"HEADRACE_HOME": str(self.home), "HEADRACE_PORT": "0"} if self.seamed else {}),
            **self.environment,
        }


@dataclass
class Jobs:
    """What a user does with jobs, through the API."""

    client: ApiClient
    flink: str = "1.20"

    def lay_out(self) -> None:
        """A bucket with the example JARs and data, a queue of 16 CUs, and the topics that jobs of tests name."""
        self.client.create_bucket(BUCKET)
        jars = EXAMPLES / "jars"
        sources = [*(jars / jar_family(self.flink)).glob("*.jar"), *jars.glob("*.jar"), *(EXAMPLES / "data").iterdir()]
        for source in sources:
            self.client.upload(source, BUCKET, source.name)
        self.client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
        for topic in ("alarms", "told"):
            self.client.call("POST", "/v2/{p}/notifications/topics", {"name": topic})

    def create(self, name: str, jar: str, args: str = "", *, runtime_config: str = "", **more: Any) -> int:
        spec = {
            "name": name,
            "queue_name": "q",
            "entrypoint": f"obs://{BUCKET}/{jar}",
            "entrypoint_args": args,
            "feature": "basic",
            "flink_version": self.flink,
            "runtime_config": quick(runtime_config),
            **more,
        }
        return int(self.client.call("POST", "/v1.0/{p}/streaming/flink-jobs", spec)["job"]["job_id"])

    def counter(self, name: str = "counter", **more: Any) -> int:
        more = {"obs_bucket": BUCKET, "checkpoint_enabled": True, "checkpoint_interval": 1, **more}
        return self.create(name, "statefulCounter.jar", f"--rate 50 --output obs://{BUCKET}/{name}", **more)

    def run(self, job_id: int, *, resume: bool = False) -> None:
        body = {"job_ids": [job_id], "resume_savepoint": resume}
        self.client.call("POST", "/v1.0/{p}/streaming/jobs/run", body)

    def stop(self, job_id: int, *, savepoint: bool = False) -> None:
        body = {"job_ids": [job_id], "trigger_savepoint": savepoint}
        self.client.call("POST", "/v1.0/{p}/streaming/jobs/stop", body)

    def all(self) -> list[int]:
        """Ids of the jobs that there are."""
        listed = self.client.call("GET", "/v1.0/{p}/streaming/jobs", query={"limit": 100})["job_list"]["jobs"]
        return [int(job["job_id"]) for job in listed]

    def delete(self, job_id: int) -> None:
        self.client.call("DELETE", f"/v1.0/{{p}}/streaming/jobs/{job_id}")

    def detail(self, job_id: int) -> dict[str, Any]:
        return dict(self.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}")["job_detail"])

    def until(self, job_id: int, *wanted: str) -> dict[str, Any]:
        """Polls until one of the statuses; fails at once on an end that is not wanted."""

        def reached() -> dict[str, Any] | None:
            detail = self.detail(job_id)
            unwanted = ENDS - set(wanted)
            assert detail["status"] not in unwanted, f"{detail['status']}: {detail['status_desc']}"
            return detail if detail["status"] in wanted else None

        return wait_until(f"job {job_id} is {wanted}", reached)

    def path(self, job_id: int) -> list[str]:
        """The recorded history as DLI's words, repeats folded."""
        moves = self.client.call("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/history")["moves"]
        words: list[str] = []
        for move in moves:
            if not words or words[-1] != move["status"]:
                words.append(move["status"])
        return words

    def records(self, job_id: int) -> int | None:
        answer = self.client.call("POST", "/v1.0/{p}/streaming/jobs/metrics", {"job_ids": [job_id]})
        known = [source["records"] for source in answer["metrics"]["jobs"][0]["metrics"]["sources"]]
        counts = [count for count in known if count is not None]
        return sum(counts) if counts else None

    def counted(self, folder: str = "counter") -> list[int]:
        """The numbers of StatefulCounter's finished files; fails unless each from 0 up is there exactly once."""
        numbers: Counter[int] = Counter()
        for text in self.texts(f"{folder}/"):
            numbers.update(int(line.split()[2]) for line in text.splitlines())
        assert sorted(numbers) == list(range(len(numbers))), "a number is missing"
        assert all(times == 1 for times in numbers.values()), "a number is there twice"
        return sorted(numbers)

    def texts(self, prefix: str) -> list[str]:
        answer = self.client.call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}", query={"prefix": prefix})
        keys = [entry["key"] for entry in answer["objects"]]
        finished = [key for key in keys if not any(part.startswith(".") for part in key.split("/"))]
        return [b"".join(self.client.download(BUCKET, key)).decode() for key in finished]
