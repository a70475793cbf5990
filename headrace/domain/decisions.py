"""What ``decide`` can say: one of three decisions, and the actions that one of them carries. All of it is data."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.job import Record


@dataclass(frozen=True)
class Prepare:
    """Install the engine and stage the artifacts of the attempt."""


@dataclass(frozen=True)
class Deploy:
    """Start the deployment's processes; at most one deployment of a name ever exists."""


@dataclass(frozen=True)
class StopWithSavepoint:
    """Ask Flink to make a savepoint and to stop the job then."""


@dataclass(frozen=True)
class TriggerSavepoint:
    """Ask Flink to make a savepoint; the job goes on."""


@dataclass(frozen=True)
class EndTaskManagers:
    """End these TaskManagers, which are silent."""

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class ReplaceTaskManagers:
    """Have so many TaskManagers started, in all, in place of others that ended."""

    total: int


@dataclass(frozen=True)
class Cancel:
    """Ask Flink to cancel the job."""


@dataclass(frozen=True)
class Remove:
    """End all processes of the deployment and fence its name."""


@dataclass(frozen=True)
class Erase:
    """Delete the job's folders."""


Action = (
    Prepare
    | Deploy
    | StopWithSavepoint
    | TriggerSavepoint
    | EndTaskManagers
    | ReplaceTaskManagers
    | Cancel
    | Remove
    | Erase
)


@dataclass(frozen=True)
class Move:
    """Record this, in one transaction with its history row."""

    record: Record


@dataclass(frozen=True)
class Act:
    """Carry this out; it is idempotent, and recorded nowhere."""

    action: Action


@dataclass(frozen=True)
class Wait:
    """Nothing to do now. ``note``, if not None, is what a person should read meanwhile."""

    note: str | None = None


Decision = Move | Act | Wait
