"""The embedded S3 server of a home (``object_store = "embedded"``): SeaweedFS under a keeper.

It outlives Headrace, as the jobs do that read and write it, and is found again by the next one. Files::

    <home>/s3/keys.json   {endpoint, access_key, secret_key}: for tools of the user; the endpoint once it is up
    <home>/s3/ports.json
    <home>/s3/s3.json     who may do what
    <home>/s3/data/       all objects
    <home>/s3/run-1/ …    one start each: command, process and exit on record (``keeper``); weed.log
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from headrace.runtimes.server_runs import Runs

log = logging.getLogger(__name__)

REGION = "us-east-1"
START_S = 60.0
ROOM_S = 10.0
"""So long a server that was just started may take until it has room for an object: the first one would take 5 s else.
Longer it is not waited for: on a full disk it never has any, and what is stored can be read all the same.
"""
LOOK_S = 1.0
LONGEST_PAUSE_S = 30.0


def known_port(home: Path) -> int | None:
    """Where jobs that run know the server of this home, whether it lives or not; None if it was never started.

    Raises:
        Unavailable: its records cannot be read.
    """
    return Runs(home / "s3").port()


def end(home: Path) -> None:
    """Ends the server of this home, whatever the settings are now; raises Unavailable."""
    Runs(home / "s3").end()


@dataclass
class Pauses:
    """How long to wait after each start of a server that keeps ending: twice as long each time, until it has lived."""

    pause_s: float = 0.0

    def next(self) -> float:
        """After one more start."""
        self.pause_s = min(max(LOOK_S, 2 * self.pause_s), LONGEST_PAUSE_S)
        return self.pause_s

    def lived(self, seconds: float) -> bool:
        """Whether it has lived so long that its next end is a new affair."""
        if seconds >= LONGEST_PAUSE_S:
            self.pause_s = 0.0
        return self.pause_s == 0


class ObjectServer:
    """One server; ``start`` it, or find it again."""

    def __init__(self, home: Path, port: int, others: Sequence[Keys] = ()) -> None:
        """Takes its place.

        Args:
            home: the home's folder.
            port: where it speaks S3; 0 = a free port, the same for ever.
            others: key pairs besides its own that may do everything, as the one that ``server.json`` tells.

        Raises:
            Unavailable: the disk does not take its records.
        """
        self._home = home
        self._folder = home / "s3"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._runs = Runs(self._folder)
        self._seaweed = Seaweed(self._folder, self._ports(port))
        self.keys = self._own_keys()
        self.up = False
        """Whether ``start`` has found it answering."""
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
            HomeUnusable: it is not installed, does not come up, is silent, or jobs that run know it at another port.
            Unavailable: its records cannot be read or written.
        """
        self._move()
        deadline = time.monotonic() + START_S
        begun = self._begin()
        self._wake()
        while not self._answers():
            kept = self._runs.look()
            if (begun and kept.life is Life.ENDED) or time.monotonic() > deadline:
                raise HomeUnusable(self._why_not(kept, begun=begun))
            begun = self._begin() or begun  # an earlier one may just be ending: that is no failure of this start
            self._wake()
            time.sleep(0.05)
        self.up = True
        self._tell_endpoint()
        self._wait_for_room(ROOM_S if begun else 0.0)
        self._guard.start()

    def wanted(self) -> bool:
        """Whether it runs, or deployments do that may use it; raises Unavailable."""
        return self._runs.look().life in (Life.RUNS, Life.ENDING) or self._has_users()

    def check_savepoints(self) -> None:
        """Raises HomeUnusable if deployments run, and it did not come up to hold their savepoints."""
        if not self.up and self.wanted():
            raise HomeUnusable(
                "Savepoints need the embedded S3 server, which does not come up. Mend that, or end the jobs without "
                "savepoints: headrace down."
            )

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
        self._runs.end()

    def _move(self) -> None:
        """Ends one that speaks at another port than it shall, unless jobs know it by that, be it dead meanwhile."""
        wanted, known = self._seaweed.ports[0], self._runs.port()
        if known in (None, wanted):
            return
        if self._has_users():
            raise HomeUnusable(
                f"By embedded_s3_port the embedded S3 server is to speak at port {wanted}, but the running jobs know "
                f"it at port {known}. Set embedded_s3_port={known}, or end the jobs first: headrace down."
            )
        if self._runs.look().life is Life.RUNS:
            log.warning("the embedded S3 server moves from port %s to port %s", known, wanted)
            self._runs.end()

    def _has_users(self) -> bool:
        roles = (record.parent for record in (self._home / "deployments").glob("*/*/process.json"))
        return any(processes.look(role).life in (Life.RUNS, Life.ENDING) for role in roles)

    def _wake(self) -> None:
        """One that somebody has stopped (SIGSTOP) goes on."""
        kept = self._runs.look()
        if kept.life is Life.RUNS and kept.identity is not None:
            processes.wake(kept.identity)

    def _why_not(self, kept: Kept, *, begun: bool) -> str:
        told = self._runs.newest() / "weed.log"
        if kept.life is Life.RUNS and kept.identity is not None and not begun:
            return (
                f"The embedded S3 server (pid {kept.identity.pid}) has run since before, and is silent at "
                f"{self.endpoint}: see {told}. End it (kill -KILL {kept.identity.pid}); it is started again then."
            )
        return (
            f"The embedded S3 server does not come up at {self.endpoint}: see {told}. "
            "Is the port taken? Then set embedded_s3_port, once no job runs."
        )

    def _watch(self) -> None:
        pauses, told, pause_s = Pauses(), "", LOOK_S
        while not self._stopping.wait(pause_s):
            pause_s = LOOK_S
            try:
                kept = self._runs.look()
                if kept.life in (Life.ENDED, Life.NEVER):  # never: its last start failed before it was on record
                    cause = f"has ended ({_end_of(kept)})" if kept.life is Life.ENDED else "was not started"
                    pause_s = pauses.next()
                    self._begin()
                elif kept.started_at is None or not pauses.lived(_since_boot_s() - kept.started_at):
                    continue
                else:
                    cause = ""
            except (Unavailable, HomeUnusable, OSError) as error:
                cause, pause_s = str(error), pauses.next()
            if cause and cause != told:
                log.warning(
                    "the embedded S3 server: %s; it is started again, see %s", cause, self._runs.newest().parent
                )
            told = cause

    def _begin(self) -> bool:
        """Starts it, unless it runs or is ending; whether it did."""
        if self._runs.look().life not in (Life.NEVER, Life.ENDED):
            return False
        own = Identity("headrace", self.keys.access_key, self.keys.secret_key)
        others = [Identity(f"user-{at}", one.access_key, one.secret_key) for at, one in enumerate(self._others)]
        command = self._seaweed.command()
        self._seaweed.write_config([own, *others])
        run = self._runs.place()
        ordered = {
            "argv": command,
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
        self._runs.begin(run, ordered)
        return True

    def _answers(self) -> bool:
        """Whether it speaks S3 and knows its keys, and its master answers too, so that it is no other server."""
        try:
            self._http.request("GET", f"{self._seaweed.master}/dir/status")
            self._probe.head(f"probe-{secrets.token_hex(8)}")
        except FileNotFoundError:
            return True
        except (urllib3.exceptions.HTTPError, BaseError):
            return False
        return True

    def _wait_for_room(self, patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        while not self._has_room():
            if time.monotonic() > deadline:
                log.warning(
                    "the embedded S3 server takes no objects now: its disk is full (it leaves 1 %% free). Make room at "
                    "%s; what is stored can be read",
                    self._folder,
                )
                return
            time.sleep(0.05)

    def _has_room(self) -> bool:
        try:
            place = self._http.request("GET", f"{self._seaweed.master}/dir/assign")
        except urllib3.exceptions.HTTPError:
            return False
        return place.status == HTTPStatus.OK and b'"fid"' in place.data

    def _ports(self, port: int) -> list[int]:
        path = self._folder / "ports.json"
        if not path.exists():
            files.write(path, free_ports(PORTS, ()))
        known: list[int] = files.read(path)
        return [port or known[0], *known[1:]]

    def _own_keys(self) -> Keys:
        path = self._folder / "keys.json"
        known = files.read(path) if path.exists() else {}
        if not known.get("access_key") or not known.get("secret_key"):
            known |= {"access_key": f"HR{secrets.token_hex(9).upper()}", "secret_key": secrets.token_urlsafe(30)}
            files.write(path, known)  # of a server: its umask makes the file private
        return Keys(known["access_key"], known["secret_key"])

    def _tell_endpoint(self) -> None:
        path = self._folder / "keys.json"
        known = files.read(path)
        if known.get("endpoint") != self.endpoint:
            files.write(path, {**known, "endpoint": self.endpoint})


def _end_of(kept: Kept) -> str:
    if kept.code is None:
        return kept.error or "nobody saw how"
    return kept.error or (f"signal {-kept.code}" if kept.code < 0 else f"exit code {kept.code}")


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
