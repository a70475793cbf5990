"""The faults that the fake runtime takes orders for; that it keeps the contract otherwise: tests/contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.observation import FlinkState, Preparation, PreparationState, SavepointState, Sight
from headrace.domain.sizing import Shape
from headrace.runtimes.fake import FakeRuntime, Lost

NAME = "job-1-1"
PLAN = DeploymentPlan(NAME, 1, 1, "job", "1.20.5", Shape(1.0, 4096, 1.0, 4096, 1, 1, 1, 2000), "obs://b/a.jar")


def running(lag: int = 0) -> FakeRuntime:
    runtime = FakeRuntime(lag)
    runtime.prepare(PLAN)
    runtime.preparation(NAME)
    runtime.deploy(PLAN)
    for _ in range(lag + 2):
        runtime.observe(NAME)
    return runtime


def test_it_goes_one_step_with_each_look() -> None:
    runtime = FakeRuntime()
    runtime.prepare(PLAN)
    assert runtime.preparation(NAME).state is PreparationState.IN_PROGRESS
    assert runtime.preparation(NAME).state is PreparationState.READY
    runtime.deploy(PLAN)
    states = []
    for _ in range(3):
        flink = runtime.observe(NAME).flink
        states.append((flink.state, flink.tasks_running) if flink else None)
    assert states == [(FlinkState.CREATED, False), (FlinkState.RUNNING, True), (FlinkState.RUNNING, True)]


CALLS: dict[str, Callable[[FakeRuntime], object]] = {
    "prepare": lambda runtime: runtime.prepare(PLAN),
    "deploy": lambda runtime: runtime.deploy(PLAN),
    "stop_with_savepoint": lambda runtime: runtime.stop_with_savepoint(NAME, 1, ""),
    "trigger_savepoint": lambda runtime: runtime.trigger_savepoint(NAME, 1, ""),
    "cancel": lambda runtime: runtime.cancel(NAME),
    "remove": lambda runtime: runtime.remove(NAME),
    "erase": lambda runtime: runtime.erase(1),
}
LOOKS: dict[str, Callable[[FakeRuntime], object]] = {
    "preparation": lambda runtime: runtime.preparation(NAME),
    "observe": lambda runtime: runtime.observe(NAME),
    "names": lambda runtime: runtime.names(),
    "remains": lambda runtime: runtime.remains(1),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_lost_before_has_no_effect(call: str) -> None:
    runtime = FakeRuntime()
    runtime.lose(call, Lost.BEFORE)
    with pytest.raises(Unavailable, match=call):
        CALLS[call](runtime)
    assert runtime.log == []
    CALLS[call](runtime)  # only the next call was to be lost
    assert [entry[0] for entry in runtime.log] == [call]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_lost_after_has_its_effect(call: str) -> None:
    runtime = FakeRuntime()
    runtime.lose(call, Lost.AFTER)
    with pytest.raises(Unavailable, match=call):
        CALLS[call](runtime)
    assert [entry[0] for entry in runtime.log] == [call]


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_can_be_lost(look: str) -> None:
    runtime = FakeRuntime()
    runtime.lose(look)
    with pytest.raises(Unavailable, match=look):
        LOOKS[look](runtime)
    LOOKS[look](runtime)


def test_losses_come_in_order_and_do_not_wait_for_one_another() -> None:
    runtime = FakeRuntime()
    for call, part in (("erase", Lost.BEFORE), ("deploy", Lost.BEFORE), ("deploy", Lost.AFTER)):
        runtime.lose(call, part)
    for starts in (0, 1):
        with pytest.raises(Unavailable):
            runtime.deploy(PLAN)
        assert runtime.starts(NAME) == starts
    runtime.lose_no_more()
    runtime.erase(1)


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_a_change_becomes_visible_late(lag: int) -> None:
    runtime = FakeRuntime(lag)
    runtime.deploy(PLAN)
    sights = [runtime.observe(NAME).sight for _ in range(lag + 1)]
    assert sights == [Sight.ABSENT] * lag + [Sight.LIVE]
    runtime.remove(NAME)
    assert runtime.live() == ()  # the truth
    sights = [runtime.observe(NAME).sight for _ in range(lag + 1)]
    assert sights == [Sight.LIVE] * lag + [Sight.REMOVED]


def test_killed_it_leaves_no_word() -> None:
    runtime = running()
    runtime.kill(NAME)
    view = runtime.observe(NAME)
    assert (view.sight, view.exit_code, view.flink) == (Sight.DEAD, -9, None)
    assert runtime.live() == (NAME,)  # its TaskManagers


def test_frozen_it_is_unresponsive_until_it_is_removed() -> None:
    runtime = running()
    runtime.freeze(NAME)
    runtime.cancel(NAME)
    runtime.stop_with_savepoint(NAME, 1, "")
    runtime.trigger_savepoint(NAME, 1, "")
    runtime.finish(NAME)
    assert runtime.observe(NAME, 1).sight is Sight.UNRESPONSIVE
    assert runtime.observe(NAME, 1).savepoint.state is SavepointState.NONE
    runtime.remove(NAME)
    assert runtime.observe(NAME).sight is Sight.REMOVED


def test_hidden_nothing_can_be_said_of_it() -> None:
    runtime = running()
    runtime.hide(NAME)
    view = runtime.observe(NAME)
    assert (view.sight, view.flink, view.exit_code) == (Sight.UNREACHABLE, None, None)
    runtime.hide(NAME, hidden=False)
    assert runtime.observe(NAME).sight is Sight.LIVE


def test_failed_it_says_why() -> None:
    runtime = running()
    runtime.fail(NAME, "boom")
    view = runtime.observe(NAME)
    assert view.sight is Sight.DEAD
    assert view.exit_code == 163
    assert view.flink is not None
    assert (view.flink.state, view.flink.ever_ran, view.flink.failure) == (FlinkState.FAILED, True, "boom")


def test_failed_before_its_tasks_ran_it_never_ran() -> None:
    runtime = FakeRuntime()
    runtime.deploy(PLAN)
    runtime.observe(NAME)
    runtime.fail(NAME)
    flink = runtime.observe(NAME).flink
    assert flink is not None
    assert not flink.ever_ran


def test_finished_both_witnesses_say_so() -> None:
    runtime = running()
    runtime.finish(NAME)
    view = runtime.observe(NAME)
    assert (view.sight, view.exit_code) == (Sight.DEAD, 0)
    assert view.flink is not None
    assert view.flink.state is FlinkState.FINISHED


@pytest.mark.parametrize("ending", ["cancel", "stop_with_savepoint"])
def test_a_jobmanager_whose_job_is_over_ends(ending: str) -> None:
    runtime = running()
    CALLS[ending](runtime)
    sights = [runtime.observe(NAME, 1).sight for _ in range(3)]
    assert sights[-1] is Sight.DEAD
    assert runtime.observe(NAME, 1).exit_code == 0


def test_refused_savepoints_say_why_and_harm_nothing() -> None:
    runtime = running()
    runtime.refuse_savepoints("no space left")
    runtime.trigger_savepoint(NAME, 1, "")
    view = runtime.observe(NAME, 1)
    assert (view.savepoint.state, view.savepoint.reason) == (SavepointState.FAILED, "no space left")
    assert view.flink is not None
    assert view.flink.tasks_running


def test_preparations_can_be_refused() -> None:
    runtime = FakeRuntime()
    runtime.refuse_preparation("no such object")
    runtime.prepare(PLAN)
    runtime.preparation(NAME)
    assert runtime.preparation(NAME) == Preparation(PreparationState.FAILED, "no such object")


def test_an_erase_leaves_what_is_not_removed() -> None:
    runtime = running()
    runtime.erase(1)
    assert runtime.remains(1)
    assert runtime.live() == (NAME,)
