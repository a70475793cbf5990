"""Real engines and real servers. Engines are installed on demand into the store that all homes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.flink.engines import EngineStore
from headrace.settings import load_settings
from tests.support.server import Jobs, ServerUnderTest, processes_of, wait_until


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
