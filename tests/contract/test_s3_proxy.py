"""The way to an endpoint whose buckets are host names: by a proxy, plain and through TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from headrace.domain.errors import BucketNotFound, StoreRefused, StoreSilent
from headrace.objects.access import Keys
from headrace.objects.s3 import S3Objects
from tests.support.certificates import Authority
from tests.support.proxies import Passed, Proxy
from tests.support.seaweed import DOMAIN, Seaweed, seaweed
from tests.support.stores import access_to

NUMBERS = count(1)
LOGIN = "us er:p@ss:wörd"
PART = 1_000_000


@dataclass
class Way:
    """An endpoint behind a proxy."""

    server: Seaweed
    proxy: Proxy
    endpoint: str
    ca_file: Path

    def objects(self, **more: object) -> S3Objects:
        given = {"endpoint": self.endpoint, "path_style": False, "proxy": self.proxy.url, "ca_file": self.ca_file}
        return S3Objects(access_to(self.server, **{**given, **more}))

    def bucket(self) -> str:
        """A new one, made by the same way."""
        name = f"way-{next(NUMBERS)}"
        self.objects().create_bucket(name)
        self.server.prepare_bucket(name)
        return name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed"), tls=authority.certificate(DOMAIN, f"*.{DOMAIN}")) as running:
        yield running


@pytest.fixture(params=["http", "https"])
def way(request: pytest.FixtureRequest, server: Seaweed, authority: Authority) -> Iterator[Way]:
    address = server.address if request.param == "http" else server.tls_address
    with Proxy({DOMAIN: address}, LOGIN) as proxy:
        yield Way(server, proxy, f"{request.param}://{DOMAIN}", authority.file)


async def parts(number: int) -> AsyncIterator[bytes]:
    for _ in range(number):
        yield b"x" * PART


def test_everything_goes_by_the_buckets_own_name(way: Way) -> None:
    bucket, objects = way.bucket(), way.objects()
    assert bucket in objects.buckets()
    assert objects.has_bucket(bucket)
    objects.put(bucket, "a b/ü+%.txt", b"0123456789")
    assert objects.read(bucket, "a b/ü+%.txt", 3, 5) == b"34"
    assert asyncio.run(objects.put_stream(bucket, "big", parts(20), 1 << 30)) == 20 * PART
    size, content = objects.get_stream(bucket, "big", 20 * PART - 5)
    assert (size, b"".join(content)) == (20 * PART, b"xxxxx")
    assert [info.key for info in objects.listing(bucket)] == ["a b/ü+%.txt", "big"]
    objects.delete_folder(bucket, "a b")
    assert [info.key for info in objects.listing(bucket)] == ["big"]
    of_the_bucket = [one for one in way.proxy.passed if one.host == f"{bucket}.{DOMAIN}"]
    assert way.proxy.hosts == {DOMAIN, f"{bucket}.{DOMAIN}"}
    if way.endpoint.startswith("https"):
        assert set(way.proxy.passed) == {Passed("CONNECT", DOMAIN), Passed("CONNECT", f"{bucket}.{DOMAIN}")}
    else:
        assert Passed("PUT", f"{bucket}.{DOMAIN}", "/a%20b/%C3%BC%2B%25.txt") in of_the_bucket
        uploads = [one for one in of_the_bucket if one.method == "PUT" and "partNumber=" in one.path]
        assert len(uploads) == 4


def test_refusals_come_through(way: Way) -> None:
    bucket = way.bucket()
    wrong = way.objects(default=Keys("AKNOBODY", "SKNOBODY"))
    with pytest.raises(StoreRefused, match=r"does not take the keys.*s3_access_key"):
        wrong.read(bucket, "k")
    with pytest.raises(StoreRefused, match=r"does not take the keys.*s3_access_key"):
        wrong.require_bucket(bucket)
    for call in (way.objects().read, way.objects().exists, way.objects().delete):
        with pytest.raises(BucketNotFound, match="no-such-bucket"):
            call("no-such-bucket", "k")
    assert not way.objects().has_bucket("no-such-bucket")


def all_calls(objects: S3Objects) -> Iterator[str]:
    """What each kind of call is refused with: bucket's, object's."""
    for call in (objects.buckets, lambda: objects.has_bucket("b-1"), lambda: objects.put("b-1", "k", b"x")):
        with pytest.raises((StoreRefused, StoreSilent)) as refused:
            call()
        yield f"{type(refused.value).__name__}: {refused.value}"


def test_a_wrong_login_for_the_proxy_is_told(way: Way) -> None:
    for told in all_calls(way.objects(proxy=way.proxy.url.replace("p%40ss", "other"))):
        assert told.startswith("StoreRefused: ")
        assert "the proxy does not take its login" in told
        assert "other" not in told
    assert way.proxy.passed == []


def test_a_proxy_that_is_not_there_is_told(way: Way) -> None:
    with Proxy(login=LOGIN) as gone:
        url = gone.url
    address = url.rpartition("@")[2]
    for told in all_calls(way.objects(proxy=url)):
        assert told.startswith("StoreSilent: ")
        assert f"by s3_proxy, {address}" in told
        assert "p%40ss" not in told


def test_a_name_that_the_proxy_cannot_reach_is_an_outage(way: Way) -> None:
    scheme = way.endpoint.partition(":")[0]
    for told in all_calls(way.objects(endpoint=f"{scheme}://s3.elsewhere")):
        assert told.startswith("StoreSilent: ")
        assert "s3.elsewhere (by s3_proxy, 127.0.0.1:" in told


def test_the_certificate_counts_through_the_proxy_too(server: Seaweed) -> None:
    with Proxy({DOMAIN: server.tls_address}) as proxy:
        untrusting = access_to(server, endpoint=f"https://{DOMAIN}", path_style=False, proxy=proxy.url)
        for told in all_calls(S3Objects(untrusting)):
            assert told.startswith("StoreRefused: ")
            assert "s3_ca_file" in told
