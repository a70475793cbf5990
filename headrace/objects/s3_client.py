"""obstore's client of one bucket. Only what the settings say counts: by itself it would also take a session token, or
none at all, and a proxy from the environment (``AWS_SESSION_TOKEN``, ``AWS_SKIP_SIGNATURE``, ``HTTP_PROXY``), which
neither Flink nor our own calls (``s3_buckets``) do.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from obstore.store import S3Store

from headrace.objects.access import Keys, S3Access

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential


SLOWEST = 32 * 1024
"""Bytes in a second: what is sent over a slower link than this is given up."""
LEAST_SENT = 64 * 1024
"""Bytes that one limit is for; the next one is for four times as much."""


def client_options(access: S3Access) -> ClientConfig:
    """How connections are made by which little is sent. How long a whole answer takes is its size's affair: only
    silence counts.

    Raises:
        OSError: the CA file cannot be read.
    """
    options: ClientConfig = {
        "allow_http": access.endpoint.startswith("http:"),
        "connect_timeout": timedelta(seconds=access.timeout_s),
        "read_timeout": timedelta(seconds=access.timeout_s),
        "timeout": timedelta(days=1),
        "user_agent": "headrace",
        "proxy_url": access.proxy or access.endpoint,
    }
    if not access.proxy:  # one that is given but never used keeps the environment's away
        options["proxy_excludes"] = urlsplit(access.endpoint).hostname or ""
    if access.ca_file is not None:
        options["root_certificate"] = access.ca_file.read_bytes()
    return options


def step_of(size: int) -> int:
    """``size`` bytes, rounded up so that there are few limits, and few clients."""
    step = LEAST_SENT
    while step < size:
        step *= 4
    return step


def sending_limit_s(access: S3Access, size: int) -> float:
    """How long a request with a body may take, with ``size`` bytes on their way at once."""
    return access.timeout_s + size / SLOWEST


def sending_options(access: S3Access, options: ClientConfig, size: int) -> ClientConfig:
    """As ``options``, for requests with bodies. There is no silence to go by: the client's limit for it runs while it
    sends, however well that goes. So the whole request has a limit, which grows with what is sent.
    """
    limited: ClientConfig = {**options, "timeout": timedelta(seconds=sending_limit_s(access, size))}
    del limited["read_timeout"]
    return limited


def bucket_client(access: S3Access, bucket: str, options: ClientConfig) -> S3Store:
    """The client of a bucket, with the bucket's keys; it connects to nothing yet, and tries nothing twice."""
    endpoint = access.endpoint
    if not access.path_style:
        scheme, _, host = endpoint.partition("://")
        endpoint = f"{scheme}://{bucket}.{host}"
    return _client(access.region, bucket, endpoint, access.of(bucket), options, in_host=not access.path_style)


def root_client(access: S3Access, options: ClientConfig) -> S3Store:
    """Signs URLs of the endpoint itself, which is above all buckets, with the keys for all of them."""
    # The host is the endpoint's own, so that no bucket gets into the URL.
    return _client(access.region, "buckets", access.endpoint, access.default, options, in_host=True)


def _client(region: str, bucket: str, endpoint: str, keys: Keys, options: ClientConfig, *, in_host: bool) -> S3Store:
    credential: S3Credential = {
        "access_key_id": keys.access_key,
        "secret_access_key": keys.secret_key,
        "token": None,
        "expires_at": None,
    }
    return S3Store(
        bucket,
        endpoint=endpoint,
        region=region,
        credential_provider=lambda: credential,
        skip_signature=False,
        virtual_hosted_style_request=in_host,
        disable_bulk_delete=True,  # OBS and others want a checksum with it that obstore does not send
        client_options=options,
        retry_config={"max_retries": 0, "retry_timeout": timedelta(0)},
    )
