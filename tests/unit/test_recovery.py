"""The lives of jobs that something happens to: what is restarted, replaced, or ended and told why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.decisions import Act, EndTaskManagers, ReplaceTaskManagers, Wait
from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.lifecycle import decide
from headrace.domain.observation import (
    FlinkState,
    LostTaskManager,
    Observation,
    Preparation,
    PreparationState,
    SavepointState,
    SavepointView,
    Sight,
    StateView,
)
from tests.support.promises import promise
from tests.unit.lives import (
    ABSENT,
    CANCELED,
    CREATED,
    DELETE,
    EXITED,
    FAILED,
    FAILED_EARLY,
    FINISHED,
    FROZEN,
    GRANTED,
    KILLED,
    MADE,
    MADE_AND_KILLED,
    NO_GRANT,
    NOTHING,
    READY,
    REMAINS,
    REMOVED,
    RESUME,
    RUN,
    RUNNING_STORY,
    RUNS,
    SAVE,
    SAVED,
    SAVING,
    STARTING_STORY,
    STOP,
    TM_FAILED,
    TO_RUNNING,
    TO_STARTING,
    TRIGGER,
    Step,
    live,
    view,
)

THRICE = JobSpec("j", restart_when_exception=True, resume_checkpoint=True, resume_max_num=3)
EVER = replace(THRICE, resume_max_num=-1)
NEVER = JobSpec("j", resume_checkpoint=True)
CLEAN = replace(THRICE, resume_checkpoint=False)

NEWEST = StateView("obs://b/chk-9", 9)
LOST = StateView(problem="Flink had completed checkpoint 9, but it is gone or damaged")
TOO_SOON = Observation()
DUE = Observation(due=True, state=NEWEST)
DUE_AND_LOST = Observation(due=True, state=LOST)
DUE_AND_CLEAN = Observation(due=True)


def restored(seen: Observation, path: str, *, own: bool = False) -> Observation:
    """As seen, but from this state."""
    assert seen.deployment.flink is not None
    flink = replace(seen.deployment.flink, restored=path, own=own)
    return replace(seen, deployment=replace(seen.deployment, flink=flink))


def with_restarts(seen: Observation, times: int, own_strategy: str = "") -> Observation:
    """As seen, after so many restarts in place."""
    assert seen.deployment.flink is not None
    flink = replace(seen.deployment.flink, restarts=times, failure="boom", own_strategy=own_strategy)
    return replace(seen, deployment=replace(seen.deployment, flink=flink))


def with_taskmanagers(
    seen: Observation, lost: int = 0, replaced: int = 0, silent: tuple[int, ...] = (), code: int = -9
) -> Observation:
    """As seen, with TaskManagers that ended, were replaced, are silent."""
    gone = tuple(LostTaskManager(number, code) for number in range(1, lost + 1))
    changed = replace(seen.deployment, lost_taskmanagers=gone, replaced=replaced, silent_taskmanagers=silent)
    return replace(seen, deployment=changed)


RESTORED = restored(RUNS, NEWEST.path)
REBOOTED = replace(KILLED, deployment=replace(KILLED.deployment, exit_code=None, rebooted=True))
ENDED_ITSELF = view(Sight.DEAD, exit_code=239)
TERMINATED = view(Sight.DEAD, exit_code=143)
MISSING_CLASS = view(
    Sight.DEAD, FlinkState.FAILED, ran=True, exit_code=163, failure="java.lang.NoClassDefFoundError: com/acme/Gone"
)
DONE_BUT_UNSEEN = replace(FINISHED, deployment=replace(FINISHED.deployment, exit_code=None))
DONE_AND_FROZEN = view(Sight.UNRESPONSIVE, FlinkState.FINISHED, ran=True)
HEALING = Observation(preparation=Preparation(PreparationState.FAILED, "No space left on device", heals=True))
PASSING = Observation(preparation=Preparation(PreparationState.FAILED, "The storage is down", heals=True, passes=True))
REMOVED_WITH = replace(REMOVED, state=NEWEST)
REMOVED_WITHOUT = replace(REMOVED, state=LOST)
SAVED_BUT_NOT_STOPPED = view(
    Sight.LIVE, FlinkState.RUNNING, ran=True, savepoint=SavepointView(SavepointState.DONE, "obs://b/s1")
)

KILL: tuple[Step, ...] = (KILLED, KILLED, REMOVED)
KILL_STORY = "clearing Remove restarting"
AGAIN: tuple[Step, ...] = (DUE, NOTHING, READY, GRANTED, ABSENT, RESTORED)
AGAIN_STORY = "preparing Prepare waiting starting Deploy running"

PATHS: dict[str, tuple[JobSpec, tuple[Step, ...], str]] = {
    # -- a new deployment
    "killed": (THRICE, (*TO_RUNNING, *KILL, TOO_SOON, *AGAIN), f"{RUNNING_STORY} {KILL_STORY} . {AGAIN_STORY}"),
    "frozen": (THRICE, (*TO_RUNNING, FROZEN, FROZEN, REMOVED), f"{RUNNING_STORY} {KILL_STORY}"),
    "frozen when it was done": (
        THRICE,
        (*TO_RUNNING, DONE_AND_FROZEN, FROZEN, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "vanished": (THRICE, (*TO_RUNNING, ABSENT, ABSENT, REMOVED), f"{RUNNING_STORY} {KILL_STORY}"),
    "removed by somebody else": (THRICE, (*TO_RUNNING, REMOVED, REMOVED), f"{RUNNING_STORY} clearing restarting"),
    "the machine was started anew": (
        THRICE,
        (*TO_RUNNING, REBOOTED, REBOOTED, REMOVED),
        f"{RUNNING_STORY} {KILL_STORY}",
    ),
    "failed": (THRICE, (*TO_RUNNING, FAILED, FAILED, REMOVED), f"{RUNNING_STORY} {KILL_STORY}"),
    "ended by itself": (THRICE, (*TO_RUNNING, ENDED_ITSELF, KILLED, REMOVED), f"{RUNNING_STORY} {KILL_STORY}"),
    "killed again before it runs": (
        THRICE,
        (*TO_RUNNING, *KILL, DUE, NOTHING, READY, GRANTED, ABSENT, *KILL, *AGAIN),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare waiting starting Deploy {KILL_STORY} {AGAIN_STORY}",
    ),
    "a restart fails by itself before it runs": (
        THRICE,
        (*TO_RUNNING, *KILL, *AGAIN[:-1], FAILED_EARLY, KILLED, REMOVED, *AGAIN),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare waiting starting Deploy {KILL_STORY} {AGAIN_STORY}",
    ),
    "killed at its first start": (
        THRICE,
        (*TO_STARTING, ABSENT, *KILL, DUE_AND_CLEAN, NOTHING, READY, GRANTED, ABSENT, RUNS),
        f"{STARTING_STORY} Deploy {KILL_STORY} {AGAIN_STORY}",
    ),
    "asked to end from outside at its first start": (
        THRICE,
        (*TO_STARTING, ABSENT, TERMINATED, KILLED, REMOVED),
        f"{STARTING_STORY} Deploy {KILL_STORY}",
    ),
    "the grant was lost meanwhile": (
        THRICE,
        (*TO_RUNNING, *KILL, DUE, NOTHING, READY, NO_GRANT, GRANTED),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare waiting . starting",
    ),
    "the disk is full while its files are staged again": (
        THRICE,
        (*TO_RUNNING, *KILL, DUE, NOTHING, HEALING, HEALING, READY),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare Prepare Prepare waiting",
    ),
    "a savepoint is asked for while it restarts": (
        THRICE,
        (*TO_RUNNING, *KILL, TRIGGER, *AGAIN, RESTORED, RESTORED),
        f"{RUNNING_STORY} {KILL_STORY} {AGAIN_STORY} saving TriggerSavepoint",
    ),
    "killed while a savepoint is made": (
        THRICE,
        (*TO_RUNNING, TRIGGER, RUNS, SAVING, *KILL, *AGAIN, RESTORED),
        f"{RUNNING_STORY} saving . {KILL_STORY} {AGAIN_STORY} .",
    ),
    "without limit": (
        EVER,
        (*TO_RUNNING, *(KILL + AGAIN) * 5),
        " ".join([RUNNING_STORY, *[f"{KILL_STORY} {AGAIN_STORY}"] * 5]),
    ),
    # -- no new deployment
    "off": (NEVER, (*TO_RUNNING, KILLED, KILLED, REMOVED), f"{RUNNING_STORY} clearing Remove failed"),
    "on, but none allowed": (
        replace(THRICE, resume_max_num=0),
        (*TO_RUNNING, KILLED, KILLED, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "over the cap": (
        THRICE,
        (*TO_RUNNING, *(KILL + AGAIN) * 3, KILLED, KILLED, REMOVED),
        " ".join([RUNNING_STORY, *[f"{KILL_STORY} {AGAIN_STORY}"] * 3, "clearing Remove failed"]),
    ),
    "submit failed": (
        THRICE,
        (*TO_STARTING, ABSENT, FAILED_EARLY, KILLED, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "its files cannot be staged at the first start": (
        THRICE,
        (RUN, NOTHING, NOTHING, HEALING, REMOVED),
        "preparing Prepare clearing submit_failed",
    ),
    "the object storage is down at the first start": (
        THRICE,
        (RUN, NOTHING, NOTHING, PASSING, PASSING, READY),
        "preparing Prepare Prepare Prepare waiting",
    ),
    "a class is missing": (
        THRICE,
        (*TO_RUNNING, MISSING_CLASS, KILLED, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "cancelled by somebody else": (
        THRICE,
        (*TO_RUNNING, CANCELED, CANCELED, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "finished, but nobody saw its exit": (
        THRICE,
        (*TO_RUNNING, DONE_BUT_UNSEEN, DONE_BUT_UNSEEN, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "exit 0 in main()": (THRICE, (*TO_RUNNING, EXITED, EXITED, REMOVED), f"{RUNNING_STORY} clearing Remove restarting"),
    "finished": (THRICE, (*TO_RUNNING, FINISHED, FINISHED, REMOVED), f"{RUNNING_STORY} clearing Remove finished"),
    "its state is lost": (
        THRICE,
        (*TO_RUNNING, *KILL, DUE_AND_LOST, NOTHING),
        f"{RUNNING_STORY} {KILL_STORY} failed .",
    ),
    "its state is lost, and it does not want it": (
        CLEAN,
        (*TO_RUNNING, *KILL, DUE_AND_LOST),
        f"{RUNNING_STORY} {KILL_STORY} preparing",
    ),
    "another state than intended": (
        THRICE,
        (*TO_RUNNING, *KILL, *AGAIN[:-1], RUNS, RUNS, REMOVED),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare waiting starting Deploy clearing Remove failed",
    ),
    "a state though it was to start clean": (
        THRICE,
        (*TO_STARTING, ABSENT, RESTORED, RESTORED, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "its own checkpoint, after a restart in place that nobody saw": (
        THRICE,
        (*TO_STARTING, ABSENT, with_restarts(restored(RUNS, "obs://b/chk-2", own=True), 1)),
        f"{STARTING_STORY} Deploy running",
    ),
    "what it was restored from is not known yet": (
        THRICE,
        (*TO_STARTING, ABSENT, replace(RUNS, deployment=replace(RUNS.deployment, flink=None)), RUNS),
        f"{STARTING_STORY} Deploy . running",
    ),
    # -- stops
    "stop while it is cleared away": (
        THRICE,
        (*TO_RUNNING, KILLED, STOP, KILLED, REMOVED, REMOVED, NOTHING),
        f"{RUNNING_STORY} clearing Remove canceling stopped .",
    ),
    "stop while it waits for its turn": (
        THRICE,
        (*TO_RUNNING, *KILL, STOP, TOO_SOON, REMOVED, NOTHING),
        f"{RUNNING_STORY} {KILL_STORY} canceling stopped .",
    ),
    "delete while it waits for its turn": (
        THRICE,
        (*TO_RUNNING, *KILL, DELETE, TOO_SOON, REMOVED, REMAINS, NOTHING),
        f"{RUNNING_STORY} {KILL_STORY} canceling stopped Erase deleted",
    ),
    "delete while it is cleared away": (
        THRICE,
        (*TO_RUNNING, KILLED, DELETE, KILLED, REMOVED, REMOVED, NOTHING),
        f"{RUNNING_STORY} clearing Remove canceling stopped deleted",
    ),
    "stop while its files are staged again": (
        THRICE,
        (*TO_RUNNING, *KILL, DUE, STOP, NOTHING, ABSENT, REMOVED),
        f"{RUNNING_STORY} {KILL_STORY} preparing canceling Remove stopped",
    ),
    "it fails as it is stopped": (
        THRICE,
        (*TO_RUNNING, STOP, KILLED, KILLED, REMOVED, NOTHING),
        f"{RUNNING_STORY} clearing Remove failed .",
    ),
    "run again after a stop while it waited": (
        THRICE,
        (*TO_RUNNING, *KILL, STOP, TOO_SOON, REMOVED, RUN, NOTHING, NOTHING),
        f"{RUNNING_STORY} {KILL_STORY} canceling stopped preparing Prepare",
    ),
    "it fails while its savepoint is made": (
        THRICE,
        (*TO_RUNNING, SAVE, RUNS, SAVING, KILLED, KILLED, REMOVED_WITH, NOTHING),
        f"{RUNNING_STORY} savepointing . clearing Remove failed .",
    ),
    "it finishes while its savepoint is made": (
        THRICE,
        (*TO_RUNNING, SAVE, RUNS, SAVING, FINISHED, FINISHED, REMOVED, NOTHING),
        f"{RUNNING_STORY} savepointing . clearing Remove finished .",
    ),
    "the savepoint is there, though the stop failed": (
        THRICE,
        (*TO_RUNNING, SAVE, RUNS, SAVED_BUT_NOT_STOPPED, RUNS, REMOVED),
        f"{RUNNING_STORY} savepointing canceling Cancel stopped",
    ),
    # -- restarts in place
    "restarted in place": (
        THRICE,
        (*TO_RUNNING, with_restarts(RUNS, 1), with_restarts(RUNS, 1), with_restarts(RUNS, 3)),
        f"{RUNNING_STORY} running . running",
    ),
    "over the cap in place": (
        THRICE,
        (*TO_RUNNING, with_restarts(RUNS, 3), with_restarts(RUNS, 4), RUNS, REMOVED),
        f"{RUNNING_STORY} running clearing Remove failed",
    ),
    "one budget": (
        THRICE,
        (*TO_RUNNING, *KILL, *AGAIN, with_restarts(RESTORED, 2), *KILL[:2], REMOVED),
        f"{RUNNING_STORY} {KILL_STORY} {AGAIN_STORY} running clearing Remove failed",
    ),
    "its own strategy, though restarts are off": (
        NEVER,
        (*TO_RUNNING, with_restarts(RUNS, 1, "fixed delay"), RUNS, REMOVED),
        f"{RUNNING_STORY} clearing Remove failed",
    ),
    "its own strategy while it still starts": (
        THRICE,
        (*TO_STARTING, ABSENT, with_restarts(CREATED, 2, "fixed delay"), with_restarts(CREATED, 4), RUNS, REMOVED),
        f"{STARTING_STORY} Deploy starting clearing Remove submit_failed",
    ),
    "restarted in place while a savepoint is made": (
        THRICE,
        (*TO_RUNNING, TRIGGER, RUNS, with_restarts(SAVING, 1), with_restarts(SAVING, 1), with_restarts(MADE, 1)),
        f"{RUNNING_STORY} saving saving . running",
    ),
    "restarted in place while it is stopped with a savepoint": (
        THRICE,
        (*TO_RUNNING, SAVE, RUNS, with_restarts(SAVING, 1), with_restarts(SAVING, 1), with_restarts(SAVED, 1)),
        f"{RUNNING_STORY} savepointing savepointing . canceling",
    ),
    # -- TaskManagers
    "a TaskManager is lost": (
        NEVER,
        (*TO_RUNNING, with_taskmanagers(RUNS, 1), with_taskmanagers(RUNS, 1), with_taskmanagers(RUNS, 1, 1)),
        f"{RUNNING_STORY} running ReplaceTaskManagers .",
    ),
    "the next one too": (
        NEVER,
        (*TO_RUNNING, with_taskmanagers(RUNS, 1), with_taskmanagers(RUNS, 2), with_taskmanagers(RUNS, 2, 1), RUNS),
        f"{RUNNING_STORY} running running ReplaceTaskManagers ReplaceTaskManagers",
    ),
    "a TaskManager is silent": (
        NEVER,
        (
            *TO_RUNNING,
            with_taskmanagers(RUNS, silent=(1,)),
            with_taskmanagers(RUNS, 1),
            with_taskmanagers(RUNS, 1),
            with_taskmanagers(RUNS, 1, 1),
        ),
        f"{RUNNING_STORY} EndTaskManagers running ReplaceTaskManagers .",
    ),
    "a TaskManager is killed while the job starts": (
        NEVER,
        (
            *TO_STARTING,
            ABSENT,
            with_taskmanagers(CREATED, 1),
            with_taskmanagers(CREATED, 1),
            with_taskmanagers(RUNS, 1, 1),
        ),
        f"{STARTING_STORY} Deploy starting ReplaceTaskManagers running",
    ),
    "a TaskManager ends by itself while the job starts": (
        THRICE,
        (*TO_STARTING, ABSENT, TM_FAILED, TM_FAILED, REMOVED),
        f"{STARTING_STORY} Deploy clearing Remove submit_failed",
    ),
    "a TaskManager ends by itself while the job starts again": (
        THRICE,
        (*TO_RUNNING, *KILL, *AGAIN[:-1], TM_FAILED, TM_FAILED, REMOVED),
        f"{RUNNING_STORY} {KILL_STORY} preparing Prepare waiting starting Deploy {KILL_STORY}",
    ),
    "both at once": (
        THRICE,
        (*TO_RUNNING, with_taskmanagers(RUNS, 1), with_taskmanagers(KILLED, 1), KILLED, REMOVED, *AGAIN, RESTORED),
        f"{RUNNING_STORY} running {KILL_STORY} {AGAIN_STORY} .",
    ),
    "a TaskManager is lost while it is stopped": (
        NEVER,
        (*TO_RUNNING, STOP, with_taskmanagers(RUNS, 1), with_taskmanagers(RUNS, 1)),
        f"{RUNNING_STORY} canceling Cancel",
    ),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_life(name: str) -> None:
    spec, steps, story = PATHS[name]
    assert live(steps, spec=spec)[1] == story


# -- what is recorded -------------------------------------------------------------------------------------------------


@promise("A new deployment follows a failure, counted, from the newest state, on the same run and the same CUs.")
def test_what_is_recorded_of_a_restart() -> None:
    job, _ = live((*TO_RUNNING, *KILL), spec=THRICE)
    assert (job.record.phase, job.record.attempt, job.record.retry_ms) == (Phase.RESTARTING, 1, 5_000)
    assert job.record.failure.endswith("Restart 1 of 3 within an hour.")
    assert job.record.note == "The next try is at 2023-11-14 22:13:25 UTC."
    assert "SIGKILL" in job.record.told
    assert "next try" in job.record.told
    job, _ = live((*TO_RUNNING, *KILL, DUE), spec=THRICE)
    assert (job.record.attempt, job.record.first_attempt, job.record.restarts) == (2, 1, 1)
    assert (job.record.restore_path, job.record.note) == (NEWEST.path, "")
    assert job.record.failure  # it is told until it runs
    job, _ = live((*TO_RUNNING, *KILL, *AGAIN), spec=THRICE)
    assert (job.record.failure, job.record.told, job.record.restarts) == ("", "", 1)


@promise("resume_checkpoint = false: each restart is a clean start.")
def test_without_resume_checkpoint_it_starts_clean() -> None:
    job, _ = live(
        (RESUME, *TO_RUNNING[1:-1], restored(RUNS, "obs://b/s1"), *KILL, DUE),
        Record(savepoint_path="obs://b/s1"),
        CLEAN,
    )
    assert (job.record.attempt, job.record.restore_path, job.record.savepoint_path) == (2, "", "obs://b/s1")


@pytest.mark.parametrize("spec", [THRICE, EVER])
@promise("Flink's restarts in place and new deployments are one budget.")
def test_restarts_in_place_are_counted_with_the_new_deployments(spec: JobSpec) -> None:
    job, _ = live((*TO_RUNNING, with_restarts(RUNS, 2)), spec=spec)
    assert (job.record.restarts, job.record.flink_restarts) == (2, 2)
    assert "Flink restarted the job in place: restart 2" in job.record.note
    job, _ = live((*TO_RUNNING, with_restarts(RUNS, 2), *KILL, DUE), spec=spec)
    assert (job.record.restarts, job.record.flink_restarts) == (3, 0)
    last = with_restarts(view(Sight.DEAD, FlinkState.FAILED, ran=True, exit_code=163, failure="boom"), 1)
    job, _ = live((*TO_RUNNING, last), spec=spec)  # seen only when it had failed for good
    assert (job.record.restarts, job.record.flink_restarts) == (2, 1)


@pytest.mark.parametrize(
    ("spec", "steps", "told"),
    [
        (NEVER, (*TO_RUNNING, with_restarts(RUNS, 1, "fixed delay")), "job's own code (fixed delay)"),
        (THRICE, (*TO_RUNNING, with_restarts(RUNS, 1, "fixed delay")), "own code (fixed delay): restart 1 of 3"),
        (THRICE, (*TO_RUNNING, with_restarts(RUNS, 4)), "all that resume_max_num allows"),
        (THRICE, (*TO_RUNNING, *(KILL + AGAIN) * 3, KILLED), "3 of 3 within an hour is all that resume_max_num allows"),
        (THRICE, (*TO_RUNNING, *KILL, DUE_AND_LOST), "completed checkpoint 9, but it is gone"),
        (
            THRICE,
            (*TO_RUNNING, *KILL, *AGAIN[:-1], RUNS),
            "was to start from obs://b/chk-9, but Flink started it without",
        ),
        (THRICE, (*TO_STARTING, ABSENT, RESTORED), "was to start clean, but Flink started it from obs://b/chk-9"),
        (NEVER, (*TO_RUNNING, KILLED, REMOVED_WITH), "Its newest state is obs://b/chk-9"),
        (NEVER, (*TO_RUNNING, with_taskmanagers(RUNS, 1)), "TaskManager 1 ended (killed by SIGKILL); another one"),
        (THRICE, (*TO_RUNNING, *KILL, SAVE, TOO_SOON, REMOVED_WITHOUT), "its newest state is lost"),
    ],
)
def test_it_is_told(spec: JobSpec, steps: tuple[Step, ...], told: str) -> None:
    assert told in live(steps, spec=spec)[0].record.told


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ((*TO_RUNNING, *KILL, SAVE, TOO_SOON, REMOVED_WITH), Phase.STOPPED),
        ((*TO_RUNNING, KILLED, SAVE, KILLED, REMOVED, REMOVED_WITH), Phase.STOPPED),
        ((*TO_RUNNING, SAVE, RUNS, KILLED, KILLED, REMOVED_WITH), Phase.FAILED),
    ],
)
@promise("A stop with savepoint of a job that does not run: its newest state stands for the savepoint.")
def test_its_newest_state_stands_for_the_savepoint(steps: tuple[Step, ...], phase: Phase) -> None:
    job, _ = live(steps, Record(savepoint_path="obs://b/old"), THRICE)
    assert (job.record.phase, job.record.savepoint_path) == (phase, NEWEST.path)
    assert f"its newest state, {NEWEST.path}, stands for it" in job.record.note
    assert not job.request_pending


@pytest.mark.parametrize("seen", [REMOVED, REMOVED_WITHOUT, REMOVED_WITH])
def test_a_stop_without_savepoint_takes_none(seen: Observation) -> None:
    job, _ = live((*TO_RUNNING, *KILL, STOP, TOO_SOON, seen), Record(savepoint_path="obs://b/old"), THRICE)
    assert (job.record.phase, job.record.savepoint_path, job.record.note) == (Phase.STOPPED, "obs://b/old", "")


def test_a_savepoint_that_came_while_it_was_removed_is_kept() -> None:
    late = replace(REMOVED_WITH, deployment=replace(REMOVED.deployment, savepoint=MADE.deployment.savepoint))
    job, _ = live((*TO_RUNNING, SAVE, RUNS, SAVING, STOP, SAVING, late), Record(savepoint_path="obs://b/old"), THRICE)
    assert (job.record.phase, job.record.savepoint_path, job.record.note) == (Phase.STOPPED, "obs://b/s1", "")


@promise("A savepoint that succeeded although the stop failed is used; what the job did afterwards is not done twice.")
def test_the_job_went_on_after_its_savepoint() -> None:
    savepoint = SAVED_BUT_NOT_STOPPED.deployment.savepoint
    steps = (*TO_RUNNING, SAVE, RUNS, SAVED_BUT_NOT_STOPPED)
    gone = replace(REMOVED, deployment=replace(REMOVED.deployment, savepoint=savepoint))
    job, _ = live((*steps, replace(gone, state=StateView(savepoint.path, 8))), spec=THRICE)
    assert (job.record.phase, job.record.savepoint_path, job.record.note) == (Phase.STOPPED, savepoint.path, "")
    job, _ = live((*steps, replace(gone, state=NEWEST)), spec=THRICE)
    assert (job.record.phase, job.record.savepoint_path) == (Phase.STOPPED, NEWEST.path)
    assert "the job did not stop with it" in job.record.note
    job, _ = live((*steps, replace(gone, state=LOST)), spec=THRICE)
    assert (job.record.phase, job.record.savepoint_path) == (Phase.STOPPED, savepoint.path)


def test_a_triggered_savepoint_of_a_job_that_dies_is_recorded() -> None:
    job, _ = live((*TO_RUNNING, TRIGGER, RUNS, MADE_AND_KILLED), spec=THRICE)
    assert (job.record.outcome, job.record.savepoint_path) == (Phase.RESTARTING, "obs://b/s1")


def test_an_act_names_its_taskmanagers() -> None:
    job = Job(1, "p", NEVER, Desired(Goal.RUN, 1), Record(Phase.RUNNING, 1, 1, ran=True, replacements=2))
    assert decide(job, with_taskmanagers(RUNS, silent=(3, 4))) == Act(EndTaskManagers((3, 4)))
    assert decide(job, with_taskmanagers(RUNS, 2, 1)) == Act(ReplaceTaskManagers(2))
    assert decide(job, with_taskmanagers(RUNS, 1, 2)) == Wait("")  # one more is known than is due


def test_nobody_waits_for_ever_for_files_that_were_refused() -> None:
    gone = Observation(preparation=Preparation(PreparationState.FAILED, "no such object"))
    job, story = live((*TO_RUNNING, *KILL, DUE, gone, REMOVED), spec=THRICE)
    assert story.endswith("preparing clearing failed")
    assert "no such object" in job.record.note
