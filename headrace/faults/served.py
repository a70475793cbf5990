"""A real ``headrace serve``, in a process of its own and a home of its own, from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from headrace.cli.client import ApiClient, ApiError
from headrace.faults.oracle import Promise, PromiseBroken

START_S = 60.0
LEAVE_S = 60.0


class Served:
    """``start`` it, end it in some way, ``start`` it again."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        """``folder``: holds the home, the log, and what is ordered of the server (``server.py``)."""
        self.home = folder / "home"
        self.log = folder / "server.log"
        self.orders = folder / "orders"
        self.orders.mkdir(parents=True, exist_ok=True)
        self.environment = {**os.environ, **environment, "HEADRACE_HOME": str(self.home), "HEADRACE_PORT": "0"}
        self._process: subprocess.Popen[bytes] | None = None
        self._client: ApiClient | None = None
        self.died_at = ""
        """The step at which it last killed itself and was started again, since that was ordered."""

    def start(self) -> None:
        """Returns when it answers.

        Raises:
            PromiseBroken: it does not start.
        """
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "headrace.faults.server", str(self.orders)]
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        self._process = process
        self.died_at = self.crashed or self.died_at
        (self.orders / "crashed").unlink(missing_ok=True)
        deadline = time.monotonic() + START_S
        while not self._ready(process.pid):
            if process.poll() is not None or time.monotonic() > deadline:
                how = f"ended with {process.poll()}" if process.poll() is not None else f"not within {START_S:.0f} s"
                raise PromiseBroken(Promise.SERVES, f"Headrace did not start: {how}\n{self.told()}")
            time.sleep(0.05)
        self._client = ApiClient.of_home(self.home)

    def _ready(self, pid: int) -> bool:
        path = self.home / "server.json"
        try:
            return bool(json.loads(path.read_text())["pid"] == pid)
        except FileNotFoundError:
            return False

    @property
    def pid(self) -> int:
        """Of the present server, or of the last one."""
        assert self._process is not None, "it was never started"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs (or is frozen)."""
        return self._process is not None and self._process.poll() is None

    def order_crash(self, steps: Sequence[str], skip: int) -> None:
        """Has it kill itself at the ``skip`` + 1-th of these steps (none = at any), see ``server.py``."""
        temporary = self.orders / "crash.new"
        temporary.write_text(json.dumps({"steps": list(steps), "skip": skip}))
        (self.orders / "crashed").unlink(missing_ok=True)
        self.died_at = ""
        temporary.rename(self.orders / "crash")

    @property
    def crashed(self) -> str:
        """The step at which it killed itself, "" = it did not since it was started."""
        path = self.orders / "crashed"
        return path.read_text() if path.exists() else ""

    def withdraw_crash(self) -> str:
        """Takes the order back, if it was not carried out; what became of it."""
        (self.orders / "crash").unlink(missing_ok=True)
        step = self.crashed or self.died_at
        return f"it was killed {step}" if step else "it did not come to that step"

    def signal(self, number: int) -> None:
        """Sends a signal, if it runs; after one that ends it, waits for the end."""
        if not self.alive or self._process is None:
            return
        self._process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            try:
                self._process.wait(LEAVE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise PromiseBroken(
                    Promise.SERVES, f"Headrace did not leave within {LEAVE_S:.0f} s of SIGTERM\n{self.told()}"
                ) from None

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer to one request; raises ApiError, with status 0 if there is no server."""
        if self._client is None or not self.alive:
            raise ApiError(0, "", "no server runs")
        return self._client.call(method, path, body)

    @property
    def client(self) -> ApiClient:
        """Of the present server."""
        assert self._client is not None, "it was never started"
        return self._client

    def local(self, uri: str) -> Path:
        """The folder of this machine behind a URI that Headrace has on record."""
        if uri.startswith("obs://"):
            return self.home / "objects" / uri.removeprefix("obs://")
        return Path("/" + uri.removeprefix("file:").lstrip("/"))

    def down(self) -> None:
        """Ends the server and all jobs, as ``headrace down`` does."""
        self.signal(signal.SIGCONT)
        command = [sys.executable, "-m", "headrace", "down"]
        subprocess.run(command, env=self.environment, check=False, capture_output=True, timeout=300)
        if self._process is not None:
            self._process.wait(LEAVE_S)

    def told(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:]
