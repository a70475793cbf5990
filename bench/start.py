"""Submit -> all tasks RUNNING: Headrace through its HTTP API beside stock Flink started by hand, in alternating pairs.

Both sides run the same JAR with the same arguments on the same engine and Java, in processes of the same size (one
JobManager, one TaskManager), and are watched in the same way: every 20 ms one ``GET /jobs/overview`` to Flink's own
REST. That document is no cached one: the JobManager counts the tasks of its jobs anew for every request. ``/jobs/:id``
and all below it come from a cache of ``web.refresh-interval``, 3 s by default, and would show a stock Flink late.

Headrace: the clock starts before ``POST …/streaming/jobs/run``. Staging, checks, admission and processes are inside.
When the API says job_running is taken from the job's history, so that no second poller takes CPU from the start.
Stock Flink: application mode as ``standalone-job.sh`` and ``taskmanager.sh`` start it, both at once, with Flink's own
defaults but for sizes, ports and folders. The clock starts with the first JVM. Before it the JAR is put into
``usrlib``, and Flink's memory calculator (``bash-java-utils.jar``) is run, which the scripts would run at each start:
both favour stock Flink.

One pair is run and discarded first: it fills the page cache for both.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from headrace.cli.client import ApiClient
from headrace.flink import catalog, command, config
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.rest import FlinkRefused, FlinkRest, FlinkSilent
from headrace.settings import load_settings

JARS = Path(__file__).resolve().parents[1] / "examples" / "jars"
JAR = "javaQueueStream.jar"
MAIN_CLASS = "org.apache.flink.examples.streaming.JavaQueueStream"
ARGS = ("-windowSize", "2000", "-rate", "3")
PROCESS_MB = 2048  # of the JobManager and of the TaskManager; from 1728 MB on both sides split it alike
POLL_S = 0.02
PATIENCE_S = 120.0
BUCKET = "bench"


@dataclass(frozen=True)
class Start:
    """One start. ``told_s``: when the API said job_running (Headrace only). CPU and RSS are of both JVMs together."""

    running_s: float
    cpu_s: float
    rss_mb: float
    told_s: float | None = None


class Headrace:
    """One server in a home of its own, and one job in it that is run again and again."""

    def __init__(
        self, folder: Path, engine: Engine, store: EngineStore, more: Mapping[str, object] | None = None
    ) -> None:
        """``more``: fields of the job besides those of the measurement."""
        self._home = folder / "home"
        self._environment = {
            **os.environ,
            "HEADRACE_ENGINE_STORE": str(store.root),
            "HEADRACE_MEMORY_PER_CU_MB": str(PROCESS_MB),
            "HEADRACE_MEMORY_LIMIT_MB": "32768",
        }
        serve = [sys.executable, "-m", "headrace", "serve", "--home", str(self._home), "--port", "0"]
        with (folder / "serve.log").open("wb") as log:
            self._server = subprocess.Popen(serve, env=self._environment, stdout=log, stderr=log)
        try:
            self._client, self._job_id = self._lay_out(engine, more or {})
        except BaseException:
            self.close()
            raise

    def _lay_out(self, engine: Engine, more: Mapping[str, object]) -> tuple[ApiClient, int]:
        _until("the server is ready", (self._home / "server.json").exists)
        client = ApiClient.of_home(self._home)
        client.create_bucket(BUCKET)
        for jar in _jars(engine).glob("*.jar"):
            client.upload(jar, BUCKET, jar.name)
        client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
        spec = {
            "name": "bench",
            "queue_name": "q",
            "entrypoint": f"obs://{BUCKET}/{JAR}",
            "main_class": MAIN_CLASS,
            "entrypoint_args": " ".join(ARGS),
            "feature": "basic",
            "flink_version": engine.version,
            **more,
        }
        return client, int(client.call("POST", "/v1.0/{p}/streaming/flink-jobs", spec)["job"]["job_id"])

    def start_once(self, attempt: int) -> Start:
        deployment = self._home / "deployments" / f"job-{self._job_id}-{attempt}"
        ports = deployment / "ports.json"
        wall, began = time.time(), time.monotonic()
        self._client.call("POST", "/v1.0/{p}/streaming/jobs/run", {"job_ids": [self._job_id]})
        _until("the deployment has ports", ports.exists)
        running_s = _all_running(json.loads(ports.read_text())["ports"][1]) - began
        pids = [json.loads(file.read_text())["pid"] for file in deployment.glob("*manager*/process.json")]
        cpu_s, rss_mb = _cost(pids)
        _until("the API says job_running", lambda: self._told("job_running", attempt) is not None)
        told = self._told("job_running", attempt) or 0.0
        self._client.call("POST", "/v1.0/{p}/streaming/jobs/stop", {"job_ids": [self._job_id]})
        _until("the job is stopped", lambda: self._told("job_cancel_success", attempt) is not None)
        _until("its processes are gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        return Start(running_s, cpu_s, rss_mb, told - wall)

    def _told(self, status: str, attempt: int) -> float | None:
        """When the job's history of this attempt first says so, in seconds since 1970."""
        moves = self._client.call("GET", f"/headrace/v1/{{p}}/jobs/{self._job_id}/history")["moves"]
        at = (move["at_ms"] / 1000 for move in moves if move["attempt"] == attempt and move["status"] == status)
        return next(at, None)

    def close(self) -> None:
        down = [sys.executable, "-m", "headrace", "down", "--home", str(self._home)]
        subprocess.run(down, env=self._environment, check=False, capture_output=True)
        self._server.terminate()
        self._server.wait()


