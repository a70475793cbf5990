"""Takes the logs of jobs with ``log_enabled`` to their buckets, every few seconds.

As DLI lays them out: below ``<bucket>/jobs/logs/<job id>/`` there are ``submit-client/`` with what Headrace has to say
of each attempt, and a folder per day with a folder per process. Whatever hinders it is tried again, and told once in
the job's journal.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from headrace.control.shipping import Mark, Rolling, Segments, ship
from headrace.control.submission import NOTHING, Part, extended
from headrace.control.visits import Visit, Visits
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
"""So many deployments' logs are taken at a time."""
STEPS_AT_A_TURN = 4
"""Of each log at most two segments are taken (each is noted, then stored) before the others have their turn."""


class LogShipper:
    """Takes all logs. A look each period finds whose; a few takers take them, each deployment in its turn. However fast
    logs grow, a visit has an end; and one whose bucket is slow holds up itself and its taker alone.
    """

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
        visits = Visits()
        takers = self._takers(visits, AT_ONCE)
        while not self._stopping.wait(self._period_s):
            visits.ask(self._found())
        visits.close(self._found(), last=True)
        for taker in takers:
            taker.join()

    def round(self) -> None:
        """Takes what there is now, and returns when that is taken; what fails is left for the next time."""
        visits, found = Visits(), self._found()
        visits.close(found, last=self._stopping.is_set())
        for taker in self._takers(visits, min(AT_ONCE, len(found))):
            taker.join()

    def _found(self) -> list[Logged]:
        try:
            return list(self._logged())
        except (HeadraceError, OSError) as error:
            log.warning("logs: %s", error)
        except Exception:
            log.exception("the search for logs")
        return []

    def _takers(self, visits: Visits, count: int) -> list[threading.Thread]:
        takers = [
            threading.Thread(target=self._take_all, args=(visits,), name=f"logs-{number}", daemon=True)
            for number in range(count)
        ]
        for taker in takers:
            taker.start()
        return takers

    def _take_all(self, visits: Visits) -> None:
        goes_on = True
        while goes_on and (visit := visits.next()) is not None:
            goes_on = self._turn(visits, visit)

    def _turn(self, visits: Visits, visit: Visit) -> bool:
        """Whether the taker goes on with others."""
        more = False
        try:
            more = self._take(visit)
            self._hindered.pop(visit.one.name, None)
        except HeadraceError as error:
            self._tell(visit.one, error)
            # At the end each of the others would wait as long for a silent storage: the next Headrace takes them.
            return not (isinstance(error, StoreSilent) and self._stopping.is_set())
        except Exception:
            log.exception("logs of %s", visit.one.name)
        finally:
            visits.done(visit, more=more)
        return True

    def _ends(self, visit: Visit) -> bool:
        """Whether the visit is cut short, as the last ones shall begin."""
        return self._stopping.is_set() and not visit.last

    def _take(self, visit: Visit) -> bool:
        """One turn of a deployment; whether it has more that was there at its first."""
        one = visit.one
        path = one.folder / SHIPPED
        noted = files.read(path) if path.exists() else {}
        over = one.over and self._is_settled(one)  # as it was before we looked: what came until then is all there is
        if not one.bucket:
            self._tell_gone(one, noted)
            if over:
                files.write(one.folder / DONE, {})
            return False
        for file in one.files:
            visit.sizes.setdefault(_name(file), file.size)
        left = [file for file in one.files if self._take_file(visit, file, noted)]
        self._take_submission(one, noted)
        if over and not left:
            files.write(one.folder / DONE, {})
        return bool(left)

    def _take_file(self, visit: Visit, file: LogFile, noted: dict[str, dict[str, Any]]) -> bool:
        """One turn of a log; whether it has more that was there at its first."""
        one, name, size = visit.one, _name(file), visit.sizes[_name(file)]
        mark = Mark(**noted.get(name, {}))
        segments = self._segments(one, file)
        for _ in range(STEPS_AT_A_TURN):
            after = mark if self._ends(visit) else ship(file, size, mark, self._now_ms(), segments, self._rolling)
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
