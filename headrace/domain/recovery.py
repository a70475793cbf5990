"""What becomes of a job whose deployment failed, or a part of it: restarted, replaced, or ended and told why."""

from __future__ import annotations

from dataclasses import replace

from headrace.domain import diagnosis, notes
from headrace.domain.decisions import Act, Decision, EndTaskManagers, Move, ReplaceTaskManagers
from headrace.domain.evidence import was_killed
from headrace.domain.job import Goal, Job, Phase, Record
from headrace.domain.lineage import same_place
from headrace.domain.observation import TERMINAL, DeploymentView, Observation, SavepointState, Sight


def failed(job: Job, seen: Observation, why: str, *, heals: bool = True) -> Move:
    """The deployment has failed: another one follows if the restart rule allows it, else the end.

    What fails at its first start by itself is the submitter's to mend, and told at once; what was killed is not.
    """
    counted = _counted(job, seen.deployment)
    budget = seen.budget.spent(counted.restarts - job.record.restarts)
    over = job.record.phase is not Phase.PREPARING and _killed(seen.deployment)
    outcome = _fallen(job)
    if budget.cap == 0 or not heals or shall_end(job) or not (job.record.ran or over):
        return end(replace(job, record=counted), outcome, why)
    if not budget.allows():
        return end(replace(job, record=counted), outcome, notes.cap_reached(why, budget))
    return Move(
        counted.evolve(
            phase=Phase.CLEARING,
            outcome=Phase.RESTARTING,
            restarts=counted.restarts + 1,
            failure=notes.restart(why, budget.spent(1)),
            note="",
        )
    )


def upkeep(job: Job, seen: Observation) -> Decision | None:
    """What a running deployment needs: its restarts in place counted and capped, its TaskManagers replaced."""
    view, record = seen.deployment, job.record
    if view.sight is not Sight.LIVE or view.flink is None:
        return None
    counted = _counted(job, view)
    more = counted.restarts - record.restarts
    if more and not seen.budget.allows(more):
        off = notes.in_place_though_off(_why(view), view.flink.own_strategy)
        why = off if seen.budget.cap == 0 else notes.cap_reached(_why(view) or "Flink restarted the job", seen.budget)
        return end(replace(job, record=counted), _fallen(job), why)
    if more and not diagnosis.heals(view):
        return end(replace(job, record=counted), _fallen(job), diagnosis.explain(view))
    if more:
        note = notes.in_place(_why(view), seen.budget.spent(more), view.flink.own_strategy)
        return Move(counted.evolve(note=note))
    return None if view.flink.state in TERMINAL else replacement(job, view)


def replacement(job: Job, view: DeploymentView) -> Decision | None:
    """A TaskManager that has ended, or is silent, is replaced at once: Flink would wait for its heartbeat."""
    record = job.record
    if view.silent_taskmanagers:
        return Act(EndTaskManagers(view.silent_taskmanagers))
    if len(view.lost_taskmanagers) > record.replacements:
        note = notes.replaced(view.lost_taskmanagers[-1])
        return Move(record.evolve(replacements=len(view.lost_taskmanagers), note=note))
    if view.replaced < record.replacements:
        return Act(ReplaceTaskManagers(record.replacements))
    return None


def _counted(job: Job, view: DeploymentView) -> Record:
    """The record with Flink's restarts in place that were not counted yet."""
    if view.flink is None or view.flink.restarts <= job.record.flink_restarts:
        return job.record
    more = view.flink.restarts - job.record.flink_restarts
    return job.record.evolve(flink_restarts=view.flink.restarts, restarts=job.record.restarts + more)


def _why(view: DeploymentView) -> str:
    """Why Flink restarted the job, what to do, and where to look; "" = it does not say."""
    return diagnosis.explain(view) if view.flink is not None and view.flink.failure else ""


def _fallen(job: Job) -> Phase:
    """How a failure is called: of a job that never ran, its submission has failed."""
    return Phase.FAILED if job.record.ran else Phase.SUBMIT_FAILED


def _killed(view: DeploymentView) -> bool:
    """Whether the deployment ended through somebody else than the job: a kill, a freeze, a reboot."""
    match view.sight:
        case Sight.DEAD:
            return view.rebooted or was_killed(view.exit_code)
        case Sight.UNRESPONSIVE | Sight.REMOVED:
            return True
        case _:
            return False


def shall_end(job: Job) -> bool:
    """Whether somebody wants the job to end."""
    return job.desired.goal in (Goal.STOP, Goal.DELETE)


def asks_state(job: Job) -> bool:
    """Whether what follows depends on the newest state of the removed deployment. Nobody else waits for a place that
    cannot be looked into now: a stop least of all.
    """
    match job.record.phase:
        case Phase.RESTARTING:
            return job.spec.resume_checkpoint and not shall_end(job)
        case Phase.CANCELING:
            return job.desired.goal is Goal.STOP and job.desired.trigger_savepoint
        case Phase.CLEARING:
            return job.record.outcome is Phase.FAILED and job.desired.goal is not Goal.DELETE
        case _:
            return False


def with_state(job: Job, seen: Observation) -> tuple[Job, str]:
    """The removed job with its savepoint, and what is to be said of that. Where a stop with savepoint could make none
    because the job was not running, its newest state stands for it; where that is lost, it is told. Where the savepoint
    was made but the job went on, its sinks have committed more: the newest state is gone on from, or they would again.
    """
    wanted = job.desired.goal is Goal.STOP and job.desired.trigger_savepoint
    made = seen.deployment.savepoint
    if made.state is SavepointState.DONE:
        went_on = wanted and bool(seen.state.path) and not same_place(seen.state.path, made.path)
        path, note = (seen.state.path, notes.went_on(seen.state)) if went_on else (made.path, "")
        return replace(job, record=job.record.evolve(savepoint_path=path)), note
    if not wanted:
        return job, ""
    if seen.state.problem:
        return job, notes.not_saved_at_all(seen.state, job.record.savepoint_path)
    if not seen.state.path or same_place(seen.state.path, job.record.savepoint_path):
        return job, ""
    return replace(job, record=job.record.evolve(savepoint_path=seen.state.path)), notes.stopped_with(seen.state)


def rest(job: Job, note: str, phase: Phase) -> Move:
    """Nothing of the deployment is left. A stop that came while it ended is done with: it must not be found pending at
    rest, where it would be taken for one that follows an unseen run. So is a savepoint of what is no more.
    """
    done = job.desired.goal in (Goal.STOP, Goal.SAVEPOINT)
    seen = job.desired.request_no if done else job.record.request_seen
    return Move(job.record.evolve(phase=phase, request_seen=seen, outcome=None, failure="", note=note, retry_ms=0))


def end(job: Job, outcome: Phase, note: str) -> Move:
    """The deployment has come to its end; ``outcome`` follows when nothing of it is left."""
    return Move(job.record.evolve(phase=Phase.CLEARING, outcome=outcome, failure=note, note=""))
