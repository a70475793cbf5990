"""Looks at the processes of a home, from outside: the kernel says what lives, whatever Headrace believes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

from headrace.faults.oracle import PromiseBroken, one_deployment

PERIOD_S = 0.2


@dataclass(frozen=True)
class Seen:
    """One process: its pid and start time, and the words of its command line."""

    pid: int
    start_time: int
    words: tuple[str, ...]

    @property
    def told(self) -> str:
        """For a person."""
        text = " ".join(self.words)
        return f"pid {self.pid}: {text[:60]} … {text[-140:]}" if len(text) > 200 else f"pid {self.pid}: {text}"


def processes_of(folder: Path) -> list[Seen]:
    """All live processes whose command line names something below the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "surrogateescape").rstrip("\0").split("\0")
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        if stat[0] not in "ZX" and any(str(folder) in word for word in words):
            found.append(Seen(int(entry.name), int(stat[19]), tuple(words)))
    return found


def deployments_alive(home: Path) -> dict[int, dict[str, set[tuple[int, int]]]]:
    """Per job, its deployments of which a JVM lives, each with (pid, start time) of all of them."""
    place = re.compile(re.escape(f"-Dlog.file={home}/deployments/") + r"(job-(\d+)-\d+)/")
    alive: dict[int, dict[str, set[tuple[int, int]]]] = {}
    for process in processes_of(home / "deployments"):
        for word in process.words:
            match = place.match(word)
            if match is not None:
                names = alive.setdefault(int(match[2]), {})
                names.setdefault(match[1], set()).add((process.pid, process.start_time))
    return alive


class Watch:
    """Samples in a thread of its own whether there is ever more than one deployment of a job."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.samples = 0
        self.broken: PromiseBroken | None = None

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def stop(self) -> None:
        """Looks no more, if it ever did."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def check(self) -> None:
        """Raises PromiseBroken if it ever was; RuntimeError if nobody looks, though somebody should."""
        if self.broken is not None:
            raise self.broken
        if not self._stopping.is_set() and not self._thread.is_alive():
            raise RuntimeError("nobody watches the processes any more")

    def look(self) -> None:
        """One sample. What looks like two is looked at again: /proc is not read in one moment.

        Raises:
            PromiseBroken: there are two deployments of a job.
        """
        self.samples += 1
        first = deployments_alive(self._home)
        if all(len(names) < 2 for names in first.values()):
            return
        second = deployments_alive(self._home)
        both = {
            job_id: [name for name, pids in names.items() if pids & second.get(job_id, {}).get(name, set())]
            for job_id, names in first.items()
        }
        one_deployment(both)  # what lived before and after lived in between

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            try:
                self.look()
            except PromiseBroken as broken:
                self.broken = broken
                return
