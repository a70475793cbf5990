"""The laws of ``decide``, over all pairs of a job and an observation, possible or not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.domain.decisions import (
    Act,
    Action,
    Cancel,
    Decision,
    Deploy,
    EndTaskManagers,
    Erase,
    Move,
    Prepare,
    Remove,
    ReplaceTaskManagers,
    StopWithSavepoint,
    TriggerSavepoint,
    Wait,
)
from headrace.domain.job import ACTIVE, AT_REST, LIVE, Desired, Goal, Job, JobSpec, Phase, Record, may_hold
from headrace.domain.lifecycle import decide
from headrace.domain.lineage import same_place
from headrace.domain.observation import (
    DeploymentView,
    FlinkJob,
    FlinkState,
    LostTaskManager,
    Observation,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
    StateView,
    Turn,
)
from headrace.domain.restart import Budget

laws = settings(max_examples=400, deadline=None, derandomize=True)

OUTCOMES = (Phase.FINISHED, Phase.FAILED, Phase.SUBMIT_FAILED)
FAILURES = frozenset({Phase.FAILED, Phase.SUBMIT_FAILED})
CAN_BE_SAVED = frozenset({Phase.RUNNING, Phase.STOP_FAILED, Phase.SAVING, Phase.SAVEPOINTING})
"""Phases in which a savepoint may be on its way, or come late."""
SEEN_THERE = LIVE - {Phase.PREPARING, Phase.WAITING}
"""Phases in which the deployment itself is looked at."""
KEPT_UP = CAN_BE_SAVED | {Phase.STARTING}
"""Phases in which what runs is kept up: restarts in place are counted, TaskManagers replaced."""

EDGES: dict[Phase, frozenset[Phase]] = {
    **dict.fromkeys(AT_REST, frozenset({Phase.PREPARING, Phase.DELETED})),
    Phase.PREPARING: frozenset({Phase.WAITING, Phase.CANCELING, Phase.CLEARING}),
    Phase.WAITING: frozenset({Phase.STARTING, Phase.CANCELING}),
    Phase.STARTING: frozenset({Phase.WAITING, Phase.RUNNING, Phase.CANCELING, Phase.CLEARING}),
    Phase.RUNNING: frozenset({Phase.SAVING, Phase.SAVEPOINTING, Phase.CANCELING, Phase.CLEARING}),
    Phase.STOP_FAILED: frozenset({Phase.SAVING, Phase.SAVEPOINTING, Phase.CANCELING, Phase.CLEARING}),
    Phase.SAVING: frozenset({Phase.RUNNING, Phase.CANCELING, Phase.CLEARING}),
    Phase.SAVEPOINTING: frozenset({Phase.STOP_FAILED, Phase.CANCELING, Phase.CLEARING}),
    Phase.CANCELING: frozenset({Phase.STOPPED}),
    Phase.CLEARING: frozenset({*OUTCOMES, Phase.RESTARTING, Phase.CANCELING}),
    Phase.RESTARTING: frozenset({Phase.PREPARING, Phase.CANCELING, Phase.FAILED}),
    Phase.DELETED: frozenset(),
}
"""The phase graph: every move there can be."""

TEXTS = ("", "java.lang.OutOfMemoryError: Metaspace", "java.lang.ClassNotFoundException: a.B")
PATHS = ("", "obs://b/savepoint-1", "obs://b/savepoint-2")
EXITS = (None, 0, 1, 163, -9, -35)
BOOLS = (False, True)

SPECS = [
    JobSpec("j", restart_when_exception=restart, resume_checkpoint=resume) for restart, resume in product(BOOLS, BOOLS)
]
DESIRED = [
    Desired(goal, request_no=3, resume_savepoint=resume, trigger_savepoint=trigger)
    for goal, resume, trigger in product(Goal, BOOLS, BOOLS)
]
# Drawn whole from these products: quick, and a counterexample shrinks towards the first value of each.
RUNS_SO_FAR = [
    {
        "attempt": attempt,
        "first_attempt": first,
        "ran": ran,
        "restarts": restarts,
        "flink_restarts": in_place,
        "replacements": replacements,
        "failure": "java.io.IOException: x. Restart 1 of 3 within an hour." if attempt > first else "",
    }
    for (attempt, first), ran, (restarts, in_place), replacements in product(
        ((1, 1), (2, 2), (4, 2)), BOOLS, ((0, 0), (3, 1)), (0, 1)
    )
]
REQUESTS_AND_PATHS = [
    {"request_seen": seen, "restore_path": restore, "savepoint_path": savepoint, "note": note}
    for seen, restore, savepoint, note in product((0, 2, 3), PATHS, PATHS, TEXTS[:2])
]
FLINK = [
    None,
    *(
        FlinkJob(state, running, ran, restarts, failure, restored, own, "fixed delay" if restarts else "")
        for state, (running, ran), restarts, failure, (restored, own) in product(
            FlinkState,
            ((False, False), (False, True), (True, True)),
            (0, 1, 2),
            TEXTS,
            ((None, False), ("", False), *((path, own) for path in PATHS[1:] for own in BOOLS)),
        )
    ),
]
LOST = [
    tuple(LostTaskManager(number, code) for number, code in enumerate(codes, 1))
    for codes in ((), (-9,), (1,), (None,), (-9, 1), (-9, -9))
]
SAVEPOINTS = [SavepointView(state, path, "busy") for state, path in product(SavepointState, PATHS[1:])]
PREPARATIONS = [Preparation(state, note, heals) for state, note, heals in product(PreparationState, TEXTS[1:], BOOLS)]
BUDGETS = [Budget(cap, used) for cap, used in product((0, None, 3), (0, 2, 3))]
STATES = [StateView(), StateView(PATHS[1], 7), StateView(problem="Flink had completed checkpoint 9, but it is gone")]


def jobs(phases: frozenset[Phase] = frozenset(Phase)) -> st.SearchStrategy[Job]:
    return st.builds(
        _job,
        st.sampled_from([phase for phase in Phase if phase in phases]),
        st.sampled_from((*OUTCOMES, Phase.RESTARTING, None)),
        st.sampled_from(RUNS_SO_FAR),
        st.sampled_from(REQUESTS_AND_PATHS),
        st.sampled_from(DESIRED),
        st.sampled_from(SPECS),
    )


def _job(
    phase: Phase,
    outcome: Phase | None,
    run: dict[str, object],
    rest: dict[str, object],
    desired: Desired,
    spec: JobSpec,
) -> Job:
    record = Record(phase, outcome=outcome if phase is Phase.CLEARING else None).evolve(**run, **rest)
    if phase in CAN_BE_SAVED:
        record = record.evolve(ran=True)  # as the laws say
    return Job(7, "p", spec, desired, record)


def observed(sights: tuple[Sight, ...] = tuple(Sight)) -> st.SearchStrategy[Observation]:
    views = st.builds(
        DeploymentView,
        sight=st.sampled_from(sights),
        flink=st.sampled_from(FLINK),
        exit_code=st.sampled_from(EXITS),
        lost_taskmanagers=st.sampled_from(LOST),
        replaced=st.integers(0, 2),
        silent_taskmanagers=st.sampled_from(((), (), (2,))),
        savepoint=st.sampled_from(SAVEPOINTS),
        evidence=st.sampled_from(("", TEXTS[2])),
        rebooted=st.booleans(),
    )
    return st.builds(
        Observation,
        deployment=views,
        preparation=st.sampled_from(PREPARATIONS),
        granted=st.booleans(),
        waiting_note=st.sampled_from(TEXTS[:2]),
        overdue=st.booleans(),
        remains=st.booleans(),
        budget=st.sampled_from(BUDGETS),
        turn=st.just(Turn(5000, 6000)),
        due=st.booleans(),
        state=st.sampled_from(STATES),
    )


observations = observed()


def shuts_down(view: DeploymentView) -> bool:
    """Its JobManager has nothing left to do, but its exit was not seen yet."""
    return view.sight is Sight.LIVE and view.flink is not None and view.flink.state is FlinkState.FINISHED


def removed_by_a_stop_with_savepoint(job: Job, seen: Observation) -> bool:
    """Its newest state stands for the savepoint that could not be made."""
    asked = job.desired.goal is Goal.STOP and job.desired.trigger_savepoint
    return asked and job.record.phase in (Phase.CANCELING, Phase.CLEARING) and seen.deployment.sight is Sight.REMOVED


def action_of(decision: Decision) -> object:
    return decision.action if isinstance(decision, Act) else None


@laws
@given(jobs(), observations)
@example(
    Job(1, "p", JobSpec("j"), record=Record(Phase.RUNNING)),
    Observation(DeploymentView(Sight.DEAD, exit_code=-35)),  # a real-time signal has no name
)
def test_decide_is_total_and_always_answers_the_same(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert isinstance(decision, Move | Act | Wait)
    assert decide(job, seen) == decision


@laws
@given(jobs(), observations)
def test_a_move_moves_along_the_phase_graph(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is job.record.phase:
        assert job.record.phase in KEPT_UP
        before, after = job.record, decision.record
        assert (after.flink_restarts, after.replacements) != (before.flink_restarts, before.replacements)
        assert after.flink_restarts >= before.flink_restarts
        assert after.replacements >= before.replacements
    elif isinstance(decision, Move):
        assert decision.record.phase in EDGES[job.record.phase]


@laws
@given(jobs(AT_REST), observations)
def test_only_a_new_request_leaves_rest(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if job.desired.goal is Goal.DELETE:
        assert decision == Act(Erase()) if seen.remains else isinstance(decision, Move)
        if isinstance(decision, Move):
            assert decision.record.phase is Phase.DELETED
    elif job.desired.goal in (Goal.RUN, Goal.STOP) and job.request_pending:
        assert isinstance(decision, Move)
        assert decision.record.phase is Phase.PREPARING
    else:
        assert decision == Wait()


@laws
@given(jobs(frozenset({Phase.DELETED})), observations)
def test_nothing_ever_leaves_deleted(job: Job, seen: Observation) -> None:
    assert decide(job, seen) == Wait()


@laws
@given(jobs(ACTIVE), observations)
def test_nothing_is_erased_while_the_job_lives(job: Job, seen: Observation) -> None:
    assert action_of(decide(job, seen)) != Erase()


@laws
@given(jobs(), observations)
def test_each_action_belongs_to_its_phase(job: Job, seen: Observation) -> None:
    allowed: dict[type[Action], frozenset[Phase]] = {
        Prepare: frozenset({Phase.PREPARING}),
        Deploy: frozenset({Phase.STARTING}),
        StopWithSavepoint: frozenset({Phase.SAVEPOINTING}),
        TriggerSavepoint: frozenset({Phase.SAVING}),
        EndTaskManagers: KEPT_UP,
        ReplaceTaskManagers: KEPT_UP,
        Cancel: frozenset({Phase.CANCELING}),
        Remove: frozenset({Phase.CANCELING, Phase.CLEARING}),
        Erase: AT_REST,
    }
    decision = decide(job, seen)
    if isinstance(decision, Act):
        assert job.record.phase in allowed[type(decision.action)]


@laws
@given(jobs(frozenset({Phase.STARTING})), observations)
def test_deploys_only_on_cus_held_and_what_is_wanted_and_absent(job: Job, seen: Observation) -> None:
    if decide(job, seen) == Act(Deploy()):
        assert seen.granted
        assert seen.deployment.sight is Sight.ABSENT
        assert job.desired.goal in (Goal.RUN, Goal.REST, Goal.SAVEPOINT)


@laws
@given(jobs(frozenset({Phase.PREPARING, Phase.WAITING, Phase.STARTING})), observations)
def test_starting_is_entered_with_a_grant_only(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    entered = job.record.phase is not Phase.STARTING
    if isinstance(decision, Move) and decision.record.phase is Phase.STARTING and entered:
        assert job.record.phase is Phase.WAITING
        assert seen.granted


@laws
@given(jobs(SEEN_THERE), observed((Sight.UNREACHABLE,)))
def test_silence_is_not_failure_and_nothing_is_done_to_what_cannot_be_seen(job: Job, seen: Observation) -> None:
    assert isinstance(decide(job, seen), Wait)


@laws
@given(jobs(LIVE), observed((Sight.DEAD, Sight.LIVE)))
def test_finished_needs_two_witnesses(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.outcome is Phase.FINISHED:
        assert seen.deployment.sight is Sight.DEAD
        assert seen.deployment.exit_code == 0
        assert seen.deployment.flink is not None
        assert seen.deployment.flink.state is FlinkState.FINISHED


@laws
@given(jobs(LIVE), observations)
def test_rest_is_reached_only_when_nothing_can_start_any_more(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase not in LIVE:
        assert job.record.phase in (Phase.CANCELING, Phase.CLEARING)
        assert seen.deployment.sight is Sight.REMOVED


@laws
@given(jobs(frozenset({Phase.RESTARTING})), observations)
def test_while_it_waits_for_its_turn_nothing_is_done(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert not isinstance(decision, Act)
    if not seen.due and job.desired.goal not in (Goal.STOP, Goal.DELETE):
        assert decision == Wait()


@laws
@given(jobs(frozenset({Phase.CLEARING})), observed((Sight.REMOVED,)))
def test_the_recorded_outcome_is_kept(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert isinstance(decision, Move)
    if job.record.outcome is Phase.RESTARTING and job.desired.goal in (Goal.STOP, Goal.DELETE):
        assert decision.record.phase is Phase.CANCELING
    else:
        assert decision.record.phase is (job.record.outcome or Phase.FAILED)
    if job.record.outcome in OUTCOMES:
        assert decision.record.note.startswith(job.record.note)


@laws
@given(jobs(), observations)
def test_an_outcome_stands_while_clearing_and_never_else(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        assert (decision.record.outcome is not None) == (decision.record.phase is Phase.CLEARING)


@laws
@given(jobs(), observations)
def test_an_attempt_begins_with_preparing_and_nowhere_else(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        begins = decision.record.phase is Phase.PREPARING
        assert decision.record.attempt == job.record.attempt + int(begins)


@laws
@given(jobs(), observations)
def test_what_can_be_saved_has_run_and_nothing_forgets_that(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase in CAN_BE_SAVED:
        assert decision.record.ran
    if isinstance(decision, Move) and job.record.phase in ACTIVE:
        assert decision.record.ran >= job.record.ran
        assert decision.record.first_attempt == job.record.first_attempt


@laws
@given(jobs(), observations)
def test_requests_are_taken_up_in_order(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        assert job.record.request_seen <= decision.record.request_seen <= job.desired.request_no


@laws
@given(jobs(ACTIVE), observations)
def test_a_stop_never_starts_the_job_again(job: Job, seen: Observation) -> None:
    """A stop of a job that ends meanwhile is done with: nothing of it is left to be taken up at rest. So is a
    savepoint.
    """
    decision = decide(job, seen)
    asked = job.desired.goal in (Goal.STOP, Goal.SAVEPOINT)
    if asked and isinstance(decision, Move) and decision.record.phase in AT_REST:
        settled = replace(job, record=decision.record)
        assert not settled.request_pending
        assert decide(settled, seen) == Wait()


@laws
@given(jobs(), observations)
def test_a_savepoint_is_never_lost(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    made = seen.deployment.savepoint
    made_now = made.state is SavepointState.DONE and job.record.phase in CAN_BE_SAVED
    if isinstance(decision, Move):
        later = job.record.phase is decision.record.phase or decision.record.phase is Phase.SAVING
        kept = made.path if made_now else job.record.savepoint_path
        stands_for_it = seen.state.path if removed_by_a_stop_with_savepoint(job, seen) else ""
        assert decision.record.savepoint_path in {kept, stands_for_it or kept} or (later and made_now)
    elif made_now and made.path != job.record.savepoint_path:
        out_of_sight = seen.deployment.sight is Sight.UNREACHABLE
        later = isinstance(decision, Act) or job.record.phase is Phase.STOP_FAILED
        assert out_of_sight or shuts_down(seen.deployment) or later


@laws
@given(jobs(frozenset({Phase.RUNNING, Phase.SAVING, Phase.STOP_FAILED})), observed((Sight.LIVE,)), st.booleans())
def test_a_savepoint_by_itself_ends_no_job(job: Job, seen: Observation, made: bool) -> None:
    """Whether it was made or has failed: a job that lives goes on, unless Flink says itself that it does not."""
    job = replace(job, desired=replace(job.desired, goal=Goal.SAVEPOINT))
    state = SavepointState.DONE if made else SavepointState.FAILED
    view = replace(seen.deployment, savepoint=SavepointView(state, PATHS[1], "busy"))
    decision = decide(job, replace(seen, deployment=view))
    if isinstance(decision, Move) and decision.record.phase not in (job.record.phase, Phase.RUNNING, Phase.SAVING):
        assert decision.record.phase is Phase.CLEARING
        assert view.flink is not None
        over_the_cap = in_place(job, seen) and not seen.budget.allows(in_place(job, seen))
        assert over_the_cap or view.flink.state in (FlinkState.FAILED, FlinkState.CANCELED)


@laws
@given(jobs(frozenset({Phase.SAVING})), observations)
def test_a_savepoint_is_waited_for_within_the_patience_only(job: Job, seen: Observation) -> None:
    decision = decide(job, replace(seen, overdue=True))
    if seen.deployment.sight is not Sight.UNREACHABLE and not shuts_down(seen.deployment):
        assert isinstance(decision, Move)


@laws
@given(jobs(), observations)
def test_what_is_restored_is_the_savepoint_if_and_only_if_asked(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if not isinstance(decision, Move):
        return
    if decision.record.phase is Phase.PREPARING and job.record.phase in AT_REST:
        asked = job.record.savepoint_path if job.desired.resume_savepoint else ""
        assert decision.record.restore_path == asked
    elif decision.record.phase is Phase.PREPARING:
        assert decision.record.restore_path == (seen.state.path if job.spec.resume_checkpoint else "")
    else:
        assert decision.record.restore_path == job.record.restore_path


@laws
@given(jobs(ACTIVE), observations)
def test_a_failure_says_why(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.outcome in FAILURES:
        assert decision.record.note
    if isinstance(decision, Move) and decision.record.outcome is Phase.RESTARTING:
        assert decision.record.failure
    if isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING:
        assert decision.record.note  # when the next try is
    if isinstance(decision, Move) and decision.record.phase is Phase.STOP_FAILED is not job.record.phase:
        assert decision.record.note


@laws
@given(
    jobs(LIVE - {Phase.CLEARING, Phase.CANCELING}),
    observed(tuple(sight for sight in Sight if sight is not Sight.UNREACHABLE)),
    st.booleans(),
)
def test_a_stop_or_delete_is_answered_at_once_if_the_job_can_be_seen(job: Job, seen: Observation, delete: bool) -> None:
    """Only a savepoint still on its way, or a JobManager that shuts down, keeps a job that shall end."""
    goal = Goal.DELETE if delete else Goal.STOP
    job = replace(job, desired=replace(job.desired, goal=goal, trigger_savepoint=False, request_no=4))
    decision = decide(job, seen)
    if not isinstance(decision, Move):
        assert shuts_down(seen.deployment)
        assert isinstance(decision, Wait)
    else:
        assert decision.record.phase in (Phase.CANCELING, Phase.CLEARING)


# -- restarts ---------------------------------------------------------------------------------------------------------


def follows_a_failure(decision: Decision) -> bool:
    """Whether a new deployment will follow."""
    return isinstance(decision, Move) and decision.record.outcome is Phase.RESTARTING


def in_place(job: Job, seen: Observation) -> int:
    """Flink's restarts that are not counted yet."""
    flink = seen.deployment.flink
    return max(0, flink.restarts - job.record.flink_restarts) if flink is not None else 0


