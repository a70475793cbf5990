"""A runtime in memory, with faults to order: for tests of Headrace and of tools that build on it.

It keeps every promise of :mod:`headrace.runtimes.base`, and can be told to misbehave within them: calls that are
lost before or after their effect, a view that lags behind the truth, deployments that die, freeze, fail or finish.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.lineage import State, newest, same_place
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    LostTaskManager,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
    StateView,
)
from headrace.domain.sizing import Shape
from headrace.runtimes.base import Records


class Lost(Enum):
    """Which part of a call is lost: all of it, or only its answer."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class _Savepoint:
    """The savepoint of one request; ``stops``: the job ends with it."""

    view: SavepointView
    stops: bool


@dataclass
class _Deployment:
    plan: DeploymentPlan
    preparation: Preparation = field(default_factory=Preparation)
    sight: Sight = Sight.ABSENT
    flink: FlinkJob | None = None
    exit_code: int | None = None
    savepoints: dict[int, _Savepoint] = field(default_factory=dict)
    starts: int = 0
    rebooted: bool = False
    lost: tuple[LostTaskManager, ...] = ()
    replaced: int = 0
    silent: tuple[int, ...] = ()
    states: list[State] = field(default_factory=list)
    seen: deque[tuple[DeploymentView, dict[int, _Savepoint]]] = field(default_factory=deque)


