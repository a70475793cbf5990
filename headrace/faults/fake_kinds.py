"""What each kind of fault is to the runtime in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headrace.domain.job import AT_REST, Goal, Phase
from headrace.faults.effects import Effect
from headrace.faults.plan import Strike

if TYPE_CHECKING:
    from headrace.faults.fake import FakeWorld

Does = Callable[["FakeWorld", Strike], Effect]
HOURS_MS = 2 * 3_600_000
MOST_STEPS = 30
SAVING_STEPS = (
    "before TriggerSavepoint",
    "after TriggerSavepoint",
    "before StopWithSavepoint",
    "after StopWithSavepoint",
)


def _ordered(order: str, *more: int | None) -> Does:
    """An order of FakeRuntime, on the deployment of the job."""

    def does(world: FakeWorld, what: Strike) -> Effect:
        name = world.name(what.target)
        getattr(world.runtime, order)(name, *more)
        return Effect(f"{order} {name}")

    return does


def _frozen(world: FakeWorld, what: Strike) -> Effect:
    name = world.name(what.target)
    world.runtime.freeze(name)
    world.frozen.add(name)
    return Effect(f"freeze {name}", settled=lambda: name not in world.runtime.live())


def _hangs(world: FakeWorld, what: Strike) -> Effect:
    name, lasts = world.name(what.target), what.between(1, 20)
    world.runtime.hide(name)
    world.frozen.add(name)

    def mend() -> None:
        world.runtime.hide(name, hidden=False)
        world.frozen.discard(name)

    def unharmed() -> str:
        return "" if world.name(what.target) == name else f"{name} was replaced by {world.name(what.target)}"

    return Effect(f"hide {name}", lasts, mend, unharmed=unharmed)


def _taskmanager_lost(exit_code: int) -> Does:
    def does(world: FakeWorld, what: Strike) -> Effect:
        name = world.name(what.target)
        world.runtime.lose_taskmanager(name, exit_code)
        world.runtime.restart_in_place(name)
        return Effect(f"a TaskManager of {name} ends with {exit_code}")

    return does


class _Request:
    """A savepoint, or a stop with one and a run from it: asked until it could be."""

    def __init__(self, world: FakeWorld, target: int, goal: Goal) -> None:
        self._world = world
        self._target = target
        self._goal = goal
        self._asked = False
        self._run = False

    def ask(self) -> bool:
        before = self._requests()
        self._asked = self._asked or self._world.ask(self._target, self._goal) or self._requests() > before
        return self._asked

    def settled(self) -> bool:
        if self._run:
            return True
        if not self.ask():
            return False
        recorded = self._world.book.job(self._world.ids[self._target])
        if recorded.pending or recorded.phase is Phase.SAVING:
            return False
        if self._goal is Goal.SAVEPOINT:
            return True
        if recorded.phase is Phase.STOP_FAILED:
            self._asked = False
        if recorded.phase in AT_REST:
            before = self._requests()
            resumed = self._world.ask(self._target, Goal.RUN, resume=bool(recorded.savepoint_path))
            self._run = resumed or self._requests() > before
        return self._run

    def _requests(self) -> int:
        return self._world.book.job(self._world.ids[self._target]).requests


def _asks(goal: Goal) -> Does:
    def does(world: FakeWorld, what: Strike) -> Effect:
        request = _Request(world, what.target, goal)
        request.ask()
        return Effect(f"{goal} of {world.name(what.target)}", settled=request.settled)

    return does


def _headrace_ended(world: FakeWorld, what: Strike) -> Effect:
    world.stop()
    return Effect("Headrace ends", what.between(0, 5), world.start)


def _headrace_frozen(world: FakeWorld, what: Strike) -> Effect:
    world.paused = True

    def mend() -> None:
        world.paused = False

    return Effect("Headrace is frozen", what.between(1, 60), mend)


def _at_step(world: FakeWorld, what: Strike) -> Effect:
    world.crash = ("", what.choice(MOST_STEPS))
    return Effect(f"Headrace ends {world.crash[1]} steps on", finish=lambda: _withdraw(world))


def _saving(world: FakeWorld, what: Strike) -> Effect:
    step = SAVING_STEPS[what.choice(len(SAVING_STEPS))]
    world.crash = (step, 0)
    request = _Request(world, what.target, Goal.SAVEPOINT if "Trigger" in step else Goal.STOP)
    request.ask()
    return Effect(f"Headrace ends {step}", settled=request.settled, finish=lambda: _withdraw(world))


def _withdraw(world: FakeWorld) -> str:
    world.crash = None
    return f"it ended {world.crashed}" if world.crashed else "it did not come to that step"


def _database_refuses(world: FakeWorld, what: Strike) -> Effect:
    world.refusing = True

    def mend() -> None:
        world.refusing = False

    return Effect("the database takes nothing", what.between(1, 60), mend)


def _disk_full(world: FakeWorld, what: Strike) -> Effect:
    effect = _database_refuses(world, what)
    for call in ("prepare", "deploy", "replace_taskmanagers", "stop_with_savepoint", "trigger_savepoint", "remove"):
        world.runtime.lose(call)

    def mend(database: Callable[[], None] = effect.mend) -> None:
        database()
        world.runtime.lose_no_more()

    return Effect("nothing can be written", effect.lasts_s, mend)


def _clock_jumps(world: FakeWorld, what: Strike) -> Effect:
    others = [off for off in (-HOURS_MS, 0, HOURS_MS) if off != world.wall_off_ms]
    world.wall_off_ms = others[what.choice(len(others))]
    return Effect(f"the wall clock is {world.wall_off_ms} ms off")


def _rebooted(world: FakeWorld, what: Strike) -> Effect:
    world.stop()
    world.runtime.reboot()
    world.booted_s = world.now_s()
    world.boot_id = f"boot at {world.booted_s}"
    return Effect("the machine starts anew", what.between(0, 5), world.start)


DOES: Mapping[str, Does] = {
    "jobmanager-killed": _ordered("kill"),
    "jobmanager-frozen": _frozen,
    "jobmanager-hangs": _hangs,
    "taskmanager-killed": _taskmanager_lost(-9),
    "taskmanager-frozen": _ordered("silence_taskmanager"),
    "taskmanager-exits": _taskmanager_lost(17),
    "taskmanager-out-of-memory": _taskmanager_lost(3),
    "code-throws": _ordered("restart_in_place"),
    "deployment-killed": _ordered("kill"),
    "keepers-killed": _ordered("kill"),
    "savepoint": _asks(Goal.SAVEPOINT),
    "stop-and-resume": _asks(Goal.STOP),
    "headrace-killed": _headrace_ended,
    "headrace-stopped": _headrace_ended,
    "headrace-frozen": _headrace_frozen,
    "headrace-killed-at-step": _at_step,
    "headrace-killed-saving": _saving,
    "database-locked": _database_refuses,
    "database-gone": _database_refuses,
    "disk-full": _disk_full,
    "clock-jumps": _clock_jumps,
    "machine-rebooted": _rebooted,
}
