"""The runtime ``local``: one JobManager and its TaskManagers per deployment, as processes of this Linux machine.

::

    <home>/deployments/job-7-1/
        prepared.json  started.json              how far it is
        removed  gone                            the fence; and that nothing lives behind it any more
        lib -> engine  usrlib/  plugins/  classpath/userData/  log/  archive/  tmp/
        jobmanager/  taskmanager-1/ …            one keeper each: command, process and exit on record
        savepoint-3.*                            the savepoint of request 3, with or without a stop
    <home>/state/job-7/records/                  its checkpoints (``states``)
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.job import attempt_of, job_of
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    Preparation,
    SavepointView,
    Sight,
    StateView,
    Trace,
)
from headrace.flink import config, metrics, views
from headrace.flink.command import Layout
from headrace.flink.engines import EngineStore
from headrace.flink.rest import FlinkRefused, FlinkRest, FlinkSilent
from headrace.flink.strategy import own_in_log
from headrace.flink.watch import JobWatch
from headrace.runtimes import evidence, files, logfiles, processes, removal, s3, taskmanagers
from headrace.runtimes.base import Records
from headrace.runtimes.limits import DEFAULTS, Limits
from headrace.runtimes.logfiles import GONE, Logged
from headrace.runtimes.places import Places
from headrace.runtimes.processes import Kept, Life
from headrace.runtimes.s3 import S3Store
from headrace.runtimes.savepoints import Savepoints
from headrace.runtimes.staging import PREPARED, Fetch, Staging
from headrace.runtimes.starting import REMOVED, STARTED, Starter, first_taskmanagers
from headrace.runtimes.states import States
from headrace.runtimes.taskmanagers import Hearing

NEVER_ANSWERED_S = 120.0
"""A JobManager whose REST has never answered is given up no sooner."""


@dataclass
class _Watched:
    """What is remembered of a deployment between two looks at it."""

    port: int
    rest: FlinkRest
    jobs: JobWatch
    hearing: Hearing
    silent_since: float | None = None
    given_up: bool = False
    """It was told to be UNRESPONSIVE, and so is being ended: asking it again would only take time."""


class LocalRuntime:
    """Deployments below one home. Another LocalRuntime on the same home, later, finds and serves them."""

    def __init__(
        self,
        home: Path,
        engines: EngineStore,
        fetch: Fetch,
        *,
        limits: Limits = DEFAULTS,
        monotonic: Callable[[], float] = time.monotonic,
        endpoint: S3Store | None = None,
    ) -> None:
        """``endpoint``: the S3 endpoint behind which the buckets are; None = they are folders of the home."""
        self._home = home
        self._deployments = home / "deployments"
        self._deployments.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staging = Staging(engines, fetch, endpoint)
        self._starter = Starter(home, engines, self._state, limits.spool_bytes, endpoint)
        self._places = Places(home / "objects", endpoint.objects if endpoint else None)
        self._limits = limits
        self._monotonic = monotonic
        self._watched: dict[str, _Watched] = {}

    def close(self) -> None:
        """Lets go of everything; running deployments go on."""
        for watched in self._watched.values():
            watched.rest.close()

    # -- preparing ------------------------------------------------------------------------------------------------

    def prepare(self, plan: DeploymentPlan) -> None:
        """See Runtime.prepare."""
        layout = self._layout(plan.name)
        layout.folder.mkdir(mode=0o700, exist_ok=True)
        logfiles.want(layout, plan.log_bucket)
        earlier = self._earlier(plan)
        self._forget_old_attempts(plan, earlier)
        self._staging.begin(plan, layout, earlier)

    def preparation(self, name: str) -> Preparation:
        """See Runtime.preparation."""
        return self._staging.look(name, self._layout(name))

    # -- starting -------------------------------------------------------------------------------------------------

    def deploy(self, plan: DeploymentPlan) -> None:
        """See Runtime.deploy. Every step can be repeated: a role that was started once is not started again."""
        layout = self._layout(plan.name)
        try:
            if (layout.folder / REMOVED).exists() or (layout.folder / STARTED).exists():
                return
            self._starter.start(plan, layout, self._states(layout))
        except OSError as error:
            raise Unavailable(f"The deployment's folder cannot be written: {error}") from error

    # -- looking --------------------------------------------------------------------------------------------------

    def observe(self, name: str, request_no: int = 0) -> DeploymentView:
        """See Runtime.observe."""
        layout = self._layout(name)
        try:
            if (layout.folder / GONE).exists():
                return DeploymentView(Sight.REMOVED, savepoint=self._savepoints(layout).find(request_no))
            if (layout.folder / REMOVED).exists():
                return DeploymentView(Sight.DEAD)  # fenced, but not all of it has ended yet
            if not (layout.folder / STARTED).exists():
                return DeploymentView(Sight.ABSENT)
            jobmanager = processes.look(layout.role("jobmanager"))
            if jobmanager.life in (Life.ENDED, Life.NEVER):
                return self._dead(layout, jobmanager, request_no)
            if jobmanager.life is not Life.RUNS:
                return DeploymentView(Sight.UNREACHABLE)
            return self._live(name, layout, request_no)
        except Unavailable:
            return DeploymentView(Sight.UNREACHABLE)

    def _live(self, name: str, layout: Layout, request_no: int) -> DeploymentView:
        watched = self._watch(name, layout)
        flink: FlinkJob | None = None
        silent: tuple[int, ...] = ()
        savepoints = self._savepoints(layout)
        savepoint = savepoints.recorded(request_no)
        log = str((layout.log / "jobmanager.log").relative_to(self._home))
        if watched.given_up:
            return self._given_up(layout, savepoints.find(request_no), log)
        asked_at = self._monotonic()
        try:
            flink = watched.jobs.look()
            self._states(layout).hear(watched.jobs.seen)
            savepoint = savepoints.look(request_no, watched.rest)
            silent = watched.hearing.silent(layout, watched.rest.taskmanagers())
            watched.silent_since = None
        except FlinkRefused:
            watched.silent_since = None
        except FlinkSilent:
            if watched.silent_since is None:
                watched.silent_since = asked_at
            if self._monotonic() - watched.silent_since > self._patience_s(layout):
                watched.given_up = True
                return self._given_up(layout, savepoints.find(request_no), log)
        return DeploymentView(
            Sight.LIVE,
            flink,
            lost_taskmanagers=taskmanagers.lost(layout, self._home),
            replaced=max(0, len(taskmanagers.started(layout)) - first_taskmanagers(layout)),
            silent_taskmanagers=silent,
            savepoint=savepoint,
            log=log,
        )

    def _given_up(self, layout: Layout, savepoint: SavepointView, log: str) -> DeploymentView:
        """One that answers no more may have done its work before, though nobody heard: its archive and its savepoint
        tell.
        """
        return DeploymentView(Sight.UNRESPONSIVE, views.archived_job(layout.archive), savepoint=savepoint, log=log)

    def _patience_s(self, layout: Layout) -> float:
        """How long REST may be silent: one that has never answered may be starting still, on a busy machine."""
        after = self._limits.unresponsive_after_s
        return after if self._states(layout).answered else max(after, NEVER_ANSWERED_S)

    def _dead(self, layout: Layout, jobmanager: Kept, request_no: int) -> DeploymentView:
        flink = views.archived_job(layout.archive)
        said, log = evidence.of_jobmanager(layout, jobmanager)
        savepoint = self._savepoints(layout).find(request_no)
        done = flink is not None and flink.state is FlinkState.FINISHED
        return DeploymentView(
            Sight.DEAD,
            flink,
            jobmanager.code,
            lost_taskmanagers=() if done else taskmanagers.lost_before(layout, self._home, jobmanager),
            savepoint=savepoint,
            evidence="" if done else said.root,
            rebooted=jobmanager.rebooted,
            oom_killed=jobmanager.oom_killed,
            log=str(log.relative_to(self._home)),
            trace=Trace() if done else said,
        )

    # -- keeping up -----------------------------------------------------------------------------------------------

    def end_taskmanagers(self, name: str, numbers: tuple[int, ...]) -> None:
        """See Runtime.end_taskmanagers."""
        taskmanagers.silence(self._layout(name), numbers)

    def replace_taskmanagers(self, plan: DeploymentPlan, total: int) -> None:
        """See Runtime.replace_taskmanagers."""
        layout = self._layout(plan.name)
        if not self._runs(layout):
            return
        try:
            self._starter.replace(plan, layout, total)
        except OSError as error:
            raise Unavailable(f"The deployment's folder cannot be written: {error}") from error

    def newest_state(self, name: str, restored_from: str) -> StateView:
        """See Runtime.newest_state."""
        layout = self._layout(name)
        return self._states(layout).newest(restored_from, self._savepoints(layout).made())

    # -- stopping -------------------------------------------------------------------------------------------------

    def stop_with_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """See Runtime.stop_with_savepoint."""
        self._save(name, request_no, savepoint_dir, stop=True)

    def trigger_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """See Runtime.trigger_savepoint."""
        self._save(name, request_no, savepoint_dir, stop=False)

    def _save(self, name: str, request_no: int, savepoint_dir: str, *, stop: bool) -> None:
        layout = self._layout(name)
        if not self._runs(layout):
            return
        own = self._state(job_of(name)) / "savepoints" / f"{name}-{request_no}"
        request = self._savepoints(layout).request(request_no)
        request.ask(self._watch(name, layout).rest, savepoint_dir or config.uri(own), stop=stop)

    def _savepoints(self, layout: Layout) -> Savepoints:
        return Savepoints(layout.folder, self._places)

    def cancel(self, name: str) -> None:
        """See Runtime.cancel."""
        layout = self._layout(name)
        if not self._runs(layout):
            return
        rest = self._watch(name, layout).rest
        for job in rest.jobs():
            if FlinkState(job["state"]) not in (FlinkState.CANCELED, FlinkState.FAILED, FlinkState.FINISHED):
                rest.cancel(job["jid"])

    def remove(self, name: str) -> None:
        """See Runtime.remove. First asks the processes to end; called again after the grace, it ends them."""
        layout = self._layout(name)
        layout.folder.mkdir(mode=0o700, exist_ok=True)
        if (layout.folder / GONE).exists():
            return
        if removal.end(layout):
            self._staging.forget(name)
            watched = self._watched.pop(name, None)
            if watched is not None:
                watched.rest.close()
            shutil.rmtree(layout.tmp, ignore_errors=True)
            s3.forget(layout)  # keys: nothing of it starts any more
            files.write(layout.folder / GONE, {})

    # -- what is there --------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """See Runtime.names."""
        folders = [folder for folder in self._deployments.iterdir() if folder.is_dir()]
        return tuple(sorted(folder.name for folder in folders if not (folder / GONE).exists()))

    def remains(self, job_id: int) -> bool:
        """See Runtime.remains."""
        return bool(self._folders(job_id)) or self._state(job_id).exists()

    def erase(self, job_id: int) -> None:
        """See Runtime.erase. What Flink wrote into buckets (checkpoints, savepoints) stays, as in DLI."""
        for folder in self._folders(job_id):
            if (folder / GONE).exists() and not self._awaited(Layout(folder)):
                shutil.rmtree(folder)
        if not self._folders(job_id):
            shutil.rmtree(self._state(job_id), ignore_errors=True)

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        """See Runtime.execution_graph."""
        layout = self._layout(name)
        if self._runs(layout):
            try:
                rest = self._watch(name, layout).rest
                jobs = rest.jobs()
                return rest.job(jobs[-1]["jid"]) if jobs else None
            except (FlinkSilent, FlinkRefused):
                return None
        return views.archived_graph(layout.archive)

    def logs(self, job_id: int) -> tuple[Logged, ...]:
        """See Runtime.logs."""
        return tuple(logfiles.of(Layout(folder)) for folder in self._folders(job_id))

    def records(self, name: str) -> Records | None:
        """See Runtime.records."""
        layout = self._layout(name)
        if not self._runs(layout):
            return None
        try:
            rest = self._watch(name, layout).rest
            jobs = rest.jobs()
            if not jobs:
                return None
            return Records(*metrics.count(rest, jobs[-1]["jid"]))
        except (FlinkSilent, FlinkRefused):
            return None

    # -- inside ---------------------------------------------------------------------------------------------------

    def _layout(self, name: str) -> Layout:
        return Layout(self._deployments / name)

    def _state(self, job_id: int) -> Path:
        """Checkpoints and savepoints of a job without a bucket."""
        return self._home / "state" / f"job-{job_id}"

    def _states(self, layout: Layout) -> States:
        return States(layout, self._state(job_of(layout.folder.name)), self._places)

    def _watch(self, name: str, layout: Layout) -> _Watched:
        if not (layout.folder / "ports.json").exists():
            raise FlinkSilent("the deployment has no ports yet")
        port = int(files.read(layout.folder / "ports.json")["ports"][1])
        known = self._watched.get(name)
        if known is None or known.port != port:
            rest = FlinkRest(port)
            hearing = Hearing(self._limits.taskmanager_silent_after_s, self._monotonic)
            own = functools.partial(own_in_log, layout.log / "jobmanager.log", layout.conf("jobmanager"))
            known = self._watched.setdefault(name, _Watched(port, rest, JobWatch(rest, own), hearing))
        return known

    def _runs(self, layout: Layout) -> bool:
        return processes.look(layout.role("jobmanager")).life is Life.RUNS

    def _awaited(self, layout: Layout) -> bool:
        return logfiles.awaited(layout, self._limits.log_wait_s)

    def _folders(self, job_id: int) -> list[Path]:
        return sorted(self._deployments.glob(f"job-{job_id}-*"), key=lambda folder: attempt_of(folder.name))

    def _earlier(self, plan: DeploymentPlan) -> Layout | None:
        """The newest earlier attempt of the same run whose files are there: what runs does not change within a run."""
        for folder in reversed(self._folders(plan.job_id)):
            attempt = attempt_of(folder.name)
            if plan.first_attempt <= attempt < plan.attempt and (folder / PREPARED).exists():
                return Layout(folder)
        return None

    def _forget_old_attempts(self, plan: DeploymentPlan, earlier: Layout | None) -> None:
        """The user's files are kept of one attempt, logs and checkpoints of the newest few, and what may be needed."""
        for folder in self._folders(plan.job_id):
            layout = Layout(folder)
            if folder.name == plan.name or layout == earlier or not (folder / GONE).exists():
                continue
            shutil.rmtree(layout.usrlib, ignore_errors=True)
            old = attempt_of(folder.name) <= plan.attempt - self._limits.kept_attempts
            if not old or self._awaited(layout):
                continue
            if self._states(layout).forget(plan.needed):  # else it must be known later what there is to forget
                shutil.rmtree(folder)
