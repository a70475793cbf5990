"""Looks at the jobs of one JobManager again and again; what is long is asked for only when something has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from headrace.domain.observation import TERMINAL, FlinkJob, FlinkState, Trace
from headrace.flink import stacktrace, views
from headrace.flink.rest import FlinkRefused, FlinkRest, FlinkSilent

HISTORY_SIZE = 256
"""``web.exception-history-size`` of our deployments; beyond it Flink's own counter is asked."""
CLUSTER_DEFAULT = "Cluster level default restart strategy"
"""What Flink 1.x calls the strategy of a job whose code sets none, or sets it as an option."""

NOTHING = Trace()


@dataclass(frozen=True)
class Completed:
    """The newest checkpoint or savepoint that Flink has told to be complete."""

    flink_job: str
    checkpoint_id: int
    path: str


@dataclass(frozen=True)
class _Troubles:
    """What went wrong with a job so far; ``changed``: when Flink last changed anything of the job."""

    changed: int
    restarts: int = 0
    own_strategy: str = ""
    trace: Trace = NOTHING
    failed_on: str = ""


class JobWatch:
    """One JobManager's jobs. Not thread-safe: a deployment is looked at by one worker at a time."""

    def __init__(self, rest: FlinkRest, own_in_log: Callable[[str], str] = lambda _flink_job: "") -> None:
        """``own_in_log``: the strategy of a Flink job that its code has set, as the log tells it, "" = none."""
        self._rest = rest
        self._own_in_log = own_in_log
        self._troubles: dict[str, _Troubles] = {}
        self.seen: dict[str, Completed | None] = {}
        """Per Flink job: the newest state that it is known to have completed."""

    def look(self) -> FlinkJob | None:
        """The job as REST shows it now (``views.fold``); None while main() has not submitted one.

        Raises:
            FlinkSilent, FlinkRefused: REST cannot tell.
        """
        return views.fold([self._one(entry) for entry in self._rest.jobs()])

    def _one(self, entry: dict[str, Any]) -> FlinkJob:
        flink_job, state = str(entry["jid"]), FlinkState(entry["state"])
        running = views.tasks_run(state, entry["tasks"])
        troubles = self._troubled(entry, state)
        statistics = self._statistics(flink_job)
        restored, own = views.restored(statistics, flink_job)
        self.seen[flink_job] = _completed(statistics, flink_job) or self.seen.get(flink_job)
        fallen = state in TERMINAL or state in views.TROUBLED  # it may have run, and failed before anybody looked
        ever_ran = running or (fallen and views.deployed(self._rest.job(flink_job)))
        trace = troubles.trace if troubles.restarts or state in views.TROUBLED else NOTHING
        return FlinkJob(
            state,
            tasks_running=running,
            ever_ran=ever_ran,
            restarts=troubles.restarts,
            failure=trace.root,
            restored=restored,
            own=own,
            own_strategy=troubles.own_strategy,
            trace=trace,
            failed_on=troubles.failed_on,
        )

    def _troubled(self, entry: dict[str, Any], state: FlinkState) -> _Troubles:
        flink_job, changed = str(entry["jid"]), int(entry.get("last-modification", -1))
        known = self._troubles.get(flink_job)
        if known is not None and known.changed == changed and state not in views.TROUBLED:
            return known
        document = self._rest.exceptions(flink_job)
        # As it is behind the history, not before it: a failure that came between would count as a restart.
        now = self._rest.status(flink_job)
        if FlinkState.FAILED in (state, now) and not views.latest_failure(document):
            raise FlinkSilent("the job has failed, but Flink does not tell yet why")  # it shows a history of before
        restarts = views.restarts(document, now)
        if restarts >= HISTORY_SIZE - 1:
            restarts = max(restarts, self._rest.restarts(flink_job))
        strategy = self._strategy(flink_job) if restarts else ""
        trace = stacktrace.read(views.latest_failure(document))
        troubles = _Troubles(changed, restarts, strategy, trace, views.failed_on(document))
        self._troubles[flink_job] = troubles
        return troubles

    def _strategy(self, flink_job: str) -> str:
        told = str(self._rest.config(flink_job).get("execution-config", {}).get("restart-strategy", ""))
        return self._own_in_log(flink_job) if told.startswith(CLUSTER_DEFAULT) else told

    def _statistics(self, flink_job: str) -> dict[str, Any]:
        try:
            return self._rest.checkpoints(flink_job)
        except FlinkRefused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return {}  # a job that cannot make checkpoints


def _completed(statistics: dict[str, Any], flink_job: str) -> Completed | None:
    latest = statistics.get("latest") or {}
    found = [latest[kind] for kind in ("completed", "savepoint") if latest.get(kind)]
    newest = max(found, key=lambda one: int(one["id"]), default=None)
    if newest is None:
        return None
    return Completed(flink_job, int(newest["id"]), str(newest.get("external_path") or ""))
