"""An object storage that says nothing holds up a few requests of a real ``headrace serve``, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest

from headrace.cli.client import ApiError
from headrace.objects.turns import OF_API
from tests.support.proxies import PIECE, Proxy
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


class Link:
    """When it is ``stalled``, it brings one piece of each large answer, and the rest when it is ``mended``."""

    def __init__(self) -> None:
        self.stalled = False
        self.mended = threading.Event()
        self.held = 0
        self._count = threading.Lock()

    def came(self, size: int) -> None:
        if self.stalled and size > PIECE // 16:
            with self._count:
                self.held += not self.mended.is_set()
            assert self.mended.wait(600)


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def server(tmp_path: Path, weed: Seaweed, link: Link) -> Iterator[ServerUnderTest]:
    environment = {
        "HEADRACE_OBJECT_STORE": "s3",
        "HEADRACE_S3_ENDPOINT": weed.endpoint,
        "HEADRACE_S3_ACCESS_KEY": weed.access_key,
        "HEADRACE_S3_SECRET_KEY": weed.secret_key,
        "HEADRACE_S3_TIMEOUT_SECONDS": "600",
    }
    with Proxy(came=link.came) as proxy:
        environment["HEADRACE_S3_PROXY"] = proxy.url
        one = ServerUnderTest(tmp_path / "home", tmp_path / "engines", environment)
        one.start()
        yield one
        link.mended.set()
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


def test_others_are_answered_while_packages_are_copied(server: ServerUnderTest, weed: Seaweed, link: Link) -> None:
    obstore.put(weed.store(BUCKET), "large.jar", bytes(16 * PIECE))

    def uploaded(number: int) -> str:
        body = {"kind": "jar", "paths": [f"obs://{BUCKET}/large.jar"], "group": f"g{number}"}
        try:
            server.client().call("POST", "/v2.0/{p}/resources", body)
        except ApiError as error:
            return f"{error.code} {error}"
        return "copied"

    link.stalled = True
    with ThreadPoolExecutor(ASKED) as pool:
        asked = [pool.submit(uploaded, number) for number in range(OF_API)]
        try:
            wait_until("as many copies as may be", lambda: link.held == OF_API)
            asked += [pool.submit(uploaded, number) for number in range(OF_API, ASKED)]
            wait_until("the others are refused", lambda: sum(one.done() for one in asked) == ASKED - OF_API)
            for refused in (one.result() for one in asked if one.done()):
                assert refused.startswith("DLI.0999")
                assert "Ask again" in refused
            assert server.client().call("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["jobs"] == []
            objects = server.client().call("GET", f"/headrace/v1/{{p}}/objects/{BUCKET}")["objects"]
            assert [one["key"] for one in objects] == ["large.jar"], "what asks and does not copy goes on"
            assert link.held == sum(not one.done() for one in asked) == OF_API
        finally:
            link.mended.set()
        wait_until("those that copy end", lambda: all(one.done() for one in asked))
    assert [one.result() for one in asked].count("copied") == OF_API
    assert uploaded(ASKED) == "copied", "their places are free again"
    assert server.client().call("GET", "/v2.0/{p}/resources")["total"] == OF_API + 1