class FakeRuntime:
    """Deployments as data. Each ``observe`` lets the world go one step on."""

    def __init__(self, lag: int = 0) -> None:
        """``lag``: how many observations a change needs to become visible."""
        self.lag = lag
        self.log: list[tuple[str, str]] = []
        """(call, deployment) of all calls that had their effect."""
        self._deployments: dict[str, _Deployment] = {}
        self._states: dict[str, State] = {}
        self._faults: deque[tuple[str, Lost]] = deque()
        self._unreachable: set[str] = set()
        self._refuse_savepoints = ""
        self._refuse_preparation = ""
        self._lock = threading.RLock()

    # -- faults to order ------------------------------------------------------------------------------------------

    def lose(self, call: str, part: Lost = Lost.BEFORE) -> None:
        """Loses the next ``call`` (e.g. "deploy" or "observe"), which raises Unavailable."""
        self._faults.append((call, part))

    def lose_no_more(self) -> None:
        """Takes back all ordered losses."""
        self._faults.clear()

    def hide(self, name: str, *, hidden: bool = True) -> None:
        """Makes the deployment UNREACHABLE, or visible again."""
        (self._unreachable.add if hidden else self._unreachable.discard)(name)

    def refuse_savepoints(self, reason: str) -> None:
        """From now on savepoints fail for this reason; "" lets them succeed again."""
        self._refuse_savepoints = reason

    def refuse_preparation(self, reason: str) -> None:
        """From now on preparations fail for this reason; "" lets them succeed again."""
        self._refuse_preparation = reason

    def finish(self, name: str) -> None:
        """The job of the deployment finishes by itself."""
        self._die(name, FlinkState.FINISHED, 0, "")

    def fail(self, name: str, cause: str = "java.lang.RuntimeException: on demand") -> None:
        """The job of the deployment fails in Flink, and its JobManager ends."""
        self._die(name, FlinkState.FAILED, 163, cause)

    def kill(self, name: str) -> None:
        """The JobManager is killed; Flink leaves no word."""
        with self._lock:
            deployment = self._deployments[name]
            if deployment.sight in (Sight.LIVE, Sight.UNRESPONSIVE):
                deployment.sight, deployment.flink, deployment.exit_code = Sight.DEAD, None, -9

    def reboot(self) -> None:
        """The machine is started anew: no process is left, and nobody saw how any of them ended."""
        with self._lock:
            for deployment in self._deployments.values():
                if deployment.sight in (Sight.LIVE, Sight.UNRESPONSIVE):
                    deployment.sight, deployment.flink, deployment.exit_code = Sight.DEAD, None, None
                    deployment.rebooted = True

    def complete_checkpoint(self, name: str) -> str:
        """Flink completes the next checkpoint of the deployment; its path."""
        with self._lock:
            deployment = self._deployments[name]
            path = f"fake://checkpoints/{name}/chk-{self._next_id(deployment)}"
            self._keep(deployment, path)
            return path

    def lose_state(self, path: str) -> None:
        """The checkpoint or savepoint is gone from where it was."""
        with self._lock:
            if path in self._states:
                self._states[path] = replace(self._states[path], checkpoint_id=None)

    def restore_from(self, name: str, path: str) -> None:
        """Flink restores the deployment from something else than it was told to."""
        with self._lock:
            deployment = self._deployments[name]
            deployment.plan = replace(deployment.plan, restore_path=path)

    def restart_in_place(self, name: str, times: int = 1, cause: str = "java.lang.RuntimeException: again") -> None:
        """Flink restarts the job in place, so many times, and it runs again."""
        with self._lock:
            deployment = self._deployments[name]
            if deployment.flink is not None and deployment.flink.state is FlinkState.RUNNING:
                deployment.flink = replace(
                    deployment.flink, restarts=deployment.flink.restarts + times, failure=cause, tasks_running=True
                )

    def lose_taskmanager(self, name: str, exit_code: int | None = -9) -> None:
        """A TaskManager of the deployment ends."""
        with self._lock:
            deployment = self._deployments[name]
            if deployment.sight is Sight.LIVE:
                deployment.lost += (LostTaskManager(len(deployment.lost) + 1, exit_code),)

    def silence_taskmanager(self, name: str) -> None:
        """A TaskManager of the deployment lives, but is silent past the deadline."""
        with self._lock:
            deployment = self._deployments[name]
            if deployment.sight is Sight.LIVE:
                deployment.silent = (len(deployment.lost) + 1,)

    def taskmanagers_missing(self, name: str) -> int:
        """The truth, whatever the view says: TaskManagers that ended and were not replaced."""
        with self._lock:
            return len(self._deployments[name].lost) - self._deployments[name].replaced

    def freeze(self, name: str) -> None:
        """The JobManager lives, but is silent past the deadline."""
        with self._lock:
            if self._deployments[name].sight is Sight.LIVE:
                self._deployments[name].sight = Sight.UNRESPONSIVE

    def live(self) -> tuple[str, ...]:
        """The truth, whatever the view says: deployments with processes."""
        with self._lock:
            holding = (Sight.LIVE, Sight.UNRESPONSIVE, Sight.DEAD)
            return tuple(sorted(n for n, d in self._deployments.items() if d.sight in holding))

    def starts(self, name: str) -> int:
        """How often processes were started under this name."""
        with self._lock:
            return self._deployments[name].starts if name in self._deployments else 0

    def savepoints(self) -> tuple[str, ...]:
        """The truth, whatever the view says: paths of all savepoints that were made."""
        with self._lock:
            asked = [one.view for each in self._deployments.values() for one in each.savepoints.values()]
            return tuple(sorted(view.path for view in asked if view.state is SavepointState.DONE))

    # -- the contract ---------------------------------------------------------------------------------------------

    def prepare(self, plan: DeploymentPlan) -> None:
        """See Runtime.prepare."""
        with self._call("prepare", plan.name):
            deployment = self._deployments.setdefault(plan.name, _Deployment(plan))
            if deployment.preparation.state is PreparationState.NOT_STARTED:
                deployment.preparation = Preparation(PreparationState.IN_PROGRESS, "staging")

    def preparation(self, name: str) -> Preparation:
        """See Runtime.preparation."""
        with self._look("preparation"):
            deployment = self._deployments.get(name)
            if deployment is None:
                return Preparation()
            now = deployment.preparation
            if now.state is PreparationState.IN_PROGRESS:
                failed = Preparation(PreparationState.FAILED, self._refuse_preparation)
                ready = Preparation(PreparationState.READY, f"Flink {deployment.plan.engine} is to run it.")
                deployment.preparation = failed if self._refuse_preparation else ready
            return now

    def deploy(self, plan: DeploymentPlan) -> None:
        """See Runtime.deploy."""
        with self._call("deploy", plan.name):
            deployment = self._deployments.setdefault(plan.name, _Deployment(plan))
            if deployment.sight is Sight.ABSENT:
                deployment.sight = Sight.LIVE
                deployment.starts += 1

    def observe(self, name: str, request_no: int = 0) -> DeploymentView:
        """See Runtime.observe."""
        with self._look("observe"):
            if name in self._unreachable:
                return DeploymentView(Sight.UNREACHABLE)
            deployment = self._deployments.get(name)
            if deployment is None:
                return DeploymentView()
            self._advance(deployment)
            deployment.seen.append((_view(deployment), dict(deployment.savepoints)))
            while len(deployment.seen) > self.lag + 1:
                deployment.seen.popleft()
            if len(deployment.seen) <= self.lag:
                return DeploymentView()
            view, savepoints = deployment.seen[0]
            asked = savepoints.get(request_no)
            return view if asked is None else replace(view, savepoint=asked.view)

    def stop_with_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """See Runtime.stop_with_savepoint."""
        with self._call("stop_with_savepoint", name):
            self._save(name, request_no, savepoint_dir, stops=True)

    def trigger_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """See Runtime.trigger_savepoint."""
        with self._call("trigger_savepoint", name):
            self._save(name, request_no, savepoint_dir, stops=False)

    def end_taskmanagers(self, name: str, numbers: tuple[int, ...]) -> None:
        """See Runtime.end_taskmanagers."""
        with self._call("end_taskmanagers", name):
            deployment = self._deployments.get(name)
            if deployment is not None and set(numbers) & set(deployment.silent):
                deployment.silent = ()
                deployment.lost += (LostTaskManager(len(deployment.lost) + 1, -9, silent=True),)

    def replace_taskmanagers(self, plan: DeploymentPlan, total: int) -> None:
        """See Runtime.replace_taskmanagers."""
        with self._call("replace_taskmanagers", plan.name):
            deployment = self._deployments.get(plan.name)
            if deployment is not None and deployment.sight is Sight.LIVE:
                deployment.replaced = max(deployment.replaced, total)

    def newest_state(self, name: str, restored_from: str) -> StateView:
        """See Runtime.newest_state."""
        with self._look("newest_state"):
            deployment = self._deployments.get(name)
            own = [self._found(state.path) for state in deployment.states] if deployment else []
            floor = self._found(restored_from) if restored_from else None
            return newest([state for state in own if state.checkpoint_id is not None], floor, self._heard(deployment))

    def cancel(self, name: str) -> None:
        """See Runtime.cancel."""
        with self._call("cancel", name):
            deployment = self._deployments.get(name)
            if deployment is not None and deployment.sight is Sight.LIVE and deployment.flink is not None:
                deployment.flink = replace(deployment.flink, state=FlinkState.CANCELED, tasks_running=False)

    def remove(self, name: str) -> None:
        """See Runtime.remove."""
        with self._call("remove", name):
            deployment = self._deployments.setdefault(name, _Deployment(_no_plan(name)))
            deployment.sight = Sight.REMOVED

    def names(self) -> tuple[str, ...]:
        """See Runtime.names."""
        with self._look("names"):
            return tuple(sorted(n for n, d in self._deployments.items() if d.sight is not Sight.REMOVED))

    def remains(self, job_id: int) -> bool:
        """See Runtime.remains."""
        with self._look("remains"):
            return any(_job_of(name) == job_id for name in self._deployments)

    def erase(self, job_id: int) -> None:
        """See Runtime.erase."""
        with self._call("erase", f"job-{job_id}"):
            for name in [n for n in self._deployments if _job_of(n) == job_id]:
                if self._deployments[name].sight is Sight.REMOVED:
                    del self._deployments[name]

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        """See Runtime.execution_graph."""
        with self._lock:
            deployment = self._deployments.get(name)
            if deployment is None or deployment.flink is None:
                return None
            return {
                "jid": f"{deployment.plan.job_id:032x}",
                "name": deployment.plan.job_name,
                "isStoppable": False,
                "state": str(deployment.flink.state),
                "start-time": 1,
                "end-time": -1,
                "duration": 1,
                "vertices": [],
            }

    def records(self, name: str) -> Records | None:
        """See Runtime.records."""
        with self._lock:
            deployment = self._deployments.get(name)
            if deployment is None or deployment.flink is None:
                return None
            return Records({"Source: fake": 42}, {"Sink: fake": None})

    # -- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _call(self, call: str, name: str) -> Iterator[None]:
        with self._lock:
            lost = self._next_loss(call)
            if lost is Lost.BEFORE:
                raise Unavailable(f"{call} was lost")
            yield
            self.log.append((call, name))
            if lost is Lost.AFTER:
                raise Unavailable(f"the answer of {call} was lost")

    @contextmanager
    def _look(self, call: str) -> Iterator[None]:
        with self._lock:
            if self._next_loss(call) is not None:
                raise Unavailable(f"{call} was lost")
            yield

    def _save(self, name: str, request_no: int, savepoint_dir: str, *, stops: bool) -> None:
        deployment = self._deployments.get(name)
        if deployment is not None and deployment.sight is Sight.LIVE and request_no not in deployment.savepoints:
            path = f"{savepoint_dir or 'fake://savepoints'}/savepoint-{name}-{request_no}"
            deployment.savepoints[request_no] = _Savepoint(SavepointView(SavepointState.IN_PROGRESS, path), stops)

    def _next_id(self, deployment: _Deployment) -> int:
        if deployment.states:
            return (deployment.states[-1].checkpoint_id or 0) + 1
        restored = self._found(deployment.plan.restore_path) if deployment.plan.restore_path else None
        return ((restored.checkpoint_id or 0) if restored else 0) + 1

    def _keep(self, deployment: _Deployment, path: str) -> None:
        state = State(path, f"{deployment.plan.job_id:032x}", self._next_id(deployment))
        deployment.states.append(state)
        self._states[path] = state

    def _found(self, path: str) -> State:
        """The state as it is now. What this runtime never made (an imported one) is taken to be there, and older."""
        if path in self._states:
            return self._states[path]
        spelled = (state for state in self._states.values() if same_place(state.path, path))
        return next(spelled, State(path, checkpoint_id=0))

    @staticmethod
    def _heard(deployment: _Deployment | None) -> int | None:
        return deployment.states[-1].checkpoint_id if deployment is not None and deployment.states else None

    def _next_loss(self, call: str) -> Lost | None:
        for index, (lost_call, part) in enumerate(self._faults):
            if lost_call == call:
                del self._faults[index]
                return part
        return None

    def _die(self, name: str, state: FlinkState, exit_code: int, cause: str) -> None:
        with self._lock:
            deployment = self._deployments[name]
            if deployment.sight is Sight.LIVE:
                deployment.sight = Sight.DEAD
                deployment.exit_code = exit_code
                ran = state is FlinkState.FINISHED or (deployment.flink is not None and deployment.flink.ever_ran)
                restored = deployment.plan.restore_path if ran else None
                deployment.flink = FlinkJob(state, ever_ran=ran, failure=cause, restored=restored)

    def _advance(self, deployment: _Deployment) -> None:
        if deployment.sight is not Sight.LIVE:
            return
        if deployment.flink is not None and deployment.flink.state in (FlinkState.FINISHED, FlinkState.CANCELED):
            deployment.sight, deployment.exit_code = Sight.DEAD, 0  # its JobManager has nothing left to do
            return
        if deployment.flink is None:
            deployment.flink = FlinkJob(FlinkState.CREATED)
        elif deployment.flink.state is FlinkState.CREATED:
            restored = deployment.plan.restore_path
            deployment.flink = FlinkJob(FlinkState.RUNNING, tasks_running=True, ever_ran=True, restored=restored)
        for request_no, asked in deployment.savepoints.items():
            if asked.view.state is not SavepointState.IN_PROGRESS:
                continue
            if self._refuse_savepoints:
                view = SavepointView(SavepointState.FAILED, reason=self._refuse_savepoints)
            else:
                view = replace(asked.view, state=SavepointState.DONE)
                self._keep(deployment, view.path)
                if asked.stops:
                    deployment.flink = replace(deployment.flink, state=FlinkState.FINISHED, tasks_running=False)
            deployment.savepoints[request_no] = replace(asked, view=view)


def _view(deployment: _Deployment) -> DeploymentView:
    return DeploymentView(
        sight=deployment.sight,
        flink=deployment.flink,
        exit_code=deployment.exit_code,
        lost_taskmanagers=deployment.lost,
        replaced=deployment.replaced,
        silent_taskmanagers=deployment.silent,
        rebooted=deployment.rebooted,
    )


def _job_of(name: str) -> int:
    return int(name.split("-")[1])


def _no_plan(name: str) -> DeploymentPlan:
    shape = Shape(1.0, 1, 1.0, 1, 1, 1, 1, 1)
    return DeploymentPlan(name, _job_of(name), 0, "", "", shape, "")
