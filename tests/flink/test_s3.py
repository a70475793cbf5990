"""Jobs whose JARs, checkpoints, savepoints, output and logs are behind a real S3 endpoint, also while that is away."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from headrace.flink.engines import EngineStore
from headrace.runtimes.s3 import FILE
from tests.support.on_s3 import RATE, RESTARTS, counter, goes_on_from_its_savepoint, grows, keys, told_nowhere
from tests.support.promises import promise
from tests.support.seaweed import OWNER, Seaweed, seaweed
from tests.support.segments import in_order
from tests.support.server import BUCKET, EXAMPLES, wait_until
from tests.support.stage import Playing, Stage, since_boot, staged, together
from tests.support.uploads import by_boto3, by_obs_sdk

pytestmark = pytest.mark.flink

BY_BOTO3, BY_OBS_SDK = "by-boto3.jar", "by-obs-sdk.jar"
"""JARs that Headrace knows nothing of until a job names them."""
WITHIN_S = 10.0
"""So soon the last lines of what was killed are in the bucket."""
HASTY = "s3.retry.limit=1\nfs.s3a.attempts.maximum=1"
"""A request to a dead store is given up at once."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed")) as one:
        yield one


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore, store: Seaweed
) -> Iterator[Stage]:
    environment = {
        "HEADRACE_OBJECT_STORE": "s3",
        "HEADRACE_S3_ENDPOINT": store.endpoint,
        "HEADRACE_S3_ACCESS_KEY": store.access_key,
        "HEADRACE_S3_SECRET_KEY": store.secret_key,
    }
    store.create_bucket(BUCKET)
    by_boto3(store, BUCKET, EXAMPLES / "jars" / "flink-1" / "statefulCounter.jar", BY_BOTO3)
    by_obs_sdk(store, BUCKET, EXAMPLES / "jars" / "flink-2" / "statefulCounter.jar", f"flink-2/{BY_OBS_SDK}")
    with staged(request, tmp_path_factory.mktemp("s3"), engine_store, environment, seamed=False) as one:
        yield one


@together
@promise("Checkpoints and savepoints are in S3, and a job goes on from them; its keys stand in one file of mode 0600")
def test_a_life_on_s3(stage: Stage) -> None:
    more = {"flink_log_config": '{"root_logger_level":"INFO","loggers_level_of_class":{"org.apache.flink.fs":"DEBUG"}}'}
    with counter(stage, "life", log_enabled=True, **more) as one:
        goes_on_from_its_savepoint(one)
        told_nowhere(one, OWNER.secret_key)
        made = keys(one, f"jobs/checkpoint/{one.job_id}/")
        assert any(key.endswith("/_metadata") for key in made)
        one.strike("taskmanager-1")
        struck = one.strike("jobmanager")
        one.ended("jobmanager", 2)
        one.ended("taskmanager-1", 2)
        wait_until("their last lines are in the bucket", lambda: complete(one, 2))
        assert since_boot() - struck < WITHIN_S
        wait_until("the next attempt", lambda: one.attempt == 3)
        one.until("job_running")
        assert f"/jobs/checkpoint/{one.job_id}/" in one.restored()
        grows(one)
        assert one.ends_exactly()
        wait_until("no key is left", lambda: not list(one.home.glob(f"deployments/job-{one.job_id}-*/{FILE}")))


@pytest.mark.parametrize(("flink", "jar"), [("1.17", BY_BOTO3), ("2.3", BY_OBS_SDK)])
@together
@promise("Flink 1.17 and 2.3 run what boto3 and the OBS SDK have uploaded, and keep their states in S3 too")
def test_the_other_engines(stage: Stage, flink: str, jar: str) -> None:
    with counter(stage, f"on-{flink[0]}", flink, jar) as one:
        goes_on_from_its_savepoint(one)
        assert one.ends_exactly()


@promise(
    "Killed and back, the S3 server costs no job: logs have no gap and no repeat, states are exact, staging goes on"
)
def test_the_store_is_killed_and_comes_back(stage: Stage, store: Seaweed) -> None:
    printing = f"--when none --rate {RATE}"
    with (
        stage.job("printer", printing, log_enabled=True, runtime_config=HASTY, **RESTARTS) as printer,
        stage.job("late", printing, **RESTARTS) as late,
        counter(stage, "through", runtime_config=HASTY) as one,
    ):
        printer.run()
        printer.until("job_running")
        wait_until("its output is in the bucket", lambda: shipped(printer))
        late.run()
        store.kill()
        seen = printed(printer)
        late.told(store.endpoint, "job_submitting")
        wait_until("it goes on printing", lambda: len(printed(printer)) > len(seen) + 4 * RATE)
        failed_before = failed_checkpoints(printer)
        wait_until("a checkpoint fails", lambda: failed_checkpoints(printer) > failed_before)
        store.start()
        late.until("job_running")
        grows(one)
        rest = printer.flink()
        job = rest.jobs()[0]["jid"]
        made = rest.checkpoints(job)["counts"]["completed"]
        wait_until("checkpoints are made again", lambda: rest.checkpoints(job)["counts"]["completed"] > made)
        assert rest.restarts(job) == 0
        printer.stop(savepoint=True)
        printer.until("job_cancel_success")
        said = (printer.folder(1) / "log" / "taskmanager-1.out").read_bytes()
        wait_until("all its output is in the bucket", lambda: shipped(printer) == said)
        numbers = [int(number) for number in re.findall(r"^(?:\d+> )?(\d+)$", said.decode(), re.MULTILINE)]
        assert len(numbers) > 4 * RATE
        assert numbers == list(range(len(numbers))), "a gap or a repeat"
        assert printer.attempt == 1
        assert one.ends_exactly()


def complete(one: Playing, attempt: int) -> bool:
    """Whether both logs of an attempt are in the bucket as they are on the machine."""
    logs = {"jobmanager": "jobmanager.log", "taskmanager-1": "taskmanager.log"}
    return all(
        shipped(one, attempt, role, name) == (one.folder(attempt) / "log" / f"{role}.log").read_bytes()
        for role, name in logs.items()
    )


def printed(one: Playing) -> list[str]:
    return (one.folder(1) / "log" / "taskmanager-1.out").read_text().splitlines()


def shipped(one: Playing, attempt: int = 1, role: str = "taskmanager-1", name: str = "taskmanager.out") -> bytes:
    """What is in the bucket of one log: of its output, unless another is named."""
    parts = [key for key in keys(one, f"jobs/logs/{one.job_id}/") if f"/attempt-{attempt}-{role}/{name}" in key]
    return b"".join(b"".join(one.jobs.client.download(BUCKET, key)) for key in sorted(parts, key=in_order))


def failed_checkpoints(one: Playing) -> int:
    rest = one.flink()
    return int(rest.checkpoints(rest.jobs()[0]["jid"])["counts"]["failed"])
