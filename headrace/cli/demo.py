"""``headrace demo``: the life of real Flink jobs through the DLI API, in a home of its own that is gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from headrace.cli.client import ApiClient, ApiError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BUCKET = "bucketName"
PATIENCE_S = 150.0

FOUNDING_EXAMPLE: dict[str, Any] = {
    "name": "test",
    "desc": "This is a job used for counting characters.",
    "queue_name": "testQueue",
    "manager_cu_number": 1,
    "cu_number": 2,
    "parallel_number": 1,
    "tm_cus": 1,
    "tm_slot_num": 1,
    "log_enabled": True,
    "obs_bucket": BUCKET,
    "smn_topic": "topic",
    "main_class": "org.apache.flink.examples.streaming.JavaQueueStream",
    "restart_when_exception": False,
    "entrypoint": "javaQueueStream.jar",
    "entrypoint_args": "-windowSize 2000 -rate 3",
    "dependency_jars": ["myGroup/test.jar", "myGroup/test1.jar"],
    "execution_agency_urn": "myAgencyName",
    "dependency_files": ["myGroup/test.csv", "myGroup/test1.csv"],
}
"""The example request of DLI's page "Creating a Flink Jar Job", word for word."""


class DemoFailed(Exception):
    """Something did not go as shown."""


def demo(
    *, keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's home, to look around in it.")] = False
) -> None:
    """Show a real Flink job: created, running, counted, stopped with a savepoint, resumed; leaves nothing running."""
    console = Console(highlight=False)
    if not EXAMPLES.is_dir():
        raise DemoFailed(f"The example JARs are not at {EXAMPLES}: run the demo from a clone of the repository.")
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    home = folder / "home"
    environment = {"HEADRACE_MEMORY_PER_CU_MB": "1024", **os.environ, "HEADRACE_HOME": str(home)}
    try:
        console.rule("Flink")
        _run(["engines", "install", "1.20"], environment)
        with _server(home, environment) as client:
            _Demo(console, client).run()
    except (DemoFailed, ApiError, subprocess.CalledProcessError) as error:
        console.print(f"[bold red]The demo failed:[/] {error}")
        console.print(f"Its home, with all logs: {folder}")
        raise typer.Exit(1) from error
    finally:
        _run(["down"], environment)
    if keep:
        console.print(f"The home is kept: {home}")
    else:
        shutil.rmtree(folder)
    console.print(f"[bold green]Done[/] in {time.monotonic() - began:.0f} s. No process is left.")


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "headrace", *command], env=environment, check=True)


@contextmanager
def _server(home: Path, environment: dict[str, str]) -> Iterator[ApiClient]:
    with (home.parent / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "headrace", "serve", "--port", "0"]
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not (home / "server.json").exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise DemoFailed(f"the server did not start: {(home.parent / 'server.log').read_text()[-2000:]}")
            time.sleep(0.05)
        try:
            yield ApiClient.of_home(home)
        finally:
            server.terminate()
            server.wait()


