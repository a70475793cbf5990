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


# -- remove -----------------------------------------------------------------------------------------------------------


def test_removed_twice_is_removed_once(case: Case) -> None:
    case.running(ONE)
    case.runtime.remove(ONE)
    case.runtime.remove(ONE)
    case.removed(ONE)
    case.runtime.remove(ONE)
    assert is_removed(case.runtime.observe(ONE))


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


# -- stop -------------------------------------------------------------------------------------------------------------


def test_stopped_with_a_savepoint_and_asked_again_there_is_one(case: Case) -> None:
    case.running(ONE)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    path = case.reach(ONE, is_saved, request_no=5).savepoint.path
    assert path.startswith(case.savepoint_dir)
    case.runtime.stop_with_savepoint(ONE, 5, case.savepoint_dir)
    assert case.runtime.observe(ONE, 5).savepoint == SavepointView(SavepointState.DONE, path)
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.FINISHED)


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


def test_stopped_with_a_savepoint_after_one_was_triggered(case: Case) -> None:
    case.running(ONE)
    case.runtime.trigger_savepoint(ONE, 5, case.savepoint_dir)
    first = case.reach(ONE, is_saved, request_no=5).savepoint.path
    case.runtime.stop_with_savepoint(ONE, 6, case.savepoint_dir)
    assert case.reach(ONE, is_saved, request_no=6).savepoint.path != first
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.FINISHED)
    assert case.savepoints_in(case.savepoint_dir) == 2


def test_cancelled_twice_is_cancelled_once_and_not_removed_yet(case: Case) -> None:
    case.running(ONE)
    case.runtime.cancel(ONE)
    case.runtime.cancel(ONE)
    case.reach(ONE, lambda view: view.flink is not None and view.flink.state is FlinkState.CANCELED)
    with contextlib.suppress(Unavailable):  # it may be just leaving
        case.runtime.cancel(ONE)
    assert case.runtime.observe(ONE).savepoint == SavepointView()
    assert case.runtime.names() == (ONE,)
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert case.runtime.names() == ()


# -- what is left -----------------------------------------------------------------------------------------------------


def test_of_two_jobs_one_is_removed_and_erased_and_nothing_of_the_other(case: Case) -> None:
    case.running(ONE)
    case.running(TWO)
    assert sorted(case.runtime.names()) == [ONE, TWO]
    case.runtime.remove(ONE)
    case.removed(ONE)
    assert runs(case.runtime.observe(TWO))
    assert (case.jobmanagers(ONE), case.jobmanagers(TWO)) == (0, 1)
    assert case.runtime.remains(1)
    case.runtime.erase(1)
    case.runtime.erase(1)
    assert not case.runtime.remains(1)
    assert case.runtime.remains(2)
    assert runs(case.runtime.observe(TWO))
    assert case.jobmanagers(TWO) == 1


def test_erase_takes_all_attempts(case: Case) -> None:
    for name in (ONE, NEXT):
        case.prepared(name)
        case.runtime.remove(name)
        case.removed(name)
    case.runtime.erase(1)
    assert not case.runtime.remains(1)


# -- while it runs: one deployment for all of these, which leave it running -------------------------------------------


