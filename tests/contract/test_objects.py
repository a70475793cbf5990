from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.domain.errors import (
    BadField,
    BodyTooLarge,
    BucketNotFound,
    HeadraceError,
    NameTaken,
    ObjectNotFound,
    PackageNotFound,
    Unavailable,
)
from headrace.objects.artifacts import ArtifactResolver, base_name
from headrace.objects.folder import ObjectStore
from headrace.objects.packages import PackageFiles
from headrace.objects.paths import ObjectRef, PackageRef, parse_reference
from headrace.store.database import Database
from headrace.store.packages import Package, PackageStore

KEYS = ["a.jar", "deep/er/a b.jar", "ü/é+%20&?.txt", "日本/ジョブ.jar", "a#b", "x:y~[z]{1}|`"]


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    store = ObjectStore(tmp_path / "objects")
    store.create_bucket("b")
    return store


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def put(store: ObjectStore, key: str, *chunks: bytes, max_bytes: int = 1 << 30) -> int:
    return asyncio.run(store.put_stream("b", key, pieces(*chunks), max_bytes))


def files(store: ObjectStore) -> set[str]:
    return {str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("key", KEYS)
def test_the_key_is_the_files_path_character_for_character(objects: ObjectStore, key: str) -> None:
    assert put(objects, key, b"abc", b"de") == 5
    assert (objects.root / "b" / key).read_bytes() == b"abcde"
    assert objects.local_path("b", key).read_bytes() == b"abcde"
    size, content = objects.get_stream("b", key)
    put(objects, key, b"replaced")
    assert (size, b"".join(content)) == (5, b"abcde")
    put(objects, key, b"abcde")
    assert [info.key for info in objects.listing("b")] == [key]
    assert objects.head("b", key).size == 5
    objects.delete("b", key)
    assert not objects.exists("b", key)


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "../x", "a/../../x", "a/./b", "a\0b", "a\tb", "upload#1", "x" * 241, "a/" * 600 + "b"],
)
def test_a_bad_key_is_refused(objects: ObjectStore, key: str) -> None:
    with pytest.raises(BadField):
        put(objects, key, b"x")
    assert files(objects) == set()


@pytest.mark.parametrize("bucket", ["", ".", "..", "a/b", "-a", ".a", "a..b", "a b", "x" * 64, "ü"])
def test_a_bad_bucket_is_refused(objects: ObjectStore, bucket: str) -> None:
    with pytest.raises(BadField):
        objects.create_bucket(bucket)
    with pytest.raises(BucketNotFound):
        objects.local_path(bucket, "k")


def test_buckets_are_made_once(objects: ObjectStore) -> None:
    with pytest.raises(NameTaken):
        objects.create_bucket("b")
    objects.create_bucket("bucketName")
    assert objects.buckets() == ["b", "bucketName"]
    with pytest.raises(BucketNotFound):
        asyncio.run(objects.put_stream("other", "k", pieces(b"x"), 10))


def test_a_broken_upload_leaves_nothing(objects: ObjectStore) -> None:
    put(objects, "k", b"old")

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * 1_000_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        asyncio.run(objects.put_stream("b", "k", broken(), 1 << 30))
    with pytest.raises(BodyTooLarge):
        put(objects, "k", *[b"x" * 1_000_000] * 12, max_bytes=11_000_000)
    assert files(objects) == {"b/k"}
    assert (objects.root / "b/k").read_bytes() == b"old"


def test_an_object_is_no_folder(objects: ObjectStore) -> None:
    put(objects, "a/b", b"x")
    for key in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(BadField):
            put(objects, key, b"x")
    assert files(objects) == {"b/a/b"}
    with pytest.raises(ObjectNotFound):
        objects.local_path("b", "a")


def test_no_symbolic_link_leads_out_of_a_bucket(objects: ObjectStore, tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "file").write_text("secret")
    (objects.root / "b" / "link").symlink_to(secret)
    (objects.root / "b" / "file").symlink_to(secret / "file")
    (objects.root / "linked").symlink_to(secret)
    for key in ("link/file", "file", "link/new"):
        with pytest.raises(ObjectNotFound):
            objects.local_path("b", key)
        with pytest.raises(ObjectNotFound):
            put(objects, key, b"x")
    assert list(objects.listing("b")) == []
    assert list(objects.listing("b", "link/")) == []
    assert objects.buckets() == ["b"]
    with pytest.raises(BucketNotFound):
        objects.local_path("linked", "file")
    assert (secret / "file").read_text() == "secret"
    assert [path.name for path in secret.iterdir()] == ["file"]


