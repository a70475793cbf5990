"""A silent object store holds up so many, and nobody else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.domain.errors import StoreSilent
from headrace.runtimes.turns import Turns
from tests.support.server import wait_until


class Silent:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = threading.Event()

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        self._wait()
        return b"content"

    def folders(self, bucket: str, folder: str) -> list[str]:
        self._wait()
        return ["chk-1"]

    def delete_folder(self, bucket: str, folder: str) -> None:
        self._wait()

    def _wait(self) -> None:
        self.asked += 1
        assert self.answer.wait(60)


def test_who_comes_later_is_told_to_come_again() -> None:
    store = Silent()
    turns = Turns(store, at_once=2, wait_s=0)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(turns.read, "b", "k")
        second = pool.submit(turns.folders, "b", "f")
        wait_until("two wait", lambda: store.asked == 2, 60)
        for late in (
            lambda: turns.folders("b", "f"),
            lambda: turns.read("b", "k"),
            lambda: turns.delete_folder("b", "f"),
        ):
            with pytest.raises(StoreSilent, match="asked again"):
                late()
        store.answer.set()
        assert (first.result(60), second.result(60)) == (b"content", ["chk-1"])
    turns.delete_folder("b", "f")
    assert store.asked == 3


def test_what_fails_gives_its_turn_back() -> None:
    class Broken(Silent):
        def _wait(self) -> None:
            raise StoreSilent("no answer")

    turns = Turns(Broken(), at_once=1, wait_s=0)
    for _ in range(3):
        with pytest.raises(StoreSilent, match="no answer"):
            turns.read("b", "k")
