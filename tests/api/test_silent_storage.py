"""An object storage that says nothing holds up a few requests of a real ``headrace serve``, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.cli.client import ApiError
from headrace.objects.turns import OF_API
from tests.support.seaweed import Seaweed, seaweed
from tests.support.server import ServerUnderTest, wait_until

BUCKET = "bucket"
ASKED = 45
"""More than the API has threads."""


@pytest.fixture
def weed(tmp_path: Path) -> Iterator[Seaweed]:
    with seaweed(tmp_path / "weed") as running:
        running.create_bucket(BUCKET)
        yield running


@pytest.fixture
def server(tmp_path: Path, weed: Seaweed) -> Iterator[ServerUnderTest]:
    environment = {
        "HEADRACE_OBJECT_STORE": "s3",
        "HEADRACE_S3_ENDPOINT": weed.endpoint,
        "HEADRACE_S3_ACCESS_KEY": weed.access_key,
        "HEADRACE_S3_SECRET_KEY": weed.secret_key,
        "HEADRACE_S3_TIMEOUT_SECONDS": "600",
    }
    one = ServerUnderTest(tmp_path / "home", tmp_path / "engines", environment)
    one.start()
    yield one
    one.down()


def test_others_are_answered_meanwhile(server: ServerUnderTest, weed: Seaweed) -> None:
    def listed() -> str:
        try:
            server.client().call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}")
        except ApiError as error:
            return f"{error.code} {error}"
        return "answered"

    assert listed() == "answered"
    weed.freeze()
    with ThreadPoolExecutor(ASKED) as pool:
        asked = [pool.submit(listed) for _ in range(ASKED)]
        try:
            wait_until("most are refused", lambda: sum(one.done() for one in asked) == ASKED - OF_API)
            for refused in (one.result() for one in asked if one.done()):
                assert refused.startswith("DLI.0999")
                assert "Ask again" in refused
            assert server.client().call("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["jobs"] == []
            assert sum(not one.done() for one in asked) == OF_API
        finally:
            weed.thaw()
        wait_until("the others are answered", lambda: all(one.done() for one in asked))
    assert [one.result() for one in asked].count("answered") == OF_API