def test_list_takes_a_prefix(objects: ObjectStore) -> None:
    for key in ("jobs/logs/1/a", "jobs/logs/12/a", "jobs/x", "other"):
        put(objects, key, b"x")
    assert [info.key for info in objects.listing("b", "jobs/logs/1")] == ["jobs/logs/1/a", "jobs/logs/12/a"]
    assert [info.key for info in objects.listing("b", "jobs/logs/1/")] == ["jobs/logs/1/a"]
    assert [info.key for info in objects.listing("b", "o")] == ["other"]
    assert list(objects.listing("b", "none/x")) == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("obs://b/a/c.jar", ObjectRef("b", "a/c.jar")),
        ("group/c.jar", PackageRef("group", "c.jar")),
        ("c.jar", PackageRef("", "c.jar")),
    ],
)
def test_references(text: str, meant: object) -> None:
    assert parse_reference(text, "entrypoint") == meant
    assert str(meant) == text
    assert base_name(text) == "c.jar"


@pytest.mark.parametrize(
    "text",
    ["", "obs://b", "obs://b/", "obs:///k", "s3://b/k", "a/b/c.jar", "/etc/passwd", "../c.jar", "a/", "ä.jar", "."],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(BadField, match="dependency_jars"):
        parse_reference(text, "dependency_jars")


def test_the_resolver_finds_objects_and_packages(objects: ObjectStore, tmp_path: Path) -> None:
    store = PackageStore(Database(tmp_path / "db.sqlite"))
    contents = PackageFiles(tmp_path / "packages")
    resolver = ArtifactResolver(objects, contents, store.object_key, {"b": "p"}.get)
    put(objects, "x/a.jar", b"object")
    source = objects.local_path("b", "x/a.jar")

    def package(project: str, group: str, now: int) -> Package:
        key = contents.add("a.jar", source)
        return Package(project, group, "a.jar", "jar", key, "owner", now, now)

    first = package("p", "g", 1)
    assert store.put([first, package("p", "", 1)]) == []
    assert resolver.locate("p", "obs://b/x/a.jar") == source
    assert resolver.locate("p", "g/a.jar").read_bytes() == b"object"
    assert resolver.locate("p", "a.jar") != resolver.locate("p", "g/a.jar")
    assert store.put([package("p", "g", 7)]) == [first.object_key]
    again = store.find("p", "g", "a.jar")
    assert (again.created_ms, again.updated_ms) == (1, 7)

    wrong: list[tuple[str, str, type[HeadraceError]]] = [
        ("other", "obs://b/x/a.jar", BucketNotFound),
        ("p", "g/b.jar", PackageNotFound),
        ("q", "g/a.jar", PackageNotFound),
        ("p", "obs://b/none", ObjectNotFound),
        ("p", "obs://none/x", BucketNotFound),
    ]
    for project, reference, error in wrong:
        with pytest.raises(error):
            resolver.locate(project, reference)
    contents.drop(store.delete("p", "g", "a.jar"))
    with pytest.raises(PackageNotFound):
        store.delete("p", "g", "a.jar")
    assert [found.group for found in store.of_project("p")] == [""]


def test_links_in_a_circle_are_no_objects(objects: ObjectStore) -> None:
    put(objects, "a", b"a")
    (objects.root / "b" / "one").symlink_to("two")
    (objects.root / "b" / "two").symlink_to("one")
    (objects.root / "b" / "folder").symlink_to("folder")
    with pytest.raises(Unavailable, match="cannot be listed"):
        list(objects.listing("b"))
    for key in ("one", "folder", "folder/x"):
        with pytest.raises(ObjectNotFound):
            objects.local_path("b", key)
        with pytest.raises(ObjectNotFound):
            objects.exists("b", key)
    assert list(objects.listing("b", "folder/")) == []
    assert objects.local_path("b", "a").read_bytes() == b"a"
