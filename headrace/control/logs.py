"""Takes the logs of jobs with ``log_enabled`` to their buckets, every few seconds.

As DLI lays them out: below ``<bucket>/jobs/logs/<job id>/`` there are ``submit-client/`` with what Headrace has to say
of each attempt, and a folder per day with a folder per process. Whatever hinders it is tried again, and told once in
the job's journal.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from headrace.control.shipping import Mark, Rolling, Segments, ship
from headrace.control.submission import NOTHING, Part, extended
from headrace.domain.errors import HeadraceError, JobNotFound, ObjectNotFound, StoreSilent
from headrace.domain.job import AT_REST, attempt_of, deployment_name, job_of
from headrace.objects.base import ObjectInfo
from headrace.runtimes import files
from headrace.runtimes.logfiles import DONE, SHIPPED, LogFile, Logged
from headrace.store.jobs import JobStore
from headrace.store.journal import Kind

log = logging.getLogger(__name__)

SUBMISSION, GONE = "submission.log", "gone"
"""Names in ``shipped.json`` besides those of logs."""
PLACE = "jobs/logs"
DEFAULTS = Rolling()
AT_ONCE = 4
"""So many deployments' logs are taken at a time: one whose bucket is slow does not keep the others from theirs."""
STEPS_AT_A_TURN = 4
"""Of each log at most two segments are taken (each is noted, then stored) before the others have their turn."""


@dataclass(frozen=True)
class _Owed:
    """One deployment in one round. ``sizes``: of its logs at its first turn; what comes later is for the next round."""

    one: Logged
    sizes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Round:
    """One round. ``last``: of this Headrace; ``until_s``: until then those that have more get further turns."""

    owed: queue.SimpleQueue[_Owed]
    last: bool
    until_s: float

    def next(self) -> _Owed | None:
        try:
            return self.owed.get_nowait()
        except queue.Empty:
            return None

    def has_more(self, owed: _Owed) -> bool:
        """Whether it has a further turn in this round: when the others had theirs."""
        goes_on = self.last or time.monotonic() < self.until_s
        if goes_on:
            self.owed.put(owed)
        return goes_on


