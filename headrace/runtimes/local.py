"""The runtime ``local``: one JobManager and its TaskManagers per deployment, as processes of this Linux machine.

::

    <home>/deployments/job-7-1/
        prepared.json  started.json              how far it is
        removed  gone                            the fence; and that nothing lives behind it any more
        lib -> engine  usrlib/  plugins/  classpath/userData/  log/  archive/  tmp/
        jobmanager/  taskmanager-1/ …            one keeper each: command, process and exit on record
        savepoint-3.*                            the savepoint of request 3, with or without a stop
"""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    Preparation,
    Sight,
)
from headrace.flink import command, config, metrics, views
from headrace.flink.command import Command, Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.rest import FlinkRefused, FlinkRest, FlinkSilent
from headrace.flink.stacktrace import last_error
from headrace.runtimes import files, processes
from headrace.runtimes.base import Records
from headrace.runtimes.ports import free_ports
from headrace.runtimes.processes import Kept, Life
from headrace.runtimes.savepoints import SavepointRequest
from headrace.runtimes.staging import PREPARED, Locate, Staging, load_prepared

STARTED, REMOVED, GONE = "started.json", "removed", "gone"
GRACE_S = 5.0
"""From asking the processes to end (SIGTERM) to ending them (SIGKILL)."""
KEPT_ATTEMPTS = 5
"""Folders (logs) of so many attempts of a job are kept."""