@laws
@given(jobs(ACTIVE), observations)
def test_each_restart_is_counted_once(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if not isinstance(decision, Move):
        return
    again = follows_a_failure(decision) and job.record.phase is not Phase.CLEARING
    counted = decision.record.flink_restarts - job.record.flink_restarts
    if decision.record.phase is Phase.PREPARING:  # Flink counts from 0 in the next deployment
        assert decision.record.flink_restarts == decision.record.replacements == 0
        counted = 0
    assert counted in (0, in_place(job, seen))
    assert decision.record.restarts == job.record.restarts + counted + int(again)


@laws
@given(jobs(AT_REST), observations)
def test_a_run_begins_with_nothing_counted(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is Phase.PREPARING:
        begun = decision.record
        assert begun == Record(
            Phase.PREPARING,
            attempt=job.record.attempt + 1,
            first_attempt=begun.attempt,
            request_seen=begun.request_seen,
            restore_path=begun.restore_path,
            savepoint_path=job.record.savepoint_path,
        )
        assert not begun.restarted


@laws
@given(jobs(ACTIVE), observations)
def test_no_restart_over_the_cap(job: Job, seen: Observation) -> None:
    """Flink's in place are counted when they are seen; one over the cap ends the job, and is counted too."""
    decision = decide(job, seen)
    if not isinstance(decision, Move) or job.record.phase in (Phase.CLEARING, Phase.RESTARTING):
        return
    more = decision.record.restarts - job.record.restarts
    if more and (follows_a_failure(decision) or decision.record.phase is job.record.phase):
        assert seen.budget.allows(more)
    if more and seen.budget.cap == 0:
        assert decision.record.outcome in FAILURES


@laws
@given(jobs(LIVE), observations)
def test_what_never_ran_is_started_again_only_if_it_was_killed(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if follows_a_failure(decision) and not job.record.ran:
        view = seen.deployment
        assert job.record.phase is Phase.STARTING
        killed = view.sight is Sight.DEAD and (view.rebooted or view.exit_code is None or view.exit_code < 0)
        assert killed or view.sight in (Sight.UNRESPONSIVE, Sight.REMOVED)


@laws
@given(jobs(LIVE), observations)
def test_what_may_have_finished_is_not_run_again(job: Job, seen: Observation) -> None:
    flink = seen.deployment.flink
    if flink is not None and flink.state is FlinkState.FINISHED and seen.deployment.sight is Sight.DEAD:
        assert not follows_a_failure(decide(job, seen))


@laws
@given(jobs(LIVE), observations)
def test_nobody_who_shall_end_is_restarted(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if job.desired.goal in (Goal.STOP, Goal.DELETE):
        assert not follows_a_failure(decision)
        assert not (isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING)


@laws
@given(jobs(frozenset({Phase.CLEARING})), observations)
def test_a_new_deployment_waits_until_nothing_of_the_last_is_left(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING:
        assert job.record.outcome is Phase.RESTARTING
        assert seen.deployment.sight is Sight.REMOVED
        assert decision.record.retry_ms == seen.turn.at_ms
        assert decision.record.attempt == job.record.attempt


@laws
@given(jobs(frozenset({Phase.RESTARTING})), observations)
def test_state_is_never_dropped_in_silence(job: Job, seen: Observation) -> None:
    """With resume_checkpoint: what was found is gone on from, and what cannot be is told and ends the job."""
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is Phase.PREPARING:
        assert seen.due
        assert not job.spec.resume_checkpoint or not seen.state.problem
    if isinstance(decision, Move) and decision.record.phase is Phase.FAILED:
        assert job.spec.resume_checkpoint
        assert seen.state.problem in decision.record.note


@laws
@given(jobs(frozenset({Phase.STARTING, Phase.RUNNING})), observed((Sight.LIVE, Sight.DEAD)))
def test_nothing_runs_from_another_state_than_was_intended(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    flink = seen.deployment.flink
    came_up = isinstance(decision, Move) and decision.record.phase is Phase.RUNNING is not job.record.phase
    if came_up:
        assert isinstance(decision, Move)
        assert decision.record.ran
        assert decision.record.failure == ""
        assert flink is not None
        if flink.restored is not None:
            assert flink.own or same_place(flink.restored, job.record.restore_path)
        else:
            assert seen.deployment.sight is Sight.DEAD  # it left no word, and is judged next


@laws
@given(jobs(ACTIVE), observations)
def test_a_grant_is_kept_by_a_restarting_job_and_never_got_without_waiting(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if not isinstance(decision, Move):
        return
    if decision.record.phase in AT_REST | {Phase.DELETED}:
        assert not may_hold(decision.record)
    elif job.record.phase is Phase.RESTARTING or decision.record.phase is Phase.RESTARTING:
        assert may_hold(job.record)
        assert may_hold(decision.record)
    elif may_hold(job.record):
        assert may_hold(decision.record)


@laws
@given(jobs(KEPT_UP), observed((Sight.LIVE,)))
def test_a_taskmanager_is_replaced_once_it_is_on_record_and_no_oftener(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    action = action_of(decision)
    if isinstance(action, ReplaceTaskManagers):
        assert action.total == job.record.replacements > seen.deployment.replaced
        assert not seen.deployment.silent_taskmanagers
    if isinstance(action, EndTaskManagers):
        assert action.numbers == seen.deployment.silent_taskmanagers
    if isinstance(decision, Move) and decision.record.replacements > job.record.replacements:
        assert decision.record.replacements == len(seen.deployment.lost_taskmanagers)
