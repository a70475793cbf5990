"""A real S3 server: SeaweedFS in a folder, on free ports. ``start`` it, ``kill`` it, ``start`` it again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import obstore
import urllib3
from obstore.store import S3Store

from headrace.objects.access import Keys, S3Access
from headrace.objects.seaweed import PORTS, Identity
from headrace.objects.seaweed import Seaweed as Program
from headrace.runtimes.ports import free_ports
from tests.support.server import wait_until

OWNER = Identity("owner", "AKOWNER0000000000000", "SKOWNER-it-must-not-be-seen-anywhere-0001")
READER = Identity("reader", "AKREADER000000000000", "SKREADER-it-must-not-be-seen-anywhere-002", ("Read", "List"))
DOMAIN = "s3.test"


def only(bucket: str) -> Identity:
    """Somebody who may do everything in this bucket, and nothing elsewhere."""
    actions = tuple(f"{action}:{bucket}" for action in ("Read", "Write", "List", "Tagging"))
    return Identity(f"only-{bucket}", f"AKONLY{bucket.upper()}", f"SKONLY-{bucket}-it-must-not-be-seen", actions)


@dataclass
class Seaweed:
    """One server; ``OWNER`` may do everything, ``READER`` only read, and ``others`` what they say.

    Its buckets are also names below ``DOMAIN``, which no DNS knows.

    Attributes:
        tls: PEM file with key and certificate: then it speaks TLS too, at ``tls_address``.
    """

    folder: Path
    others: tuple[Identity, ...] = ()
    volumes: int = 200
    volume_mb: int = 64
    tls: Path | None = None
    program: Program = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.program = Program(self.folder, free_ports(PORTS, ()), self.volumes, self.volume_mb)
        self.program.write_config((OWNER, READER, *self.others))
        self._tls_port = free_ports(1, self.program.ports)[0]

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.program.ports[0]

    @property
    def tls_address(self) -> tuple[str, int]:
        assert self.tls is not None
        return "127.0.0.1", self._tls_port

    @property
    def endpoint(self) -> str:
        return self.program.endpoint

    @property
    def access_key(self) -> str:
        return OWNER.access_key

    @property
    def secret_key(self) -> str:
        return OWNER.secret_key

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts it on its ports, and waits until it stores something."""
        with (self.folder / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.program.command(), f"-s3.domainName={DOMAIN}", *self._tls_options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.program.environment},
                start_new_session=True,
            )
        wait_until("SeaweedFS answers", self._is_up, 120)

    def kill(self, signal_no: int = signal.SIGKILL) -> None:
        """Ends it; what it has stored is there at the next ``start``."""
        if self._process is not None:
            self._process.send_signal(signal_no)
            self._process.wait(60)
            self._process = None
            self.program.clean_up()

    def freeze(self) -> None:
        """It takes connections and says nothing, until ``thaw``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def create_bucket(self, bucket: str) -> None:
        """Makes a bucket, with room for its objects."""
        bucket_at(self.access(), bucket, create=True)
        self.prepare_bucket(bucket)

    def access(self, who: Identity = OWNER) -> S3Access:
        """How it is reached."""
        return S3Access(self.endpoint, "us-east-1", path_style=True, default=Keys(who.access_key, who.secret_key))

    def store(self, bucket: str, who: Identity = OWNER) -> S3Store:
        """The bucket, to look into."""
        return bucket_at(self.access(who), bucket)

    def prepare_bucket(self, bucket: str) -> None:
        """Makes room for a bucket's objects now: its first one would take 5 s else."""
        grow = f"{self.program.master}/vol/grow?count=2&collection={bucket}"
        wait_until("a volume", lambda: _status(grow) == 200, 60)

    def _tls_options(self) -> list[str]:
        if self.tls is None:
            return []
        return [f"-s3.port.https={self._tls_port}", f"-s3.cert.file={self.tls}", f"-s3.key.file={self.tls}"]

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "weed.log").read_text()[-2000:]
        return _status(self.endpoint) == 403 and _status(f"{self.program.master}/vol/grow?count=1") == 200


def _status(url: str) -> int:
    try:
        return urllib3.request("GET", url, retries=False, timeout=5.0).status
    except urllib3.exceptions.HTTPError:
        return 0


def bucket_at(access: S3Access, bucket: str, keys: Keys | None = None, *, create: bool = False) -> S3Store:
    """A bucket as a client of the test sees it; made, if it is told so."""
    used = keys or access.of(bucket)
    store = S3Store(
        bucket,
        endpoint=access.endpoint,
        region=access.region,
        access_key_id=used.access_key,
        secret_access_key=used.secret_key,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    if create:
        made = urllib3.request("PUT", obstore.sign(store, "PUT", "", timedelta(minutes=1)), retries=False)
        assert made.status == 200, made.data
    return store


@contextmanager
def seaweed(folder: Path, *others: Identity, tls: Path | None = None) -> Iterator[Seaweed]:
    """A server that runs, and ends with the test."""
    server = Seaweed(folder, others, tls=tls)
    try:
        server.start()
        yield server
    finally:
        if server._process is not None:
            server.thaw()
        server.kill()
