"""What is broken when: a sequence that follows from its seed alone. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.faults.kinds import Kind, Reach

BESIDE_JOB, BESIDE_ALL = 0.3, 0.75
"""How often another fault strikes meanwhile: beside one of a job; beside one of all."""
MOST_GAP_S = 2.5


@dataclass(frozen=True)
class Strike:
    """One fault.

    Attributes:
        kind: which.
        target: number of the job, from 0; for a fault of all, of the job that it is looked for in, if any.
        size: from 0 to 1; each kind makes of it what it needs: seconds, a process, a step.
    """

    kind: Kind
    target: int
    size: float

    def between(self, least: float, most: float) -> float:
        """The size, within these limits."""
        return least + (most - least) * self.size

    def choice(self, many: int) -> int:
        """The size as a number from 0 to ``many`` - 1."""
        return min(int(self.size * many), many - 1)


@dataclass(frozen=True)
class Round:
    """Faults that strike one after the other without waiting until all is well again.

    Attributes:
        number: of its first fault, from 1.
        gap_s: seconds between two of them.
    """

    number: int
    strikes: tuple[Strike, ...]
    gap_s: float


def rounds(seed: int, kinds: Sequence[Kind], jobs: int) -> Iterator[Round]:
    """Without end; every kind comes once before one comes again."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    number = 1
    beside: list[Kind] = []
    while True:
        deck = list(kinds)
        chance.shuffle(deck)
        for kind in deck:
            first = Strike(kind, chance.randrange(jobs), chance.random())
            strikes = [first]
            whether, second, size, gap = chance.random(), chance.random(), chance.random(), chance.random()
            others = [other for other in kinds if other.reach is Reach.JOB and other is not kind]
            limit = BESIDE_JOB if kind.reach is Reach.JOB else BESIDE_ALL
            if others and (kind.needs_another or whether < limit):
                beside = beside or chance.sample(others, len(others))
                other = next((one for one in beside if one is not kind), others[0])
                beside = [one for one in beside if one is not other]
                target = int(second * jobs)
                if kind.reach is Reach.JOB and not (kind.asks or other.asks) and target == first.target:
                    target = (target + 1) % jobs  # two kills of one job strike the same processes
                strikes.append(Strike(other, target, size))
            yield Round(number, tuple(strikes), round(gap * MOST_GAP_S, 2))
            number += len(strikes)
