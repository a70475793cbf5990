"""The world of the fault suite on real Flink: a real server, real jobs, and a count of what they have written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.cli.client import ApiError
from headrace.faults import flink_headrace, flink_jobs
from headrace.faults.effects import Effect
from headrace.faults.kinds import Reach
from headrace.faults.oracle import (
    Promise,
    PromiseBroken,
    history_is_whole,
    ledger_empty,
    nothing_left,
)
from headrace.faults.plan import Strike
from headrace.faults.records import NotReadable, Records, told
from headrace.faults.requests import Request
from headrace.faults.served import Served
from headrace.faults.subject import BUCKET, GROWTH, JAR, QUEUE, Shape, Subject
from headrace.faults.watch import Watch, processes_of

LIMIT_S = 240.0
LOOK_S = 0.25
ENVIRONMENT = {
    "HEADRACE_MEMORY_PER_CU_MB": "1024",
    "HEADRACE_MEMORY_LIMIT_MB": "32768",
    "HEADRACE_UNRESPONSIVE_AFTER_SECONDS": "10",
    "HEADRACE_TASKMANAGER_SILENT_AFTER_SECONDS": "3",
    "HEADRACE_SIGNATURE_SKEW_SECONDS": "86400",  # only the server's clock jumps, not that of its client
}
"""The deadlines are short, so that what is frozen is given up within the minute that a fault may take."""
DOES = {**flink_jobs.DOES, **flink_headrace.DOES}


class FlinkWorld:
    """Jobs on real Flink, each of which counts. See World."""

    def __init__(self, folder: Path, flink: str, shapes: Sequence[Shape]) -> None:
        self.folder = folder
        self.flink = flink
        self.served = Served(folder, ENVIRONMENT)
        self.database = self.served.home / "headrace.db"
        self.book = Records(self.database)
        self.subjects = [Subject(self.served, self.book, shape) for shape in shapes]
        self.watch = Watch(self.served.home)
        self.targets = len(self.subjects)
        self.limit_s = LIMIT_S
        self.down = False
        """The server is meant to be down just now."""
        self._quiet = True
        self._due: list[int] = []

    # -- its beginning and its end --------------------------------------------------------------------------------

    def begin(self) -> None:
        """See World."""
        install = [sys.executable, "-m", "headrace", "engines", "install", self.flink]
        subprocess.run(install, env=self.served.environment, check=True, stdout=subprocess.DEVNULL)
        self.start()
        client = self.served.client
        client.create_bucket(BUCKET)
        line = "flink-1" if self.flink.startswith("1.") else "flink-2"
        client.upload(Path(__file__).with_name("jars") / line / JAR, BUCKET, JAR)
        cus = max(16, sum(subject.cus for subject in self.subjects))
        self.served.call("POST", "/v1.0/{p}/queues", {"queue_name": QUEUE, "queue_type": "general", "cu_count": cus})
        self.watch.start()
        for subject in self.subjects:
            subject.create(self.flink)
            subject.run()
        self.expect()

    def end(self) -> None:
        """See World."""
        for subject in self.subjects:
            subject.stop()
        until = time.monotonic() + LIMIT_S
        while not all(subject.at_rest for subject in self.subjects):
            self.look()
            if time.monotonic() > until:
                raise PromiseBroken(Promise.WELL, f"not all jobs have stopped after {LIMIT_S:.0f} s\n{self.told(None)}")
            time.sleep(LOOK_S)
        for subject in self.subjects:
            subject.count()
            subject.tally.complete()
        ledger_empty(self.book.grants())
        self.down = True
        self.served.signal(signal.SIGTERM)
        nothing_left([process.told for process in processes_of(self.served.home)])
        self.watch.stop()
        self.watch.check()
        if damage := self.book.damage():
            raise PromiseBroken(Promise.HISTORY, f"the database is damaged: {damage}")
        for subject in self.subjects:
            history_is_whole(self.book.history(subject.job_id))

    def clear(self) -> None:
        """Ends whatever is left, however it stands."""
        self.watch.stop()
        for process in processes_of(self.served.home):
            flink_headrace.limit_files(process.pid, None)
        try:
            self.served.down()
        finally:
            for process in processes_of(self.served.home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    # -- its time -------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """See World."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """See World."""
        time.sleep(max(0.0, min(seconds, LOOK_S)))

    def look(self) -> None:
        """See World."""
        self.watch.check()
        if not self.down and not self.served.alive:
            if not self.served.crashed:
                raise PromiseBroken(Promise.SERVES, f"Headrace has ended by itself\n{self.served.told()}")
            self.start()

    # -- faults ---------------------------------------------------------------------------------------------------

    def strike(self, what: Strike) -> Effect:
        """See World."""
        effect = DOES[what.kind.name](self, what)
        if effect.lasts_s and what.kind.reach is Reach.ALL:
            self._quiet = False
        settled = effect.settled
        effect.settled = lambda: self._known(settled)
        return effect

    def start(self) -> None:
        """Starts the server, if it does not run."""
        if not self.served.alive:
            self.served.start()
        self.down = False

    def ask(self, request: Request) -> None:
        """Asks now, if there is somebody who answers; else the request asks when it is carried on."""
        if self._quiet:
            self._known(request.ask)

    # -- whether all is well --------------------------------------------------------------------------------------

    def expect(self) -> None:
        """See World."""
        self._quiet = True
        self._due = [subject.count() + GROWTH for subject in self.subjects]

    def well(self, target: int) -> bool:
        """See World."""
        subject = self.subjects[target]
        return subject.count() >= self._due[target] and self._known(subject.whole)

    def settle(self) -> None:
        """See World."""
        for subject in self.subjects:
            subject.tally.settle()
            subject.check_restarts()

    def records(self) -> int:
        """See World."""
        return sum(len(subject.tally.numbers) for subject in self.subjects)

    def told(self, target: int | None) -> str:
        """See World."""
        subjects = self.subjects if target is None else [self.subjects[target]]
        lines = [f"Logs: {self.served.log} and {self.served.home / 'deployments'}"]
        for subject in subjects:
            lines.append(subject.told())
            with contextlib.suppress(NotReadable):
                lines.append(told(self.book.history(subject.job_id)))
        return "\n".join(lines)

    def _known(self, look: Callable[[], bool]) -> bool:
        """What cannot be seen just now is not so yet."""
        try:
            return look()
        except (NotReadable, ApiError):
            return False
