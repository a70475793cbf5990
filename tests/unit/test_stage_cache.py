"""The cache of the jobs' files: each content once, resumed, verified, bounded, by many threads."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.errors import ObjectReplaced, StoreSilent
from headrace.objects.cache import StageCache, Staged
from headrace.objects.sources import Source


@dataclass
class Bucket:
    """Objects in memory; counts what is fetched, and breaks off where it is told."""

    contents: dict[str, bytes] = field(default_factory=dict)
    fetched: list[tuple[str, int]] = field(default_factory=list)
    breaks_at: int | None = None
    piece: int = 10

    def source(self, name: str) -> Source:
        content = self.contents[name]

        def stream(begin: int) -> Iterator[bytes]:
            if self.contents[name] != content:
                raise ObjectReplaced(name)
            self.fetched.append((name, begin))
            for at in range(begin, len(content), self.piece):
                if self.breaks_at is not None and at >= self.breaks_at:
                    raise StoreSilent("gone")
                yield content[at : at + self.piece]

        version = f"{name} {hashlib.md5(content).hexdigest()}"
        return Source(f"obs://b/{name}", version, len(content), stream, lambda begin, end: content[begin:end])


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def contents(root: Path) -> set[str]:
    return {path.name for path in (root / "contents").iterdir()}


@pytest.fixture
def bucket() -> Bucket:
    return Bucket({"a": b"A" * 100, "b": b"B" * 100})


@pytest.fixture
def one(tmp_path: Path) -> StageCache:
    return StageCache(tmp_path / "cache", 1 << 20)


def test_a_version_is_fetched_once(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    for number in range(3):
        assert one.put(bucket.source("a"), tmp_path / f"t{number}") == Staged(sha(b"A" * 100), 100)
        assert (tmp_path / f"t{number}").read_bytes() == b"A" * 100
    assert bucket.fetched == [("a", 0)]
    assert os.stat(tmp_path / "t0").st_nlink == 4
    assert os.stat(tmp_path / "t0").st_mode & 0o777 == 0o400
    again = StageCache(tmp_path / "cache", 1 << 20)
    again.put(bucket.source("a"), tmp_path / "t0")
    assert bucket.fetched == [("a", 0)]
    assert list((tmp_path / "cache" / "parts").iterdir()) == []


def test_a_new_version_is_another_content(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    one.put(bucket.source("a"), tmp_path / "old")
    bucket.contents["a"] = b"new"
    assert one.put(bucket.source("a"), tmp_path / "new").sha256 == sha(b"new")
    assert (tmp_path / "old").read_bytes() == b"A" * 100
    bucket.contents["a"] = b"A" * 100
    one.put(bucket.source("a"), tmp_path / "old2")
    assert bucket.fetched == [("a", 0), ("a", 0)]


def test_a_content_is_kept_once_whatever_its_names(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    bucket.contents["b"] = bucket.contents["a"]
    one.put(bucket.source("a"), tmp_path / "a")
    one.put(bucket.source("b"), tmp_path / "b")
    assert (tmp_path / "a").samefile(tmp_path / "b")
    assert contents(tmp_path / "cache") == {sha(b"A" * 100)}


def test_many_threads_fetch_it_once(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    bucket.contents["c"] = bucket.contents["a"]
    start = threading.Barrier(20)

    def stage(number: int) -> Staged:
        start.wait(60)
        return one.put(bucket.source("abc"[number % 3]), tmp_path / f"t{number}")

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(stage, range(20)))
    assert found == [Staged(sha("ABA"[number % 3].encode() * 100), 100) for number in range(20)]
    assert sorted(bucket.fetched) == [("a", 0), ("b", 0), ("c", 0)]
    assert len(contents(tmp_path / "cache")) == 2


def test_what_broke_off_goes_on_where_it_was(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    bucket.breaks_at = 50
    with pytest.raises(StoreSilent):
        one.put(bucket.source("a"), tmp_path / "t")
    assert not (tmp_path / "t").exists()
    bucket.breaks_at = None
    later = StageCache(tmp_path / "cache", 1 << 20)
    assert later.put(bucket.source("a"), tmp_path / "t").sha256 == sha(b"A" * 100)
    assert bucket.fetched == [("a", 0), ("a", 50)]


def killed_at_50(one: StageCache, bucket: Bucket, tmp_path: Path) -> Path:
    bucket.breaks_at = 50
    with pytest.raises(StoreSilent):
        one.put(bucket.source("a"), tmp_path / "t")
    bucket.breaks_at = None
    (part,) = (tmp_path / "cache" / "parts").glob("*.part")
    return part


@pytest.mark.parametrize(
    ("damage", "goes_on_at"),
    [
        (lambda part: part.write_bytes(b"A" * 80), 50),  # more came than was recorded: it may be anything
        (lambda part: part.write_bytes(b"A" * 49), 0),
        (lambda part: part.write_bytes(b"A" * 20 + b"\0" * 30), 0),
        (lambda part: part.unlink(), 0),
        (lambda part: part.with_suffix(".json").unlink(), 0),
        (lambda part: part.with_suffix(".json").write_text("{"), 0),
    ],
)
def test_of_a_part_only_what_is_sound_is_used(
    one: StageCache, bucket: Bucket, tmp_path: Path, damage: Callable[[Path], object], goes_on_at: int
) -> None:
    damage(killed_at_50(one, bucket, tmp_path))
    assert one.put(bucket.source("a"), tmp_path / "t").sha256 == sha(b"A" * 100)
    assert bucket.fetched == [("a", 0), ("a", goes_on_at)]


def test_a_crash_before_the_content_is_in_its_place(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    staged = one.put(bucket.source("a"), tmp_path / "t")
    (record,) = (tmp_path / "cache" / "versions").iterdir()
    part = tmp_path / "cache" / "parts" / f"{record.stem}.part"
    (tmp_path / "cache" / "contents" / staged.sha256).rename(part)
    part.chmod(0o600)
    part.with_suffix(".json").write_text(f'{{"done": 100, "sha256": "{staged.sha256}"}}')
    assert StageCache(tmp_path / "cache", 1 << 20).put(bucket.source("a"), tmp_path / "t") == staged
    assert bucket.fetched == [("a", 0)]


@pytest.mark.parametrize("content", [b"", b"B" * 100, b"A" * 99])
def test_a_damaged_content_is_fetched_anew(one: StageCache, bucket: Bucket, tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "cache" / "contents" / one.put(bucket.source("a"), tmp_path / "t").sha256
    kept.chmod(0o600)
    kept.write_bytes(content)
    one.put(bucket.source("a"), tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == b"A" * 100
    assert bucket.fetched == [("a", 0), ("a", 0)]


def test_an_object_that_is_shorter_than_it_says_is_not_taken(one: StageCache, tmp_path: Path) -> None:
    source = Source("obs://b/a", "1", 100, lambda begin: iter([b"x" * (90 - begin)]), lambda _begin, _end: b"")
    with pytest.raises(ObjectReplaced, match="90 of them came"):
        one.put(source, tmp_path / "t")
    assert not (tmp_path / "t").exists()
    assert list((tmp_path / "cache" / "parts").glob("*.part")) == []


def test_the_least_recently_used_goes_and_none_in_use(bucket: Bucket, tmp_path: Path) -> None:
    one = StageCache(tmp_path / "cache", 250)
    bucket.contents |= {name: name.encode() * 100 for name in "cdef"}
    for name in "ab":
        one.put(bucket.source(name), tmp_path / name)
        (tmp_path / name).unlink()
    one.put(bucket.source("c"), tmp_path / "c")
    assert contents(tmp_path / "cache") == {sha(b"B" * 100), sha(b"c" * 100)}
    one.put(bucket.source("d"), tmp_path / "d")
    one.put(bucket.source("e"), tmp_path / "e")
    assert contents(tmp_path / "cache") == {sha(name * 100) for name in (b"c", b"d", b"e")}  # all in use
    for name in "cde":
        (tmp_path / name).unlink()
    one.put(bucket.source("f"), tmp_path / "f")
    assert contents(tmp_path / "cache") == {sha(b"e" * 100), sha(b"f" * 100)}
    assert len(list((tmp_path / "cache" / "versions").iterdir())) == 2


def test_a_file_larger_than_the_cache_is_staged(bucket: Bucket, tmp_path: Path) -> None:
    one = StageCache(tmp_path / "cache", 0)
    one.put(bucket.source("a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"A" * 100
    (tmp_path / "a").unlink()
    one.put(bucket.source("b"), tmp_path / "b")
    assert contents(tmp_path / "cache") == {sha(b"B" * 100)}


def test_without_hard_links_it_is_copied(
    one: StageCache, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    one.put(bucket.source("a"), tmp_path / "t")
    assert (tmp_path / "t").read_bytes() == b"A" * 100
    assert os.stat(tmp_path / "t").st_nlink == 1
    one.put(bucket.source("a"), tmp_path / "t")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


Steps = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.one_of(st.none(), st.integers(0, 300)),
        st.sampled_from(["keep", "drop", "replace", "reopen", "damage"]),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(steps=Steps, limit=st.integers(0, 600))
def test_whatever_happens_a_target_is_the_whole_version(
    steps: list[tuple[str, int | None, str]], limit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("property")
    bucket = Bucket({name: name.encode() * size for name, size in (("a", 50), ("b", 150), ("c", 280))})
    one = StageCache(folder / "cache", limit)
    for number, (name, breaks_at, then) in enumerate(steps):
        bucket.breaks_at = breaks_at
        target = folder / f"t{number}"
        try:
            staged = one.put(bucket.source(name), target)
        except StoreSilent:
            assert not target.exists()
        else:
            assert target.read_bytes() == bucket.contents[name]
            assert staged == Staged(sha(bucket.contents[name]), len(bucket.contents[name]))
        match then:
            case "drop":
                target.unlink(missing_ok=True)
            case "replace":
                bucket.contents[name] = bucket.contents[name][:-1] + str(number).encode()
            case "reopen":
                one = StageCache(folder / "cache", limit)
            case "damage":
                for path in (*(folder / "cache" / "contents").iterdir(), *(folder / "cache" / "parts").iterdir()):
                    if path.stat().st_nlink == 1:
                        path.chmod(0o600)
                        path.write_bytes(path.read_bytes()[:-1] + b"?")
            case _:
                assert then == "keep"
        kept = [path.stat() for path in (folder / "cache" / "contents").iterdir()]
        if breaks_at is None and then != "drop":  # what broke off tidies up next time
            assert sum(status.st_size for status in kept if status.st_nlink == 1) <= limit


def test_room_is_made_before_a_fetch(bucket: Bucket, tmp_path: Path) -> None:
    one = StageCache(tmp_path / "cache", 150)
    one.put(bucket.source("a"), tmp_path / "a")
    (tmp_path / "a").unlink()
    source = bucket.source("b")

    def stream(begin: int) -> Iterator[bytes]:
        assert contents(tmp_path / "cache") == set(), "they are never here together"
        yield from source.stream(begin)

    one.put(replace(source, stream=stream), tmp_path / "b")
    assert contents(tmp_path / "cache") == {sha(b"B" * 100)}


def test_a_full_disk_gets_all_the_room_that_there_is(one: StageCache, bucket: Bucket, tmp_path: Path) -> None:
    bucket.contents |= {"used": b"used" * 10}
    one.put(bucket.source("used"), tmp_path / "used")
    one.put(bucket.source("a"), tmp_path / "a")
    (tmp_path / "a").unlink()
    source = bucket.source("b")
    tries: list[int] = []

    def stream(begin: int) -> Iterator[bytes]:
        tries.append(begin)
        for piece in source.stream(begin):
            yield piece
            if sha(b"A" * 100) in contents(tmp_path / "cache"):
                raise OSError(errno.ENOSPC, "No space left on device")

    one.put(replace(source, stream=stream), tmp_path / "b")
    assert len(tries) == 2
    assert contents(tmp_path / "cache") == {sha(b"used" * 10), sha(b"B" * 100)}

    def full(begin: int) -> Iterator[bytes]:
        tries.append(begin)
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "b").unlink()
    del tries[:]
    for _ in range(2):  # room is made once; then there is none to be made
        with pytest.raises(OSError, match="No space left"):
            one.put(replace(bucket.source("a"), stream=full), tmp_path / "t")
    assert len(tries) == 3
    assert contents(tmp_path / "cache") == {sha(b"used" * 10)}
