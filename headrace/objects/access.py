"""How to reach an S3 endpoint, and with which keys: made of the settings, used by ``objects`` and by the Flink side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


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
        proxy: URL of an HTTP proxy, "" = none.
        timeout_s: how long the endpoint may take to take a connection, and be silent while it answers, in seconds.
    """

    endpoint: str
    region: str
    path_style: bool
    default: Keys
    keys: Mapping[str, Keys] = field(default_factory=dict)
    ca_file: Path | None = None
    proxy: str = ""
    timeout_s: float = 30.0

    def of(self, bucket: str) -> Keys:
        """The keys for a bucket."""
        return self.keys.get(bucket, self.default)
