"""The embedded S3 server of a home (``object_store = "embedded"``): SeaweedFS under a keeper.

It outlives Headrace, as the jobs do that read and write it, and is found again by the next one. Files::

    <home>/s3/keys.json   {endpoint, access_key, secret_key}: for tools of the user; the port stays what it was
    <home>/s3/ports.json
    <home>/s3/s3.json     who may do what
    <home>/s3/data/       all objects
    <home>/s3/run-1/ …    one start each: command, process and exit on record (``keeper``); weed.log
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import urllib3
from obstore.exceptions import BaseError

from headrace.domain.errors import HomeUnusable, Unavailable
from headrace.objects.access import Keys, S3Access
from headrace.objects.s3_client import bucket_client, client_options
from headrace.objects.seaweed import PORTS, Identity, Seaweed
from headrace.runtimes import files, processes
from headrace.runtimes.ports import free_ports
from headrace.runtimes.processes import Kept, Life

log = logging.getLogger(__name__)

REGION = "us-east-1"
START_S = 60.0
LOOK_S = 1.0
GRACE_S = 2.0
"""From SIGTERM to SIGKILL: it would wait 15 s for its own connections. Nobody writes any more, and what was written is
with the kernel.
"""
KEPT_RUNS = 3


class ObjectServer:
    """One server; ``start`` it, or find it again."""

    def __init__(self, home: Path, port: int, others: Sequence[Keys] = ()) -> None:
        """Takes its place.

        Args:
            home: the home's folder.
            port: where it speaks S3; 0 = a free port, the same for ever.
            others: key pairs besides its own that may do everything, as the one that ``server.json`` tells.

        Raises:
            HomeUnusable: the package with the server is not installed.
            Unavailable: the disk does not take its records.
        """
        self._folder = home / "s3"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._seaweed = Seaweed(self._folder, self._ports(port))
        self.keys = self._own_keys()
        self._others = others
        self._http = urllib3.PoolManager(timeout=5.0, retries=False)
        hasty = replace(self.access, timeout_s=5.0)
        self._probe = bucket_client(hasty, "probe", client_options(hasty))
        self._stopping = threading.Event()
        self._guard = threading.Thread(target=self._watch, name="object-server", daemon=True)

    @property
    def endpoint(self) -> str:
        """Where it speaks S3."""
        return self._seaweed.endpoint

    @property
    def access(self) -> S3Access:
        """How Headrace and its jobs reach it."""
        return S3Access(self.endpoint, REGION, path_style=True, default=self.keys)

    def start(self) -> None:
        """Starts it unless it runs, waits until it answers, and starts it again whenever it ends.

        Raises:
            HomeUnusable: it does not come up; the message says where it tells why.
        """
        deadline = time.monotonic() + START_S
        begun = self._begin()
        while not self._answers():
            life = self._look().life
            if (begun and life is Life.ENDED) or time.monotonic() > deadline:
                raise HomeUnusable(
                    f"The embedded S3 server does not come up at {self.endpoint}: see {self._newest() / 'weed.log'}. "
                    "Is the port taken? Then set embedded_s3_port, once no job runs."
                )
            begun = self._begin() or begun  # an earlier one may just be ending: that is no failure of this start
            time.sleep(0.05)
        self._guard.start()

    def close(self) -> None:
        """Lets go of it; it runs on."""
        self._stopping.set()
        if self._guard.is_alive():
            self._guard.join(START_S)
        self._http.clear()

    def end(self) -> None:
        """Ends it, and waits until nothing of it lives."""
        self._stopping.set()
        if self._guard.is_alive():
            self._guard.join(START_S)
        deadline = time.monotonic() + GRACE_S
        while not processes.end(self._look(), force=time.monotonic() > deadline):
            time.sleep(0.05)
        self._seaweed.clean_up()

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                if self._look().life is Life.ENDED:
                    log.warning("the embedded S3 server has ended: see %s; it is started again", self._newest())
                    self._begin()
            except (Unavailable, OSError) as error:
                log.warning("the embedded S3 server: %s", error)

    def _begin(self) -> bool:
        """Starts it, unless it runs or is ending; whether it did."""
        if self._look().life not in (Life.NEVER, Life.ENDED):
            return False
        own = Identity("headrace", self.keys.access_key, self.keys.secret_key)
        others = [Identity(f"user-{at}", one.access_key, one.secret_key) for at, one in enumerate(self._others)]
        self._seaweed.write_config([own, *others])
        # A start that nobody saw through is the same start: its keeper may be about to make it.
        unseen = self._runs() and self._look().life is Life.NEVER
        run = self._folder / f"run-{_number(self._newest()) + (not unseen)}"
        run.mkdir(mode=0o700, exist_ok=True)
        ordered = {
            "argv": self._seaweed.command(),
            "env": {
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "HOME": str(run),
                "LC_ALL": "C.UTF-8",
                **self._seaweed.environment,
            },
            "cwd": str(run),
            "output": str(run / "weed.log"),
            "fence": str(run),
            "holds": [],
            "spool": {"files": [str(run / "weed.log")], "bytes": 16 << 20},
        }
        files.write(run / "command.json", ordered)
        processes.start(run)
        for old in self._runs()[:-KEPT_RUNS]:
            shutil.rmtree(old, ignore_errors=True)
        return True

    def _look(self) -> Kept:
        return processes.look(self._newest())

    def _newest(self) -> Path:
        """The folder of the newest start; one that is not there if it was never started."""
        runs = self._runs()
        return runs[-1] if runs else self._folder / "run-0"

    def _runs(self) -> list[Path]:
        return sorted(self._folder.glob("run-*"), key=_number)

    def _answers(self) -> bool:
        """Whether it takes objects: its volumes are there, and it knows its keys, so that it is no other server."""
        try:
            place = self._http.request("GET", f"{self._seaweed.master}/dir/assign")
            if place.status == HTTPStatus.OK and b'"fid"' in place.data:
                self._probe.head("probe")
        except FileNotFoundError:
            return True
        except (urllib3.exceptions.HTTPError, BaseError):
            return False
        return False

    def _ports(self, port: int) -> list[int]:
        path = self._folder / "ports.json"
        if not path.exists():
            files.write(path, free_ports(PORTS, ()))
        known: list[int] = files.read(path)
        return [port or known[0], *known[1:]]

    def _own_keys(self) -> Keys:
        path = self._folder / "keys.json"
        known = files.read(path) if path.exists() else {}
        access_key = known.get("access_key") or f"HR{secrets.token_hex(9).upper()}"
        secret_key = known.get("secret_key") or secrets.token_urlsafe(30)
        told = {"endpoint": self.endpoint, "access_key": access_key, "secret_key": secret_key}
        if told != known:
            files.write(path, told)  # of a server: its umask makes the file private
        return Keys(access_key, secret_key)


def _number(run: Path) -> int:
    return int(run.name.removeprefix("run-"))
