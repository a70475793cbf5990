"""A silent object store holds up so many, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.domain.errors import StoreBusy, StoreSilent
from headrace.objects.access import Keys, S3Access
from headrace.objects.base import Objects
from headrace.objects.folder import FolderObjects
from headrace.objects.s3 import S3Objects
from headrace.objects.turns import Turns
from headrace.settings import Settings
from headrace.storage import Owner, Storage, flinks_way
from tests.support.server import wait_until

CALLS: list[Callable[[Objects], object]] = [
    lambda store: store.create_bucket("new"),
    lambda store: store.buckets(),
    lambda store: store.has_bucket("b"),
    lambda store: store.require_bucket("b"),
    lambda store: store.exists("b", "f/k"),
    lambda store: store.head("b", "f/k"),
    lambda store: store.read("b", "f/k"),
    lambda store: store.get_stream("b", "f/k"),
    lambda store: store.put("b", "k", b"x"),
    lambda store: store.put_new("b", "l", b"x"),
    lambda store: store.listing("b"),
    lambda store: store.folders("b", ""),
    lambda store: store.delete("b", "k"),
    lambda store: store.delete_folder("b", "f"),
]


class Silent(FolderObjects):
    """Reads when it is told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.create_bucket("b")
        self.put("b", "f/k", b"content")
        self.asked = 0
        self.answer = threading.Event()

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        self.asked += 1
        assert self.answer.wait(60)
        return super().read(bucket, key, begin, end)


def test_who_comes_later_is_told_to_come_again(tmp_path: Path) -> None:
    store = Silent(tmp_path)
    turns = Turns(store, at_once=2, wait_s=0)
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(turns.read, "b", "f/k") for _ in range(2)]
        wait_until("two wait", lambda: store.asked == 2, 60)
        try:
            for late in CALLS:
                with pytest.raises(StoreBusy, match="Ask again"):
                    late(turns)
        finally:
            store.answer.set()
        assert [one.result(60) for one in waiting] == [b"content"] * 2
    for again in CALLS:
        again(turns)
    assert turns.buckets() == ["b", "new"]
    assert [info.key for info in turns.listing("b")] == ["l"]


def test_copies_have_turns_of_their_own(tmp_path: Path) -> None:
    turns = Turns(Silent(tmp_path), at_once=1, wait_s=0)
    with turns.copying():
        _, content = turns.get_stream("b", "f/k")
        with pytest.raises(StoreBusy, match="Ask again"), turns.copying():
            raise AssertionError
        assert b"".join(content) == b"content"
    with pytest.raises(ZeroDivisionError), turns.copying():
        raise ZeroDivisionError
    with turns.copying():
        assert turns.exists("b", "f/k")


def test_what_fails_gives_its_turn_back(tmp_path: Path) -> None:
    class Broken(FolderObjects):
        def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
            raise StoreSilent("no answer")

    turns = Turns(Broken(tmp_path), at_once=1, wait_s=0)
    for _ in range(3):
        with pytest.raises(StoreSilent, match="no answer"):
            turns.read("b", "k")


def test_whose_a_bucket_is_is_asked_in_turn_too(tmp_path: Path) -> None:
    """By the driver's workers, of which a silent store must leave some."""
    objects = S3Objects(S3Access("http://127.0.0.1:9", "r", path_style=True, default=Keys("AK", "SK")))
    asked: list[Objects] = []

    def owner(by: Objects) -> Owner:
        asked.append(by)
        return {"b": "p"}.get

    way = flinks_way(Settings(home=tmp_path), Storage(objects, objects, owner, None))
    assert way is not None
    assert way.may_use("p", "b")
    assert asked == [way.objects]
    assert isinstance(way.objects, Turns)
