"""A slow link to a real S3 server is no silent one: what is sent arrives, however long that takes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.domain.errors import StoreSilent
from headrace.objects.s3 import PART, S3Objects
from headrace.objects.s3_client import LEAST_SENT, SLOWEST, sending_limit_s, step_of
from tests.support.proxies import Proxy
from tests.support.seaweed import Seaweed, seaweed
from tests.support.stores import access_to

BUCKET = "slow"
TIMEOUT_S = 1.0


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed")) as running:
        running.create_bucket(BUCKET)
        yield running


def at_a_rate(bytes_s: int) -> Proxy:
    """The link carries so much in a second, all connections together."""
    link, over = threading.Lock(), threading.Event()

    def sent(size: int) -> None:
        with link:
            over.wait(size / bytes_s)

    return Proxy(sent=sent)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_a_slow_link_brings_a_whole_object(weed: Seaweed) -> None:
    content = bytes(range(256)) * 3 * 1024
    with at_a_rate(256 * 1024) as proxy:
        store = S3Objects(access_to(weed, proxy=proxy.url, timeout_s=TIMEOUT_S))
        store.put(BUCKET, "log", content)
        assert store.put_new(BUCKET, "new", content)
    for key in ("log", "new"):
        assert S3Objects(access_to(weed)).read(BUCKET, key) == content


def test_a_slow_link_brings_what_is_sent_in_parts(weed: Seaweed) -> None:
    content = bytes(range(256)) * (2 * PART // 256) + b"end"
    with at_a_rate(4 << 20) as proxy:
        store = S3Objects(access_to(weed, proxy=proxy.url, timeout_s=TIMEOUT_S))
        assert asyncio.run(store.put_stream(BUCKET, "stream", pieces(content), 1 << 30)) == len(content)
        store.put(BUCKET, "large", content)
    for key in ("stream", "large"):
        assert S3Objects(access_to(weed)).read(BUCKET, key) == content


def test_a_server_that_takes_nothing_is_given_up(weed: Seaweed) -> None:
    store = S3Objects(access_to(weed, timeout_s=TIMEOUT_S))
    store.put(BUCKET, "k", b"before")
    weed.freeze()
    try:
        with pytest.raises(StoreSilent, match=f"in 3 s it did not take what was sent for obs://{BUCKET}/k.*32 KB"):
            store.put(BUCKET, "k", b"small")
        with pytest.raises(StoreSilent, match="silent for s3_timeout_seconds"):  # before any part goes
            asyncio.run(store.put_stream(BUCKET, "k", pieces(b"x"), 10))
    finally:
        weed.thaw()
    # What it was sent while it was silent it may yet store, and even after what is sent now: so under another key.
    store.put(BUCKET, "after", b"after")
    assert store.read(BUCKET, "after") == b"after"


def test_the_limit_grows_with_what_is_sent(weed: Seaweed) -> None:
    access = access_to(weed, timeout_s=30.0)
    for size in (0, 1, LEAST_SENT, LEAST_SENT + 1, 4 << 20, PART):
        assert size <= step_of(size) < max(4 * size, LEAST_SENT + 1)
        assert sending_limit_s(access, step_of(size)) >= 30.0 + size / SLOWEST
    assert len({step_of(size) for size in range(0, PART, 1024)}) == 5
