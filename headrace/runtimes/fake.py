"""A runtime in memory, with faults to order: for tests of Headrace and of tools that build on it.

It keeps every promise of :mod:`headrace.runtimes.base`, and can be told to misbehave within them: calls that are
lost before or after their effect, a view that lags behind the truth, deployments that die, freeze, fail or finish,
TaskManagers that end, states that are lost, a machine that is started anew.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from enum import Enum
from typing import Any

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.job import job_of
from headrace.domain.observation import (
    DeploymentView,
    FlinkState,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
    StateView,
)
from headrace.domain.sizing import Shape
from headrace.runtimes.base import Records
from headrace.runtimes.fake_deployment import CALM, FakeDeployment, FakeSavepoint, FakeStates
from headrace.runtimes.logfiles import Logged

THROWN = "java.lang.RuntimeException: on demand"


class Lost(Enum):
    """Which part of a call is lost: all of it, or only its answer."""

    BEFORE = "before"
    AFTER = "after"


class FakeRuntime:
    """Deployments as data. Each ``observe`` lets the world go one step on."""

    def __init__(self, lag: int = 0) -> None:
        """``lag``: how many observations a change needs to become visible."""
        self.lag = lag
        self.log: list[tuple[str, str]] = []
        """(call, deployment) of all calls that had their effect."""
        self._deployments: dict[str, FakeDeployment] = {}
        self._states = FakeStates()
        self._faults: deque[tuple[str, Lost]] = deque()
        self._unreachable: set[str] = set()
        self._weather = CALM
        self._refused_preparation = Preparation()
        self._lock = threading.RLock()

    def copy(self) -> FakeRuntime:
        """Another world, as this one is now."""
        with self._lock:
            other = FakeRuntime(self.lag)
            other.log = list(self.log)
            other._deployments, other._states = deepcopy((self._deployments, self._states))
            other._faults, other._unreachable = deque(self._faults), set(self._unreachable)
            other._weather, other._refused_preparation = self._weather, self._refused_preparation
            return other

    # -- faults to order: calls -----------------------------------------------------------------------------------

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
        self._weather = replace(self._weather, savepoints=reason)

    def refuse_stops(self, reason: str) -> None:
        """From now on a stop with savepoint makes its savepoint, but the job goes on; "" lets it stop again."""
        self._weather = replace(self._weather, stops=reason)

    def refuse_preparation(self, reason: str, *, heals: bool = False) -> None:
        """From now on preparations fail for this reason, and may ``heal``; "" lets them succeed again."""
        state = PreparationState.FAILED if reason else PreparationState.NOT_STARTED
        self._refused_preparation = Preparation(state, reason, heals)

    # -- faults to order: deployments -----------------------------------------------------------------------------

    def finish(self, name: str) -> None:
        """The job of the deployment finishes by itself."""
        with self._lock:
            self._deployments[name].end(FlinkState.FINISHED, 0, "")

    def fail(self, name: str, cause: str = THROWN) -> None:
        """The job of the deployment fails in Flink, and its JobManager ends."""
        with self._lock:
            self._deployments[name].end(FlinkState.FAILED, 163, cause)

    def throw(self, name: str, cause: str = THROWN) -> None:
        """The job's code throws: Flink restarts it in place as often as its plan allows, then it fails."""
        with self._lock:
            self._deployments[name].throw(cause)

    def restart_in_place(self, name: str, times: int = 1, cause: str = THROWN, own_strategy: str = "") -> None:
        """Flink restarts the job in place, so many times, whatever its plan allows, and it runs again."""
        with self._lock:
            self._deployments[name].restart_in_place(times, cause, own_strategy)

    def kill(self, name: str, *, oom_killed: bool = False) -> None:
        """The JobManager is killed; Flink leaves no word."""
        with self._lock:
            self._deployments[name].die(-9, oom_killed=oom_killed)

    def exit(self, name: str, code: int = 0) -> None:
        """The JobManager ends by itself, without a word of Flink: main() has called System.exit."""
        with self._lock:
            self._deployments[name].die(code)

    def freeze(self, name: str) -> None:
        """The JobManager lives, but is silent past the deadline."""
        with self._lock:
            if self._deployments[name].sight is Sight.LIVE:
                self._deployments[name].sight = Sight.UNRESPONSIVE

    def reboot(self) -> None:
        """The machine is started anew: no process is left, and nobody saw how any of them ended."""
        with self._lock:
            for deployment in self._deployments.values():
                deployment.die(None, rebooted=True)

    def lose_taskmanager(self, name: str, exit_code: int | None = -9, *, oom_killed: bool = False) -> None:
        """A TaskManager of the deployment ends."""
        with self._lock:
            self._deployments[name].lose_taskmanager(exit_code, oom_killed=oom_killed)

    def silence_taskmanager(self, name: str) -> None:
        """A TaskManager of the deployment lives, but is silent past the deadline."""
        with self._lock:
            deployment = self._deployments[name]
            if deployment.sight is Sight.LIVE:
                deployment.silent = (len(deployment.lost) + 1,)

    # -- faults to order: states ----------------------------------------------------------------------------------

    def complete_checkpoint(self, name: str) -> str:
        """Flink completes the next checkpoint of the deployment; its path, "" if the job does not run."""
        with self._lock:
            deployment = self._deployments[name]
            if not deployment.runs:
                return ""
            path = f"fake://checkpoints/{name}/chk-{deployment.next_id(self._states)}"
            deployment.complete(path, self._states)
            return path

    def lose_state(self, path: str) -> None:
        """The checkpoint or savepoint is gone from where it was, or damaged."""
        with self._lock:
            self._states.lose(path)

    def restore_from(self, name: str, path: str) -> None:
        """Flink restores the deployment, which does not run yet, from something else than it was told to."""
        with self._lock:
            deployment = self._deployments[name]
            deployment.plan = replace(deployment.plan, restore_path=path)

    # -- the truth, whatever the view says ------------------------------------------------------------------------

    def live(self) -> tuple[str, ...]:
        """Deployments with processes."""
        with self._lock:
            return tuple(sorted(n for n, d in self._deployments.items() if d.has_processes))

    def starts(self, name: str) -> int:
        """How often processes were started under this name."""
        with self._lock:
            return self._deployments[name].starts if name in self._deployments else 0

    def taskmanagers_missing(self, name: str) -> int:
        """TaskManagers that ended and were not replaced."""
        with self._lock:
            return len(self._deployments[name].lost) - self._deployments[name].replaced

    def savepoints(self) -> tuple[str, ...]:
        """Paths of all savepoints that were made."""
        with self._lock:
            asked = [one.view for each in self._deployments.values() for one in each.savepoints.values()]
            return tuple(sorted(view.path for view in asked if view.state is SavepointState.DONE))

    # -- the contract ---------------------------------------------------------------------------------------------

    def prepare(self, plan: DeploymentPlan) -> None:
        """See Runtime.prepare."""
        with self._call("prepare", plan.name):
            deployment = self._deployments.setdefault(plan.name, FakeDeployment(plan))
            failed = deployment.preparation
            if failed.state is PreparationState.FAILED and failed.heals:
                deployment.preparation = Preparation()
                raise Unavailable(failed.note)
            if failed.state is PreparationState.NOT_STARTED:
                deployment.preparation = Preparation(PreparationState.IN_PROGRESS, "staging")

    def preparation(self, name: str) -> Preparation:
        """See Runtime.preparation."""
        with self._look("preparation"):
            deployment = self._deployments.get(name)
            if deployment is None:
                return Preparation()
            now = deployment.preparation
            if now.state is PreparationState.IN_PROGRESS:
                refused = self._refused_preparation
                ready = Preparation(PreparationState.READY, f"Flink {deployment.plan.engine} is to run it.")
                deployment.preparation = refused if refused.state is PreparationState.FAILED else ready
            return now

    def deploy(self, plan: DeploymentPlan) -> None:
        """See Runtime.deploy."""
        with self._call("deploy", plan.name):
            deployment = self._deployments.setdefault(plan.name, FakeDeployment(plan))
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
            deployment.advance(self._weather, self._states)
            return deployment.look(self.lag, request_no)

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
                deployment.lose_taskmanager(-9, silent=True)

    def replace_taskmanagers(self, plan: DeploymentPlan, total: int) -> None:
        """See Runtime.replace_taskmanagers."""
        with self._call("replace_taskmanagers", plan.name):
            deployment = self._deployments.get(plan.name)
            if deployment is not None and deployment.sight is Sight.LIVE:
                deployment.replaced = max(deployment.replaced, total)

    def newest_state(self, name: str, restored_from: str) -> StateView:
        """See Runtime.newest_state."""
        with self._look("newest_state"):
            deployment = self._deployments.get(name, FakeDeployment(_no_plan(name)))
            return deployment.newest_state(restored_from, self._states)

    def cancel(self, name: str) -> None:
        """See Runtime.cancel."""
        with self._call("cancel", name):
            deployment = self._deployments.get(name)
            if deployment is not None and deployment.sight is Sight.LIVE and deployment.flink is not None:
                deployment.flink = replace(deployment.flink, state=FlinkState.CANCELED, tasks_running=False)

    def remove(self, name: str) -> None:
        """See Runtime.remove."""
        with self._call("remove", name):
            self._deployments.setdefault(name, FakeDeployment(_no_plan(name))).sight = Sight.REMOVED

    def names(self) -> tuple[str, ...]:
        """See Runtime.names."""
        with self._look("names"):
            return tuple(sorted(n for n, d in self._deployments.items() if d.sight is not Sight.REMOVED))

    def remains(self, job_id: int) -> bool:
        """See Runtime.remains."""
        with self._look("remains"):
            return any(job_of(name) == job_id for name in self._deployments)

    def erase(self, job_id: int) -> None:
        """See Runtime.erase."""
        with self._call("erase", f"job-{job_id}"):
            for name in [n for n in self._deployments if job_of(n) == job_id]:
                if self._deployments[name].sight is Sight.REMOVED:
                    del self._deployments[name]

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        """See Runtime.execution_graph."""
        with self._lock:
            deployment = self._deployments.get(name)
            return deployment.graph() if deployment is not None else None

    def logs(self, job_id: int) -> tuple[Logged, ...]:
        """See Runtime.logs: its processes have none."""
        del job_id
        return ()

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
            view = SavepointView(SavepointState.IN_PROGRESS, path)
            deployment.savepoints[request_no] = FakeSavepoint(view, stops)

    def _next_loss(self, call: str) -> Lost | None:
        for index, (lost_call, part) in enumerate(self._faults):
            if lost_call == call:
                del self._faults[index]
                return part
        return None


def _no_plan(name: str) -> DeploymentPlan:
    shape = Shape(1.0, 1, 1.0, 1, 1, 1, 1, 1)
    return DeploymentPlan(name, job_of(name), 0, "", "", shape, "")
