"""Goes through a plan of faults, waits after each until all is well, and judges what is left in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from headrace.faults.effects import Effect, World
from headrace.faults.kinds import Reach
from headrace.faults.oracle import Promise, PromiseBroken
from headrace.faults.plan import Round, Strike


@dataclass(frozen=True)
class Recovery:
    """One fault, and how it went.

    Attributes:
        number: from 1, over the whole run.
        told: what was done.
        lasted_s: how long the fault itself lasted, 0 = it was a moment.
        seconds: from its end until all that it struck was well: new records in the sink.
        alone: nothing else struck meanwhile.
    """

    number: int
    kind: str
    target: int
    told: str
    lasted_s: float
    seconds: float
    alone: bool


@dataclass
class _Struck:
    strike: Strike
    effect: Effect
    at_s: float
    mended: bool = False

    @property
    def over_s(self) -> float:
        return self.at_s + self.effect.lasts_s


def go_through(world: World, plan: Iterable[Round], told: Callable[[Recovery], None]) -> list[Recovery]:
    """Begins the world, strikes, and ends it; ``told`` hears of each fault when all is well again.

    Raises:
        PromiseBroken: what was promised does not hold.
    """
    world.begin()
    _until_well(world)
    world.settle()
    recoveries: list[Recovery] = []
    for planned in plan:
        struck: list[_Struck] = []
        try:
            found = list(_strike(world, planned, struck))
        except BaseException:
            _mend_all(struck)
            raise
        recoveries += found
        for recovery in found:
            told(recovery)
    world.end()
    return recoveries


def _strike(world: World, planned: Round, struck: list[_Struck]) -> Iterator[Recovery]:
    for strike in planned.strikes:
        until = world.now_s() + planned.gap_s if struck else 0.0
        while world.now_s() < until:
            _mend(world, struck)
            _go_on(world, until - world.now_s())
        at = world.now_s()
        struck.append(_Struck(strike, world.strike(strike), at))
    _wait(world, "the faults are over", lambda: _mend(world, struck))
    _wait(world, "the faults have shown", lambda: all(one.effect.settled() for one in struck))
    well_at = _until_well(world)
    finished = [one.effect.finish() for one in struck]
    if any(finished):
        _until_well(world)  # an order that was taken back at the last moment may have been carried out
    world.settle()
    for number, (one, more) in enumerate(zip(struck, finished, strict=True), planned.number):
        if len(struck) == 1 and (harm := one.effect.unharmed()):
            raise PromiseBroken(Promise.PATIENCE, f"{harm}\n{world.told(one.strike.target)}")
        job = one.strike.kind.reach is Reach.JOB
        well = well_at[one.strike.target] if job else max(well_at.values())
        what = "; ".join(part for part in (one.effect.told, more) if part)
        seconds = round(max(0.0, well - one.over_s), 1)
        alone = len(struck) == 1
        yield Recovery(number, one.strike.kind.name, one.strike.target, what, one.effect.lasts_s, seconds, alone)


def _mend(world: World, struck: list[_Struck]) -> bool:
    """Takes back what is due; whether nothing is left to take back."""
    for one in struck:
        if not one.mended and world.now_s() >= one.over_s:
            one.effect.mend()
            one.mended = True
    return all(one.mended for one in struck)


def _mend_all(struck: list[_Struck]) -> None:
    """Leaves nothing locked or frozen behind when the run ends before its time."""
    for one in struck:
        if not one.mended:
            with suppress(PromiseBroken, OSError):
                one.effect.mend()


def _until_well(world: World) -> dict[int, float]:
    """When each job was well, in the time of the world."""
    world.expect()
    well_at: dict[int, float] = {}

    def all_well() -> bool:
        for target in range(world.targets):
            if target not in well_at and world.well(target):
                well_at[target] = world.now_s()
        return len(well_at) == world.targets

    _wait(world, "all is well", all_well)
    return well_at


def _wait(world: World, what: str, done: Callable[[], bool]) -> None:
    until = world.now_s() + world.limit_s
    while not done():
        if world.now_s() > until:
            raise PromiseBroken(Promise.WELL, f"“{what}” is not so after {world.limit_s:.0f} s\n{world.told(None)}")
        _go_on(world, world.limit_s)


def _go_on(world: World, seconds: float) -> None:
    world.pause(seconds)
    world.look()
