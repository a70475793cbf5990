"""Faults of one job: its processes, its code, and what its user asks for in the midst of them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headrace.faults.effects import Effect
from headrace.faults.plan import Strike
from headrace.faults.requests import Resuming, Saving
from headrace.faults.subject import Subject, frozen, strike
from headrace.runtimes.processes import Identity, Kept

if TYPE_CHECKING:
    from headrace.faults.flink import FlinkWorld

Does = Callable[["FlinkWorld", Strike], Effect]
NOTHING = "there is nothing left to strike"


def _one(subject: Subject, what: Strike, pattern: str) -> dict[str, Kept]:
    """One of the live processes of these roles, by the size of the strike."""
    roles = subject.kept(pattern)
    if not roles:
        return {}
    name = sorted(roles)[what.choice(len(roles))]
    return {name: roles[name]}


def _signalled(subject: Subject, roles: Mapping[str, Kept], number: signal.Signals) -> Effect:
    """Strikes them; settled when they have ended."""
    struck = [kept.identity for kept in roles.values() if kept.identity is not None]
    for identity in struck:
        strike(identity, number)
    return Effect(_told(subject, roles, number.name), settled=lambda: not any(one.lives() for one in struck))


def _told(subject: Subject, roles: Mapping[str, Kept], how: str) -> str:
    pids = ", ".join(f"{name} (pid {kept.identity.pid})" for name, kept in roles.items() if kept.identity)
    return f"{how} of {pids} of {subject.deployment.name}" if pids else NOTHING


def _jobmanager_killed(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    return _signalled(subject, subject.kept("jobmanager"), signal.SIGKILL)


def _jobmanager_frozen(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    return _signalled(subject, subject.kept("jobmanager"), signal.SIGSTOP)


def _jobmanager_hangs(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    roles = subject.kept("jobmanager")
    identities = [kept.identity for kept in roles.values() if kept.identity is not None]
    if not identities:
        return Effect(NOTHING)
    jobmanager = identities[0]
    strike(jobmanager, signal.SIGSTOP)

    def unharmed() -> str:
        return "" if jobmanager.lives() and not frozen(jobmanager) else f"the JobManager, pid {jobmanager.pid}, is gone"

    lasts = round(what.between(2, 4), 1)
    return Effect(
        _told(subject, roles, f"SIGSTOP for {lasts} s"),
        lasts,
        mend=lambda: strike(jobmanager, signal.SIGCONT),
        unharmed=unharmed,
    )


def _taskmanager_killed(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    return _signalled(subject, _one(subject, what, "taskmanager-*"), signal.SIGKILL)


def _taskmanager_frozen(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    return _signalled(subject, _one(subject, what, "taskmanager-*"), signal.SIGSTOP)


def _deployment_killed(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    return _signalled(subject, subject.kept(), signal.SIGKILL)


def _keepers_killed(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    roles = _one(subject, what, "*")
    for kept in roles.values():
        if kept.keeper is not None:
            strike(kept.keeper, signal.SIGKILL)
    effect = _signalled(subject, roles, signal.SIGKILL)
    return Effect(effect.told.replace("SIGKILL of ", "SIGKILL of the keeper and of ", 1), settled=effect.settled)


def _poisoned(order: str) -> Does:
    """The job's code ends its TaskManager."""

    def does(world: FlinkWorld, what: Strike) -> Effect:
        subject = world.subjects[what.target]
        before = _identities(subject)
        file = subject.poison(order)
        told = f"{order} in the code of {subject.deployment.name}"
        return Effect(told, settled=lambda: not file.exists() and not all(one.lives() for one in before))

    return does


def _identities(subject: Subject) -> list[Identity]:
    return [kept.identity for kept in subject.kept("taskmanager-*").values() if kept.identity is not None]


def _code_throws(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    before = subject.recorded
    file = subject.poison("throw")

    def counted() -> bool:
        now = subject.recorded
        return not file.exists() and (now.attempt > before.attempt or now.restarts > before.restarts)

    return Effect(f"an exception in the code of {subject.deployment.name}", settled=counted)


def _savepoint(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    saving = Saving(subject)
    world.ask(saving)
    return Effect(f"a savepoint of {subject.deployment.name}", settled=saving.settled)


def _stop_and_resume(world: FlinkWorld, what: Strike) -> Effect:
    subject = world.subjects[what.target]
    resuming = Resuming(subject)
    world.ask(resuming)
    return Effect(f"stop of {subject.deployment.name} with a savepoint, run from it", settled=resuming.settled)


DOES: Mapping[str, Does] = {
    "jobmanager-killed": _jobmanager_killed,
    "jobmanager-frozen": _jobmanager_frozen,
    "jobmanager-hangs": _jobmanager_hangs,
    "taskmanager-killed": _taskmanager_killed,
    "taskmanager-frozen": _taskmanager_frozen,
    "taskmanager-exits": _poisoned("exit"),
    "taskmanager-out-of-memory": _poisoned("oom"),
    "code-throws": _code_throws,
    "deployment-killed": _deployment_killed,
    "keepers-killed": _keepers_killed,
    "savepoint": _savepoint,
    "stop-and-resume": _stop_and_resume,
}
