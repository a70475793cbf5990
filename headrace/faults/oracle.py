"""What must hold whatever breaks, judged by counting. Pure: what is judged was looked at by others."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.domain.job import AT_REST, Phase
from headrace.store.journal import HistoryEntry, Kind

KEYS = 4
"""StatefulCounter's default: number n is dealt to key n mod KEYS, and is its (n div KEYS + 1)-th."""
ENDS = frozenset({Phase.FINISHED, Phase.FAILED, Phase.SUBMIT_FAILED})
FOLLOWS = {
    **{phase: {Phase.PREPARING, Phase.DRAFT, Phase.DELETED} for phase in AT_REST},
    Phase.PREPARING: {Phase.WAITING, Phase.CANCELING, Phase.CLEARING},
    Phase.WAITING: {Phase.STARTING, Phase.CANCELING},
    Phase.STARTING: {Phase.RUNNING, Phase.WAITING, Phase.CANCELING, Phase.CLEARING},
    Phase.RUNNING: {Phase.SAVING, Phase.SAVEPOINTING, Phase.CANCELING, Phase.CLEARING},
    Phase.SAVING: {Phase.RUNNING, Phase.CANCELING, Phase.CLEARING},
    Phase.SAVEPOINTING: {Phase.STOP_FAILED, Phase.CANCELING, Phase.CLEARING},
    Phase.STOP_FAILED: {Phase.SAVEPOINTING, Phase.SAVING, Phase.CANCELING, Phase.CLEARING},
    Phase.CANCELING: {Phase.STOPPED},
    Phase.CLEARING: {*ENDS, Phase.RESTARTING, Phase.CANCELING},
    Phase.RESTARTING: {Phase.PREPARING, Phase.CANCELING, Phase.FAILED},
    Phase.DELETED: set(),
}
"""The phases that may come after each."""
TOLD = re.compile(r"\brestart (\d+) (?:without limit|of \d+)", re.I)
"""How the journal counts restarts (domain/notes.py)."""


class Promise(StrEnum):
    """What Headrace promises, whatever breaks."""

    ONCE = "every record is in the sink exactly once"
    STATE = "a job's state and its position in the source are of one moment"
    KEPT = "what was committed to the sink stays there"
    ONE = "at most one deployment of a job lives at any moment"
    SAVED = "a savepoint on record can be restored from"
    WELL = "all is well again within the limit"
    PATIENCE = "silence is not failure"
    ORPHANS = "no process is left behind"
    LEDGER = "no CU stays held by a job at rest"
    RESTARTS = "restart_times is what the journal tells"
    HISTORY = "the history skips nothing"
    STEPS = "wherever Headrace is killed, all ends as it would have"
    SERVES = "Headrace itself does not end"


class PromiseBroken(Exception):
    """One promise does not hold; ``evidence`` is what was seen."""

    def __init__(self, promise: Promise, evidence: str) -> None:
        super().__init__(f"{promise}: {evidence}")
        self.promise = promise
        self.evidence = evidence


