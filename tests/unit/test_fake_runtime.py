"""The faults that the fake runtime takes orders for; that it keeps the contract otherwise: tests/contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.observation import (
    FlinkState,
    LostTaskManager,
    Preparation,
    PreparationState,
    SavepointState,
    Sight,
    StateView,
)
from headrace.domain.sizing import Shape
from headrace.runtimes.fake import FakeRuntime, Lost

NAME = "job-1-1"
PLAN = DeploymentPlan(NAME, 1, 1, "job", "1.20.5", Shape(1.0, 4096, 1.0, 4096, 1, 1, 1, 2000), "obs://b/a.jar")


def running(lag: int = 0, plan: DeploymentPlan = PLAN) -> FakeRuntime:
    runtime = FakeRuntime(lag)
    runtime.prepare(plan)
    runtime.preparation(NAME)
    runtime.deploy(plan)
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
    "end_taskmanagers": lambda runtime: runtime.end_taskmanagers(NAME, (1,)),
    "replace_taskmanagers": lambda runtime: runtime.replace_taskmanagers(PLAN, 1),
    "cancel": lambda runtime: runtime.cancel(NAME),
    "remove": lambda runtime: runtime.remove(NAME),
    "erase": lambda runtime: runtime.erase(1),
}
LOOKS: dict[str, Callable[[FakeRuntime], object]] = {
    "preparation": lambda runtime: runtime.preparation(NAME),
    "observe": lambda runtime: runtime.observe(NAME),
    "names": lambda runtime: runtime.names(),
    "remains": lambda runtime: runtime.remains(1),
    "newest_state": lambda runtime: runtime.newest_state(NAME, ""),
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


def test_a_preparation_that_may_heal_begins_anew() -> None:
    runtime = FakeRuntime()
    runtime.refuse_preparation("the disk is full", heals=True)
    runtime.prepare(PLAN)
    runtime.preparation(NAME)
    assert runtime.preparation(NAME) == Preparation(PreparationState.FAILED, "the disk is full", heals=True)
    with pytest.raises(Unavailable, match="the disk is full"):
        runtime.prepare(PLAN)
    runtime.refuse_preparation("")
    runtime.prepare(PLAN)
    assert runtime.preparation(NAME).state is PreparationState.IN_PROGRESS
    assert runtime.preparation(NAME).state is PreparationState.READY


def test_a_stop_that_is_refused_makes_its_savepoint() -> None:
    runtime = running()
    runtime.refuse_stops("a task does not answer")
    runtime.stop_with_savepoint(NAME, 1, "")
    view = runtime.observe(NAME, 1)
    assert view.savepoint.state is SavepointState.DONE
    assert view.flink is not None
    assert view.flink.tasks_running


def test_exited_it_leaves_no_word() -> None:
    runtime = running()
    runtime.exit(NAME, 0)
    view = runtime.observe(NAME)
    assert (view.sight, view.exit_code, view.flink) == (Sight.DEAD, 0, None)


def test_rebooted_nobody_saw_how_it_ended() -> None:
    runtime = running()
    runtime.reboot()
    view = runtime.observe(NAME)
    assert (view.sight, view.exit_code, view.flink, view.rebooted) == (Sight.DEAD, None, None, True)


def test_rebooted_after_its_job_was_over_the_archive_is_left() -> None:
    runtime = running()
    runtime.stop_with_savepoint(NAME, 1, "")
    runtime.observe(NAME)
    runtime.reboot()
    view = runtime.observe(NAME)
    assert view.flink is not None
    assert (view.flink.state, view.exit_code, view.rebooted) == (FlinkState.FINISHED, None, True)


@pytest.mark.parametrize("left", [0, 2, None])
def test_code_that_throws_is_restarted_as_often_as_is_left(left: int | None) -> None:
    runtime = running(plan=replace(PLAN, restarts_left=left))
    for times in range(1, 4):
        runtime.throw(NAME, "boom")
        view = runtime.observe(NAME)
        assert view.flink is not None
        allowed = left is None or times <= left
        assert (view.flink.state is FlinkState.RUNNING) is allowed
        assert view.flink.restarts == (times if allowed else left)
        assert view.flink.failure == "boom"


def test_a_strategy_of_the_code_restarts_it_whatever_is_left() -> None:
    runtime = running()
    runtime.restart_in_place(NAME, 3, own_strategy="fixed delay")
    flink = runtime.observe(NAME).flink
    assert flink is not None
    assert (flink.restarts, flink.own_strategy, flink.tasks_running) == (3, "fixed delay", True)


def test_taskmanagers_end_are_silent_and_are_replaced() -> None:
    runtime = running()
    runtime.lose_taskmanager(NAME, 3, oom_killed=True)
    runtime.silence_taskmanager(NAME)
    view = runtime.observe(NAME)
    assert view.lost_taskmanagers == (LostTaskManager(1, 3, oom_killed=True),)
    assert view.silent_taskmanagers == (2,)
    for _ in range(2):
        runtime.end_taskmanagers(NAME, (2,))
    assert [(lost.number, lost.silent) for lost in runtime.observe(NAME).lost_taskmanagers] == [(1, False), (2, True)]
    assert runtime.taskmanagers_missing(NAME) == 2
    for _ in range(2):
        runtime.replace_taskmanagers(PLAN, 2)
    assert (runtime.observe(NAME).replaced, runtime.taskmanagers_missing(NAME)) == (2, 0)


def test_checkpoints_are_numbered_within_the_lineage() -> None:
    runtime = running()
    assert runtime.complete_checkpoint(NAME).endswith("/chk-1")
    runtime.trigger_savepoint(NAME, 1, "")
    savepoint = runtime.observe(NAME, 1).savepoint.path
    assert runtime.newest_state(NAME, "") == StateView(savepoint, 2)
    newest = runtime.complete_checkpoint(NAME)
    assert runtime.newest_state(NAME, "") == StateView(newest, 3)
    runtime.kill(NAME)
    assert runtime.complete_checkpoint(NAME) == ""

    again = replace(PLAN, name="job-1-2", attempt=2, restore_path=newest)
    runtime.deploy(again)
    assert runtime.newest_state(again.name, newest) == StateView(newest, 3)
    for _ in range(2):
        runtime.observe(again.name)
    assert runtime.complete_checkpoint(again.name).endswith("/chk-4")


def test_a_state_that_is_lost_is_told() -> None:
    runtime = running()
    runtime.complete_checkpoint(NAME)
    runtime.lose_state(runtime.complete_checkpoint(NAME))
    assert runtime.newest_state(NAME, "").path == ""
    assert "checkpoint 2" in runtime.newest_state(NAME, "").problem
    assert runtime.newest_state("job-9-1", "obs://imported") == StateView("obs://imported", 0)


def test_it_restores_what_it_was_not_told_to() -> None:
    runtime = FakeRuntime()
    runtime.deploy(PLAN)
    runtime.restore_from(NAME, "obs://somewhere/else")
    runtime.observe(NAME)
    flink = runtime.observe(NAME).flink
    assert flink is not None
    assert flink.restored == "obs://somewhere/else"


def test_an_erase_leaves_what_is_not_removed() -> None:
    runtime = running()
    runtime.erase(1)
    assert runtime.remains(1)
    assert runtime.live() == (NAME,)
