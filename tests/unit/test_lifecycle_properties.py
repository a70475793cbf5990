"""The laws of ``decide``, over all pairs of a job and an observation, possible or not."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.domain.decisions import (
    Act,
    Cancel,
    Decision,
    Deploy,
    Erase,
    Move,
    Prepare,
    Remove,
    StopWithSavepoint,
    TriggerSavepoint,
    Wait,
)
from headrace.domain.job import AT_REST, HOLDING, LIVE, Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.lifecycle import decide
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
)

laws = settings(max_examples=400, deadline=None, derandomize=True)

OUTCOMES = (Phase.FINISHED, Phase.FAILED, Phase.SUBMIT_FAILED)
FAILURES = frozenset({Phase.FAILED, Phase.SUBMIT_FAILED})
CAN_BE_SAVED = frozenset({Phase.RUNNING, Phase.STOP_FAILED, Phase.SAVING, Phase.SAVEPOINTING})
"""Phases in which a savepoint may be on its way, or come late."""
SEEN_THERE = LIVE - {Phase.PREPARING, Phase.WAITING}
"""Phases in which the deployment itself is looked at."""

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
    Phase.CLEARING: frozenset(OUTCOMES),
    Phase.DELETED: frozenset(),
}
"""The phase graph: every move there can be."""

TEXTS = ("", "java.lang.OutOfMemoryError: Metaspace", "something else")
PATHS = ("", "obs://b/savepoint-1", "obs://b/savepoint-2")
EXITS = (None, 0, 1, 163, -9, -35)

# Drawn whole from these products: quick, and a counterexample shrinks towards the first value of each.
DESIRED = [
    Desired(goal, request_no=3, resume_savepoint=resume, trigger_savepoint=trigger)
    for goal, resume, trigger in product(Goal, (False, True), (False, True))
]
RECORDS = {
    phase: [
        Record(phase, attempt, seen, outcome, restore, savepoint, note)
        for attempt, seen, outcome, restore, savepoint, note in product(
            (0, 2),
            (0, 2, 3),
            (None, *OUTCOMES) if phase is Phase.CLEARING else (None,),
            PATHS,
            PATHS,
            TEXTS,
        )
    ]
    for phase in Phase
}
FLINK = [
    None,
    *(
        FlinkJob(state, running, ran, failure=failure)
        for state, (running, ran), failure in product(
            FlinkState, ((False, False), (False, True), (True, True)), TEXTS[:2]
        )
    ),
]
SAVEPOINTS = [SavepointView(state, path, "busy") for state, path in product(SavepointState, PATHS[1:])]
VIEWS = {
    sight: [
        DeploymentView(
            sight,
            flink,
            exit_code,
            lost_taskmanagers=tuple(LostTaskManager(number, code) for number, code in enumerate(lost, 1)),
            savepoint=savepoint,
            evidence=evidence,
        )
        for flink, exit_code, lost, savepoint, evidence in product(
            FLINK, EXITS, ((), (None,), (-9, 1)), SAVEPOINTS, ("", TEXTS[2])
        )
    ]
    for sight in Sight
}
PREPARATIONS = [Preparation(state, note) for state, note in product(PreparationState, TEXTS[1:])]
BOOLS = (False, True)
REST_OF_THE_WORLD = [
    Observation(DeploymentView(), preparation, granted, waiting, overdue, remains)
    for preparation, granted, waiting, overdue, remains in product(PREPARATIONS, BOOLS, TEXTS[::2], BOOLS, BOOLS)
]


def jobs(phases: frozenset[Phase] = frozenset(Phase)) -> st.SearchStrategy[Job]:
    records = [record for phase in Phase if phase in phases for record in RECORDS[phase]]
    return st.builds(
        Job,
        id=st.just(7),
        project_id=st.just("p"),
        spec=st.just(JobSpec(name="j")),
        desired=st.sampled_from(DESIRED),
        record=st.sampled_from(records),
    )


def observed(sights: tuple[Sight, ...] = tuple(Sight)) -> st.SearchStrategy[Observation]:
    views = [st.integers(0, len(VIEWS[sight]) - 1).map(VIEWS[sight].__getitem__) for sight in sights]
    worlds = st.integers(0, len(REST_OF_THE_WORLD) - 1).map(REST_OF_THE_WORLD.__getitem__)
    return st.builds(lambda world, view: replace(world, deployment=view), worlds, st.one_of(views))


observations = observed()


def shuts_down(view: DeploymentView) -> bool:
    """Its JobManager has nothing left to do, but its exit was not seen yet."""
    return view.sight is Sight.LIVE and view.flink is not None and view.flink.state is FlinkState.FINISHED


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
        kept_up = (decision.record.replacements, decision.record.flink_restarts)
        assert kept_up != (job.record.replacements, job.record.flink_restarts)
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
@given(jobs(LIVE), observations)
def test_nothing_is_erased_while_the_job_lives(job: Job, seen: Observation) -> None:
    assert action_of(decide(job, seen)) != Erase()


@laws
@given(jobs(), observations)
def test_each_action_belongs_to_its_phase(job: Job, seen: Observation) -> None:
    allowed: dict[object, frozenset[Phase]] = {
        Prepare(): frozenset({Phase.PREPARING}),
        Deploy(): frozenset({Phase.STARTING}),
        StopWithSavepoint(): frozenset({Phase.SAVEPOINTING}),
        TriggerSavepoint(): frozenset({Phase.SAVING}),
        Cancel(): frozenset({Phase.CANCELING}),
        Remove(): frozenset({Phase.CANCELING, Phase.CLEARING}),
        Erase(): AT_REST,
    }
    decision = decide(job, seen)
    if isinstance(decision, Act):
        assert job.record.phase in allowed[decision.action]


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
@given(jobs(frozenset({Phase.CLEARING})), observed((Sight.REMOVED,)))
def test_the_recorded_outcome_is_kept(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    assert isinstance(decision, Move)
    assert decision.record.phase is (job.record.outcome or Phase.FAILED)
    assert decision.record.note == job.record.note


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
def test_requests_are_taken_up_in_order(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move):
        assert job.record.request_seen <= decision.record.request_seen <= job.desired.request_no


@laws
@given(jobs(HOLDING | {Phase.PREPARING, Phase.WAITING}), observations)
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
        taken_up_late = job.record.phase is Phase.RUNNING and decision.record.phase is Phase.SAVING
        kept = made.path if made_now else job.record.savepoint_path
        assert decision.record.savepoint_path == kept or (taken_up_late and made_now)
    elif made_now and made.path != job.record.savepoint_path:
        out_of_sight = seen.deployment.sight is Sight.UNREACHABLE
        assert out_of_sight or shuts_down(seen.deployment) or job.record.phase is Phase.STOP_FAILED


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
        assert view.flink.state in (FlinkState.FAILED, FlinkState.CANCELED)


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
    if decision.record.phase is Phase.PREPARING:
        asked = job.record.savepoint_path if job.desired.resume_savepoint else ""
        assert decision.record.restore_path == asked
    else:
        assert decision.record.restore_path == job.record.restore_path


@laws
@given(jobs(LIVE), observations)
def test_a_failure_says_why(job: Job, seen: Observation) -> None:
    decision = decide(job, seen)
    if isinstance(decision, Move) and decision.record.outcome in FAILURES:
        assert decision.record.note
    if isinstance(decision, Move) and decision.record.phase is Phase.STOP_FAILED:
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
