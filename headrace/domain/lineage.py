"""What a restart goes back to: the newest state in the lineage of a deployment.

Flink numbers checkpoints and savepoints of a job by one counter, which goes on where the restored state left off. So
within one lineage the number tells what is newer; over lineages it tells nothing (a clean start counts from 1 again).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.domain.observation import StateView
from headrace.domain.places import bare, is_object


@dataclass(frozen=True)
class State:
    """A checkpoint or a savepoint, as found.

    Attributes:
        path: the folder of its ``_metadata``, as a URI.
        flink_job: the Flink job (32 hex digits) whose state it is.
        checkpoint_id: Flink's number; None = its ``_metadata`` is not there or cannot be read.
    """

    path: str
    flink_job: str = ""
    checkpoint_id: int | None = None


def newest(own: Sequence[State], floor: State | None, seen_id: int | None) -> StateView:
    """The state from which the next deployment goes on.

    Args:
        own: all that the deployment itself has completed.
        floor: what the deployment was restored from; None = it began clean.
        seen_id: the newest number that Flink was heard to have completed, if any: what is older is never gone back to,
            as an exactly-once sink has committed what came between.
    """
    readable = [state for state in own if state.checkpoint_id is not None]
    jobs = sorted({state.flink_job for state in readable if state.flink_job})
    if len(jobs) > 1:
        return StateView(
            problem=f"main() runs {len(jobs)} Flink jobs with checkpoints of their own ({', '.join(jobs)}), and a "
            "deployment can be restored from one only"
        )
    ids = {state.path: state.checkpoint_id or 0 for state in readable}
    best = max(ids, key=ids.__getitem__, default=None)
    if best is not None and (floor is None or floor.checkpoint_id is None or ids[best] > floor.checkpoint_id):
        if seen_id is not None and ids[best] < seen_id:
            return StateView(problem=_lost(seen_id, own))
        return StateView(best, ids[best])
    if seen_id is not None and (floor is None or floor.checkpoint_id is None or seen_id > floor.checkpoint_id):
        return StateView(problem=_lost(seen_id, own))
    if floor is None:
        return StateView()
    if floor.checkpoint_id is None:
        return StateView(problem=f"the state that it was restored from, {floor.path}, is gone or cannot be read")
    return StateView(floor.path, floor.checkpoint_id)


def one_spelling(uri: str) -> str:
    """``obs://`` for ``s3://`` and ``s3a://`` too: they name the same objects."""
    return f"obs://{bare(uri)}" if is_object(uri) else uri


def same_place(one: str, other: str) -> bool:
    """Whether two URIs name the same folder: Flink writes ``file:/x`` for ``file:///x``, and may name ``_metadata``."""
    return _normal(one) == _normal(other)


def _normal(uri: str) -> str:
    text = one_spelling(uri).removesuffix("/_metadata").rstrip("/")
    scheme, colon, rest = text.partition(":")
    if not colon or "/" in scheme:
        return "file:/" + text.lstrip("/")
    return f"{scheme}:/{rest.lstrip('/')}"


def _lost(seen_id: int, own: Sequence[State]) -> str:
    damaged = [state.path for state in own if state.checkpoint_id is None]
    which = f" ({damaged[-1]} cannot be read)" if damaged else ""
    elsewhere = ", or in a folder that only the code knows"
    return f"Flink had completed checkpoint {seen_id}, but it is gone or damaged{which}{elsewhere}"
