"""Real engines and real servers. Engines are installed on demand into the store that all homes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.flink.engines import EngineStore
from headrace.settings import load_settings
from tests.support.server import Jobs, ServerUnderTest, processes_of, wait_until


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the engine store needs real engines, and runs in the second part of ``make test``."""
    for item in items:
        if "engine_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flink)


@pytest.fixture(scope="session")
def engine_store() -> EngineStore:
    return EngineStore(load_settings().engine_store)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore) -> Iterator[ServerUnderTest]:
    """A home of the module; at the end everything is down and no process is left."""
    engine_store.install("1.20.5")
    folder = tmp_path_factory.mktemp("server")
    one = ServerUnderTest(folder / "a hôme", engine_store.root)
    yield one
    one.down()
    wait_until("no process is left", lambda: not processes_of(folder), 30)


@pytest.fixture
def jobs(server: ServerUnderTest) -> Iterator[Jobs]:
    """Jobs on the default engine, everything laid out; before and afterwards there is nothing but what others wrote."""
    _clear(server)
    yield server.jobs()
    _clear(server)


def _clear(server: ServerUnderTest) -> None:
    jobs = server.jobs()
    for job_id in jobs.all():
        jobs.delete(job_id)
    wait_until("no deployment is left", lambda: not list((server.home / "deployments").iterdir()))
