"""``object_store=embedded``: a laptop's own S3 server, beside a real ``headrace serve``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.objects.access import Keys, S3Access
from headrace.runtimes import processes
from headrace.runtimes.processes import Life
from tests.support.kept import start_kept
from tests.support.seaweed import bucket_at
from tests.support.server import EXAMPLES, Jobs, ServerUnderTest, processes_of, wait_until

JAR = EXAMPLES / "jars" / "flink-1" / "statefulCounter.jar"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerUnderTest]:
    embedded = {"HEADRACE_OBJECT_STORE": "embedded", "HEADRACE_EMBEDDED_S3_PORT": "0"}
    one = ServerUnderTest(tmp_path / "home", tmp_path / "engines", embedded)
    one.start()
    yield one
    one.down()
    assert processes_of(tmp_path) == []


def of_user(server: ServerUnderTest) -> S3Access:
    """What a user's tools are told."""
    told = json.loads((server.home / "server.json").read_text())
    keys = Keys(told["access_key"], told["secret_key"])
    return S3Access(told["s3_endpoint"], "us-east-1", path_style=True, default=keys)


def weeds(server: ServerUnderTest) -> list[int]:
    return [pid for pid in processes_of(server.home) if Path(f"/proc/{pid}/exe").resolve().name == "weed"]


def test_what_a_users_tools_upload_is_what_a_job_names(server: ServerUnderTest) -> None:
    bucket = bucket_at(of_user(server), "from-tools", create=True)
    bucket.put("jars/app.jar", JAR.read_bytes())
    client = server.client()
    listed = client.call("GET", "/headrace/v1/{p}/objects/from-tools")
    assert [found["key"] for found in listed["objects"]] == ["jars/app.jar"]
    client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
    for scheme in ("obs", "s3", "s3a"):
        jar = f"{scheme}://from-tools/jars/app.jar"
        assert Jobs(client).create(f"by-{scheme}", "", entrypoint=jar, obs_bucket="from-tools") > 0


def test_it_stays_when_headrace_is_killed_and_ends_with_down_wherever_buckets_are(server: ServerUnderTest) -> None:
    bucket_at(of_user(server), "kept", create=True).put("a", b"kept")
    before, endpoint = weeds(server), of_user(server).endpoint
    server.kill()
    assert bytes(bucket_at(of_user(server), "kept").get("a").bytes()) == b"kept"
    server.start()
    assert (weeds(server), of_user(server).endpoint) == (before, endpoint)
    server.environment["HEADRACE_OBJECT_STORE"] = "folder"
    assert "Nothing is running any more." in server.down()
    assert processes_of(server.home) == []


def test_down_follows_it_to_the_port_where_it_is(server: ServerUnderTest) -> None:
    (weed,) = weeds(server)
    deployment = start_kept(server.home / "deployments" / "job-1-1" / "jobmanager")
    server.terminate()
    server.environment["HEADRACE_EMBEDDED_S3_PORT"] = str(_free_port())
    with pytest.raises(AssertionError, match=r"embedded_s3_port=\d+, or end the jobs first: headrace down"):
        server.start()
    assert weeds(server) == [weed]
    server.down()
    assert processes.look(deployment).life is Life.ENDED


def test_down_starts_a_dead_one_where_the_jobs_know_it(server: ServerUnderTest) -> None:
    deployment = start_kept(server.home / "deployments" / "job-1-1" / "jobmanager")
    known = _die(server)
    server.environment["HEADRACE_EMBEDDED_S3_PORT"] = str(_free_port())
    with pytest.raises(AssertionError, match=f"embedded_s3_port={known}, or end the jobs first: headrace down"):
        server.start()
    assert weeds(server) == []
    server.down("--savepoint")
    assert f"-s3.port={known}" in json.loads((server.home / "s3" / "run-2" / "command.json").read_text())["argv"]
    assert processes.look(deployment).life is Life.ENDED


@pytest.mark.parametrize("obstacle", ["its port is taken", "its records are damaged"])
def test_down_ends_jobs_without_it(server: ServerUnderTest, obstacle: str) -> None:
    deployment = start_kept(server.home / "deployments" / "job-1-1" / "jobmanager")
    known = _die(server)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections to the killed one may linger
        taken.bind(("127.0.0.1", known))  # it does not listen: who asks there is refused at once
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        if obstacle == "its records are damaged":
            taken.close()
            (server.home / "s3" / "run-1" / "command.json").write_text("{")
        with pytest.raises(subprocess.CalledProcessError) as refused:
            server.down("--savepoint")
        assert "Savepoints need the embedded S3 server" in refused.value.stderr
        assert processes.look(deployment).life is Life.RUNS
        server.down()
    assert processes.look(deployment).life is Life.ENDED
    assert processes_of(server.home) == []


def _die(server: ServerUnderTest) -> int:
    """Headrace goes, and its S3 server is killed then; the port that the jobs know."""
    (weed,), known = weeds(server), int(of_user(server).endpoint.rpartition(":")[2])
    server.terminate()
    os.kill(weed, signal.SIGKILL)
    ended = server.home / "s3" / "run-1" / "exit.json"
    wait_until("its end is on record", ended.exists)
    return known


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
