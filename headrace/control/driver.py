"""Keeps the reconciler going: workers, the periodic sweep, and the search for orphans.

A nudge only makes things quicker; whatever is lost, the next sweep looks at every unsettled job again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from headrace.control.reconciler import Reconciler, Ticked
from headrace.control.workqueue import WorkQueue
from headrace.domain.decisions import Act, Move, Wait
from headrace.domain.errors import HeadraceError
from headrace.domain.job import Phase, deployment_name
from headrace.store.jobs import StaleJob

log = logging.getLogger(__name__)

WORKERS = 4
SOON_S = 0.1
"""After an action its effect is looked for so soon."""
BUSY_S = 0.2
"""Period of looking at a job that is on its way."""
ON_ITS_WAY = frozenset(
    {
        Phase.PREPARING,
        Phase.STARTING,
        Phase.SAVING,
        Phase.SAVEPOINTING,
        Phase.CANCELING,
        Phase.CLEARING,
        Phase.RESTARTING,
    }
)
ORPHAN_SWEEPS = 30
"""Orphans are searched at the start and at every so-manieth sweep."""


class Driver:
    """Ticks every unsettled job, one at a time per job."""

    def __init__(self, reconciler: Reconciler, sweep_s: float) -> None:
        self._reconciler = reconciler
        self._sweep_s = sweep_s
        self._queue = WorkQueue()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def nudge(self, job_id: int) -> None:
        """Look at this job soon."""
        self._queue.add(job_id)

    def start(self) -> None:
        """Starts the workers and the sweep."""
        loops: list[Callable[[], None]] = [self._work] * WORKERS + [self._sweep]
        for number, loop in enumerate(loops):
            thread = threading.Thread(target=loop, name=f"control-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Ends all ticks; running jobs are left as they are."""
        self._stopping.set()
        self._queue.close()
        for thread in self._threads:
            thread.join(timeout_s)

    def _work(self) -> None:
        while (job_id := self._queue.take()) is not None:
            failed = False
            try:
                self._follow_up(job_id, self._reconciler.tick(job_id))
            except StaleJob:
                self._queue.add(job_id)
            except HeadraceError as error:
                failed = True
                log.warning("job %d: %s", job_id, error)
            except Exception:
                failed = True
                log.exception("job %d: tick failed", job_id)
            finally:
                self._queue.done(job_id, failed=failed)

    def _follow_up(self, job_id: int, ticked: Ticked) -> None:
        match ticked.decision:
            case Move():
                self._queue.add(job_id)
                self._schedule()  # a move may have made a claim, or released one
            case Act():
                self._queue.add(job_id, SOON_S)
            case Wait() if ticked.phase in ON_ITS_WAY:
                self._queue.add(job_id, BUSY_S)
            case Wait():
                pass  # the sweep comes round

    def _schedule(self) -> None:
        for granted in self._reconciler.scheduler.run():
            self._queue.add(granted)

    def _sweep(self) -> None:
        """Looks at all unsettled jobs each period, and more often at those on their way."""
        count = 0
        while not self._stopping.is_set():
            try:
                if count % ORPHAN_SWEEPS == 0:
                    self.remove_orphans()
                self._schedule()
                for job_id in self._reconciler.jobs.unsettled():
                    self._queue.sweep(job_id)
            except Exception:
                log.exception("sweep failed")
            count += 1
            self._stopping.wait(self._sweep_s)

    def remove_orphans(self) -> None:
        """Removes deployments that the store does not know as live.

        The names are read first: what existed then was recorded before it was started, so a name that the store does
        not hold as live is nobody's.
        """
        names = self._reconciler.runtime.names()
        live = {deployment_name(job_id, attempt) for job_id, attempt in self._reconciler.jobs.live_deployments()}
        for name in names:
            if name not in live:
                log.warning("removing %s: no live deployment of a job", name)
                try:
                    self._reconciler.runtime.remove(name)
                except HeadraceError as error:
                    log.warning("%s: %s", name, error)
