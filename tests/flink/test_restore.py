"""Verified restore on real Flink: code that starts from something else than it was told is caught and told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from headrace.flink.catalog import TESTED
from headrace.flink.engines import EngineStore
from tests.support.promises import figure, promise
from tests.support.server import wait_until
from tests.support.stage import Playing, Stage, staged, together

pytestmark = pytest.mark.flink

ON: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True}


@pytest.fixture(scope="module")
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore
) -> Iterator[Stage]:
    for flink in TESTED:
        engine_store.install(flink)
    with staged(request, tmp_path_factory.mktemp("restore"), engine_store) as one:
        yield one


@contextmanager
def stopped_with_two(stage: Stage, name: str, flink: str) -> Iterator[tuple[Playing, str, str]]:
    """A job at rest with two savepoints: an earlier one, and the one that it stopped with."""
    with stage.job(name, "--when none", flink=flink, **ON) as one:
        one.run()
        one.until("job_running")
        earlier = one.save()
        one.stop(savepoint=True)
        yield one, earlier, one.until("job_cancel_success")["savepoint_path"]


def is_caught(one: Playing, args: str, *told: str, resume: bool = True) -> None:
    """With these arguments the job is ended for what it has restored, and not tried again."""
    one.change(entrypoint_args=f"--when none {args}")
    attempt = one.attempt
    one.run(resume=resume)
    ended = one.until("job_submit_fail", "job_running_exception")
    for text in ("but Flink started it", *told):
        assert text in ended["status_desc"]
    assert one.attempt == attempt + 1
    assert "job_running" not in [line["status"] for line in one.journal() if line["attempt"] == attempt + 1]


def goes_on_from(one: Playing, path: str) -> None:
    """Without such arguments it runs, from that state, as it should have."""
    one.change(entrypoint_args="--when none")
    one.run(resume=True)
    one.until("job_running")
    assert one.restored().rstrip("/") == path


@pytest.mark.parametrize("flink", TESTED)
@together
@promise("Flink's own record of what it restored is compared with what was asked: another state, or none, is a failure")
def test_another_state_or_none(stage: Stage, flink: str) -> None:
    with stopped_with_two(stage, f"restore-{flink.replace('.', '-')}", flink) as (one, earlier, newest):
        is_caught(one, f"--restore {earlier}", newest, earlier)
        is_caught(one, "--restore none", newest, "without any state")
        assert one.detail()["savepoint_path"] == newest
        goes_on_from(one, newest)
        figure(f"Flink {flink}: caught both times, then restored as asked")


@together
@promise("A clean start that its code makes one from a savepoint is told as such")
def test_a_clean_start_is_one(stage: Stage) -> None:
    with stopped_with_two(stage, "clean", "1.20") as (one, earlier, _):
        is_caught(one, f"--restore {earlier}", "was to start clean", earlier, resume=False)


@together
@promise("A restart that does not restore what it was told is caught too: stateful never silently becomes stateless")
def test_a_restart_that_forgets_its_state(stage: Stage) -> None:
    forget = stage.home.parent / "forget"
    with stage.job("forgets", f"--when none --restore none '{forget}'", **ON) as one:
        one.run()
        one.until("job_running")
        wait_until("there is a checkpoint", one.checkpoints)
        forget.touch()
        one.strike("jobmanager")
        ended = one.until("job_running_exception")
        assert "without any state" in ended["status_desc"]
        assert f"/jobs/checkpoint/{one.job_id}/" in ended["status_desc"]
        assert ended["restart_times"] == 1