class TestOfOneThatRuns:
    def test_it_runs(self, live: Case) -> None:
        view = live.runtime.observe(ONE)
        assert view.sight is Sight.LIVE
        assert view.flink is not None
        assert (view.flink.state, view.flink.ever_ran, view.flink.failure) == (FlinkState.RUNNING, True, "")
        assert view.exit_code is None
        assert view.lost_taskmanagers == ()
        assert view.savepoint == SavepointView()

    def test_preparing_again_does_not_disturb_it(self, live: Case) -> None:
        live.runtime.prepare(live.plan(ONE))
        assert runs(live.runtime.observe(ONE))
        assert live.jobmanagers(ONE) == 1

    def test_its_graph(self, live: Case) -> None:
        graph = live.runtime.execution_graph(ONE)
        assert graph is not None
        assert graph["state"] == "RUNNING"
        assert {"jid", "name", "vertices"} <= graph.keys()

    def test_its_records(self, live: Case) -> None:
        records = live.runtime.records(ONE)
        if records is not None:  # None: not known yet
            assert all(count is None or count >= 0 for count in (*records.sources.values(), *records.sinks.values()))

    def test_saved_it_goes_on(self, live: Case, number: int) -> None:
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        saved = live.reach(ONE, is_saved, number)
        assert saved.savepoint.path.startswith(live.savepoint_dir)
        assert runs(saved)
        assert live.jobmanagers(ONE) == 1
        assert live.runtime.observe(ONE, number + 1).savepoint == SavepointView()

    def test_triggered_twice_there_is_one_savepoint(self, live: Case, number: int) -> None:
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        path = live.reach(ONE, is_saved, number).savepoint.path
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        assert live.runtime.observe(ONE, number).savepoint == SavepointView(SavepointState.DONE, path)
        assert live.savepoints_in(live.savepoint_dir) == 1

    def test_each_request_is_a_savepoint_of_its_own(self, live: Case, number: int) -> None:
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        first = live.reach(ONE, is_saved, number).savepoint.path
        live.runtime.trigger_savepoint(ONE, number + 1, live.savepoint_dir)
        second = live.reach(ONE, is_saved, number + 1).savepoint.path
        assert first != second
        assert live.runtime.observe(ONE, number).savepoint == SavepointView(SavepointState.DONE, first)

    def test_a_triggered_savepoint_is_found_by_whoever_comes_next(self, live: Case, number: int) -> None:
        live.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        fresh = replace(live, runtime=live.fresh())
        fresh.runtime.trigger_savepoint(ONE, number, live.savepoint_dir)
        path = fresh.reach(ONE, is_saved, number).savepoint.path
        assert live.savepoints_in(live.savepoint_dir) == 1
        again = replace(live, runtime=live.fresh())
        assert again.reach(ONE, is_saved, number).savepoint.path == path

    def test_a_triggered_savepoint_without_a_folder_goes_to_the_runtimes_own(self, live: Case, number: int) -> None:
        live.runtime.trigger_savepoint(ONE, number, "")
        assert live.reach(ONE, is_saved, number).savepoint.path

    def test_a_savepoint_that_fails_harms_nothing(self, live: Case, number: int) -> None:
        with live.savepoints_refused() as folder:
            live.runtime.trigger_savepoint(ONE, number, folder)
            refused = live.reach(ONE, lambda view: view.savepoint.state is SavepointState.FAILED, number)
        assert refused.savepoint.reason
        assert runs(refused)
        live.runtime.trigger_savepoint(ONE, number + 1, live.savepoint_dir)
        assert runs(live.reach(ONE, is_saved, number + 1))
        assert live.runtime.observe(ONE, number).savepoint.state is SavepointState.FAILED


# -- when it was removed: one deployment for all of these -------------------------------------------------------------


class TestOfOneThatWasRemoved:
    def test_nothing_of_it_lives(self, gone: Case) -> None:
        assert gone.jobmanagers(ONE) == 0
        assert ONE not in gone.runtime.names()

    def test_what_is_asked_of_it_does_nothing(self, gone: Case) -> None:
        gone.runtime.cancel(ONE)
        gone.runtime.stop_with_savepoint(ONE, 1, gone.savepoint_dir)
        gone.runtime.trigger_savepoint(ONE, 2, gone.savepoint_dir)
        assert is_removed(gone.runtime.observe(ONE, 1))
        assert gone.savepoints_in(gone.savepoint_dir) == 0

    def test_it_never_starts_again(self, gone: Case) -> None:
        plan = gone.plan(ONE)
        gone.runtime.deploy(plan)
        gone.runtime.prepare(plan)
        gone.runtime.deploy(plan)
        assert is_removed(gone.reach(ONE, lambda view: not is_live(view)))
        assert gone.jobmanagers(ONE) == 0
        assert gone.runtime.names() == ()

    def test_the_next_attempt_is_another_deployment(self, gone: Case) -> None:
        gone.running(NEXT)
        assert gone.runtime.names() == (NEXT,)
        assert is_removed(gone.runtime.observe(ONE))
        gone.removed(NEXT)
