"""What a restart goes back to: never older than what was restored, nor than what Flink was heard to have completed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.lineage import State, newest, same_place
from headrace.domain.observation import StateView
from tests.support.promises import promise

JOB, OTHER = "a" * 32, "b" * 32
CHECKPOINTS = f"obs://b/jobs/checkpoint/7/{JOB}"
IMPORTED = State("obs://b/imported", checkpoint_id=5)


def chk(number: int, flink_job: str = JOB, *, damaged: bool = False) -> State:
    return State(
        f"obs://b/jobs/checkpoint/7/{flink_job}/chk-{number}", flink_job, checkpoint_id=None if damaged else number
    )


def savepoint(number: int | None) -> State:
    return State(f"obs://b/savepoint-{number}", checkpoint_id=number)


def at(state: State) -> StateView:
    return StateView(state.path, state.checkpoint_id)


CHOSEN: dict[str, tuple[tuple[State, ...], State | None, int | None, State | None]] = {
    "nothing completed yet, a clean beginning": ((), None, None, None),
    "a crash before the first checkpoint": ((), IMPORTED, None, IMPORTED),
    "the newest by number, not by order": ((chk(8), chk(9), chk(7)), None, 9, chk(9)),
    "chk-10 is newer than chk-9": ((chk(10), chk(9)), None, None, chk(10)),
    "nobody heard of the newest, but it is whole": ((chk(8), chk(9)), None, 8, chk(9)),
    "one that was only begun": ((chk(8), chk(9, damaged=True)), None, 8, chk(8)),
    "a savepoint newer than the checkpoints left": ((chk(3), savepoint(6)), None, 6, savepoint(6)),
    "a checkpoint newer than the savepoint": ((chk(7), savepoint(6)), None, 7, chk(7)),
    "numbers go on from what was restored": ((chk(6),), IMPORTED, 6, chk(6)),
    "its own are older than what it was restored from": ((chk(4),), IMPORTED, None, IMPORTED),
    "what it was restored from is gone, but it has gone on since": (
        (chk(6),),
        replace(IMPORTED, checkpoint_id=None),
        6,
        chk(6),
    ),
    "Flink tells what it was restored from as completed": ((), IMPORTED, 5, IMPORTED),
    "several jobs, but only one with checkpoints": ((chk(6), chk(1, OTHER, damaged=True)), None, 6, chk(6)),
}


@pytest.mark.parametrize("name", CHOSEN)
@promise("A restart goes on from the newest completed state of the job's lineage.")
def test_what_is_chosen(name: str) -> None:
    own, floor, heard, chosen = CHOSEN[name]
    assert newest(own, floor, heard) == (at(chosen) if chosen is not None else StateView())


@promise("After a clean start the numbers begin anew: chk-9 of the run before is not gone back to.")
def test_a_clean_start_after_chk_9() -> None:
    assert newest([chk(2)], None, 2) == at(chk(2))  # the other lineage's are not its own


@pytest.mark.parametrize(
    ("own", "floor", "heard", "problem"),
    [
        ((chk(8), chk(9, damaged=True)), None, 9, "Flink had completed checkpoint 9, but it is gone or damaged"),
        ((chk(8),), None, 9, "checkpoint 9"),
        ((), None, 9, "checkpoint 9"),
        ((), IMPORTED, 9, "checkpoint 9"),
        ((chk(4),), IMPORTED, 9, "checkpoint 9"),
        ((chk(8), chk(9, damaged=True)), None, 9, "chk-9 cannot be read"),
        ((), replace(IMPORTED, checkpoint_id=None), None, "obs://b/imported, is gone or cannot be read"),
        ((chk(6, damaged=True),), replace(IMPORTED, checkpoint_id=None), None, "obs://b/imported"),
        ((chk(3), chk(4, OTHER)), None, 4, "2 Flink jobs"),
        ((chk(3), chk(4, OTHER), savepoint(9)), None, 9, f"({JOB}, {OTHER})"),
    ],
)
@promise("Where the newest state is gone or damaged, the job is not restored from an older one, nor started clean.")
def test_what_cannot_be_gone_on_from(
    own: tuple[State, ...], floor: State | None, heard: int | None, problem: str
) -> None:
    found = newest(own, floor, heard)
    assert found.path == ""
    assert problem in found.problem


states = st.builds(
    lambda number, flink_job, damaged: chk(number, flink_job, damaged=damaged),
    st.integers(1, 12),
    st.sampled_from((JOB, JOB, JOB, OTHER)),
    st.booleans(),
)
floors = st.none() | st.builds(savepoint, st.none() | st.integers(1, 12))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(states, max_size=5), floors, st.none() | st.integers(1, 12))
def test_never_back_and_never_to_nothing(own: list[State], floor: State | None, heard: int | None) -> None:
    found = newest(own, floor, heard)
    if found.problem:
        assert (found.path, found.checkpoint_id) == ("", None)
        return
    if floor is not None or heard is not None:
        assert found.path, "stateful has become stateless"
    if found.path:
        chosen = [state for state in (*own, *([floor] if floor else [])) if state.path == found.path]
        assert found.checkpoint_id is not None
        assert found.checkpoint_id in [state.checkpoint_id for state in chosen]
        whole = [state.checkpoint_id for state in own if state.checkpoint_id is not None]
        assert found.checkpoint_id >= max([0, *whole])
        assert found.checkpoint_id >= ((floor.checkpoint_id or 0) if floor else 0)
        assert found.checkpoint_id >= (heard or 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("obs://b/s", "obs://b/s", True),
        ("obs://b/s", "obs://b/s/", True),
        ("obs://b/s", "obs://b/s/_metadata", True),
        ("obs://b/s", "obs:/b/s", True),
        ("obs://b/s", "obs://b/s2", False),
        ("obs://b/s", "obs://c/s", False),
        ("obs://b/s", "s3://b/s", True),
        ("s3a://b/s/_metadata", "s3://b/s", True),
        ("obs://b/s", "hdfs://b/s", False),
        ("file:///x/s", "file:/x/s", True),
        ("file:///x/s", "/x/s", True),
        ("/x/s", "/x/s/", True),
        ("/x/a:b", "file:///x/a:b", True),
        ("/x/s", "/x", False),
        ("", "", True),
        ("", "/x/s", False),
    ],
)
def test_how_flink_spells_a_place(one: str, other: str, same: bool) -> None:
    assert same_place(one, other) is same
    assert same_place(other, one) is same
