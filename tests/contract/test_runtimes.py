"""What every runtime promises (``headrace.runtimes.base``); nothing here assumes that a start takes no time."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.domain.errors import Unavailable
from headrace.domain.observation import (
    DeploymentView,
    FlinkState,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
)

if TYPE_CHECKING:
    from tests.contract.conftest import Case

ONE, TWO, NEXT = "job-1-1", "job-2-1", "job-1-2"


def is_removed(view: DeploymentView) -> bool:
    return view.sight is Sight.REMOVED


def is_live(view: DeploymentView) -> bool:
    return view.sight is Sight.LIVE


def runs(view: DeploymentView) -> bool:
    return is_live(view) and view.flink is not None and view.flink.tasks_running


def is_saved(view: DeploymentView) -> bool:
    return view.savepoint.state is SavepointState.DONE


# -- before it is started ---------------------------------------------------------------------------------------------


def test_what_nobody_knows_of(case: Case) -> None:
    assert case.runtime.preparation(ONE) == Preparation(PreparationState.NOT_STARTED)
    assert case.runtime.observe(ONE) == DeploymentView(Sight.ABSENT)
    assert case.runtime.execution_graph(ONE) is None
    assert case.runtime.records(ONE) is None
    assert case.runtime.names() == ()
    assert not case.runtime.remains(1)


def test_what_is_asked_of_an_unknown_deployment_starts_nothing(case: Case) -> None:
    case.runtime.cancel(ONE)
    case.runtime.stop_with_savepoint(ONE, 1, case.savepoint_dir)
    case.runtime.trigger_savepoint(ONE, 2, case.savepoint_dir)
    case.runtime.erase(1)
    assert case.runtime.observe(ONE, 1) == DeploymentView(Sight.ABSENT)


def test_preparing_starts_nothing(case: Case) -> None:
    case.prepared(ONE)
    assert case.runtime.observe(ONE).sight is Sight.ABSENT
    assert case.jobmanagers(ONE) == 0
    assert case.runtime.remains(1)


def test_preparing_twice_is_preparing_once(case: Case) -> None:
    plan = case.prepared(ONE)
    case.runtime.prepare(plan)
    assert case.runtime.preparation(ONE).state is PreparationState.READY


# -- start ------------------------------------------------------------------------------------------------------------


def test_it_comes_to_run(case: Case) -> None:
    case.running(ONE)
    view = case.runtime.observe(ONE)
    assert view.sight is Sight.LIVE
    assert view.flink is not None
    assert (view.flink.state, view.flink.ever_ran, view.flink.failure) == (FlinkState.RUNNING, True, "")
    assert view.exit_code is None
    assert view.lost_taskmanagers == ()
    assert view.savepoint == SavepointView()


def test_started_twice_there_is_one(case: Case) -> None:
    plan = case.prepared(ONE)
    case.runtime.deploy(plan)
    case.runtime.deploy(plan)
    case.reach(ONE, runs)
    case.runtime.deploy(plan)
    assert case.jobmanagers(ONE) == 1
    assert case.runtime.names() == (ONE,)


def test_started_at_the_same_time_by_several_there_is_one(case: Case) -> None:
    plan = case.prepared(ONE)
    with ThreadPoolExecutor(4) as pool:
        for started in [pool.submit(case.runtime.deploy, plan) for _ in range(4)]:
            started.result(case.limit_s)
    case.reach(ONE, runs)
    assert case.jobmanagers(ONE) == 1


def test_preparing_again_does_not_disturb_what_runs(case: Case) -> None:
    plan = case.running(ONE)
    case.runtime.prepare(plan)
    assert runs(case.runtime.observe(ONE))
    assert case.jobmanagers(ONE) == 1


def test_two_jobs_are_independent(case: Case) -> None:
    case.running(ONE)
    case.running(TWO)
    assert sorted(case.runtime.names()) == [ONE, TWO]
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert runs(case.runtime.observe(TWO))
    assert (case.jobmanagers(ONE), case.jobmanagers(TWO)) == (0, 1)


# -- remove -----------------------------------------------------------------------------------------------------------


def test_removed_nothing_of_it_lives(case: Case) -> None:
    case.running(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert case.jobmanagers(ONE) == 0
    assert ONE not in case.runtime.names()


def test_removed_twice_is_removed_once(case: Case) -> None:
    case.running(ONE)
    case.runtime.remove(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    case.runtime.remove(ONE)
    assert is_removed(case.runtime.observe(ONE))


def test_a_removed_name_never_starts_again(case: Case) -> None:
    plan = case.running(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    case.runtime.deploy(plan)
    case.runtime.prepare(plan)
    case.runtime.deploy(plan)
    assert is_removed(case.reach(ONE, lambda view: not is_live(view)))
    assert case.jobmanagers(ONE) == 0
    assert case.runtime.names() == ()


def test_a_start_that_comes_after_its_removal_starts_nothing(case: Case) -> None:
    plan = case.prepared(ONE)
    case.runtime.remove(ONE)
    case.runtime.deploy(plan)
    case.removed(ONE)
    assert case.jobmanagers(ONE) == 0


def test_even_an_unknown_name_can_be_fenced(case: Case) -> None:
    case.runtime.remove(ONE)
    case.runtime.deploy(case.plan(ONE))
    case.removed(ONE)
    assert case.jobmanagers(ONE) == 0


def test_removed_while_it_starts(case: Case) -> None:
    case.runtime.deploy(case.prepared(ONE))
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert case.jobmanagers(ONE) == 0


def test_what_is_asked_of_a_removed_deployment_does_nothing(case: Case) -> None:
    case.running(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    case.runtime.cancel(ONE)
    case.runtime.stop_with_savepoint(ONE, 1, case.savepoint_dir)
    case.runtime.trigger_savepoint(ONE, 2, case.savepoint_dir)
    assert is_removed(case.runtime.observe(ONE, 1))
    assert case.savepoints_in(case.savepoint_dir) == 0


def test_the_next_attempt_is_another_deployment(case: Case) -> None:
    case.running(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    case.running(NEXT)
    assert case.runtime.names() == (NEXT,)
    assert is_removed(case.runtime.observe(ONE))


# -- stop -------------------------------------------------------------------------------------------------------------


def test_stopped_with_a_savepoint(case: Case) -> None:
    case.running(ONE)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    saved = case.reach(ONE, is_saved, request_no=5)
    assert saved.savepoint.path.startswith(case.savepoint_dir)
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.FINISHED)


def test_one_request_makes_one_savepoint(case: Case) -> None:
    case.running(ONE)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    path = case.reach(ONE, is_saved, request_no=5).savepoint.path
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    assert case.runtime.observe(ONE, 5).savepoint == SavepointView(SavepointState.DONE, path)


def test_a_savepoint_without_a_folder_goes_to_the_runtimes_own(case: Case) -> None:
    case.running(ONE)
    case.runtime.stop_with_savepoint(ONE, 5, "")
    assert case.reach(ONE, is_saved, request_no=5).savepoint.path


def test_a_stop_that_was_carried_out_answers_all_later_requests(case: Case) -> None:
    """It may have been given up meanwhile, and another one been asked for."""
    case.running(ONE)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    saved = case.reach(ONE, is_saved, request_no=5).savepoint
    assert case.runtime.observe(ONE, 4).savepoint == SavepointView()
    assert case.runtime.observe(ONE, 6).savepoint == saved
    case.removed(ONE)
    assert case.runtime.observe(ONE, 5).savepoint == saved
    assert case.runtime.newest_state(ONE, "").path == saved.path


def test_after_a_refused_savepoint_the_job_runs_and_can_be_asked_again(case: Case) -> None:
    case.running(ONE)
    with case.savepoints_refused() as folder:
        case.runtime.stop_with_savepoint(ONE, 5, folder)
        refused = case.reach(ONE, lambda view: view.savepoint.state is SavepointState.FAILED, request_no=5)
    assert refused.savepoint.reason
    case.reach(ONE, runs)
    case.runtime.stop_with_savepoint(ONE, 6, case.savepoint_dir)
    assert case.reach(ONE, is_saved, request_no=6).savepoint.path
    assert case.runtime.observe(ONE, 5).savepoint.state is SavepointState.FAILED


# -- savepoint of a job that goes on ----------------------------------------------------------------------------------


def test_saved_it_goes_on(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    saved = case.reach(ONE, is_saved, request_no=5)
    assert saved.savepoint.path.startswith(case.savepoint_dir)
    assert runs(saved)
    assert case.jobmanagers(ONE) == 1
    assert case.runtime.observe(ONE, 6).savepoint == SavepointView()


def test_triggered_twice_there_is_one_savepoint(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    path = case.reach(ONE, is_saved, request_no=5).savepoint.path
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    assert case.runtime.observe(ONE, 5).savepoint == SavepointView(SavepointState.DONE, path)
    assert case.savepoints_in(case.savepoint_dir) == 1


def test_each_request_is_a_savepoint_of_its_own(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    first = case.reach(ONE, is_saved, request_no=5).savepoint.path
    case.runtime.trigger_savepoint(ONE, 6, case.savepoint_dir)
    second = case.reach(ONE, is_saved, request_no=6).savepoint.path
    assert first != second
    assert case.runtime.observe(ONE, 5).savepoint == SavepointView(SavepointState.DONE, first)


def test_a_triggered_savepoint_is_found_by_whoever_comes_next(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    fresh = replace(case, runtime=case.fresh())
    fresh.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    path = fresh.reach(ONE, is_saved, request_no=5).savepoint.path
    assert case.savepoints_in(case.savepoint_dir) == 1
    again = replace(case, runtime=case.fresh())
    assert again.reach(ONE, is_saved, request_no=5).savepoint.path == path


def test_a_triggered_savepoint_without_a_folder_goes_to_the_runtimes_own(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, "")
    assert case.reach(ONE, is_saved, request_no=5).savepoint.path


def test_a_savepoint_that_fails_harms_nothing(case: Case) -> None:
    case.running(ONE)
    with case.savepoints_refused() as folder:
        case.runtime.trigger_savepoint(ONE, 5, folder)
        refused = case.reach(ONE, lambda view: view.savepoint.state is SavepointState.FAILED, request_no=5)
    assert refused.savepoint.reason
    assert runs(refused)
    case.runtime.trigger_savepoint(ONE, 6, case.savepoint_dir)
    assert runs(case.reach(ONE, is_saved, request_no=6))
    assert case.runtime.observe(ONE, 5).savepoint.state is SavepointState.FAILED


def test_stopped_with_a_savepoint_after_one_was_triggered(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    first = case.reach(ONE, is_saved, request_no=5).savepoint.path
    case.runtime.stop_with_savepoint(ONE, 6, case.savepoint_dir)
    assert case.reach(ONE, is_saved, request_no=6).savepoint.path != first
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.FINISHED)
    assert case.savepoints_in(case.savepoint_dir) == 2


def test_cancelled_twice_is_cancelled_once(case: Case) -> None:
    case.running(ONE)
    case.runtime.cancel(ONE)
    case.runtime.cancel(ONE)
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.CANCELED)
    with contextlib.suppress(Unavailable):  # it may be just leaving
        case.runtime.cancel(ONE)
    assert case.runtime.observe(ONE).savepoint == SavepointView()


def test_cancelled_it_is_not_removed_yet(case: Case) -> None:
    case.running(ONE)
    case.runtime.cancel(ONE)
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.CANCELED)
    assert case.runtime.names() == (ONE,)
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert case.runtime.names() == ()


# -- what is left -----------------------------------------------------------------------------------------------------


def test_erased_nothing_is_left_of_the_job_and_all_of_the_others(case: Case) -> None:
    case.running(ONE)
    case.running(TWO)
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert case.runtime.remains(1)
    case.runtime.erase(1)
    case.runtime.erase(1)
    assert not case.runtime.remains(1)
    assert case.runtime.remains(2)
    assert runs(case.runtime.observe(TWO))


def test_erase_takes_all_attempts(case: Case) -> None:
    for name in (ONE, NEXT):
        case.prepared(name)
        case.runtime.remove(name)
        case.removed(name)
    case.runtime.erase(1)
    assert not case.runtime.remains(1)


# -- what Flink says --------------------------------------------------------------------------------------------------


def test_the_graph_of_a_running_job(case: Case) -> None:
    case.running(ONE)
    graph = case.runtime.execution_graph(ONE)
    assert graph is not None
    assert graph["state"] == "RUNNING"
    assert {"jid", "name", "vertices"} <= graph.keys()


def test_the_records_of_a_running_job(case: Case) -> None:
    case.running(ONE)
    records = case.runtime.records(ONE)
    if records is not None:  # None: not known yet
        assert all(count is None or count >= 0 for count in (*records.sources.values(), *records.sinks.values()))
