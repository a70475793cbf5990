"""The documented lives of a job, step by step: what was asked or seen, and what followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain import diagnosis
from headrace.domain.decisions import Wait
from headrace.domain.job import ACTIVE, AT_REST, HOLDING, LIVE, Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.lifecycle import decide
from headrace.domain.observation import DeploymentView, FlinkJob, FlinkState, Observation, Sight
from tests.unit.lives import (
    ABSENT,
    CANCELED,
    CANCELLING,
    CREATED,
    DELETE,
    DRAINED,
    EXITED,
    FAILED,
    FAILED_EARLY,
    FINISHED,
    FROZEN,
    GRANTED,
    HIDDEN,
    KILLED,
    LATE,
    MADE,
    MADE_AND_KILLED,
    NO_GRANT,
    NOT_PREPARED,
    NOT_SAVED,
    NOTHING,
    OVERDUE,
    REMAINS,
    REMOVED,
    RESUME,
    RUN,
    RUNNING_STORY,
    RUNS,
    SAVE,
    SAVED,
    SAVED_AND_GONE,
    SAVING,
    SAVING_TOO_LONG,
    SILENT,
    STAGING,
    STARTING_STORY,
    STOP,
    TM_FAILED,
    TO_RUNNING,
    TO_STARTING,
    TO_WAITING,
    TRIGGER,
    Step,
    live,
    view,
)

PATHS: dict[str, tuple[tuple[Step, ...], str]] = {
    "draft": ((NOTHING, REMAINS), ". ."),
    "run": ((*TO_RUNNING, RUNS, RUNS), f"{RUNNING_STORY} . ."),
    "stop": (
        (*TO_RUNNING, STOP, RUNS, RUNS, CANCELLING, CANCELED, REMOVED, NOTHING),
        f"{RUNNING_STORY} canceling Cancel . Remove stopped .",
    ),
    "stop, and Flink does not cancel in time": (
        (*TO_RUNNING, STOP, RUNS, RUNS, replace(CANCELLING, overdue=True), REMOVED),
        f"{RUNNING_STORY} canceling Cancel Remove stopped",
    ),
    "stop with savepoint": (
        (*TO_RUNNING, SAVE, RUNS, RUNS, SAVING, SAVED, SAVED_AND_GONE, REMOVED, NOTHING),
        f"{RUNNING_STORY} savepointing StopWithSavepoint . canceling Remove stopped .",
    ),
    "savepoint refused, then stop without": (
        (*TO_RUNNING, SAVE, RUNS, NOT_SAVED, RUNS, STOP, RUNS, RUNS, CANCELED, REMOVED),
        f"{RUNNING_STORY} savepointing stop_failed . canceling Cancel Remove stopped",
    ),
    "savepoint refused, then again with savepoint": (
        (*TO_RUNNING, SAVE, RUNS, NOT_SAVED, SAVE, RUNS, RUNS, SAVED, SAVED_AND_GONE, REMOVED),
        f"{RUNNING_STORY} savepointing stop_failed savepointing StopWithSavepoint canceling Remove stopped",
    ),
    "savepoint too slow, but it comes after all": (
        (*TO_RUNNING, SAVE, RUNS, RUNS, OVERDUE, SAVING, SAVED, SAVED_AND_GONE, REMOVED),
        f"{RUNNING_STORY} savepointing StopWithSavepoint stop_failed . canceling Remove stopped",
    ),
    "savepoint given up by the user": (
        (*TO_RUNNING, SAVE, RUNS, SAVING, STOP, SAVING, SAVING, CANCELED, REMOVED),
        f"{RUNNING_STORY} savepointing . canceling Cancel Remove stopped",
    ),
    "killed while making the savepoint": (
        (*TO_RUNNING, SAVE, RUNS, SAVING, KILLED, KILLED, REMOVED, NOTHING),
        f"{RUNNING_STORY} savepointing . clearing Remove failed .",
    ),
    "savepoint of a job that Flink still starts": (
        (*TO_RUNNING, SAVE, RUNS, SILENT, RUNS),
        f"{RUNNING_STORY} savepointing . StopWithSavepoint",
    ),
    "a savepoint, and it runs on": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, SAVING, MADE, MADE, MADE),
        f"{RUNNING_STORY} saving TriggerSavepoint . running . .",
    ),
    "a savepoint, and another one": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, MADE, TRIGGER, MADE, RUNS, MADE),
        f"{RUNNING_STORY} saving TriggerSavepoint running saving TriggerSavepoint running",
    ),
    "the answer of the trigger was lost": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, RUNS, SAVING, MADE),
        f"{RUNNING_STORY} saving TriggerSavepoint TriggerSavepoint . running",
    ),
    "a savepoint is refused, and it runs on": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, NOT_SAVED, NOT_SAVED),
        f"{RUNNING_STORY} saving TriggerSavepoint running .",
    ),
    "a savepoint is too slow, and it runs on": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, SAVING_TOO_LONG, SAVING, SAVING),
        f"{RUNNING_STORY} saving TriggerSavepoint running . .",
    ),
    "a savepoint is too slow, but it comes after all": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING_TOO_LONG, SAVING, MADE, MADE, MADE),
        f"{RUNNING_STORY} saving running . saving running .",
    ),
    "a savepoint of a job that Flink restarts just now": (
        (*TO_RUNNING, TRIGGER, RUNS, SILENT, RUNS),
        f"{RUNNING_STORY} saving . TriggerSavepoint",
    ),
    "a savepoint out of sight": (
        (*TO_RUNNING, TRIGGER, HIDDEN, RUNS, HIDDEN, MADE),
        f"{RUNNING_STORY} . saving . running",
    ),
    "stop while a savepoint is made": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, STOP, SAVING, SAVING, CANCELED, REMOVED, NOTHING),
        f"{RUNNING_STORY} saving . canceling Cancel Remove stopped .",
    ),
    "stop instead of an unseen savepoint": (
        (*TO_RUNNING, TRIGGER, STOP, RUNS, RUNS, CANCELED, REMOVED, NOTHING),
        f"{RUNNING_STORY} canceling Cancel Remove stopped .",
    ),
    "stop with savepoint while one is made": (
        (*TO_RUNNING, TRIGGER, RUNS, RUNS, SAVE, SAVING, MADE, MADE, RUNS, SAVED, REMOVED),
        f"{RUNNING_STORY} saving TriggerSavepoint . running savepointing StopWithSavepoint canceling stopped",
    ),
    "stop with savepoint while one fails": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, SAVE, NOT_SAVED, NOT_SAVED, RUNS),
        f"{RUNNING_STORY} saving . running savepointing StopWithSavepoint",
    ),
    "stop with savepoint after one was made": (
        (*TO_RUNNING, TRIGGER, RUNS, MADE, SAVE, MADE, RUNS, SAVED, REMOVED),
        f"{RUNNING_STORY} saving running savepointing StopWithSavepoint canceling stopped",
    ),
    "delete while a savepoint is made": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, DELETE, SAVING, CANCELED, REMOVED, NOTHING),
        f"{RUNNING_STORY} saving . canceling Remove stopped deleted",
    ),
    "killed while a savepoint is made": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, KILLED, KILLED, REMOVED, NOTHING),
        f"{RUNNING_STORY} saving . clearing Remove failed .",
    ),
    "finished while a savepoint is made": (
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, DRAINED, FINISHED, REMOVED, NOTHING),
        f"{RUNNING_STORY} saving . . clearing finished .",
    ),
    "a savepoint of a job that has just failed": (
        (*TO_RUNNING, TRIGGER, KILLED, KILLED, REMOVED, NOTHING, RUN, NOTHING),
        f"{RUNNING_STORY} clearing Remove failed . preparing",
    ),
    "finish": (
        (*TO_RUNNING, DRAINED, FINISHED, FINISHED, REMOVED, NOTHING),
        f"{RUNNING_STORY} . clearing Remove finished .",
    ),
    "finish before it was seen running": (
        (*TO_STARTING, ABSENT, FINISHED, FINISHED, FINISHED, REMOVED),
        f"{STARTING_STORY} Deploy running clearing Remove finished",
    ),
    "exit 0 alone": ((*TO_RUNNING, EXITED, EXITED, REMOVED), f"{RUNNING_STORY} clearing Remove failed"),
    "fail": (
        (*TO_RUNNING, FAILED, FAILED, KILLED, REMOVED, NOTHING),
        f"{RUNNING_STORY} clearing Remove Remove failed .",
    ),
    "killed": ((*TO_RUNNING, KILLED, KILLED, REMOVED), f"{RUNNING_STORY} clearing Remove failed"),
    "frozen": ((*TO_RUNNING, FROZEN, FROZEN, REMOVED), f"{RUNNING_STORY} clearing Remove failed"),
    "vanished": ((*TO_RUNNING, ABSENT, ABSENT, REMOVED), f"{RUNNING_STORY} clearing Remove failed"),
    "removed by somebody else": ((*TO_RUNNING, REMOVED, REMOVED), f"{RUNNING_STORY} clearing failed"),
    "cancelled by somebody else": (
        (*TO_RUNNING, CANCELED, CANCELED, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "out of sight for a while": (
        (*TO_RUNNING, HIDDEN, HIDDEN, RUNS, STOP, HIDDEN, RUNS),
        f"{RUNNING_STORY} . . . . canceling",
    ),
    "run again after the end": (
        (*TO_RUNNING, KILLED, KILLED, REMOVED, NOTHING, RUN, NOTHING, NOTHING),
        f"{RUNNING_STORY} clearing Remove failed . preparing Prepare",
    ),
    "not prepared": (
        (RUN, NOTHING, NOTHING, NOT_PREPARED, ABSENT, REMOVED),
        "preparing Prepare clearing Remove submit_failed",
    ),
    "submit failed: main() failed": (
        (*TO_STARTING, ABSENT, KILLED, KILLED, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "submit failed: in Flink": (
        (*TO_STARTING, ABSENT, FAILED_EARLY, FAILED_EARLY, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "failed after its tasks had run, unseen": (
        (*TO_STARTING, ABSENT, FAILED, FAILED, FAILED, REMOVED),
        f"{STARTING_STORY} Deploy running clearing Remove failed",
    ),
    "submit failed: a TaskManager ends by itself": (
        (*TO_STARTING, ABSENT, TM_FAILED, TM_FAILED, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "submit failed: frozen": (
        (*TO_STARTING, ABSENT, FROZEN, FROZEN, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "submit failed: too slow": (
        (*TO_STARTING, ABSENT, LATE, LATE, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "late, but it runs": (
        (*TO_STARTING, ABSENT, OVERDUE),
        f"{STARTING_STORY} Deploy running",
    ),
    "the answer of the start was lost": (
        (*TO_STARTING, ABSENT, ABSENT, SILENT),
        f"{STARTING_STORY} Deploy Deploy .",
    ),
    "the grant was lost": (
        (*TO_STARTING, replace(ABSENT, granted=False), NO_GRANT, GRANTED),
        f"{STARTING_STORY} waiting . starting",
    ),
    "delete a draft": ((DELETE, NOTHING, NOTHING), "deleted ."),
    "delete what left something behind": ((DELETE, REMAINS, REMAINS, NOTHING), "Erase Erase deleted"),
    "delete while running": (
        (*TO_RUNNING, DELETE, RUNS, RUNS, CANCELED, REMOVED, REMAINS, NOTHING, NOTHING),
        f"{RUNNING_STORY} canceling Cancel Remove stopped Erase deleted .",
    ),
    "delete while making a savepoint": (
        (*TO_RUNNING, SAVE, RUNS, SAVING, DELETE, SAVING),
        f"{RUNNING_STORY} savepointing . canceling",
    ),
    "delete while waiting": (
        (*TO_WAITING, DELETE, NO_GRANT, ABSENT, REMOVED, REMAINS, NOTHING),
        "preparing Prepare . waiting canceling Remove stopped Erase deleted",
    ),
    "delete while clearing": (
        (*TO_RUNNING, KILLED, DELETE, KILLED, REMOVED, NOTHING),
        f"{RUNNING_STORY} clearing Remove failed deleted",
    ),
    "delete instead of an unseen run": ((RUN, DELETE, NOTHING), "deleted"),
    "stop before the run was taken up": (
        (RUN, STOP, NOTHING, NOTHING, ABSENT, REMOVED, NOTHING),
        "preparing canceling Remove stopped .",
    ),
    "stop while preparing": (
        (RUN, NOTHING, STOP, STAGING, ABSENT, REMOVED),
        "preparing canceling Remove stopped",
    ),
    "stop while waiting": (
        (*TO_WAITING, STOP, NO_GRANT, ABSENT, REMOVED),
        "preparing Prepare . waiting canceling Remove stopped",
    ),
    "stop while starting": (
        (*TO_STARTING, ABSENT, STOP, CREATED, CREATED, CANCELED, REMOVED),
        f"{STARTING_STORY} Deploy canceling Cancel Remove stopped",
    ),
    "stop while starting, before REST answers": (
        (*TO_STARTING, ABSENT, STOP, SILENT, SILENT, REMOVED),
        f"{STARTING_STORY} Deploy canceling Remove stopped",
    ),
    "stop with savepoint before it was seen running": (
        (*TO_STARTING, ABSENT, SAVE, RUNS, RUNS, RUNS),
        f"{STARTING_STORY} Deploy running savepointing StopWithSavepoint",
    ),
    "stop with savepoint before its tasks run": (
        (*TO_STARTING, ABSENT, SAVE, CREATED),
        f"{STARTING_STORY} Deploy canceling",
    ),
    "stop with savepoint while waiting": (
        (*TO_WAITING, SAVE, NO_GRANT),
        "preparing Prepare . waiting canceling",
    ),
    "stop of a job that has just finished": (
        (*TO_RUNNING, STOP, FINISHED, FINISHED, REMOVED, NOTHING, NOTHING),
        f"{RUNNING_STORY} clearing Remove finished . .",
    ),
    "stop of a job that has just failed": (
        (*TO_RUNNING, KILLED, STOP, KILLED, REMOVED, NOTHING, NOTHING),
        f"{RUNNING_STORY} clearing Remove failed . .",
    ),
    "stop twice": (
        (*TO_RUNNING, STOP, RUNS, STOP, RUNS, CANCELED, REMOVED, NOTHING, NOTHING),
        f"{RUNNING_STORY} canceling Cancel Remove stopped . .",
    ),
    "run again while it is being cancelled": (
        (*TO_RUNNING, STOP, RUNS, RUN, CANCELED, REMOVED, NOTHING),
        f"{RUNNING_STORY} canceling Remove stopped preparing",
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_life(name: str) -> None:
    steps, story = PATHS[name]
    assert live(steps)[1] == story


def test_every_phase_is_lived_through() -> None:
    told_of = {word for _, story in PATHS.values() for word in story.split()}
    # Nothing moves to DRAFT; those that restart: tests/unit/test_recovery.py.
    assert {str(phase) for phase in Phase} - told_of == {Phase.DRAFT, Phase.RESTARTING}


def test_phases_are_either_live_or_at_rest_or_deleted() -> None:
    assert ACTIVE | AT_REST | {Phase.DELETED} == frozenset(Phase)
    assert not ACTIVE & AT_REST
    assert {Phase.RESTARTING} == ACTIVE - LIVE
    assert HOLDING < ACTIVE


def test_a_savepoint_is_recorded_and_restored_if_asked() -> None:
    stopped, _ = live((*TO_RUNNING, SAVE, RUNS, SAVED, REMOVED, REMOVED))
    assert stopped.record.phase is Phase.STOPPED
    assert stopped.record.savepoint_path == "obs://b/s1"
    resumed, _ = live((RESUME, NOTHING), stopped.record)
    assert (resumed.record.restore_path, resumed.record.savepoint_path) == ("obs://b/s1", "obs://b/s1")
    clean, _ = live((RUN, NOTHING), stopped.record)
    assert (clean.record.restore_path, clean.record.savepoint_path) == ("", "obs://b/s1")


def test_a_late_savepoint_is_recorded() -> None:
    job, _ = live((*TO_RUNNING, SAVE, RUNS, OVERDUE, SAVED))
    assert job.record.savepoint_path == "obs://b/s1"


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((MADE,), Phase.RUNNING),
        ((SAVING_TOO_LONG, MADE), Phase.SAVING),  # late: taken up again,
        ((SAVING_TOO_LONG, MADE, MADE), Phase.RUNNING),  # and recorded
        ((SAVING_TOO_LONG, MADE_AND_KILLED), Phase.CLEARING),
        ((MADE_AND_KILLED,), Phase.CLEARING),
        ((SAVING_TOO_LONG, STOP, MADE), Phase.CANCELING),
        ((STOP, MADE), Phase.CANCELING),
        ((DELETE, MADE), Phase.CANCELING),
        ((SAVE, MADE, MADE), Phase.SAVEPOINTING),
    ],
)
def test_a_triggered_savepoint_is_recorded_whatever_comes(steps: tuple[Step, ...], phase: Phase) -> None:
    job, _ = live((*TO_RUNNING, TRIGGER, RUNS, *steps), Record(savepoint_path="obs://b/old"))
    assert job.record.phase is phase
    assert job.record.savepoint_path == ("obs://b/old" if phase is Phase.SAVING else "obs://b/s1")


def test_a_failed_savepoint_leaves_the_older_one() -> None:
    job, _ = live((*TO_RUNNING, TRIGGER, RUNS, NOT_SAVED), Record(savepoint_path="obs://b/old"))
    assert (job.record.phase, job.record.savepoint_path) == (Phase.RUNNING, "obs://b/old")


def test_a_stop_without_savepoint_keeps_the_older_one() -> None:
    older = Record(savepoint_path="obs://b/old")
    job, _ = live((*TO_RUNNING, STOP, RUNS, CANCELED, REMOVED), older)
    assert job.record.phase is Phase.STOPPED
    assert job.record.savepoint_path == "obs://b/old"


def test_each_run_is_a_new_attempt() -> None:
    job, _ = live((*TO_RUNNING, KILLED, KILLED, REMOVED, RUN, NOTHING))
    assert (job.record.attempt, job.deployment) == (2, "job-1-2")


@pytest.mark.parametrize(
    ("steps", "note"),
    [
        ((RUN, NOTHING, NOT_PREPARED, ABSENT, REMOVED), "no such object"),
        ((*TO_RUNNING, FAILED, FAILED, REMOVED), "boom"),
        ((*TO_RUNNING, FROZEN, FROZEN, REMOVED), "does not answer"),
        ((*TO_STARTING, ABSENT, LATE), "start patience"),
        ((*TO_STARTING, ABSENT, view(Sight.ABSENT, overdue=True)), "could not be started"),
        ((*TO_STARTING, ABSENT, TM_FAILED), "TaskManager 1 ended (exit code 1)"),
        ((*TO_RUNNING, SAVE, RUNS, NOT_SAVED), "too slow"),
        ((*TO_RUNNING, SAVE, RUNS, OVERDUE), "did not complete in time"),
        ((*TO_RUNNING, TRIGGER, RUNS, NOT_SAVED), "too slow"),
        ((*TO_RUNNING, TRIGGER, RUNS, OVERDUE), "did not complete in time"),
    ],
)
def test_a_failure_tells_its_cause(steps: tuple[Step, ...], note: str) -> None:
    assert note in live(steps)[0].record.told


def test_a_run_and_a_stop_forget_the_old_failure() -> None:
    job, _ = live((*TO_RUNNING, KILLED, KILLED, REMOVED, RUN, NOTHING))
    assert job.record.note == ""


@pytest.mark.parametrize("seen", [NOT_SAVED, SAVING, RUNS])
def test_why_a_savepoint_failed_stays_readable_while_the_job_runs(seen: Observation) -> None:
    job, _ = live((*TO_RUNNING, TRIGGER, RUNS, NOT_SAVED if seen is NOT_SAVED else OVERDUE))
    assert decide(job, seen) == Wait(job.record.note)
    again, _ = live((*TO_RUNNING, TRIGGER, RUNS, NOT_SAVED, TRIGGER, NOT_SAVED))
    assert (again.record.phase, again.record.note) == (Phase.SAVING, "")


@pytest.mark.parametrize(
    ("phase", "seen", "note"),
    [
        (Phase.PREPARING, STAGING, "installing Flink"),
        (Phase.WAITING, NO_GRANT, "waiting for 2 CUs"),
        (Phase.STARTING, HIDDEN, diagnosis.UNREACHABLE),
        (Phase.STARTING, CREATED, ""),
        (Phase.RUNNING, HIDDEN, diagnosis.UNREACHABLE),
        (Phase.RUNNING, RUNS, ""),
        (Phase.SAVING, HIDDEN, diagnosis.UNREACHABLE),
        (Phase.SAVING, SAVING, ""),
        (Phase.SAVEPOINTING, HIDDEN, diagnosis.UNREACHABLE),
        (Phase.SAVEPOINTING, SAVING, ""),
        (Phase.CANCELING, HIDDEN, diagnosis.UNREACHABLE),
        (Phase.CANCELING, CANCELLING, ""),
        (Phase.STOP_FAILED, HIDDEN, None),  # what it says stays, for nothing would write it again
        (Phase.STOP_FAILED, RUNS, None),
        (Phase.CLEARING, HIDDEN, diagnosis.UNREACHABLE),
    ],
)
def test_what_a_person_reads_while_it_waits(phase: Phase, seen: Observation, note: str | None) -> None:
    desired = Desired(Goal.STOP, 2, trigger_savepoint=True) if phase not in (Phase.PREPARING, Phase.WAITING) else None
    if phase in (Phase.PREPARING, Phase.WAITING, Phase.STARTING):
        desired = Desired(Goal.RUN, 2)
    job = Job(1, "p", JobSpec("j"), desired or Desired(), Record(phase, attempt=1, request_seen=2))
    assert decide(job, seen) == Wait(note)


def test_a_restarting_job_says_so() -> None:
    job = Job(1, "p", JobSpec("j"), Desired(Goal.RUN, 1), Record(Phase.RUNNING, 1, 1, ran=True, flink_restarts=3))
    restarting = FlinkJob(FlinkState.RESTARTING, ever_ran=True, restarts=3, failure="boom")
    decision = decide(job, Observation(DeploymentView(Sight.LIVE, restarting)))
    assert isinstance(decision, Wait)
    assert decision.note is not None
    assert decision.note.startswith("Flink is restarting the job (restart 3)")
    assert "boom" in decision.note
