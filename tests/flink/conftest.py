"""Real engines and real servers. Engines are installed on demand into the store that all homes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.flink.engines import EngineStore
from headrace.settings import load_settings
from tests.support.server import Jobs, ServerUnderTest, processes_of, wait_until


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the engine store is one of the tests that run one after another (see ``test`` in the Makefile)."""
    for item in items:
        if "engine_store" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flink)


@pytest.fixture(scope="session")
def engine_store() -> EngineStore:
    return EngineStore(load_settings().engine_store)


@pytest.fixture
def server(tmp_path: Path, engine_store: EngineStore) -> Iterator[ServerUnderTest]:
    """A home of its own; at the end everything is down and no process is left."""
    engine_store.install("1.20.5")
    one = ServerUnderTest(tmp_path / "a hôme", engine_store.root)
    yield one
    one.down()
    wait_until("no process is left", lambda: not processes_of(tmp_path), 30)


@pytest.fixture
def jobs(server: ServerUnderTest) -> Jobs:
    """Jobs on the default engine, everything laid out."""
    one = Jobs(server.start())
    one.lay_out()
    return one
