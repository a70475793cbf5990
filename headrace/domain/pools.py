"""Elastic resource pools: CUs that several queues share, and what each queue is kept and may take (dli-contract §4.5).

Here a queue's share does not follow the hour of the day: the policy of 00:00 to 24:00, which every queue of a pool has,
counts always. Those of other periods are kept and shown, and have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from headrace.domain.errors import BadField

POLICIES = "queue_scaling_policies"


@dataclass(frozen=True)
class Policy:
    """What a queue is kept and may take between two hours of the day; CUs are whole ones.

    Attributes:
        start: full hour, "00:00" to "23:00".
        stop: full hour, "01:00" to "24:00"; one before ``start`` is of the next day.
        priority: 1 to 100; DLI serves the largest first, Headrace in turn.
        inherit: it may take all that the pool has, whatever ``max_cu``.
    """

    start: str
    stop: str
    priority: int
    min_cu: int
    max_cu: int
    inherit: bool = False

    @property
    def is_default(self) -> bool:
        """Whether it is the one of all hours."""
        return (self.start, self.stop) == ("00:00", "24:00")

    @property
    def hours(self) -> frozenset[int]:
        """The hours of the day that it covers."""
        start, stop = int(self.start[:2]), int(self.stop[:2])
        return frozenset(hour % 24 for hour in range(start, stop if stop > start else stop + 24))


def first_policy(cu_count: int) -> Policy:
    """The policy of a queue that has just come into a pool: it is kept, and may take, its own CUs."""
    return Policy("00:00", "24:00", 1, cu_count, cu_count)


def check_policies(policies: Sequence[Policy]) -> None:
    """Refuses policies that no queue can have.

    Raises:
        BadField: a range is empty, periods overlap, or there is not exactly one of 00:00 to 24:00.
    """
    for policy in policies:
        period = f"{policy.start}-{policy.stop}"
        if policy.start == policy.stop:
            raise BadField(POLICIES, period, "is no period; impact_start_time and impact_stop_time must differ")
        if policy.min_cu > policy.max_cu:
            raise BadField(POLICIES, f"min_cu {policy.min_cu}, max_cu {policy.max_cu}", "min_cu is over max_cu")
    if sum(policy.is_default for policy in policies) != 1:
        raise BadField(POLICIES, len(policies), "there must be exactly one policy of 00:00 to 24:00, the default")
    for one, other in combinations([policy for policy in policies if not policy.is_default], 2):
        if one.hours & other.hours:
            periods = f"{one.start}-{one.stop} and {other.start}-{other.stop}"
            raise BadField(POLICIES, periods, "the periods overlap; only the default of 00:00 to 24:00 may")


def default_of(policies: Iterable[Policy]) -> Policy:
    """The policy of all hours; the policies must have been checked."""
    return next(policy for policy in policies if policy.is_default)


@dataclass(frozen=True)
class Bounds:
    """What a pool is kept and may take, in whole CUs."""

    name: str
    min_cu: int
    max_cu: int

    def share(self, policies: Iterable[Policy]) -> int:
        """The most CUs that a queue with these policies may take."""
        default = default_of(policies)
        return self.max_cu if default.inherit else default.max_cu

    def actual(self, queues: Iterable[Sequence[Policy]]) -> int:
        """CUs that the pool comes to with these queues."""
        return max(min(sum(self.share(policies) for policies in queues), self.max_cu), self.min_cu)

    def check(self, queues: Mapping[str, Sequence[Policy]], field: str, value: object) -> None:
        """Refuses bounds and policies that do not go together.

        Args:
            queues: all queues of the pool, by name.
            field: of the request, which would have made it so.
            value: of that field.

        Raises:
            BadField: with the remedy.
        """
        if self.min_cu > self.max_cu:
            raise BadField(field, value, f"min_cu ({self.min_cu}) must not be over max_cu ({self.max_cu})")
        for name, policies in queues.items():
            for policy in policies:
                if policy.max_cu > self.max_cu and not policy.inherit:
                    raise BadField(
                        field,
                        value,
                        f"the queue {name} could take {policy.max_cu} CUs, the pool {self.name} has {self.max_cu} at "
                        "most. Lower the max_cu of the queue's policy, or raise that of the pool",
                    )
        kept = sum(default_of(policies).min_cu for policies in queues.values())
        if kept > self.min_cu:
            raise BadField(
                field,
                value,
                f"{kept} CUs would be kept for the queues of the pool {self.name}, whose min_cu is {self.min_cu}. "
                "Lower the min_cu of a queue's policy, or raise that of the pool",
            )
