"""``headrace down``: ends all that runs of a home."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from headrace.domain.job import AT_REST, Goal, Phase
from headrace.main import Server, build, now_ms
from headrace.runtimes import object_server
from headrace.settings import Settings
from headrace.store.jobs import StaleJob


def end_jobs(settings: Settings, *, with_savepoint: bool, told: Callable[[str], None]) -> None:
    """Stops all jobs of a home that no server holds, and waits until nothing of them is left, nor of the embedded S3
    server, whatever ``object_store`` is now. A plain stop needs no store.

    Raises:
        HomeUnusable: a server holds the home; or savepoints are wanted, and the embedded S3 server does not come up.
    """
    with build(settings, ending=True) as server:
        store = server.object_server
        if with_savepoint and store is not None:
            store.check_savepoints()
        waiting = {job_id for job_id in server.jobs.unsettled() if _ask_to_stop(server, job_id, with_savepoint)}
        server.driver.remove_orphans()
        server.start()
        try:
            while waiting:
                for job_id in sorted(waiting):
                    job = server.jobs.get(job_id)
                    if job.record.phase in AT_REST | {Phase.DELETED} and not job.request_pending:
                        told(f"job {job_id} ({job.spec.name}): {job.record.phase}")
                        waiting.discard(job_id)
                    elif job.record.phase is Phase.STOP_FAILED:
                        told(f"job {job_id} ({job.spec.name}): {job.record.note} It is stopped without one.")
                        _ask_to_stop(server, job_id, with_savepoint=False)
                time.sleep(0.1)
            while server.runtime.names():
                server.driver.remove_orphans()
                time.sleep(0.1)
        finally:
            server.stop()
        if store is not None:
            store.end()
        else:  # one of other settings
            object_server.end(server.home.folder)


def _ask_to_stop(server: Server, job_id: int, with_savepoint: bool) -> bool:  # noqa: FBT001
    """Asks for a stop unless one is under way; False if the job is at rest."""
    while True:
        job = server.jobs.get(job_id)
        if job.record.phase in AT_REST and not job.request_pending:
            return False
        settled = job.record.phase is Phase.STOP_FAILED and not job.request_pending
        if job.desired.goal in (Goal.STOP, Goal.DELETE) and not settled:
            return True
        desired = replace(
            job.desired,
            goal=Goal.STOP,
            request_no=job.desired.request_no + 1,
            trigger_savepoint=with_savepoint,
            requested_ms=now_ms(),
        )
        with contextlib.suppress(StaleJob):
            server.jobs.request(job, desired)
            return True