@dataclass(frozen=True)
class _Demo:
    console: Console
    client: ApiClient

    def run(self) -> None:
        self._lay_out()
        self._windowed_stream()
        self._stateful_counter()
        self._word_count()

    def _lay_out(self) -> None:
        self.console.rule("A bucket, packages, a queue and a topic")
        self.client.create_bucket(BUCKET)
        jars, data = EXAMPLES / "jars", EXAMPLES / "data"
        sources = [*(jars / "flink-1").glob("*.jar"), *jars.glob("*.jar"), *data.iterdir()]
        for source in sorted(sources):
            self.client.upload(source, BUCKET, f"demo/{source.name}")
        self._package("", "jar", "javaQueueStream.jar")
        self._package("myGroup", "jar", "test.jar", "test1.jar")
        self._package("myGroup", "file", "test.csv", "test1.csv")
        queue = {"queue_name": "testQueue", "queue_type": "general", "cu_count": 16}
        self.client.call("POST", "/v1.0/{p}/queues", queue)
        self.client.call("POST", "/v2/{p}/notifications/topics", {"name": FOUNDING_EXAMPLE["smn_topic"]})
        self.console.print(
            f"{len(sources)} objects in obs://{BUCKET}, 5 packages, queue testQueue with 16 CUs, a topic"
        )

    def _package(self, group: str, kind: str, *names: str) -> None:
        body = {"paths": [f"obs://{BUCKET}/demo/{name}" for name in names], "kind": kind}
        self.client.call("POST", "/v2.0/{p}/resources", {**body, "group": group} if group else body)

    def _windowed_stream(self) -> None:
        self.console.rule("The example of DLI's own page, word for word")
        job_id = self._create(FOUNDING_EXAMPLE)
        self._start(job_id)
        self._count(job_id, 30)
        self._stop(job_id, with_savepoint=False)

    def _stateful_counter(self) -> None:
        self.console.rule("A stateful counter: stopped with a savepoint, and resumed from it")
        spec = {
            "name": "counter",
            "queue_name": "testQueue",
            "entrypoint": f"obs://{BUCKET}/demo/statefulCounter.jar",
            "entrypoint_args": f"--rate 50 --output obs://{BUCKET}/counted",
            "obs_bucket": BUCKET,
            "checkpoint_enabled": True,
            "checkpoint_interval": 1,
        }
        job_id = self._create(spec)
        self._start(job_id)
        self._count(job_id, 200)
        detail = self._stop(job_id, with_savepoint=True)
        before = self._counted()
        self.console.print(f"savepoint: {detail['savepoint_path']}", soft_wrap=True)
        self.console.print(f"exactly once so far: 0 … {len(before) - 1}")
        self._start(job_id, resume=True)
        self._wait("records on from the state", lambda: len(self._counted()) >= len(before) + 100, self._progress)
        self._stop(job_id, with_savepoint=True)
        after = self._counted()
        self.console.print(f"the counter went on from {len(before)} to {len(after) - 1}; each number is there once")

    def _progress(self) -> str:
        return f"{len(self._counted())} numbers in the sink"

    def _counted(self) -> list[int]:
        """The numbers in the sink's finished files; fails unless each from 0 up is there exactly once."""
        numbers: Counter[int] = Counter()
        for key in self._keys("counted/"):
            text = b"".join(self.client.download(BUCKET, key)).decode()
            numbers.update(int(line.split()[2]) for line in text.splitlines())
        if sorted(numbers) != list(range(len(numbers))) or any(times != 1 for times in numbers.values()):
            raise DemoFailed("the sink does not hold each number exactly once")
        return sorted(numbers)

    def _word_count(self) -> None:
        self.console.rule("A bounded word count")
        spec = {
            "name": "wordcount",
            "queue_name": "testQueue",
            "entrypoint": f"obs://{BUCKET}/demo/wordCount.jar",
            "entrypoint_args": f"--input obs://{BUCKET}/demo/gettysburg.txt --output obs://{BUCKET}/words",
        }
        job_id = self._create(spec)
        self._start(job_id, until=("job_finish",))
        found = "".join(b"".join(self.client.download(BUCKET, key)).decode() for key in self._keys("words/"))
        counted = {word: int(count) for word, count in (line.split() for line in found.splitlines())}
        lines = (EXAMPLES / "data" / "gettysburg.expected.tsv").read_text().splitlines()
        expected = {word: int(count) for word, count in (line.split() for line in lines)}
        if counted != expected:
            raise DemoFailed("the word count is wrong")
        most = ", ".join(f"{word} {count}" for word, count in Counter(counted).most_common(5))
        self.console.print(f"job_finish: {len(counted)} words counted, as they should be: {most} …")

    def _keys(self, prefix: str) -> list[str]:
        answer = self.client.call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}", query={"prefix": prefix})
        keys = [entry["key"] for entry in answer["objects"]]
        return [key for key in keys if not any(part.startswith(".") for part in key.split("/"))]

    # -- the life of a job ----------------------------------------------------------------------------------------

    def _create(self, spec: dict[str, Any]) -> int:
        job = self.client.call("POST", "/v1.0/{p}/streaming/flink-jobs", spec)["job"]
        self.console.print(f"created job {job['job_id']} “{spec['name']}”: {job['status_name']}")
        return int(job["job_id"])

    def _start(self, job_id: int, *, resume: bool = False, until: tuple[str, ...] = ("job_running",)) -> None:
        body = {"job_ids": [job_id], "resume_savepoint": resume}
        self.client.call("POST", "/v1.0/{p}/streaming/jobs/run", body)
        self._await_status(job_id, *until)

    def _stop(self, job_id: int, *, with_savepoint: bool) -> dict[str, Any]:
        body = {"job_ids": [job_id], "trigger_savepoint": with_savepoint}
        self.client.call("POST", "/v1.0/{p}/streaming/jobs/stop", body)
        return self._await_status(job_id, "job_cancel_success")

    def _await_status(self, job_id: int, *wanted: str) -> dict[str, Any]:
        ends = {"job_submit_fail", "job_running_exception", "job_cancel_fail", "job_finish", "job_cancel_success"}

        def reached() -> bool:
            status = self._detail(job_id)["status"]
            if status in ends - set(wanted):
                raise DemoFailed(f"job {job_id} became {status}: {self._detail(job_id)['status_desc']}")
            return status in wanted

        self._wait(f"job {job_id} until {' or '.join(wanted)}", reached, lambda: self._status_line(job_id))
        return self._detail(job_id)

    def _status_line(self, job_id: int) -> str:
        detail = self._detail(job_id)
        return " ".join(part for part in (detail["status"], detail["status_desc"]) if part)

    def _detail(self, job_id: int) -> dict[str, Any]:
        answer = self.client.call("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}")
        return dict(answer["job_detail"])

    def _count(self, job_id: int, enough: int) -> None:
        self._wait(
            f"{enough} records",
            lambda: (self._records(job_id) or 0) >= enough,
            lambda: f"records read: {self._shown(self._records(job_id))}",
        )

    @staticmethod
    def _shown(records: int | None) -> str:
        return "not known yet" if records is None else str(records)

    def _records(self, job_id: int) -> int | None:
        answer = self.client.call("POST", "/v1.0/{p}/streaming/jobs/metrics", {"job_ids": [job_id]})
        sources = answer["metrics"]["jobs"][0]["metrics"]["sources"]
        known = [source["records"] for source in sources if source["records"] is not None]
        return sum(known) if known else None

    def _wait(self, what: str, done: Callable[[], bool], progress: Callable[[], str]) -> None:
        began = time.monotonic()
        # On a terminal the line lives; in a log only its end is kept.
        with Live(console=self.console, auto_refresh=False, transient=True) as live:
            while not done():
                waited = time.monotonic() - began
                if waited > PATIENCE_S:
                    raise DemoFailed(f"{what}: not reached within {PATIENCE_S:.0f} s")
                if self.console.is_terminal:
                    live.update(Text(f"… {what}: {progress()} ({waited:.1f} s)"), refresh=True)
                time.sleep(0.2)
        self.console.print(f"✓ {what}: {progress()} ({time.monotonic() - began:.1f} s)", soft_wrap=True)
