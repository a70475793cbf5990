"""The newest state is looked for only where something depends on it: a stop shall not wait for a store that is away."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from headrace.domain.decisions import Decision, Move
from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.lifecycle import decide
from headrace.domain.observation import DeploymentView, Observation, SavepointState, SavepointView, Sight, StateView
from headrace.domain.recovery import asks_state

SPEC = JobSpec("j", restart_when_exception=True, resume_max_num=3)
STATES = (StateView("obs://b/chk-9", 9), StateView(problem="it is gone"))
SAVEPOINTS = (SavepointView(), SavepointView(SavepointState.DONE, "obs://b/s"))
PHASES = (Phase.RESTARTING, Phase.CANCELING, Phase.CLEARING)
OUTCOMES = (Phase.RESTARTING, Phase.FAILED, Phase.FINISHED, Phase.SUBMIT_FAILED)


def jobs(phase: Phase) -> list[Job]:
    """All kinds of jobs in a phase in which the deployment is gone, or may be."""
    outcomes = OUTCOMES if phase is Phase.CLEARING else (None,)
    return [
        Job(
            7,
            "p",
            replace(SPEC, resume_checkpoint=resume),
            record=Record(phase, attempt=1, outcome=outcome, failure="boom"),
            desired=Desired(goal, request_no=1, trigger_savepoint=savepoint),
        )
        for goal, savepoint, resume, outcome in product(Goal, (False, True), (False, True), outcomes)
    ]


@pytest.mark.parametrize("phase", PHASES)
def test_what_does_not_ask_for_the_state_does_not_depend_on_it(phase: Phase) -> None:
    quiet = 0
    for job, savepoint in product(jobs(phase), SAVEPOINTS):
        blind = Observation(DeploymentView(Sight.REMOVED, savepoint=savepoint), due=True)
        if not asks_state(job):
            quiet += 1
            assert {recorded(job, replace(blind, state=state)) for state in STATES} == {recorded(job, blind)}, job
    assert quiet


def recorded(job: Job, seen: Observation) -> Decision:
    """What is decided; of a job that is to be deleted nobody will read the note."""
    decision = decide(job, seen)
    if isinstance(decision, Move) and job.desired.goal is Goal.DELETE:
        return Move(decision.record.evolve(note=""))
    return decision


@pytest.mark.parametrize(
    ("phase", "desired", "outcome", "asks"),
    [
        (Phase.CANCELING, Desired(Goal.STOP), None, False),
        (Phase.CANCELING, Desired(Goal.STOP, trigger_savepoint=True), None, True),
        (Phase.CANCELING, Desired(Goal.DELETE), None, False),
        (Phase.CLEARING, Desired(Goal.RUN), Phase.FAILED, True),
        (Phase.CLEARING, Desired(Goal.DELETE), Phase.FAILED, False),
        (Phase.CLEARING, Desired(Goal.RUN), Phase.FINISHED, False),
        (Phase.RESTARTING, Desired(Goal.RUN), None, True),
        (Phase.RESTARTING, Desired(Goal.STOP), None, False),
        (Phase.RUNNING, Desired(Goal.RUN), None, False),
    ],
)
def test_who_asks_for_it(phase: Phase, desired: Desired, outcome: Phase | None, asks: bool) -> None:
    spec = replace(SPEC, resume_checkpoint=True)
    assert asks_state(Job(7, "p", spec, record=Record(phase, outcome=outcome), desired=desired)) is asks
