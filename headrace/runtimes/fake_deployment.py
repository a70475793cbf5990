"""Deployments as data, for the runtime in memory: each look at one lets its world go one step on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.lineage import State, newest, same_place
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    LostTaskManager,
    Preparation,
    SavepointState,
    SavepointView,
    Sight,
    StateView,
)

OVER = frozenset({FlinkState.FINISHED, FlinkState.CANCELED})


@dataclass(frozen=True)
class FakeSavepoint:
    """The savepoint of one request; ``stops``: the job is to end with it."""

    view: SavepointView
    stops: bool


@dataclass(frozen=True)
class Weather:
    """What goes wrong with whatever is asked now; "" = nothing.

    Attributes:
        savepoints: why savepoints fail.
        stops: why a job does not stop, though its savepoint was made.
    """

    savepoints: str = ""
    stops: str = ""


CALM = Weather()


class FakeStates:
    """All checkpoints and savepoints, by path, wherever their deployments are."""

    def __init__(self) -> None:
        self._by_path: dict[str, State] = {}

    def keep(self, state: State) -> None:
        """It is complete."""
        self._by_path[state.path] = state

    def lose(self, path: str) -> None:
        """It is gone, or damaged."""
        if path in self._by_path:
            self._by_path[path] = replace(self._by_path[path], checkpoint_id=None)

    def found(self, path: str) -> State:
        """The state as it is now. What was never made here (an imported one) is taken to be there, and older."""
        if path in self._by_path:
            return self._by_path[path]
        spelled = (state for state in self._by_path.values() if same_place(state.path, path))
        return next(spelled, State(path, checkpoint_id=0))


@dataclass
class FakeDeployment:
    """One deployment, as it is; ``view`` is what is seen of that.

    Attributes:
        starts: how often its processes were started.
        states: its own checkpoints and savepoints, oldest first.
        seen: the newest views, for a runtime whose view lags.
    """

    plan: DeploymentPlan
    preparation: Preparation = field(default_factory=Preparation)
    sight: Sight = Sight.ABSENT
    flink: FlinkJob | None = None
    exit_code: int | None = None
    savepoints: dict[int, FakeSavepoint] = field(default_factory=dict)
    starts: int = 0
    rebooted: bool = False
    oom_killed: bool = False
    lost: tuple[LostTaskManager, ...] = ()
    replaced: int = 0
    silent: tuple[int, ...] = ()
    states: list[State] = field(default_factory=list)
    seen: deque[tuple[DeploymentView, dict[int, FakeSavepoint]]] = field(default_factory=deque)

    @property
    def has_processes(self) -> bool:
        """A JobManager that died leaves its TaskManagers."""
        return self.sight in (Sight.LIVE, Sight.UNRESPONSIVE, Sight.DEAD)

    @property
    def runs(self) -> bool:
        """All its tasks run."""
        return self.sight is Sight.LIVE and self.flink is not None and self.flink.state is FlinkState.RUNNING

    def view(self) -> DeploymentView:
        """What is to be seen now, but for its savepoints."""
        return DeploymentView(
            sight=self.sight,
            flink=self.flink,
            exit_code=self.exit_code,
            lost_taskmanagers=self.lost,
            replaced=self.replaced,
            silent_taskmanagers=self.silent,
            rebooted=self.rebooted,
            oom_killed=self.oom_killed,
        )

    def look(self, lag: int, request_no: int) -> DeploymentView:
        """What was to be seen ``lag`` looks ago, with the savepoint of this request."""
        self.seen.append((self.view(), dict(self.savepoints)))
        while len(self.seen) > lag + 1:
            self.seen.popleft()
        if len(self.seen) <= lag:
            return DeploymentView()
        view, savepoints = self.seen[0]
        return replace(view, savepoint=_answer(savepoints, request_no))

    # -- what becomes of it ---------------------------------------------------------------------------------------

    def advance(self, weather: Weather, states: FakeStates) -> None:
        """One step on."""
        if self.sight is not Sight.LIVE:
            return
        if self.flink is not None and self.flink.state in OVER:
            self.sight, self.exit_code = Sight.DEAD, 0  # its JobManager has nothing left to do
            return
        if self.flink is None:
            self.flink = FlinkJob(FlinkState.CREATED)
        elif self.flink.state is FlinkState.CREATED:
            restored = self.plan.restore_path
            self.flink = FlinkJob(FlinkState.RUNNING, tasks_running=True, ever_ran=True, restored=restored)
        for request_no, asked in self.savepoints.items():
            if asked.view.state is SavepointState.IN_PROGRESS:
                self.savepoints[request_no] = self._saved(asked, weather, states)

    def _saved(self, asked: FakeSavepoint, weather: Weather, states: FakeStates) -> FakeSavepoint:
        if weather.savepoints:
            return replace(asked, view=SavepointView(SavepointState.FAILED, reason=weather.savepoints))
        view = replace(asked.view, state=SavepointState.DONE)
        self.complete(view.path, states)
        if asked.stops and not weather.stops and self.flink is not None:
            self.flink = replace(self.flink, state=FlinkState.FINISHED, tasks_running=False)
        return replace(asked, view=view)

    def end(self, state: FlinkState, exit_code: int, cause: str) -> None:
        """Flink ends the job, and the JobManager leaves."""
        if self.sight is Sight.LIVE:
            ran = state is FlinkState.FINISHED or (self.flink is not None and self.flink.ever_ran)
            restarts = self.flink.restarts if self.flink is not None else 0
            restored = self.plan.restore_path if ran else None
            self.sight, self.exit_code = Sight.DEAD, exit_code
            self.flink = FlinkJob(state, ever_ran=ran, restarts=restarts, failure=cause, restored=restored)

    def die(self, exit_code: int | None, *, rebooted: bool = False, oom_killed: bool = False) -> None:
        """The JobManager ends; Flink leaves no word but of a job that was over."""
        if self.sight in (Sight.LIVE, Sight.UNRESPONSIVE):
            over = self.flink is not None and self.flink.state in OVER
            self.sight, self.exit_code = Sight.DEAD, exit_code
            self.rebooted, self.oom_killed = rebooted, oom_killed
            self.flink = self.flink if over else None

    def restart_in_place(self, times: int, cause: str, own_strategy: str) -> None:
        """Flink restarts the job in place, and it runs again."""
        if self.runs and self.flink is not None:
            self.flink = replace(
                self.flink, restarts=self.flink.restarts + times, failure=cause, own_strategy=own_strategy
            )

    def throw(self, cause: str) -> None:
        """The job's code throws: Flink restarts the job in place as often as it may, then gives it up."""
        if not self.runs or self.flink is None:
            return
        left = self.plan.restarts_left
        if left is None or self.flink.restarts < left:
            self.restart_in_place(1, cause, "")
        else:
            self.end(FlinkState.FAILED, 163, cause)

    def lose_taskmanager(self, exit_code: int | None, *, silent: bool = False, oom_killed: bool = False) -> None:
        """One of its TaskManagers ends."""
        if self.sight is Sight.LIVE:
            self.lost += (LostTaskManager(len(self.lost) + 1, exit_code, silent=silent, oom_killed=oom_killed),)

    # -- its states -----------------------------------------------------------------------------------------------

    def complete(self, path: str, states: FakeStates) -> None:
        """Its next checkpoint or savepoint is complete."""
        state = State(path, f"{self.plan.job_id:032x}", self.next_id(states))
        self.states.append(state)
        states.keep(state)

    def next_id(self, states: FakeStates) -> int:
        """Numbers go on where the restored state left off."""
        if self.states:
            return (self.states[-1].checkpoint_id or 0) + 1
        restored = states.found(self.plan.restore_path) if self.plan.restore_path else None
        return ((restored.checkpoint_id or 0) if restored else 0) + 1

    def newest_state(self, restored_from: str, states: FakeStates) -> StateView:
        """See Runtime.newest_state."""
        own = [states.found(state.path) for state in self.states]
        floor = states.found(restored_from) if restored_from else None
        return newest(own, floor, self.states[-1].checkpoint_id if self.states else None)

    def graph(self) -> dict[str, Any] | None:
        """See Runtime.execution_graph."""
        if self.flink is None:
            return None
        return {
            "jid": f"{self.plan.job_id:032x}",
            "name": self.plan.job_name,
            "isStoppable": False,
            "state": str(self.flink.state),
            "start-time": 1,
            "end-time": -1,
            "duration": 1,
            "vertices": [],
        }


def _answer(savepoints: Mapping[int, FakeSavepoint], request_no: int) -> SavepointView:
    """An earlier stop that was given up but carried out answers the next request, as on every runtime."""
    asked = savepoints.get(request_no)
    if asked is not None and asked.view.state is SavepointState.DONE:
        return asked.view
    for number in sorted(savepoints, reverse=True):
        earlier = savepoints[number]
        if number < request_no and earlier.stops and earlier.view.state is SavepointState.DONE:
            return earlier.view
    return asked.view if asked is not None else SavepointView()
