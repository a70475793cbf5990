"""The registry of runtimes that must keep the contract: a new one is a factory and a line in ``RUNTIMES``."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.job import JobSpec
from headrace.domain.observation import DeploymentView, PreparationState, Sight
from headrace.domain.sizing import Shape, size
from headrace.flink.engines import EngineStore
from headrace.runtimes.base import Runtime
from headrace.runtimes.fake import FakeRuntime
from headrace.runtimes.local import LocalRuntime
from headrace.settings import load_settings
from tests.support.files import fetched_from
from tests.support.server import EXAMPLES, QUICK, is_jvm, processes_of


@dataclass(frozen=True)
class Case:
    """One runtime under test.

    Attributes:
        runtime: it.
        plan: the plan of a deployment ``job-{id}-{attempt}`` that runs until it is told to stop, and has state.
        jobmanagers: the truth, not the runtime's view: how many JobManagers of this name live now.
        savepoint_dir: a folder that savepoints can be written to.
        savepoints_refused: while entered, savepoints into the yielded folder fail.
        savepoints_in: how many whole savepoints lie in a folder that savepoints can be written to.
        fresh: another runtime on the same place, as after a restart of Headrace; closed by the case.
        limit_s: how long anything may take; generous.
        pause_s: between two looks.
    """

    runtime: Runtime
    plan: Callable[[str], DeploymentPlan]
    jobmanagers: Callable[[str], int]
    savepoint_dir: str
    savepoints_refused: Callable[[], AbstractContextManager[str]]
    savepoints_in: Callable[[str], int]
    fresh: Callable[[], Runtime]
    limit_s: float = 30.0
    pause_s: float = 0.0

    def prepared(self, name: str) -> DeploymentPlan:
        """Prepares the deployment, and waits until it is ready to be started."""
        plan = self.plan(name)
        self.runtime.prepare(plan)
        self._until(lambda: self.runtime.preparation(name).state is PreparationState.READY, f"{name} is prepared")
        return plan

    def running(self, name: str) -> DeploymentPlan:
        """Prepares and starts the deployment, and waits until its tasks run."""
        plan = self.prepared(name)
        self.runtime.deploy(plan)
        self.reach(name, lambda view: view.flink is not None and view.flink.tasks_running)
        return plan

    def reach(self, name: str, wanted: Callable[[DeploymentView], bool], request_no: int = 0) -> DeploymentView:
        """Looks at the deployment until it is as wanted."""
        views = [DeploymentView()]

        def reached() -> bool:
            views[0] = self.runtime.observe(name, request_no)
            return wanted(views[0])

        self._until(reached, f"{name} is as wanted; last seen", views)
        return views[0]

    def removed(self, name: str) -> None:
        """Removes the deployment, as often as it takes."""

        def gone() -> bool:
            self.runtime.remove(name)
            return self.runtime.observe(name).sight is Sight.REMOVED

        self._until(gone, f"{name} is removed")

    def _until(self, condition: Callable[[], bool], what: str, last: object = "") -> None:
        deadline = time.monotonic() + self.limit_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {self.limit_s} s: {what} {last}")
            threading.Event().wait(self.pause_s)


Factory = Callable[[Path], AbstractContextManager[Case]]


@contextmanager
def fake(_folder: Path, lag: int = 0) -> Iterator[Case]:
    runtime = FakeRuntime(lag)

    def plan(name: str) -> DeploymentPlan:
        _, job_id, attempt = name.split("-")
        shape = Shape(1.0, 4096, 1.0, 4096, taskmanagers=1, slots=1, parallelism=1, cu_milli=2000)
        return DeploymentPlan(name, int(job_id), int(attempt), "job", "1.20.5", shape, "obs://b/a.jar")

    def jobmanagers(name: str) -> int:
        return runtime.starts(name) if name in runtime.live() else 0

    @contextmanager
    def savepoints_refused() -> Iterator[str]:
        runtime.refuse_savepoints("no space left")
        yield "fake://refused"
        runtime.refuse_savepoints("")

    def savepoints_in(folder: str) -> int:
        return len([path for path in runtime.savepoints() if path.startswith(f"{folder}/")])

    # Its place is its own memory: there is no second one on it.
    yield Case(
        runtime, plan, jobmanagers, "fake://savepoints", savepoints_refused, savepoints_in, fresh=lambda: runtime
    )


@contextmanager
def lagging(folder: Path) -> Iterator[Case]:
    with fake(folder, lag=3) as case:
        yield case


@contextmanager
def local(folder: Path) -> Iterator[Case]:
    """Real Flink: StatefulCounter on the default engine."""
    engines = EngineStore(load_settings().engine_store)
    engines.install("1.20.5")
    home = folder / "home"
    (home / "objects" / "b").mkdir(parents=True)
    jars = EXAMPLES / "jars" / "flink-1"

    def on_the_home() -> LocalRuntime:
        made.append(LocalRuntime(home, engines, fetched_from(jars)))
        return made[-1]

    made: list[LocalRuntime] = []
    runtime = on_the_home()

    def plan(name: str) -> DeploymentPlan:
        _, job_id, attempt = name.split("-")
        return DeploymentPlan(
            name,
            int(job_id),
            int(attempt),
            "job",
            "1.20.5",
            size(JobSpec("job"), {}, 1024),
            "statefulCounter.jar",
            args=("--rate", "20", "--output", f"obs://b/{name}"),
            options=dict([QUICK]),
            checkpoint_interval_s=1,
        )

    def jobmanagers(name: str) -> int:
        return len([pid for pid in processes_of(home / "deployments" / name / "jobmanager") if is_jvm(pid)])

    @contextmanager
    def savepoints_refused() -> Iterator[str]:
        blocked = folder / "a-file-where-a-folder-should-be"
        blocked.touch()
        yield blocked.as_uri()

    def savepoints_in(uri: str) -> int:
        return len(list(Path(uri.removeprefix("file://")).glob("savepoint-*/_metadata")))

    case = Case(
        runtime,
        plan,
        jobmanagers,
        (folder / "savepoints").as_uri(),
        savepoints_refused,
        savepoints_in,
        on_the_home,
        limit_s=60.0,
        pause_s=0.05,
    )
    try:
        yield case
    finally:
        for name in runtime.names():
            case.removed(name)
        for each in made:
            each.close()
    assert not processes_of(folder)


RUNTIMES: dict[str, tuple[Factory, tuple[pytest.MarkDecorator, ...]]] = {
    "fake": (fake, ()),
    "fake-lagging": (lagging, ()),
    "local": (local, (pytest.mark.flink,)),
}
"""Id -> (factory, marks)."""
NUMBERS = itertools.count(10, 10)


PARAMS = [pytest.param(factory, id=name, marks=marks) for name, (factory, marks) in RUNTIMES.items()]


@pytest.fixture(params=PARAMS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    with cast("Factory", request.param)(tmp_path) as made:
        yield made


@pytest.fixture(scope="class", params=PARAMS)
def running_case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    with cast("Factory", request.param)(tmp_path_factory.mktemp("running")) as made:
        made.running("job-1-1")
        yield made


@pytest.fixture
def live(running_case: Case, number: int) -> Case:
    """One in which ``job-1-1`` runs, and goes on to; with a folder for savepoints of this test."""
    running_case.reach("job-1-1", lambda view: view.flink is not None and view.flink.tasks_running)
    return replace(running_case, savepoint_dir=f"{running_case.savepoint_dir}-{number}")


@pytest.fixture
def number() -> int:
    """Of this test's first request; the next nine are its own too."""
    return next(NUMBERS)


@pytest.fixture(scope="class", params=PARAMS)
def gone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """One in which ``job-1-1`` has run, and was removed."""
    with cast("Factory", request.param)(tmp_path_factory.mktemp("gone")) as made:
        made.running("job-1-1")
        made.runtime.remove("job-1-1")
        made.removed("job-1-1")
        yield made