@dataclass
class Tally:
    """The numbers that one StatefulCounter has put into its sink.

    Attributes:
        numbers: all that were seen.
        greatest: of them; -1 = none yet.
    """

    keys: int = KEYS
    numbers: set[int] = field(default_factory=set)
    greatest: int = -1
    _holes: frozenset[int] = frozenset()

    def take(self, text: str, where: str) -> None:
        """The lines ``key count number`` of one finished file, which is ``where``.

        Raises:
            PromiseBroken: a number is there twice, or its count is not what it must be.
        """
        for line in text.splitlines():
            key, count, number = map(int, line.split())
            if number in self.numbers:
                raise PromiseBroken(Promise.ONCE, f"{number} is there again, in {where}")
            if (key, count) != (number % self.keys, number // self.keys + 1):
                due = f"the {number // self.keys + 1}. of key {number % self.keys}"
                raise PromiseBroken(Promise.STATE, f"{number} was {count}. of key {key}, and is {due}, in {where}")
            self.numbers.add(number)
            self.greatest = max(self.greatest, number)

    @property
    def holes(self) -> frozenset[int]:
        """Numbers below the greatest that are not there; the next commit may bring them if it is of several files."""
        if len(self.numbers) == self.greatest + 1:
            return frozenset()
        return frozenset(range(self.greatest + 1)) - self.numbers

    def settle(self) -> None:
        """Called when several checkpoints were completed since the last time.

        Raises:
            PromiseBroken: a number was missing then already.
        """
        missing = self.holes & self._holes
        self._holes = self.holes
        _refuse(missing)

    def complete(self) -> None:
        """Called when nothing will follow.

        Raises:
            PromiseBroken: a number is missing.
        """
        _refuse(self.holes)


def _refuse(missing: frozenset[int]) -> None:
    if missing:
        some = ", ".join(map(str, sorted(missing)[:10]))
        raise PromiseBroken(Promise.ONCE, f"{len(missing)} numbers are not there, though greater ones are: {some} …")


def one_deployment(alive: Mapping[int, Sequence[str]]) -> None:
    """``alive``: per job the deployments whose processes were alive at one moment.

    Raises:
        PromiseBroken: there are two of a job.
    """
    for job_id, names in alive.items():
        if len(names) > 1:
            raise PromiseBroken(Promise.ONE, f"job {job_id} ran as {' and '.join(sorted(names))} at one moment")


def nothing_left(processes: Sequence[str]) -> None:
    """``processes``: what is left of a home in which no job runs and no server serves.

    Raises:
        PromiseBroken: there is one.
    """
    if processes:
        raise PromiseBroken(Promise.ORPHANS, "; ".join(processes))


def ledger_empty(grants: Mapping[int, int]) -> None:
    """``grants``: thousandths of CUs by job, when all jobs are at rest.

    Raises:
        PromiseBroken: one holds some.
    """
    if grants:
        held = ", ".join(f"job {job_id} holds {milli / 1000:g} CUs" for job_id, milli in sorted(grants.items()))
        raise PromiseBroken(Promise.LEDGER, held)


def history_is_whole(rows: Sequence[HistoryEntry]) -> None:
    """``rows``: the journal of one job.

    Raises:
        PromiseBroken: a move is missing, or an attempt.
    """
    moves = [row for row in rows if row.kind is Kind.MOVED]
    for before, after in itertools.pairwise(moves):
        next_attempt = before.attempt + (after.phase is Phase.PREPARING)
        if after.phase not in FOLLOWS[before.phase] or after.attempt != next_attempt:
            raise PromiseBroken(
                Promise.HISTORY,
                f"after {before.phase} of attempt {before.attempt} came {after.phase} of attempt {after.attempt}",
            )


@dataclass(frozen=True)
class Restarts:
    """How often the present run of a job was restarted, as told in several places.

    Attributes:
        shown: DLI's ``restart_times``.
        counted: rows of the table of restarts: in place, and by new deployments.
        deployments: those of the run that followed another one, and one that is still to follow.
    """

    shown: int
    counted: tuple[int, int]
    deployments: int


def restarts_agree(found: Restarts, run: Iterable[HistoryEntry]) -> None:
    """``run``: the journal of the present run of the job, which has lasted for less than an hour.

    Raises:
        PromiseBroken: they tell different numbers.
    """
    told = [int(number) for row in run for number in TOLD.findall(row.note)]
    last = told[-1] if told else 0
    in_place, anew = found.counted
    if not found.shown == in_place + anew == last or anew != found.deployments or told != sorted(told):
        raise PromiseBroken(
            Promise.RESTARTS,
            f"restart_times is {found.shown}, the table has {in_place} in place and {anew} new deployments, "
            f"{found.deployments} deployments followed another one, and the journal counts {told or 'none'}",
        )
