"""Jobs whose buckets are host names that only a proxy knows, behind TLS: Headrace and Flink take the same way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.flink.engines import EngineStore
from tests.support.certificates import Authority
from tests.support.on_s3 import counter, goes_on_from_its_savepoint, keys, told_nowhere
from tests.support.proxies import Passed, Proxy
from tests.support.seaweed import DOMAIN, Seaweed, seaweed
from tests.support.server import BUCKET, EXAMPLES, Jobs, ServerUnderTest, processes_of, wait_until
from tests.support.stage import Stage, staged
from tests.support.uploads import by_boto3

pytestmark = pytest.mark.flink

PASSWORD = "p@ss-it-must-not-be-seen"
JAR = "statefulCounter.jar"
MANY = 50


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed"), tls=authority.certificate(DOMAIN, f"*.{DOMAIN}")) as one:
        yield one


def environment(store: Seaweed, scheme: str, proxy: Proxy) -> dict[str, str]:
    return {
        "HEADRACE_OBJECT_STORE": "s3",
        "HEADRACE_S3_ENDPOINT": f"{scheme}://{DOMAIN}",
        "HEADRACE_S3_PATH_STYLE": "false",
        "HEADRACE_S3_PROXY": proxy.url,
        "HEADRACE_S3_ACCESS_KEY": store.access_key,
        "HEADRACE_S3_SECRET_KEY": store.secret_key,
    }


@pytest.fixture
def tunnels(store: Seaweed) -> Iterator[Proxy]:
    with Proxy({DOMAIN: store.tls_address}, f"us er:{PASSWORD}") as one:
        yield one


@pytest.fixture
def stage(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    engine_store: EngineStore,
    store: Seaweed,
    authority: Authority,
    tunnels: Proxy,
) -> Iterator[Stage]:
    store.create_bucket(BUCKET)
    given = {**environment(store, "https", tunnels), "HEADRACE_S3_CA_FILE": str(authority.file)}
    with staged(request, tmp_path, engine_store, given, seamed=False) as one:
        yield one


def test_a_life_behind_a_proxy(stage: Stage, tunnels: Proxy) -> None:
    with counter(stage, "behind") as one:
        goes_on_from_its_savepoint(one)
        told_nowhere(one, PASSWORD)
        made = keys(one, f"jobs/checkpoint/{one.job_id}/")
        assert any(key.endswith("/_metadata") for key in made)
        assert one.ends_exactly()
    assert set(tunnels.passed) <= {Passed("CONNECT", DOMAIN), Passed("CONNECT", f"{BUCKET}.{DOMAIN}")}


def test_fifty_jobs_fetch_their_jar_once(tmp_path: Path, engine_store: EngineStore, store: Seaweed) -> None:
    """No JVM starts: another file of theirs goes while the first of them fetches the JAR."""
    engine_store.install("1.20.5")
    bucket, other = "fifty", "data.txt"
    whole = Passed("GET", f"{bucket}.{DOMAIN}", f"/{JAR}")
    goes_on = threading.Event()

    def hold(request: Passed) -> None:
        assert request != whole or goes_on.wait(300)

    store.create_bucket(bucket)
    store.store(bucket).put(other, b"data")
    by_boto3(store, bucket, EXAMPLES / "jars" / "flink-1" / JAR, JAR)
    with Proxy({DOMAIN: store.address}, hold=hold) as proxy:
        patient = {**environment(store, "http", proxy), "HEADRACE_S3_TIMEOUT_SECONDS": "600"}  # it is held meanwhile
        server = ServerUnderTest(tmp_path / "home", engine_store.root, patient)
        jobs = Jobs(server.start())
        try:
            jobs.client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
            files: dict[str, Any] = {
                "entrypoint": f"obs://{bucket}/{JAR}",
                "dependency_files": [f"obs://{bucket}/{other}"],
            }
            made = [jobs.create(f"job-{number}", JAR, **files) for number in range(MANY)]
            assert proxy.passed.count(whole) == 0
            jobs.client.call("POST", "/v1.0/{p}/streaming/jobs/run", {"job_ids": made, "resume_savepoint": False})
            wait_until("all are being prepared", lambda: len(list((server.home / "deployments").iterdir())) == MANY)
            wait_until("one of them fetches it", lambda: proxy.passed.count(whole))
            store.store(bucket).delete(other)
            goes_on.set()
            for job_id in made:
                assert f"obs://{bucket}/{other} does not exist" in jobs.until(job_id, "job_submit_fail")["status_desc"]
            contents = [path.stat().st_nlink for path in (server.home / "cache" / "contents").iterdir()]
            assert contents == [1 + MANY]
        finally:
            goes_on.set()
            server.kill()
        assert not processes_of(tmp_path)
        assert proxy.passed.count(whole) == 1
