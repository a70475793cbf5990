"""What ``status_desc`` says of restarts: how many, why, and when the next try is; and the lines of the journal."""

from __future__ import annotations

import signal
from dataclasses import fields
from datetime import UTC, datetime

from headrace.domain.job import Desired, Goal, JobSpec, Phase, Record
from headrace.domain.observation import LostTaskManager, StateView, Turn
from headrace.domain.restart import Budget


def restart(cause: str, spent: Budget) -> str:
    """Why a new deployment follows; ``spent`` counts it already."""
    return f"{_sentence(cause)} Restart {spent.told}."


def next_try(turn: Turn) -> str:
    """When the next deployment is begun."""
    at = datetime.fromtimestamp(turn.wall_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"The next try is at {at} UTC."


def cap_reached(cause: str, budget: Budget) -> str:
    """Why no new deployment follows, though restarts are on."""
    return (
        f"{_sentence(cause)} It was not restarted any more: {budget.told} is all that resume_max_num allows. Mend the "
        "cause, then run the job again; or raise resume_max_num."
    )


def in_place(failure: str, spent: Budget, own_strategy: str) -> str:
    """Flink restarts the job by itself; the line of the journal."""
    why = f"{_sentence(failure)} " if failure else ""
    whose = f" by the strategy of its own code ({own_strategy})" if own_strategy else ""
    return f"{why}Flink restarted the job in place{whose}: restart {spent.told}."


def in_place_though_off(failure: str, own_strategy: str) -> str:
    """The first failure ends a job whose restarts are off, whatever its code says."""
    why = f"{_sentence(failure)} " if failure else ""
    whose = f"The restart strategy of the job's own code ({own_strategy})" if own_strategy else "Flink"
    return (
        f"{why}{whose} restarted the job in place, but restart_when_exception is off: the job was ended. Switch "
        "restart_when_exception on, or mend the cause."
    )


def replaced(lost: LostTaskManager) -> str:
    """A TaskManager is replaced."""
    if lost.silent:
        ended = "was silent past its deadline and was ended"
    elif lost.oom_killed:
        ended = "was killed by the kernel, which was short of memory"
    else:
        ended = f"ended ({exit_text(lost.exit_code)})"
    return f"TaskManager {lost.number} {ended}; another one is started in its place."


def exit_text(code: int | None) -> str:
    """How a process ended: its exit code, or the signal that killed it."""
    if code is None:
        return "exit code not known"
    if code < 0:
        named = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
        return f"killed by {named}"
    return f"exit code {code}"


def not_restorable(cause: str, state: StateView) -> str:
    """The job's state is not where it was: it is not restarted, as stateful never silently becomes stateless."""
    return (
        f"{_sentence(cause)} It was not restarted: {state.problem}. Restore what is missing and import it "
        "(import-savepoint), or run the job without resume_savepoint for a clean start."
    )


def restored_wrongly(intended: str, restored: str) -> str:
    """Flink started from something else than it was told to."""
    wanted = f"from {intended}" if intended else "clean"
    found = f"from {restored}" if restored else "without any state"
    return (
        f"The job was to start {wanted}, but Flink started it {found}, so it was ended. If its code sets "
        "execution.savepoint.path or a state of its own, take that out."
    )


def newest_state(state: StateView) -> str:
    """Where a failed job could go on."""
    return f"Its newest state is {state.path} (import-savepoint, then run with resume_savepoint)." if state.path else ""


def stopped_with(state: StateView) -> str:
    """A stop with savepoint of a job that was not running: what is used in place of one."""
    return (
        f"No savepoint could be made, as the job was not running: its newest state, {state.path}, stands for it and is "
        "what resume_savepoint goes on from."
    )


def moved(before: Record, after: Record) -> str:
    """The journal's line of a move: what is new in ``status_desc``, and what that does not say."""
    failure = after.failure if after.failure != before.failure else ""
    return " ".join(part for part in (failure, after.note, *_besides(before, after)) if part)


def asked(desired: Desired, who: str) -> str:
    """The journal's line of a request."""
    details = {
        Goal.RUN: "from the latest savepoint" if desired.resume_savepoint else "from a clean start",
        Goal.STOP: "with a savepoint" if desired.trigger_savepoint else "without a savepoint",
    }
    what = " ".join(part for part in (str(desired.goal), details.get(desired.goal, "")) if part)
    return f"{who} asked: {what}." if who else f"Asked: {what}."


def changed(before: JobSpec, after: JobSpec, who: str) -> str:
    """The journal's line of an update; "" if it changed nothing. Values are not told: they may be long, or secret."""
    names = [field.name for field in fields(JobSpec) if getattr(before, field.name) != getattr(after, field.name)]
    return f"{who or 'Somebody'} changed {', '.join(names)}." if names else ""


def imported(path: str, who: str) -> str:
    """The journal's line of an import."""
    return f"{who or 'Somebody'} imported {path}: what resume_savepoint goes on from."


def _besides(before: Record, after: Record) -> tuple[str, ...]:
    """RUNNING is recorded only after Flink's own record of what it restored was compared with ``restore_path``."""
    told = ""
    if after.attempt > before.attempt:
        told = f"Attempt {after.attempt} goes on from {after.restore_path}." if after.restore_path else ""
        told = told or f"Attempt {after.attempt} begins without state."
    elif before.phase is Phase.STARTING and after.phase is Phase.RUNNING:
        told = f"restored from {after.restore_path}" if after.restore_path else "without state of before"
        told = f"All its tasks run, {told} (compared with Flink's own record)."
    saved = after.savepoint_path != before.savepoint_path and after.savepoint_path not in after.note
    return told, f"The savepoint is {after.savepoint_path}." if saved else ""


def went_on(state: StateView) -> str:
    """A stop with savepoint made the savepoint, but Flink did not stop the job with it."""
    return (
        "The savepoint was made, but the job did not stop with it and had to be cancelled: resume_savepoint goes on "
        f"from its newest state, {state.path}."
    )


def not_saved_at_all(state: StateView, older: str) -> str:
    """A stop with savepoint of a job that was not running, and whose newest state is lost."""
    left = f"resume_savepoint goes on from an older one, {older}" if older else "there is none to resume from"
    return (
        "No savepoint could be made, as the job was not running, and its newest state is lost: "
        f"{state.problem}; {left}."
    )


def _sentence(text: str) -> str:
    text = text.rstrip()
    return text if not text or text[-1] in ".!?" else f"{text}."
