"""``python -m headrace.faults.server ORDERS``: ``headrace serve`` with its seams in the hands of the fault suite.

Files of the folder ORDERS::

    clock      milliseconds to add to the wall clock
    crash      {"steps": [...], "skip": n}: SIGKILL of itself at the n+1-th of these steps ([] = at any)
    crashed    the step at which it killed itself
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path

from headrace import main
from headrace.settings import load_settings


class Orders:
    """Carries out what the files of a folder order; they may come and go at any time."""

    def __init__(self, folder: Path) -> None:
        self._clock, self._crash, self._crashed = folder / "clock", folder / "crash", folder / "crashed"
        self._lock = threading.Lock()

    def now_ms(self) -> int:
        """The wall clock, as far off as ordered."""
        try:
            return main.now_ms() + int(self._clock.read_text())
        except FileNotFoundError:
            return main.now_ms()

    def step(self, name: str) -> None:
        """Ends this process here, if that is ordered."""
        with self._lock:
            try:
                order = json.loads(self._crash.read_text())
            except FileNotFoundError:
                return
            if order["steps"] and name not in order["steps"]:
                return
            if order["skip"] > 0:
                _replace(self._crash, json.dumps({**order, "skip": order["skip"] - 1}))
                return
            _replace(self._crashed, name)
            self._crash.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(text)
    temporary.rename(path)


def run(folder: Path) -> None:
    """Serves until SIGTERM; the settings are those of the environment."""
    orders = Orders(folder)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    main.serve(load_settings(), lambda _url: None, seams=main.Seams(now_ms=orders.now_ms, step=orders.step))


if __name__ == "__main__":
    run(Path(sys.argv[1]))