class Stock:
    """Flink as its standalone scripts start it in application mode, without Headrace."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self._engine = engine
        self._folder = folder / "stock"
        self._conf = self._folder / "conf"
        (self._folder / "usrlib").mkdir(parents=True)
        (self._folder / "tmp").mkdir()
        (self._folder / "lib").symlink_to(engine.home / "lib")
        shutil.copy2(_jars(engine) / JAR, self._folder / "usrlib")
        rpc_port, self._rest_port = _free_ports(2)
        self._options = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": str(rpc_port),
            "jobmanager.memory.process.size": f"{PROCESS_MB}m",
            "taskmanager.memory.process.size": f"{PROCESS_MB}m",
            "taskmanager.numberOfTaskSlots": "1",
            "parallelism.default": "1",
            "rest.address": "localhost",
            "rest.port": str(self._rest_port),
            "io.tmp.dirs": str(self._folder / "tmp"),
        }
        config.write(self._conf, self._options, engine.minor)
        config.write_log4j(self._conf / "log4j.properties", {})
        memory = {role: self._memory(f"GET_{role}_RESOURCE_PARAMS") for role in ("JM", "TM")}
        where = ("--configDir", str(self._conf))
        job = ("--job-classname", MAIN_CLASS)
        jobmanager = (*self._jvm("jm", memory["JM"][0]), command.JOBMANAGER, *memory["JM"][1], *where, *job, *ARGS)
        taskmanager = (*self._jvm("tm", memory["TM"][0]), command.TASKMANAGER, *where, *memory["TM"][1])
        self._commands = (jobmanager, taskmanager)

    def _jvm(self, role: str, sizes: list[str]) -> tuple[str, ...]:
        log = (f"-Dlog.file={self._folder / f'{role}.log'}", f"-Dlog4j.configurationFile={self._conf}/log4j.properties")
        class_path = ":".join(str(jar) for jar in self._engine.lib_jars)
        modules = command.module_options(self._engine.java_major)
        return (str(self._engine.java), *sizes, *modules, *log, "-classpath", class_path)

    def _memory(self, what: str) -> tuple[list[str], list[str]]:
        """JVM arguments and Flink options by Flink's own calculator."""
        class_path = f"{self._engine.home / 'bin' / 'bash-java-utils.jar'}:{self._engine.lib_jars[-1]}"
        ask = [str(self._engine.java), "-cp", class_path, "org.apache.flink.runtime.util.bash.BashJavaUtils", what]
        asked = subprocess.run([*ask, "--configDir", self._conf], capture_output=True, text=True, check=True)
        mark = "BASH_JAVA_UTILS_EXEC_RESULT:"
        sizes, options = (line.removeprefix(mark) for line in asked.stdout.splitlines() if line.startswith(mark))
        return sizes.split(), options.split()

    def start_once(self) -> Start:
        environment = {
            **os.environ,
            "FLINK_LIB_DIR": str(self._folder / "lib"),
            "FLINK_PLUGINS_DIR": str(self._engine.home / "plugins"),
            "FLINK_CONF_DIR": str(self._conf),
        }
        with contextlib.ExitStack() as started, (self._folder / "out").open("ab") as out:
            began = time.monotonic()
            processes = [
                started.enter_context(_ended(subprocess.Popen(argv, env=environment, stdout=out, stderr=out)))
                for argv in self._commands
            ]
            running_s = _all_running(self._rest_port) - began
            return Start(running_s, *_cost([process.pid for process in processes]))


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _jars(engine: Engine) -> Path:
    return JARS / ("flink-1" if engine.minor < (2, 0) else "flink-2")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def _until(what: str, look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(POLL_S)


def _all_running(port: int) -> float:
    """The moment, on the monotonic clock, at which Flink first says that all tasks of its job run."""
    rest = FlinkRest(port)

    def look() -> bool:
        try:
            jobs = rest.jobs()
        except (FlinkSilent, FlinkRefused):
            return False
        return bool(jobs) and 0 < jobs[0]["tasks"]["total"] == jobs[0]["tasks"]["running"]

    try:
        _until("all tasks run", look)
        return time.monotonic()
    finally:
        rest.close()


def _cost(pids: list[int]) -> tuple[float, float]:
    """CPU-seconds so far and resident MB of these processes."""
    ticks = pages = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
        pages += int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextlib.contextmanager
def _both(engine: Engine, store: EngineStore) -> Iterator[tuple[Headrace, Stock]]:
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-"))
    try:
        with store.hold(engine), contextlib.closing(Headrace(folder, engine, store)) as ours:
            yield ours, Stock(folder, engine)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(name: str, a: Start, b: Start) -> None:
    seconds = f"{a.running_s:8.2f}  ({a.told_s or 0:8.2f}) {b.running_s:8.2f} {a.running_s / b.running_s:5.2f}"
    print(f"{name:4} {seconds} | {a.cpu_s:8.1f} {b.cpu_s:5.1f} | {a.rss_mb:8.0f} {b.rss_mb:5.0f}", flush=True)


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} (min {min(values):.2f}, max {max(values):.2f})"


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description="Submit -> all tasks RUNNING: Headrace (A) beside stock Flink (B).")
    parser.add_argument("--pairs", type=int, default=3, help="measured pairs, after one that is discarded (default 3)")
    parser.add_argument("--engine", default=catalog.DEFAULT, help=f"Flink version (default {catalog.DEFAULT})")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)  # so that all is cleaned up
    settings = load_settings()
    store = EngineStore(settings.engine_store, settings.engine_java_homes)
    engine = store.install(catalog.resolve(asked.engine, aliases=settings.engine_aliases))
    print(f"Submit -> all tasks RUNNING, Flink {engine.version} on Java {engine.java_major}, {os.cpu_count()} CPUs")
    print(f"JavaQueueStream {' '.join(ARGS)}; JobManager and TaskManager of {PROCESS_MB} MB each")
    print("A = Headrace, POST run -> RUNNING   B = stock Flink, application mode, JVMs started -> RUNNING\n")
    print("pair      A s  (API says)      B s   A/B |  CPU-s A     B | RSS MB A     B", flush=True)
    pairs: list[tuple[Start, Start]] = []
    with _both(engine, store) as (ours, stock):
        for number in range(max(1, asked.pairs) + 1):
            a, b = ours.start_once(number + 1), stock.start_once()
            _show(str(number) if number else "warm", a, b)
            if number:
                pairs.append((a, b))
    print("\nmedians of the pairs, “warm” not counted:")
    print(f"A  {_middle([a.running_s for a, _ in pairs])} s;  B  {_middle([b.running_s for _, b in pairs])} s")
    print(f"ratio A/B {_middle([a.running_s / b.running_s for a, b in pairs])}")
    print(f"CPU ratio {_middle([a.cpu_s / b.cpu_s for a, b in pairs])}")


if __name__ == "__main__":
    main()
