"""Whose a bucket is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headrace.domain.errors import NameTaken
from headrace.store.buckets import BucketStore
from headrace.store.database import Database


class Slow(BucketStore):
    """While it has looked for the first time whose a bucket is, somebody else has claimed it."""

    def __init__(self, database: Database, quicker: str) -> None:
        super().__init__(database)
        self._other = BucketStore(database)
        self._quicker = quicker

    def owner(self, bucket: str) -> str | None:
        found = super().owner(bucket)
        if found is None:
            self._other.claim(bucket, self._quicker, now_ms=1)
        return found


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "headrace.db")) as opened:
        yield opened


def test_a_bucket_is_claimed_twice_at_once_for_one_project(database: Database) -> None:
    Slow(database, "p").claim("b", "p", now_ms=2)
    assert BucketStore(database).owner("b") == "p"


def test_a_bucket_is_claimed_twice_at_once_for_two(database: Database) -> None:
    with pytest.raises(NameTaken, match="'b'"):
        Slow(database, "q").claim("b", "p", now_ms=2)
    assert BucketStore(database).owner("b") == "q"
