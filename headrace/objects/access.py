"""How to reach an S3 endpoint, and with which keys: made of the settings, used by ``objects`` and by the Flink side."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.domain.errors import BadField, HomeUnusable
from headrace.objects.paths import check_bucket
from headrace.settings import Settings


@dataclass(frozen=True)
class Keys:
    """A pair of keys; its ``repr`` shows neither."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class S3Access:
    """One S3 endpoint: OBS, SeaweedFS, MinIO, Ceph, AWS.

    Attributes:
        endpoint: ``http(s)://host[:port]``, without a bucket and without a "/" at its end.
        region: what requests are signed for.
        path_style: ``endpoint/bucket/key``; False: ``bucket.endpoint/key``, which OBS and AWS want of new buckets.
        default: the keys for all buckets that ``keys`` does not name.
        keys: bucket -> keys for it alone.
        ca_file: certificates to trust besides the system's; None = those only.
        proxy: URL of an HTTP proxy, "" = none; a password may be in it, so that ``repr`` does not show it.
        timeout_s: how long the endpoint may take to take a connection, and be silent while it answers, in seconds.
    """

    endpoint: str
    region: str
    path_style: bool
    default: Keys
    keys: Mapping[str, Keys] = field(default_factory=dict)
    ca_file: Path | None = None
    proxy: str = field(default="", repr=False)
    timeout_s: float = 30.0

    def of(self, bucket: str) -> Keys:
        """The keys for a bucket."""
        return self.keys.get(bucket, self.default)

    @property
    def named(self) -> str:
        """The endpoint as messages name it: with the proxy on the way to it, without the proxy's password."""
        way = urlsplit(self.proxy).netloc.rpartition("@")[2]
        return f"{self.endpoint} (by s3_proxy, {way})" if way else self.endpoint

    @property
    def proxy_login(self) -> str:
        """``user:password`` for the proxy, "" = it wants none."""
        parts = urlsplit(self.proxy)
        return f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""


def of_settings(settings: Settings) -> S3Access:
    """The endpoint of ``object_store=s3``, which has one, as the settings see to.

    Raises:
        HomeUnusable: a file that they name cannot be read.
    """
    secret = settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else ""
    return S3Access(
        endpoint=settings.s3_endpoint or "",
        region=settings.s3_region,
        path_style=settings.s3_path_style,
        default=Keys(settings.s3_access_key or "", secret),
        keys=_bucket_keys(settings.s3_bucket_keys_file),
        ca_file=_readable(settings.s3_ca_file),
        proxy=settings.s3_proxy or "",
        timeout_s=settings.s3_timeout_seconds,
    )


def _readable(path: Path | None) -> Path | None:
    if path is not None:
        try:
            path.read_bytes()
            ssl.create_default_context().load_verify_locations(path)
        except ssl.SSLError as error:
            raise HomeUnusable(f"s3_ca_file={str(path)!r} holds no certificate in PEM form.") from error
        except OSError as error:
            raise HomeUnusable(f"s3_ca_file={str(path)!r} cannot be read: {error.strerror}.") from error
    return path


def _bucket_keys(path: Path | None) -> dict[str, Keys]:
    """No error tells what is in the file."""
    if path is None:
        return {}
    named = f"s3_bucket_keys_file={str(path)!r}"
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise HomeUnusable(f"{named} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise HomeUnusable(f"{named} is no JSON.") from error
    form = '{"bucket": {"access_key": "…", "secret_key": "…"}}'
    if not isinstance(content, dict):
        raise HomeUnusable(f"{named} must hold {form}.")
    keys = {}
    for bucket, pair in content.items():
        try:
            check_bucket(bucket)
        except BadField as error:
            raise HomeUnusable(f"{named}: {error}") from error
        if not isinstance(pair, dict) or set(pair) != {"access_key", "secret_key"}:
            raise HomeUnusable(f"{named}: the bucket {bucket!r} has no such pair of keys; it must hold {form}.")
        keys[bucket] = Keys(str(pair["access_key"]), str(pair["secret_key"]))
    return keys