class LocalRuntime:
    """Deployments below one home. Another LocalRuntime on the same home, later, finds and serves them."""

    def __init__(
        self,
        home: Path,
        engines: EngineStore,
        locate: Locate,
        *,
        unresponsive_after_s: float = 120.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home = home
        self._deployments = home / "deployments"
        self._deployments.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engines = engines
        self._staging = Staging(engines, locate)
        self._unresponsive_after_s = unresponsive_after_s
        self._monotonic = monotonic
        self._silent_since: dict[str, float] = {}
        self._clients: dict[str, tuple[int, FlinkRest]] = {}
        self._ports = threading.Lock()

    def close(self) -> None:
        """Lets go of everything; running deployments go on."""
        for _, client in self._clients.values():
            client.close()

    # -- preparing ------------------------------------------------------------------------------------------------

    def prepare(self, plan: DeploymentPlan) -> None:
        """See Runtime.prepare."""
        layout = self._layout(plan.name)
        layout.folder.mkdir(mode=0o700, exist_ok=True)
        self._forget_old_attempts(plan)
        self._staging.begin(plan, layout)

    def preparation(self, name: str) -> Preparation:
        """See Runtime.preparation."""
        return self._staging.look(name, self._layout(name))

    # -- starting -------------------------------------------------------------------------------------------------

    def deploy(self, plan: DeploymentPlan) -> None:
        """See Runtime.deploy. Every step can be repeated: a role that was started once is not started again."""
        try:
            self._deploy(plan, self._layout(plan.name))
        except OSError as error:
            raise Unavailable(f"The deployment's folder cannot be written: {error}") from error

    def _deploy(self, plan: DeploymentPlan, layout: Layout) -> None:
        if (layout.folder / REMOVED).exists():
            return
        if not (layout.folder / PREPARED).exists():
            raise Unavailable(
                f"The prepared files of {plan.name} are gone from {layout.folder}. Stop the job and run it again."
            )
        if (layout.folder / STARTED).exists():
            return
        prepared = load_prepared(layout)
        engine = self._engines.find(prepared.engine)
        if engine is None:
            raise Unavailable(f"Flink {prepared.engine} is no longer in the engine store")
        options = config.build(plan, engine.minor, self._places(plan, layout))
        commands = {"jobmanager": command.jobmanager(plan, engine, layout, options, prepared.main_class)}
        for number in range(1, plan.shape.taskmanagers + 1):
            commands[f"taskmanager-{number}"] = command.taskmanager(plan, engine, layout, options, number)
        for role, what in commands.items():
            config.write(layout.conf(role), what.options, engine.minor)
            config.write_log4j(layout.conf(role) / "log4j.properties", plan.log_levels)
            self._start(layout, role, what, engine)
        files.write(layout.folder / STARTED, {"taskmanagers": plan.shape.taskmanagers})

    def _start(self, layout: Layout, role: str, what: Command, engine: Engine) -> None:
        work = layout.work(role)
        work.mkdir(parents=True, exist_ok=True)
        user_data = work / "userData"
        if not user_data.is_symlink():
            user_data.symlink_to(layout.classpath / "userData")
        ordered = {
            "argv": what.argv,
            "env": dict(what.env),
            "cwd": str(work),
            "output": str(layout.log / f"{role}.out"),
            "fence": str(layout.folder),
            "holds": [str(engine.use_lock)],
        }
        files.write(layout.role(role) / "command.json", ordered)
        processes.start(layout.role(role))
        fenced = (layout.folder / REMOVED).exists()
        if not fenced and processes.look(layout.role(role)).life is Life.NEVER:
            raise Unavailable(f"The {role} could not be started: see {layout.role(role) / 'keeper.log'}")

    def _places(self, plan: DeploymentPlan, layout: Layout) -> config.Places:
        """Folders, and ports that stay the same when a deploy is repeated."""
        path = layout.folder / "ports.json"
        with self._ports:
            if not path.exists():
                taken = {
                    port for other in self._deployments.glob("*/ports.json") for port in files.read(other)["ports"]
                }
                files.write(path, {"ports": free_ports(2, taken)})
            rpc, rest = files.read(path)["ports"]
        state = self._state(plan.job_id)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        return config.Places(layout.folder, self._home / "objects", state, rpc, rest)

    # -- looking --------------------------------------------------------------------------------------------------

    def observe(self, name: str, request_no: int = 0) -> DeploymentView:
        """See Runtime.observe."""
        layout = self._layout(name)
        try:
            if (layout.folder / GONE).exists():
                return DeploymentView(Sight.REMOVED)
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
        rest = self._rest(name, layout)
        flink: FlinkJob | None = None
        request = self._savepoint(layout, request_no)
        savepoint = request.recorded()
        sight = Sight.LIVE
        try:
            flink = views.live_job(rest)
            savepoint = request.look(rest)
            self._silent_since.pop(name, None)
        except FlinkRefused:
            self._silent_since.pop(name, None)
        except FlinkSilent:
            since = self._silent_since.setdefault(name, self._monotonic())
            if self._monotonic() - since > self._unresponsive_after_s:
                sight = Sight.UNRESPONSIVE
        lost = self._lost_taskmanagers(layout)
        evidence = ""
        if lost:
            evidence = self._taskmanager_evidence(layout)
        return DeploymentView(sight, flink, lost_taskmanagers=lost, savepoint=savepoint, evidence=evidence)

    def _dead(self, layout: Layout, jobmanager: Kept, request_no: int) -> DeploymentView:
        flink = views.archived_job(layout.archive)
        evidence = jobmanager.error or last_error(layout.log / "jobmanager.log")
        evidence = evidence or last_error(layout.log / "jobmanager.out")
        savepoint = self._savepoint(layout, request_no).find()
        done = flink is not None and flink.state is FlinkState.FINISHED
        return DeploymentView(Sight.DEAD, flink, jobmanager.code, (), savepoint, "" if done else evidence)

    def _lost_taskmanagers(self, layout: Layout) -> tuple[int | None, ...]:
        kept = [processes.look(folder) for folder in layout.folder.glob("taskmanager-*")]
        return tuple(one.code for one in kept if one.life is Life.ENDED)

    def _taskmanager_evidence(self, layout: Layout) -> str:
        for folder in sorted(layout.folder.glob("taskmanager-*")):
            kept = processes.look(folder)
            if kept.life is Life.ENDED:
                log = layout.log / f"{folder.name}.log"
                return kept.error or last_error(log) or last_error(log.with_suffix(".out"))
        return ""

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
        own = self._state(_job_of(name)) / "savepoints" / f"{name}-{request_no}"
        request = self._savepoint(layout, request_no)
        request.ask(self._rest(name, layout), savepoint_dir or config.uri(own), stop=stop)

    def _savepoint(self, layout: Layout, request_no: int) -> SavepointRequest:
        return SavepointRequest(layout.folder, request_no, self._local)

    def cancel(self, name: str) -> None:
        """See Runtime.cancel."""
        layout = self._layout(name)
        if not self._runs(layout):
            return
        rest = self._rest(name, layout)
        for job in rest.jobs():
            if FlinkState(job["state"]) not in (FlinkState.CANCELED, FlinkState.FAILED, FlinkState.FINISHED):
                rest.cancel(job["jid"])

    def remove(self, name: str) -> None:
        """See Runtime.remove. First asks the processes to end; called again after the grace, it ends them."""
        layout = self._layout(name)
        layout.folder.mkdir(mode=0o700, exist_ok=True)
        if (layout.folder / GONE).exists():
            return
        fence = layout.folder / REMOVED
        with (layout.folder / "fence.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not fence.exists():
                files.write(fence, {"boot_id": processes.boot_id(), "at": time.clock_gettime(time.CLOCK_BOOTTIME)})
        asked = files.read(fence)
        force = time.clock_gettime(time.CLOCK_BOOTTIME) - asked["at"] > GRACE_S
        kept = self._kept(layout)
        ended = [processes.end(one, force=force) for one in kept]
        if all(one.life is Life.NEVER for one in kept):
            ended.append(processes.end_unrecorded(layout.folder))
        if all(ended):
            self._staging.forget(name)
            self._silent_since.pop(name, None)
            _, client = self._clients.pop(name, (0, None))
            if client is not None:
                client.close()
            for folder in (layout.tmp, layout.usrlib):
                shutil.rmtree(folder, ignore_errors=True)
            files.write(layout.folder / GONE, {})

    # -- what is there --------------------------------------------------------------------------------------------

    def names(self) -> tuple[str, ...]:
        """See Runtime.names."""
        folders = [folder for folder in self._deployments.iterdir() if folder.is_dir()]
        return tuple(sorted(f.name for f in folders if self.observe(f.name).sight is not Sight.REMOVED))

    def remains(self, job_id: int) -> bool:
        """See Runtime.remains."""
        return bool(self._folders(job_id)) or self._state(job_id).exists()

    def erase(self, job_id: int) -> None:
        """See Runtime.erase. What Flink wrote into buckets (checkpoints, savepoints) stays, as in DLI."""
        for folder in self._folders(job_id):
            if self.observe(folder.name).sight is Sight.REMOVED:
                shutil.rmtree(folder)
        if not self._folders(job_id):
            shutil.rmtree(self._state(job_id), ignore_errors=True)

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        """See Runtime.execution_graph."""
        layout = self._layout(name)
        if self._runs(layout):
            try:
                rest = self._rest(name, layout)
                jobs = rest.jobs()
                return rest.job(jobs[-1]["jid"]) if jobs else None
            except (FlinkSilent, FlinkRefused):
                return None
        return views.archived_graph(layout.archive)

    def records(self, name: str) -> Records | None:
        """See Runtime.records."""
        layout = self._layout(name)
        if not self._runs(layout):
            return None
        try:
            rest = self._rest(name, layout)
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

    def _local(self, uri: str) -> Path:
        if uri.startswith("obs://"):
            return self._home / "objects" / uri.removeprefix("obs://")
        return Path("/" + uri.removeprefix("file:").lstrip("/"))

    def _rest(self, name: str, layout: Layout) -> FlinkRest:
        if not (layout.folder / "ports.json").exists():
            raise FlinkSilent("the deployment has no ports yet")
        port = int(files.read(layout.folder / "ports.json")["ports"][1])
        known = self._clients.get(name)
        if known is None or known[0] != port:
            known = self._clients.setdefault(name, (port, FlinkRest(port)))
        return known[1]

    def _runs(self, layout: Layout) -> bool:
        return processes.look(layout.role("jobmanager")).life is Life.RUNS

    def _kept(self, layout: Layout) -> list[Kept]:
        roles = [layout.role("jobmanager"), *layout.folder.glob("taskmanager-*")]
        return [processes.look(role) for role in roles]

    def _folders(self, job_id: int) -> list[Path]:
        return sorted(self._deployments.glob(f"job-{job_id}-*"))

    def _forget_old_attempts(self, plan: DeploymentPlan) -> None:
        for folder in self._folders(plan.job_id):
            old = _attempt_of(folder.name) <= plan.attempt - KEPT_ATTEMPTS
            if old and self.observe(folder.name).sight is Sight.REMOVED:
                shutil.rmtree(folder)


def _job_of(name: str) -> int:
    return int(name.split("-")[1])


def _attempt_of(name: str) -> int:
    return int(name.split("-")[2])
