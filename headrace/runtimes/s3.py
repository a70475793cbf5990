"""How the JVMs of a deployment reach the S3 endpoint: one file in its folder, which nobody else can read.

::

    <deployment>/s3.properties    mode 0600: endpoint, keys, and where Flink's S3 file system lies

Only its path stands in Flink's configuration; no key gets into that, into arguments, environment, logs or REST.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.flink.command import Layout
from headrace.flink.installer import Report
from headrace.flink.s3 import S3Plugins
from headrace.objects.access import Keys, S3Access
from headrace.runtimes.places import Bucketed

FILE = "s3.properties"
_ONE_PROVIDER = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
"""The keys of the file and nothing else: no environment variables, no machine's metadata service."""

# A checkpoint or a read that meets a dead store is given up within a minute: Hadoop's own limits make it a quarter of
# an hour, for which a restarted job would stand still.
_PATIENCE = {
    "fs.s3a.attempts.maximum": "3",
    "fs.s3a.retry.limit": "5",
    "fs.s3a.retry.interval": "500ms",
}


@dataclass(frozen=True)
class S3Store:
    """An S3 endpoint for deployments.

    Attributes:
        access: the endpoint and its keys.
        objects: looks into its buckets.
        plugins: Flink's S3 file system, by engine.
        may_use: (project id, bucket) -> whether the bucket is the project's.
    """

    access: S3Access
    objects: Bucketed
    plugins: S3Plugins
    may_use: Callable[[str, str], bool]

    def install(self, engine: str, report: Report) -> None:
        """Brings what the engine needs; raises EngineBroken."""
        self.plugins.install(engine, report)

    def write(self, plan: DeploymentPlan, layout: Layout, engine: str) -> Path:
        """Writes the deployment's file anew, whole: the operator may have changed the keys since; returns its path.

        Raises:
            Unavailable: Flink's S3 file system is gone, or the disk does not take the file.
        """
        jar = self.plugins.find(engine)
        if jar is None:
            raise Unavailable(
                f"Flink's S3 file system for Flink {engine} is gone from the engine store: run the job again"
            )
        lines = [f"{key}={_escaped(value)}\n" for key, value in sorted(self.content(plan, layout, jar).items())]
        path = layout.folder / FILE
        temporary = path.with_name(f"{FILE}.{threading.get_ident()}.tmp")
        try:
            temporary.unlink(missing_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.writelines(lines)
            temporary.rename(path)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written: {error}") from error
        return path

    def content(self, plan: DeploymentPlan, layout: Layout, jar: Path) -> Mapping[str, str]:
        """The file's entries: options of Flink's S3 file system, and ``jar`` and ``ca`` for our plugin."""
        access, timeout_ms = self.access, str(int(self.access.timeout_s * 1000))
        entries = {
            "jar": str(jar),
            "fs.s3a.endpoint": access.endpoint,
            "fs.s3a.endpoint.region": access.region,
            "fs.s3a.path.style.access": str(access.path_style).lower(),
            "fs.s3a.aws.credentials.provider": _ONE_PROVIDER,
            "fs.s3a.connection.establish.timeout": timeout_ms,
            "fs.s3a.connection.timeout": timeout_ms,
            "fs.s3a.buffer.dir": str(layout.tmp),  # its own is below /tmp, and the same for all users
            **{key: value for key, value in _PATIENCE.items() if not _tuned(key, plan)},
        }
        if access.ca_file is not None:
            entries["ca"] = str(access.ca_file)
        if access.proxy:
            entries |= _proxy(access.proxy)
        for bucket, keys in self._keys(plan).items():
            where = f"fs.s3a.bucket.{bucket}." if bucket else "fs.s3a."
            entries |= {f"{where}access.key": keys.access_key, f"{where}secret.key": keys.secret_key}
        return entries

    def _keys(self, plan: DeploymentPlan) -> dict[str, Keys]:
        """{bucket, or "" for all others: keys}. Where buckets have keys of their own, a job gets those of its buckets;
        the keys for all others only if it needs them, or there are no others.
        """
        if not self.access.keys:
            return {"": self.access.default}
        known = [bucket for bucket in plan.buckets if self.may_use(plan.project_id, bucket)]
        keys = {bucket: self.access.keys[bucket] for bucket in known if bucket in self.access.keys}
        if len(keys) < len(known):
            keys[""] = self.access.default
        return keys


def forget(layout: Layout) -> None:
    """Deletes the deployment's file, and what a crash may have left of one that was being written: they hold keys."""
    for path in layout.folder.glob(f"{FILE}*"):
        path.unlink(missing_ok=True)


def _tuned(key: str, plan: DeploymentPlan) -> bool:
    name = key.removeprefix("fs.s3a.")
    return any(f"{prefix}{name}" in plan.options for prefix in ("fs.s3a.", "s3a.", "s3."))


def _proxy(url: str) -> dict[str, str]:
    parts = urlsplit(url)
    entries = {
        "fs.s3a.proxy.host": parts.hostname or "",
        "fs.s3a.proxy.port": str(parts.port or 80),
    }
    if parts.username:
        entries |= {
            "fs.s3a.proxy.username": unquote(parts.username),
            "fs.s3a.proxy.password": unquote(parts.password or ""),
        }
    return entries


def _escaped(value: str) -> str:
    """As ``java.util.Properties`` reads it back."""
    units = value.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\u{code:04x}" for code in codes)
