"""Takes the logs of jobs with ``log_enabled`` to their buckets, every few seconds.

As DLI lays them out: below ``<bucket>/jobs/logs/<job id>/`` there are ``submit-client/`` with what Headrace has to say
of each attempt, and a folder per day with a folder per process. Whatever hinders it is tried again, and told once in
the job's journal.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from headrace.control.shipping import Mark, Rolling, ship
from headrace.domain.errors import HeadraceError, JobNotFound, StoreSilent
from headrace.domain.job import AT_REST, attempt_of, deployment_name, job_of
from headrace.runtimes import files
from headrace.runtimes.logfiles import DONE, SHIPPED, LogFile, Logged
from headrace.store.jobs import JobStore
from headrace.store.journal import HistoryEntry, Kind

log = logging.getLogger(__name__)

SUBMISSION = "submission.log"
PLACE = "jobs/logs"
DEFAULTS = Rolling()
AT_ONCE = 4
"""So many deployments' logs are taken at a time: one whose bucket is slow does not keep the others from theirs."""


class LogShipper:
    """Takes all logs, in rounds."""

    def __init__(
        self,
        logged: Callable[[], Iterable[Logged]],
        put: Callable[[str, str, bytes], None],
        jobs: JobStore,
        now_ms: Callable[[], int],
        period_s: float,
        rolling: Rolling = DEFAULTS,
    ) -> None:
        """Takes what it works with.

        Args:
            logged: the deployments whose logs are not all in their buckets yet.
            put: (bucket, key, content) stores an object; raises HeadraceError.
        """
        self._logged = logged
        self._put = put
        self._jobs = jobs
        self._now_ms = now_ms
        self._period_s = period_s
        self._rolling = rolling
        self._hindered: dict[str, type[HeadraceError]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Takes what has come until now, and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._period_s):
            self.round()
        self.round()

    def round(self) -> None:
        """Takes all that has come since the last round; what fails is left for the next one."""
        try:
            found = list(self._logged())
        except (HeadraceError, OSError) as error:
            log.warning("logs: %s", error)
            return
        owed: queue.SimpleQueue[Logged] = queue.SimpleQueue()
        for one in found:
            owed.put(one)
        takers = [
            threading.Thread(target=self._take_all, args=(owed,), name=f"logs-{count}", daemon=True)
            for count in range(min(AT_ONCE, len(found)))
        ]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()

    def _take_all(self, owed: queue.SimpleQueue[Logged]) -> None:
        """Takes what is owed until nothing is; several may do so at once: each deployment is taken by one."""
        goes_on = True
        while goes_on and (one := _next(owed)) is not None:
            goes_on = self._take_one(one)

    def _take_one(self, one: Logged) -> bool:
        """Whether to go on with others."""
        try:
            self._take(one)
            self._hindered.pop(one.name, None)
        except HeadraceError as error:
            self._tell(one, error)
            # At the end each of the others would wait as long for a silent storage: the next Headrace takes them.
            return not (isinstance(error, StoreSilent) and self._stopping.is_set())
        except Exception:
            log.exception("logs of %s", one.name)
        return True

    def _take(self, one: Logged) -> None:
        path = one.folder / SHIPPED
        noted = files.read(path) if path.exists() else {}
        over = one.over and self._is_settled(one)  # as it was before we looked: what came until then is all there is
        for file in one.files:
            self._take_file(one, file, noted)
        self._take_submission(one, noted)
        if over:
            files.write(one.folder / DONE, {})

    def _take_file(self, one: Logged, file: LogFile, noted: dict[str, dict[str, Any]]) -> None:
        name = f"{file.role}/{file.name}"
        mark = Mark(**noted.get(name, {}))
        attempt = attempt_of(one.name)

        def put(at: Mark, content: bytes) -> None:
            number = f".{at.number}" if at.number else ""
            self._store(one, f"{at.day}/attempt-{attempt}-{file.role}/{file.name}{number}", content)
            if at.lost and at.end == at.begin:
                self._note(one, f"{at.lost} bytes of {name} were gone before they could be written to {one.bucket}.")

        while True:
            after = ship(file, mark, self._now_ms(), put, self._rolling)
            if after == mark:
                return
            mark = after
            noted[name] = asdict(mark)
            files.write(one.folder / SHIPPED, noted)

    def _take_submission(self, one: Logged, noted: dict[str, dict[str, Any]]) -> None:
        job_id, attempt = job_of(one.name), attempt_of(one.name)
        last = {"event": self._jobs.last_event(job_id)}
        if noted.get(SUBMISSION) == last:
            return
        lines = [_line(entry) for entry in self._jobs.history(job_id) if entry.attempt == attempt]
        self._store(one, f"submit-client/attempt-{attempt}.log", "".join(lines).encode())
        noted[SUBMISSION] = last
        files.write(one.folder / SHIPPED, noted)

    def _is_settled(self, one: Logged) -> bool:
        """Whether the attempt's story is told to its end."""
        try:
            record = self._jobs.get(job_of(one.name)).record
        except JobNotFound:
            return True
        return record.phase in AT_REST or deployment_name(job_of(one.name), record.attempt) != one.name

    def _store(self, one: Logged, key: str, content: bytes) -> None:
        self._put(one.bucket, f"{PLACE}/{job_of(one.name)}/{key}", content)

    def _tell(self, one: Logged, hindrance: HeadraceError) -> None:
        # By its kind: the text names a segment, and there are ever more of them while the log outgrows its spool.
        if self._hindered.get(one.name) is not type(hindrance):
            self._hindered[one.name] = type(hindrance)
            log.warning("logs of %s: %s", one.name, hindrance)
            self._note(one, f"Logs are not written to {one.bucket} at the moment: {hindrance}")

    def _note(self, one: Logged, text: str) -> None:
        self._jobs.tell(job_of(one.name), text, Kind.LOGS, self._now_ms())


def _next(owed: queue.SimpleQueue[Logged]) -> Logged | None:
    try:
        return owed.get_nowait()
    except queue.Empty:
        return None


def _line(entry: HistoryEntry) -> str:
    at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
    return f"{at} {entry.phase} {entry.note}".rstrip() + "\n"