class LogShipper:
    """Takes all logs, in rounds."""

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        logged: Callable[[], Iterable[Logged]],
        put: Callable[[str, str, bytes], None],
        jobs: JobStore,
        now_ms: Callable[[], int],
        period_s: float,
        rolling: Rolling = DEFAULTS,
        *,
        head: Callable[[str, str], ObjectInfo] | None = None,
    ) -> None:
        """Takes what it works with.

        Args:
            logged: the deployments whose logs are not all in their buckets yet, or have none and lost bytes.
            put: (bucket, key, content) stores an object; raises HeadraceError.
            head: (bucket, key) what is known of an object; raises ObjectNotFound, HeadraceError. Without it a segment
                whose answer was lost, and whose beginning has gone since, may be there twice in part.
        """
        self._logged = logged
        self._put = put
        self._head = head
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
        pause_s = self._period_s
        while not self._stopping.wait(pause_s):
            pause_s = 0.0 if self._guarded_round() else self._period_s
        self._guarded_round()

    def _guarded_round(self) -> bool:
        try:
            return self.round()
        except Exception:
            log.exception("a round of the logs")
            return False

    def round(self) -> bool:
        """Takes what has come since the last round; what fails is left for the next one.

        A round has an end however fast the logs grow: of each log what there was at its turn is taken, and one that has
        much goes on only until the period is over, or, in the round after ``stop``, until it is where it was then.

        Returns:
            Whether the next round should follow at once, as a log has more than the period had time for.
        """
        last = self._stopping.is_set()
        try:
            found = list(self._logged())
        except (HeadraceError, OSError) as error:
            log.warning("logs: %s", error)
            return False
        now = _Round(queue.SimpleQueue(), last, time.monotonic() + self._period_s)
        for one in found:
            now.owed.put(_Owed(one))
        left = threading.Event()
        takers = [
            threading.Thread(target=self._take_all, args=(now, left), name=f"logs-{count}", daemon=True)
            for count in range(min(AT_ONCE, len(found)))
        ]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()
        return left.is_set()

    def _take_all(self, now: _Round, left: threading.Event) -> None:
        """Takes what is owed until nothing is; several may do so at once: each deployment is taken by one."""
        while not self._ends(now) and (owed := now.next()) is not None:
            try:
                if self._take(owed, now) and not now.has_more(owed):
                    left.set()
                self._hindered.pop(owed.one.name, None)
            except HeadraceError as error:
                self._tell(owed.one, error)
                if isinstance(error, StoreSilent) and self._stopping.is_set():
                    return  # each of the others would wait as long for a silent storage: the next Headrace takes them
            except Exception:
                log.exception("logs of %s", owed.one.name)

    def _ends(self, now: _Round) -> bool:
        """Whether the round is cut short, as the last one shall begin."""
        return self._stopping.is_set() and not now.last

    def _take(self, owed: _Owed, now: _Round) -> bool:
        """One turn of a deployment; whether it has more that was there at its first."""
        one = owed.one
        path = one.folder / SHIPPED
        noted = files.read(path) if path.exists() else {}
        over = one.over and self._is_settled(one)  # as it was before we looked: what came until then is all there is
        if not one.bucket:
            self._tell_gone(one, noted)
            if over:
                files.write(one.folder / DONE, {})
            return False
        for file in one.files:
            owed.sizes.setdefault(_name(file), file.size)
        left = [file for file in one.files if self._take_file(owed, file, noted, now)]
        self._take_submission(one, noted)
        if over and not left:
            files.write(one.folder / DONE, {})
        return bool(left)

    def _take_file(self, owed: _Owed, file: LogFile, noted: dict[str, dict[str, Any]], now: _Round) -> bool:
        """One turn of a log; whether it has more that was there at its first."""
        one, name, size = owed.one, _name(file), owed.sizes[_name(file)]
        mark = Mark(**noted.get(name, {}))
        segments = self._segments(one, file)
        for _ in range(STEPS_AT_A_TURN):
            after = mark if self._ends(now) else ship(file, size, mark, self._now_ms(), segments, self._rolling)
            if after == mark:
                break
            mark = after
            noted[name] = asdict(mark)
            files.write(one.folder / SHIPPED, noted)
        return mark.writing or mark.end < size

    def _segments(self, one: Logged, file: LogFile) -> Segments:
        def key(at: Mark) -> str:
            folder = f"{at.day}/attempt-{attempt_of(one.name)}-{file.role}"
            return f"{folder}/{file.name}{_behind_name(at.number)}"

        def put(at: Mark, content: bytes) -> None:
            self._store(one, key(at), content)
            if at.lost and at.end == at.begin:
                lost = f"{at.lost} bytes of {_name(file)} were gone before they could be written to {one.bucket}."
                self._note(one, lost)

        return Segments(put, lambda at: self._size(one, key(at)))

    def _take_submission(self, one: Logged, noted: dict[str, dict[str, Any]]) -> None:
        job_id, attempt = job_of(one.name), attempt_of(one.name)
        part = Part(**noted[SUBMISSION]) if SUBMISSION in noted else NOTHING
        if self._jobs.last_event(job_id) == part.event:
            return
        part, text = extended(part, self._jobs.history(job_id), attempt)
        if text:
            self._store(one, f"submit-client/attempt-{attempt}.log{_behind_name(part.number)}", text.encode())
        noted[SUBMISSION] = asdict(part)
        files.write(one.folder / SHIPPED, noted)

    def _tell_gone(self, one: Logged, noted: dict[str, dict[str, Any]]) -> None:
        """Tells once of each log that its beginning went, where no bucket has it."""
        told = noted.setdefault(GONE, {})
        for file in one.files:
            if _name(file) not in told and (gone := file.gone):
                self._note(one, _shortened(file, gone))
                told[_name(file)] = gone
                files.write(one.folder / SHIPPED, noted)

    def _is_settled(self, one: Logged) -> bool:
        """Whether the attempt's story is told to its end."""
        try:
            record = self._jobs.get(job_of(one.name)).record
        except JobNotFound:
            return True
        return record.phase in AT_REST or deployment_name(job_of(one.name), record.attempt) != one.name

    def _store(self, one: Logged, key: str, content: bytes) -> None:
        self._put(one.bucket, _place(one, key), content)

    def _size(self, one: Logged, key: str) -> int | None:
        try:
            return self._head(one.bucket, _place(one, key)).size if self._head else None
        except ObjectNotFound:
            return None

    def _tell(self, one: Logged, hindrance: HeadraceError) -> None:
        # By its kind: the text names a segment, and there are ever more of them while the log outgrows its spool.
        if self._hindered.get(one.name) is type(hindrance):
            return
        log.warning("logs of %s: %s", one.name, hindrance)
        try:
            if one.bucket:
                self._note(one, f"Logs are not written to {one.bucket} at the moment: {hindrance}")
        except HeadraceError as error:  # the journal takes nothing now: the next round tells it
            log.warning("logs of %s: that cannot be told in its journal: %s", one.name, error)
        else:
            self._hindered[one.name] = type(hindrance)

    def _note(self, one: Logged, text: str) -> None:
        self._jobs.tell(job_of(one.name), text, Kind.LOGS, self._now_ms())


def _place(one: Logged, key: str) -> str:
    return f"{PLACE}/{job_of(one.name)}/{key}"


def _shortened(file: LogFile, gone: int) -> str:
    return (
        f"The first {gone} bytes of {_name(file)} are gone, and more will go: no more than log_spool_mb of each log "
        "stays on the machine. With log_enabled all of it is kept in the job's bucket."
    )


def _name(file: LogFile) -> str:
    return f"{file.role}/{file.name}"


def _behind_name(number: int) -> str:
    """Of an object's name: the first one has none."""
    return f".{number}" if number else ""
