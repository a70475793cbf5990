"""What the tests of logs in buckets sort by."""

from __future__ import annotations

from tests.support.segments import in_order


def test_segments_follow_one_another_by_number() -> None:
    name = "2026-01-31/attempt-1-taskmanager-1/taskmanager.log"
    right = [name, f"{name}.1", f"{name}.2", f"{name}.9", f"{name}.10", name.replace("01-31", "02-01")]
    assert sorted(right[3:] + right[:3], key=in_order) == right
