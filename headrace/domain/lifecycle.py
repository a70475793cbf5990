"""The whole life of a job: ``decide(job, observation) -> Move | Act | Wait``.

A decision records a new phase (Move), or touches the world (Act), or does neither (Wait): never two at once. So an
action happens only when the stored phase already permits it, and write-ahead, crash recovery and safe retry follow.

::

    DRAFT ─run→ PREPARING → WAITING → STARTING → RUNNING ──stop──→ [SAVEPOINTING →] CANCELING → STOPPED
                    ↑  └───────┴─stop──→ CANCELING   ├─savepoint→ SAVING → RUNNING
                    │                                └─ends by itself→ CLEARING → FINISHED | FAILED | SUBMIT_FAILED
                    └─────────── RESTARTING ←── a failure that may heal, within the cap ──┘

Synchronous, total, without clock or logging.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from headrace.domain import diagnosis, notes
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
from headrace.domain.evidence import was_killed
from headrace.domain.job import Goal, Job, Phase, Record
from headrace.domain.lineage import same_place
from headrace.domain.observation import (
    TERMINAL,
    DeploymentView,
    FlinkState,
    Observation,
    PreparationState,
    SavepointState,
    Sight,
)
from headrace.domain.recovery import end, failed, replacement, rest, shall_end, upkeep, with_state


def decide(job: Job, seen: Observation) -> Decision:
    """The next step of this job, given what was seen."""
    match job.record.phase:
        case Phase.DRAFT | Phase.STOPPED | Phase.FINISHED | Phase.SUBMIT_FAILED | Phase.FAILED:
            return _at_rest(job, seen)
        case Phase.PREPARING:
            return _preparing(job, seen)
        case Phase.WAITING:
            return _waiting(job, seen)
        case Phase.STARTING:
            return _starting(job, seen)
        case Phase.RUNNING | Phase.STOP_FAILED:
            return _running(job, seen)
        case Phase.SAVING:
            return _saving(job, seen)
        case Phase.SAVEPOINTING:
            return _savepointing(job, seen)
        case Phase.CANCELING:
            return _canceling(job, seen)
        case Phase.CLEARING:
            return _clearing(job, seen)
        case Phase.RESTARTING:
            return _restarting(job, seen)
        case Phase.DELETED:
            return Wait()
        case _:
            assert_never(job.record.phase)


def _at_rest(job: Job, seen: Observation) -> Decision:
    desired, record = job.desired, job.record
    if desired.goal is Goal.DELETE:
        if seen.remains:
            return Act(Erase())
        return Move(record.evolve(phase=Phase.DELETED, request_seen=desired.request_no, note=""))
    if desired.goal in (Goal.REST, Goal.SAVEPOINT) or not job.request_pending:
        return Wait()
    # A stop that follows an unseen run is taken up after it, so that the recorded path stays the documented one.
    taken_up = desired.request_no if desired.goal is Goal.RUN else desired.request_no - 1
    return Move(
        Record(
            phase=Phase.PREPARING,
            attempt=record.attempt + 1,
            first_attempt=record.attempt + 1,
            request_seen=taken_up,
            restore_path=record.savepoint_path if desired.resume_savepoint else "",
            savepoint_path=record.savepoint_path,
        )
    )


def _preparing(job: Job, seen: Observation) -> Decision:
    if shall_end(job):
        return _cancel(job)
    match seen.preparation.state:
        case PreparationState.NOT_STARTED:
            return Act(Prepare())
        case PreparationState.IN_PROGRESS:
            return Wait(seen.preparation.note)
        case PreparationState.FAILED if seen.preparation.passes or (seen.preparation.heals and job.record.restarted):
            return Act(Prepare())  # it passes; or the job ran, and it is not its fault: it is tried until it goes well
        case PreparationState.FAILED:
            return failed(job, seen, seen.preparation.note, heals=False)
        case PreparationState.READY:
            return Move(job.record.evolve(phase=Phase.WAITING, note=seen.preparation.note))
        case _:
            assert_never(seen.preparation.state)


def _waiting(job: Job, seen: Observation) -> Decision:
    if shall_end(job):
        return _cancel(job)
    if seen.granted:
        return Move(job.record.evolve(phase=Phase.STARTING, note=""))
    return Wait(seen.waiting_note)


def _starting(job: Job, seen: Observation) -> Decision:
    view = seen.deployment
    if view.sight is Sight.UNREACHABLE:
        return Wait(diagnosis.UNREACHABLE)
    if shall_end(job):
        return _comes_up(job, seen) if _can_be_saved(job, view) else _cancel(job)
    match view.sight:
        case Sight.ABSENT if seen.overdue:
            return failed(job, seen, diagnosis.never_started(job.record.note))
        case Sight.ABSENT:
            return Act(Deploy()) if seen.granted else Move(job.record.evolve(phase=Phase.WAITING, note=""))
        case Sight.DEAD | Sight.UNRESPONSIVE:
            return _judge_dead(job, seen)
        case Sight.REMOVED:
            return failed(job, seen, diagnosis.explain(view))
        case Sight.LIVE:
            return _await_tasks(job, seen)
        case _:
            assert_never(view.sight)


def _await_tasks(job: Job, seen: Observation) -> Decision:
    """The JobManager lives: do its tasks run already?"""
    view = seen.deployment
    if view.flink is not None and (view.flink.tasks_running or view.flink.ever_ran):
        return _comes_up(job, seen)
    if view.flink is not None and view.flink.state in (FlinkState.FAILED, FlinkState.CANCELED):
        return failed(job, seen, diagnosis.explain(view), heals=diagnosis.heals(view))
    if any(not was_killed(lost.exit_code) for lost in view.lost_taskmanagers):
        return failed(job, seen, diagnosis.explain(view), heals=diagnosis.heals(view))
    if seen.overdue:
        return failed(job, seen, diagnosis.never_ran(view))
    kept_up = replacement(job, view) if view.flink is None else upkeep(job, seen)
    return kept_up or Wait(diagnosis.restarting(view))


def _comes_up(job: Job, seen: Observation) -> Decision:
    """All tasks have run: from the state that was intended?"""
    view = seen.deployment
    restored = view.flink.restored if view.flink is not None else None
    if restored is None:
        if view.sight is Sight.LIVE:
            return Wait("")
    elif not same_place(restored, job.record.restore_path) and not (view.flink is not None and view.flink.own):
        return failed(job, seen, notes.restored_wrongly(job.record.restore_path, restored), heals=False)
    return Move(job.record.evolve(phase=Phase.RUNNING, ran=True, failure="", note=""))


def _running(job: Job, seen: Observation) -> Decision:
    view, phase = seen.deployment, job.record.phase
    if view.sight is Sight.UNREACHABLE:
        # What STOP_FAILED says stays readable: nothing would write it again.
        return Wait(diagnosis.UNREACHABLE if phase is Phase.RUNNING else None)
    saved = _saved(job, view)
    if phase is Phase.STOP_FAILED and view.savepoint.state is SavepointState.DONE and job.desired.goal is Goal.STOP:
        return _cancel(saved)  # it came after we had given up on it
    ended = _ended(saved, seen)
    if ended is not None:
        return ended
    if job.desired.goal is Goal.DELETE:
        return _cancel(saved)
    if job.desired.goal is Goal.STOP and job.request_pending:
        if not job.desired.trigger_savepoint:
            return _cancel(saved)
        return _take_up(saved, Phase.SAVEPOINTING)
    if job.desired.goal is Goal.SAVEPOINT and job.request_pending:
        return _take_up(saved, Phase.SAVING)
    kept_up = upkeep(saved, seen)
    if kept_up is not None:
        return kept_up
    if phase is Phase.STOP_FAILED:
        return Wait()
    if saved.record != job.record:
        return Move(job.record.evolve(phase=Phase.SAVING, note=""))  # it comes late, but it is recorded
    return Wait(diagnosis.restarting(view) or _not_saved(job, view))


def _saving(job: Job, seen: Observation) -> Decision:
    """A savepoint is made of a job that goes on. A delete, or a stop without savepoint, does not wait for it; a stop
    with savepoint is taken up when it is made or has failed.
    """
    view = seen.deployment
    if view.sight is Sight.UNREACHABLE:
        return Wait(diagnosis.UNREACHABLE)
    saved = _saved(job, view)
    ended = _ended(saved, seen)
    if ended is not None:
        return ended
    if shall_end(job) and not (job.desired.goal is Goal.STOP and job.desired.trigger_savepoint):
        return _cancel(saved)
    if view.savepoint.state is SavepointState.DONE:
        return Move(saved.record.evolve(phase=Phase.RUNNING, note=""))
    if view.savepoint.state is SavepointState.FAILED or seen.overdue:
        return Move(job.record.evolve(phase=Phase.RUNNING, note=diagnosis.not_saved(view)))
    kept_up = upkeep(job, seen)
    if kept_up is not None:
        return kept_up
    if view.savepoint.state is SavepointState.NONE and view.flink is not None:
        return Act(TriggerSavepoint())
    return Wait("")


def _savepointing(job: Job, seen: Observation) -> Decision:
    view = seen.deployment
    if view.sight is Sight.UNREACHABLE:
        return Wait(diagnosis.UNREACHABLE)
    if view.savepoint.state is SavepointState.DONE:
        return _cancel(_saved(job, view))
    ended = _ended(job, seen)
    if ended is not None:
        return ended
    if job.desired.goal is Goal.DELETE or not job.desired.trigger_savepoint:
        return _cancel(job)  # the user no longer wants the savepoint
    if view.savepoint.state is SavepointState.FAILED or seen.overdue:
        return Move(job.record.evolve(phase=Phase.STOP_FAILED, note=diagnosis.savepoint_failed(view)))
    kept_up = upkeep(job, seen)
    if kept_up is not None:
        return kept_up
    if view.savepoint.state is SavepointState.NONE and view.flink is not None:
        return Act(StopWithSavepoint())
    return Wait("")


def _canceling(job: Job, seen: Observation) -> Decision:
    view = seen.deployment
    match view.sight:
        case Sight.UNREACHABLE:
            return Wait(diagnosis.UNREACHABLE)
        case Sight.REMOVED:
            return rest(*with_state(job, seen), Phase.STOPPED)
        case Sight.LIVE if view.flink is not None and view.flink.state not in TERMINAL and not seen.overdue:
            if view.flink.state is FlinkState.CANCELLING:
                return Wait("")
            return Act(Cancel())
        case _:
            return Act(Remove())


def _clearing(job: Job, seen: Observation) -> Decision:
    record = job.record
    match seen.deployment.sight:
        case Sight.UNREACHABLE:
            return Wait(diagnosis.UNREACHABLE)
        case Sight.REMOVED if record.outcome is Phase.RESTARTING:
            if shall_end(job):
                return _cancel(job)
            note = notes.next_try(seen.turn)
            return Move(record.evolve(phase=Phase.RESTARTING, outcome=None, retry_ms=seen.turn.at_ms, note=note))
        case Sight.REMOVED if record.outcome is Phase.FAILED:
            kept, note = with_state(job, seen)
            where = note or notes.newest_state(seen.state)
            return rest(kept, " ".join(text for text in (record.failure, where) if text), Phase.FAILED)
        case Sight.REMOVED:
            return rest(job, record.failure, record.outcome or Phase.FAILED)
        case _:
            return Act(Remove())


def _restarting(job: Job, seen: Observation) -> Decision:
    """Nothing of the failed deployment lives any more, so what its lineage has completed is known for certain."""
    record = job.record
    if shall_end(job):
        return _cancel(job)
    if not seen.due:
        return Wait()
    restore_path = seen.state.path if job.spec.resume_checkpoint else ""
    if job.spec.resume_checkpoint and seen.state.problem:
        return rest(job, notes.not_restorable(record.failure, seen.state), Phase.FAILED)
    return Move(
        record.evolve(
            phase=Phase.PREPARING,
            attempt=record.attempt + 1,
            restore_path=restore_path,
            flink_restarts=0,
            replacements=0,
            note="",
        )
    )


def _ended(job: Job, seen: Observation) -> Decision | None:
    """What follows if the running deployment has come to an end, None if it has not (or nobody can tell)."""
    view = seen.deployment
    match view.sight:
        case Sight.UNREACHABLE:
            return Wait(diagnosis.UNREACHABLE)
        case Sight.DEAD | Sight.UNRESPONSIVE:
            return _judge_dead(job, seen)
        case Sight.ABSENT | Sight.REMOVED:
            return failed(job, seen, diagnosis.explain(view))
        case Sight.LIVE if view.flink is None:
            return None
        case Sight.LIVE if view.flink.state is FlinkState.CANCELED:
            return failed(job, seen, diagnosis.explain(view), heals=False)  # somebody wanted it so
        case Sight.LIVE if view.flink.state is FlinkState.FAILED:
            return failed(job, seen, diagnosis.explain(view), heals=diagnosis.heals(view))
        case Sight.LIVE if view.flink.state is FlinkState.FINISHED:
            return Wait("")  # the exit is the second witness
        case Sight.LIVE:
            return None
        case _:
            assert_never(view.sight)


def _judge_dead(job: Job, seen: Observation) -> Decision:
    """The JobManager's end was seen, or it was given up: finished needs two witnesses, exit code 0 *and* Flink's
    FINISHED. With only the second, whether main() had more to do is not known: such a job is not run again.
    """
    view = seen.deployment
    done = view.flink is not None and view.flink.state is FlinkState.FINISHED
    finished = done and view.exit_code == 0
    if job.record.phase is Phase.STARTING and (finished or (view.flink is not None and view.flink.ever_ran)):
        return _comes_up(job, seen)
    if finished:
        return end(job, Phase.FINISHED, "")
    canceled = view.flink is not None and view.flink.state is FlinkState.CANCELED
    return failed(job, seen, diagnosis.explain(view), heals=diagnosis.heals(view) and not done and not canceled)


def _can_be_saved(job: Job, view: DeploymentView) -> bool:
    """Whether a stop with savepoint came so early that it is not yet recorded that the job runs."""
    asked = job.desired.goal is Goal.STOP and job.desired.trigger_savepoint and job.request_pending
    return asked and view.sight is Sight.LIVE and view.flink is not None and view.flink.tasks_running


def _saved(job: Job, view: DeploymentView) -> Job:
    """The job with the savepoint that was made, if one was: whatever is recorded next, it is not lost."""
    if view.savepoint.state is not SavepointState.DONE:
        return job
    return replace(job, record=job.record.evolve(savepoint_path=view.savepoint.path))


def _not_saved(job: Job, view: DeploymentView) -> str:
    """What stays readable of a running job whose savepoint was given up; "" of any other."""
    given_up = job.desired.goal is Goal.SAVEPOINT and view.savepoint.state is not SavepointState.DONE
    return diagnosis.not_saved(view) if given_up else ""


def _take_up(job: Job, phase: Phase) -> Move:
    record = job.record.evolve(phase=phase, outcome=None, request_seen=job.desired.request_no, failure="", note="")
    return Move(record)


def _cancel(job: Job) -> Move:
    return _take_up(job, Phase.CANCELING)
