"""A gigabyte from a real S3 server into a job: streamed, resumed after Headrace was killed, told in the journal."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headrace.flink.engines import EngineStore
from tests.support.proxies import Proxy
from tests.support.seaweed import Seaweed, seaweed
from tests.support.server import BUCKET, EXAMPLES, PATIENCE_S, Jobs, ServerUnderTest, processes_of, wait_until
from tests.support.uploads import by_boto3

GIGABYTE = 1 << 30
MOST_MEMORY_MB = 200


@pytest.fixture
def weed(tmp_path: Path) -> Iterator[Seaweed]:
    with seaweed(tmp_path / "weed") as running:
        running.create_bucket(BUCKET)
        yield running


@dataclass
class Link:
    """The way to the storage. It carries half a gigabyte, and then nothing until it is ``mended``."""

    carried: int = 0
    mended: threading.Event = field(default_factory=threading.Event)

    def came(self, size: int) -> None:
        self.carried += size
        if self.carried > GIGABYTE // 2:
            self.mended.wait(PATIENCE_S)


@pytest.fixture
def link() -> Iterator[Link]:
    one = Link()
    yield one
    one.mended.set()


@pytest.fixture
def s3(tmp_path: Path, weed: Seaweed, engine_store: EngineStore, link: Link) -> Iterator[ServerUnderTest]:
    engine_store.install("1.20.5")
    environment = {
        "HEADRACE_OBJECT_STORE": "s3",
        "HEADRACE_S3_ENDPOINT": weed.endpoint,
        "HEADRACE_S3_ACCESS_KEY": weed.access_key,
        "HEADRACE_S3_SECRET_KEY": weed.secret_key,
    }
    with Proxy(came=link.came) as proxy:
        environment["HEADRACE_S3_PROXY"] = proxy.url
        one = ServerUnderTest(tmp_path / "served" / "home", engine_store.root, environment)
        yield one
        link.mended.set()
        one.down()
        wait_until("no process is left", lambda: not processes_of(one.home), 30)


def most_memory_mb(pid: int) -> int:
    """The most that the process has ever had in memory (VmHWM)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


def large_jar(folder: Path) -> Path:
    """An example with a gigabyte of nothing before it: a ZIP is read from its end."""
    jar = folder / "large.jar"
    with jar.open("wb") as file:
        file.truncate(GIGABYTE)
        file.seek(GIGABYTE)
        file.write((EXAMPLES / "jars" / "flink-1" / "statefulCounter.jar").read_bytes())
    return jar


def test_a_gigabyte_is_streamed_into_a_job(s3: ServerUnderTest, weed: Seaweed, link: Link, tmp_path: Path) -> None:
    jar = large_jar(tmp_path)
    with jar.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    by_boto3(weed, BUCKET, jar, "large.jar")
    jobs = Jobs(s3.start())
    jobs.client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
    job_id = jobs.create("large", "large.jar", "--rate 1 --output file:///dev/null")
    jobs.run(job_id)
    cache = s3.home / "cache"
    wait_until("half of it has come", lambda: link.carried > GIGABYTE // 2)
    wait_until("a part of it is kept", lambda: list((cache / "parts").glob("*.json")))
    assert list((cache / "contents").iterdir()) == []
    assert s3.process is not None
    assert most_memory_mb(s3.process.pid) < MOST_MEMORY_MB
    s3.kill()
    link.mended.set()
    jobs = Jobs(s3.start())

    def told() -> str:
        lines = jobs.client.call("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/events")["events"]
        return next((line["note"] for line in lines if "is to run" in line["note"]), "")

    note = wait_until("the journal says what is to run", told)
    assert f"large.jar (sha256 {sha256[:12]}, {jar.stat().st_size} bytes)" in note
    assert [path.name for path in (cache / "contents").iterdir()] == [sha256]
    assert link.carried < 1.3 * GIGABYTE, "what had come was kept"
    assert most_memory_mb(s3.process.pid) < MOST_MEMORY_MB
    assert "SKOWNER" not in s3.log()
    jobs.delete(job_id)
