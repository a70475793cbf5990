"""The laws of ``decide``, over all pairs of a job and an observation, possible or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product

from headrace.domain import diagnosis
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
STANDING = [(phase, None) for phase in Phase if phase is not Phase.CLEARING] + [
    (Phase.CLEARING, outcome) for outcome in (*OUTCOMES, Phase.RESTARTING, None)
]
"""(phase, outcome)."""
SO_FAR = [(1, 1, 0, 0), (2, 2, 0, 0), (2, 2, 3, 1), (4, 2, 2, 0), (4, 2, 4, 1)]
"""(attempt, the first of the run, restarts, those in place within the attempt)."""
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

CHANCE = random.Random(4)
PER_PHASE_AND_SIGHT = 200


def _job(phase: Phase, outcome: Phase | None) -> Job:
    attempt, first_attempt, restarts, flink_restarts = CHANCE.choice(SO_FAR)
    record = Record(
        phase,
        attempt,
        CHANCE.choice((0, 2, 3)),
        outcome,
        CHANCE.choice(PATHS),
        CHANCE.choice(PATHS),
        CHANCE.choice(TEXTS[:2]),
        first_attempt,
        ran=phase in CAN_BE_SAVED or CHANCE.choice(BOOLS),  # as the laws say
        restarts=restarts,
        flink_restarts=flink_restarts,
        replacements=CHANCE.choice((0, 1)),
        failure="java.io.IOException: x. Restart 1 of 3 within an hour." if attempt > first_attempt else "",
    )
    return Job(7, "p", CHANCE.choice(SPECS), CHANCE.choice(DESIRED), record)


def _observation(sight: Sight) -> Observation:
    view = DeploymentView(
        sight,
        CHANCE.choice(FLINK),
        CHANCE.choice(EXITS),
        lost_taskmanagers=CHANCE.choice(LOST),
        replaced=CHANCE.choice((0, 1, 2)),
        silent_taskmanagers=CHANCE.choice(((), (), (2,))),
        savepoint=CHANCE.choice(SAVEPOINTS),
        evidence=CHANCE.choice(("", TEXTS[2])),
        rebooted=CHANCE.choice(BOOLS),
    )
    return Observation(
        view,
        CHANCE.choice(PREPARATIONS),
        granted=CHANCE.choice(BOOLS),
        waiting_note=CHANCE.choice(TEXTS[:2]),
        overdue=CHANCE.choice(BOOLS),
        remains=CHANCE.choice(BOOLS),
        budget=CHANCE.choice(BUDGETS),
        turn=Turn(5000, 6000),
        due=CHANCE.choice(BOOLS),
        state=CHANCE.choice(STATES),
    )


# Drawn evenly, so that what is rare is met as often: Hypothesis would try what is near to what it has tried.
PAIRS = [
    (_job(*standing), _observation(sight))
    for standing, sight, _ in product(STANDING, Sight, range(PER_PHASE_AND_SIGHT))
]

Law = Callable[[Job, Observation], None]


def law(
    phases: frozenset[Phase] = frozenset(Phase), sights: frozenset[Sight] = frozenset(Sight)
) -> Callable[[Law], Callable[[], None]]:
    """A test that the law holds for all pairs of these phases and sights; shows the simplest for which it does not."""

    def over_all_pairs(holds: Law) -> Callable[[], None]:
        def is_broken(job: Job, seen: Observation) -> bool:
            try:
                holds(job, seen)
            except AssertionError:
                return True
            return False

        def test() -> None:
            met = [(j, o) for j, o in PAIRS if j.record.phase in phases and o.deployment.sight in sights]
            assert met
            broken = [pair for pair in met if is_broken(*pair)]
            if broken:
                holds(*min(broken, key=lambda pair: len(repr(pair))))

        test.__doc__ = holds.__doc__
        return test

    return over_all_pairs


def shuts_down(view: DeploymentView) -> bool:
    """Its JobManager has nothing left to do, but its exit was not seen yet."""
    return view.sight is Sight.LIVE and view.flink is not None and view.flink.state is FlinkState.FINISHED


def removed_by_a_stop_with_savepoint(job: Job, seen: Observation) -> bool:
    """Its newest state stands for the savepoint that could not be made."""
    return job.desired.goal is Goal.STOP and job.desired.trigger_savepoint and is_removed(job, seen)


def is_removed(job: Job, seen: Observation) -> bool:
    """Nothing of it is left, and it comes to rest."""
    at_its_end = job.record.phase is Phase.CANCELING or job.record.outcome is Phase.FAILED
    return at_its_end and seen.deployment.sight is Sight.REMOVED


def action_of(decision: Decision) -> object:
    return decision.action if isinstance(decision, Act) else None


@law()
def test_decide_is_total_and_always_answers_the_same(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert isinstance(decision, Move | Act | Wait)
    assert decide(job, seen) == decision


@law()
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


@law(AT_REST)
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


@law(frozenset({Phase.DELETED}))
def test_nothing_ever_leaves_deleted(job: Job, seen: Observation) -> None:
    assert decide(job, seen) == Wait()


@law(ACTIVE)
def test_nothing_is_erased_while_the_job_lives(job: Job, seen: Observation) -> None:
    assert action_of(decide(job, seen)) != Erase()


@law()
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


@law(frozenset({Phase.STARTING}))
def test_deploys_only_on_cus_held_and_what_is_wanted_and_absent(job: Job, seen: Observation) -> None:
    if decide(job, seen) == Act(Deploy()):
        assert seen.granted
        assert seen.deployment.sight is Sight.ABSENT
        assert job.desired.goal in (Goal.RUN, Goal.REST, Goal.SAVEPOINT)


@law(frozenset({Phase.PREPARING, Phase.WAITING, Phase.STARTING}))
def test_starting_is_entered_with_a_grant_only(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    entered = job.record.phase is not Phase.STARTING
    if isinstance(decision, Move) and decision.record.phase is Phase.STARTING and entered:
        assert job.record.phase is Phase.WAITING
        assert seen.granted


@law(SEEN_THERE, frozenset({Sight.UNREACHABLE}))
def test_silence_is_not_failure_and_nothing_is_done_to_what_cannot_be_seen(job: Job, seen: Observation) -> None:
    assert isinstance(decide(job, seen), Wait)


@law(LIVE, frozenset({Sight.DEAD, Sight.LIVE}))
def test_finished_needs_two_witnesses(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.outcome is Phase.FINISHED:
        assert seen.deployment.sight is Sight.DEAD
        assert seen.deployment.exit_code == 0
        assert seen.deployment.flink is not None
        assert seen.deployment.flink.state is FlinkState.FINISHED


@law(LIVE)
def test_rest_is_reached_only_when_nothing_can_start_any_more(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase not in LIVE:
        assert job.record.phase in (Phase.CANCELING, Phase.CLEARING)
        assert seen.deployment.sight is Sight.REMOVED


@law(frozenset({Phase.RESTARTING}))
def test_while_it_waits_for_its_turn_nothing_is_done(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert not isinstance(decision, Act)
    if not seen.due and job.desired.goal not in (Goal.STOP, Goal.DELETE):
        assert decision == Wait()


@law(frozenset({Phase.CLEARING}), frozenset({Sight.REMOVED}))
def test_the_recorded_outcome_is_kept(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert isinstance(decision, Move)
    if job.record.outcome is Phase.RESTARTING and job.desired.goal in (Goal.STOP, Goal.DELETE):
        assert decision.record.phase is Phase.CANCELING
    else:
        assert decision.record.phase is (job.record.outcome or Phase.FAILED)
    if job.record.outcome in OUTCOMES:
        assert decision.record.note.startswith(job.record.failure)


@law()
def test_an_outcome_stands_while_clearing_and_never_else(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        assert (decision.record.outcome is not None) == (decision.record.phase is Phase.CLEARING)


@law()
def test_an_attempt_begins_with_preparing_and_nowhere_else(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        begins = decision.record.phase is Phase.PREPARING
        assert decision.record.attempt == job.record.attempt + int(begins)


@law()
def test_what_can_be_saved_has_run_and_nothing_forgets_that(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase in CAN_BE_SAVED:
        assert decision.record.ran
    if isinstance(decision, Move) and job.record.phase in ACTIVE:
        assert decision.record.ran >= job.record.ran
        assert decision.record.first_attempt == job.record.first_attempt


@law()
def test_requests_are_taken_up_in_order(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        assert job.record.request_seen <= decision.record.request_seen <= job.desired.request_no


@law(ACTIVE)
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


@law()
def test_a_savepoint_is_never_lost(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    made = seen.deployment.savepoint
    made_now = made.state is SavepointState.DONE and job.record.phase in CAN_BE_SAVED
    if isinstance(decision, Move):
        later = job.record.phase is decision.record.phase or decision.record.phase is Phase.SAVING
        kept = made.path if made_now else job.record.savepoint_path
        recorded = decision.record.savepoint_path
        if removed_by_a_stop_with_savepoint(job, seen):
            done = made.state is SavepointState.DONE
            assert recorded == (seen.state.path or (made.path if done else kept))
            assert done or seen.state.problem in decision.record.note
        elif is_removed(job, seen):
            assert recorded in {kept, made.path}
        else:
            assert recorded == kept or (later and made_now)
    elif made_now and made.path != job.record.savepoint_path:
        out_of_sight = seen.deployment.sight is Sight.UNREACHABLE
        later = isinstance(decision, Act) or job.record.phase is Phase.STOP_FAILED
        assert out_of_sight or shuts_down(seen.deployment) or later


@law(frozenset({Phase.RUNNING, Phase.SAVING, Phase.STOP_FAILED}), frozenset({Sight.LIVE}))
def test_a_savepoint_by_itself_ends_no_job(job: Job, seen: Observation) -> None:
    """Whether it was made or has failed: a job that lives goes on, unless Flink says itself that it does not."""
    job = replace(job, desired=replace(job.desired, goal=Goal.SAVEPOINT))
    made = seen.deployment.savepoint
    ended = SavepointState.DONE if made.path == PATHS[1] else SavepointState.FAILED
    view = replace(seen.deployment, savepoint=replace(made, state=ended))
    decision = decide(job, replace(seen, deployment=view))
    if isinstance(decision, Move) and decision.record.phase not in (job.record.phase, Phase.RUNNING, Phase.SAVING):
        assert decision.record.phase is Phase.CLEARING
        assert view.flink is not None
        over_the_cap = in_place(job, seen) and not seen.budget.allows(in_place(job, seen))
        incurable = in_place(job, seen) and not diagnosis.heals(view)
        assert over_the_cap or incurable or view.flink.state in (FlinkState.FAILED, FlinkState.CANCELED)


@law(frozenset({Phase.SAVING}))
def test_a_savepoint_is_waited_for_within_the_patience_only(job: Job, seen: Observation) -> None:
    decision = decide(job, replace(seen, overdue=True))
    if seen.deployment.sight is not Sight.UNREACHABLE and not shuts_down(seen.deployment):
        assert isinstance(decision, Move)


@law()
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


@law(ACTIVE)
def test_a_failure_says_why(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.outcome in {*FAILURES, Phase.RESTARTING}:
        assert decision.record.failure
    if isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING:
        assert decision.record.note  # when the next try is
    if isinstance(decision, Move) and decision.record.phase is Phase.STOP_FAILED is not job.record.phase:
        assert decision.record.note


@law(LIVE - {Phase.CLEARING, Phase.CANCELING}, frozenset(Sight) - {Sight.UNREACHABLE})
def test_a_stop_or_delete_is_answered_at_once_if_the_job_can_be_seen(job: Job, seen: Observation) -> None:
    """Only a savepoint still on its way, or a JobManager that shuts down, keeps a job that shall end."""
    goal = Goal.DELETE if job.desired.goal is Goal.DELETE else Goal.STOP
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


@law(ACTIVE)
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


@law(AT_REST)
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


@law(ACTIVE)
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


@law(LIVE)
def test_what_never_ran_is_started_again_only_if_it_was_killed(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if follows_a_failure(decision) and not job.record.ran:
        view = seen.deployment
        assert job.record.phase in (Phase.STARTING, Phase.CLEARING)
        if job.record.phase is Phase.CLEARING:
            return  # it was decided before
        killed = view.sight is Sight.DEAD and (view.rebooted or view.exit_code is None or view.exit_code < 0)
        assert killed or view.sight in (Sight.UNRESPONSIVE, Sight.REMOVED)


@law(LIVE)
def test_what_may_have_finished_is_not_run_again(job: Job, seen: Observation) -> None:
    flink = seen.deployment.flink
    if (
        flink is not None
        and flink.state is FlinkState.FINISHED
        and seen.deployment.sight in (Sight.DEAD, Sight.UNRESPONSIVE)
    ):
        assert not follows_a_failure(decide(job, seen))


@law(LIVE)
def test_nobody_who_shall_end_is_restarted(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if job.desired.goal in (Goal.STOP, Goal.DELETE):
        assert not follows_a_failure(decision)
        assert not (isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING)


@law(frozenset({Phase.CLEARING}))
def test_a_new_deployment_waits_until_nothing_of_the_last_is_left(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is Phase.RESTARTING:
        assert job.record.outcome is Phase.RESTARTING
        assert seen.deployment.sight is Sight.REMOVED
        assert decision.record.retry_ms == seen.turn.at_ms
        assert decision.record.attempt == job.record.attempt


@law(frozenset({Phase.RESTARTING}))
def test_state_is_never_dropped_in_silence(job: Job, seen: Observation) -> None:
    """With resume_checkpoint: what was found is gone on from, and what cannot be is told and ends the job."""
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.phase is Phase.PREPARING:
        assert seen.due
        assert not job.spec.resume_checkpoint or not seen.state.problem
    if isinstance(decision, Move) and decision.record.phase is Phase.FAILED:
        assert job.spec.resume_checkpoint
        assert seen.state.problem in decision.record.note


@law(frozenset({Phase.STARTING, Phase.RUNNING}), frozenset({Sight.LIVE, Sight.DEAD}))
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


@law(ACTIVE)
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


@law(KEPT_UP, frozenset({Sight.LIVE}))
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
