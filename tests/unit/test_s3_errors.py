"""What an endpoint's refusal means does not depend on how an object is called."""

from __future__ import annotations

import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import urllib3
from obstore.exceptions import BaseError, GenericError
from obstore.store import S3Store

from headrace.domain.errors import BucketForbidden, HeadraceError, ObjectNotFound, StoreFull, StoreRefused, StoreSilent
from headrace.objects.access import Keys, S3Access
from headrace.objects.s3 import S3Objects
from headrace.objects.s3_buckets import Buckets
from headrace.objects.s3_client import bucket_client, client_options
from headrace.objects.s3_errors import meaning
from tests.support.proxies import Passed, Proxy
from tests.support.s3_answers import answering

NAMES = [
    "a.jar",
    "tls/certificate.jar",
    "timed out/dns error",
    "<Code>QuotaExceeded</Code>",
    "no space left",
    "inner: x",
]


def asked(url: str, key: str) -> str:
    store = S3Store(
        "bucket",
        endpoint=url,
        region="r",
        access_key_id="AK",
        secret_access_key="SK",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )
    with pytest.raises((BaseError, FileNotFoundError)) as refused:
        store.get(key)
    return str(refused.value)


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", BucketForbidden),
        (404, "NoSuchKey", ObjectNotFound),
        (403, "QuotaExceeded", StoreFull),
        (503, "SlowDown", StoreSilent),
    ],
)
def test_an_answer(key: str, status: int, code: str, kind: type[HeadraceError]) -> None:
    with answering(status, code) as url:
        text = asked(url, key)
    assert type(meaning(url, "bucket", key, text)) is kind


@pytest.mark.parametrize("key", NAMES)
def test_no_answer(key: str) -> None:
    with answering(200) as url:
        pass
    found = meaning(url, "bucket", key, asked(url, key))
    assert type(found) is StoreSilent
    assert "cannot be reached" in str(found)


def test_what_nobody_knows_is_told_as_it_is() -> None:
    found = meaning("http://e", "bucket", "k", str(GenericError("something new")))
    assert "something new" in str(found)


@pytest.mark.parametrize("raised", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_a_hang_up_is_an_outage_however_python_tells_it(raised: type[ssl.SSLError]) -> None:
    access = S3Access("https://s3.example.com", "r", path_style=True, default=Keys("AK", "SK"))
    asked = Buckets(access, lambda bucket: bucket_client(access, bucket, client_options(access)))
    assert isinstance(asked._hindered(urllib3.exceptions.SSLError(raised("closed")), "bucket"), StoreSilent)
    certificate = urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("self-signed"))
    assert isinstance(asked._hindered(certificate, "bucket"), StoreRefused)


def test_a_connection_that_ends_before_the_certificate_is_an_outage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def hang_up() -> None:
            with suppress(TimeoutError):
                while not ended.is_set():
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(1 << 16)

        listener.settimeout(30)
        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        store = S3Objects(S3Access(url, "r", path_style=True, default=Keys("AK", "SK"), timeout_s=5.0))
        try:
            with pytest.raises(StoreSilent, match="cannot be reached"):
                store.put("bucket", "k", b"x")
            with pytest.raises(StoreSilent, match="cannot be reached"):
                store.require_bucket("bucket")
        finally:
            ended.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()


def test_who_says_nothing_is_not_asked_again() -> None:
    """Only a refused HEAD has a reason that a GET tells."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        store = S3Objects(S3Access(url, "r", path_style=True, default=Keys("AK", "SK"), timeout_s=0.5))
        with pytest.raises(StoreSilent, match="s3_timeout_seconds"):
            store.head("bucket", "k")
        listener.setblocking(False)
        met = []
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    met.append(connection.recv(4))
    assert met == [b"HEAD"]


def test_who_may_not_list_buckets_is_told_of_no_bucket() -> None:
    with answering(403, "AccessDenied") as url:
        store = S3Objects(S3Access(url, "r", path_style=True, default=Keys("AK", "SK")))
        with pytest.raises(BucketForbidden, match=r"to list its buckets \(AccessDenied\)\. Keys for single buckets"):
            store.buckets()


def test_many_may_ask_for_buckets_at_once(caplog: pytest.LogCaptureFixture) -> None:
    together = threading.Barrier(20)

    def hold(_wanted: Passed) -> None:
        together.wait(60)

    with answering(200) as url, Proxy(hold=hold) as proxy:
        store = S3Objects(S3Access(url, "r", path_style=True, default=Keys("AK", "SK"), proxy=proxy.url))
        with ThreadPoolExecutor(20) as pool:
            assert all(pool.map(store.has_bucket, [f"bucket-{number}" for number in range(20)]))
    assert caplog.records == []
