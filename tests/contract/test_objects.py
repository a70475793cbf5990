"""What every object store does, a folder and a real S3 server: ``headrace.objects.base.Objects``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest

from headrace.domain.errors import (
    BadField,
    BodyTooLarge,
    BucketNotFound,
    HeadraceError,
    NameTaken,
    ObjectNotFound,
    ObjectReplaced,
    PackageNotFound,
    StoreSilent,
    Unavailable,
)
from headrace.objects.access import Keys, S3Access
from headrace.objects.artifacts import ArtifactResolver, base_name
from headrace.objects.base import Objects
from headrace.objects.folder import FolderObjects
from headrace.objects.packages import PackageFiles
from headrace.objects.paths import ObjectRef, PackageRef, parse_reference
from headrace.objects.s3 import S3Objects
from headrace.store.database import Database
from headrace.store.packages import Package, PackageStore
from tests.support.s3_answers import answering
from tests.support.seaweed import Seaweed, seaweed
from tests.support.server import wait_until
from tests.support.stores import STORES, access_to
from tests.support.uploads import boto3_of

KEYS = ["a.jar", "deep/er/a b.jar", "ü/é+%20&?.txt", "日本/ジョブ.jar", "a#b", "x:y~[z]{1}|`"]
NUMBERS = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        yield running


@pytest.fixture(params=list(STORES))
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Objects]:
    server = request.getfixturevalue("server") if request.param != "folder" else None
    with STORES[request.param](tmp_path, server) as store:
        yield store


@pytest.fixture
def bucket(objects: Objects, request: pytest.FixtureRequest) -> str:
    """A new one."""
    name = f"bucket-{next(NUMBERS)}"
    objects.create_bucket(name)
    if objects.root is None:
        request.getfixturevalue("server").prepare_bucket(name)
    return name


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def put(store: Objects, bucket: str, key: str, *chunks: bytes, max_bytes: int = 1 << 30) -> int:
    return asyncio.run(store.put_stream(bucket, key, pieces(*chunks), max_bytes))


def keys(store: Objects, bucket: str, prefix: str = "") -> list[str]:
    return [info.key for info in store.listing(bucket, prefix)]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_taken_character_for_character(objects: Objects, bucket: str, key: str) -> None:
    assert put(objects, bucket, key, b"abc", b"de") == 5
    if objects.root is not None:
        assert (objects.root / bucket / key).read_bytes() == b"abcde"
    assert objects.read(bucket, key) == b"abcde"
    assert keys(objects, bucket) == [key]
    assert objects.head(bucket, key).size == 5
    size, content = objects.get_stream(bucket, key)
    assert (size, b"".join(content)) == (5, b"abcde")
    objects.delete(bucket, key)
    assert not objects.exists(bucket, key)
    with pytest.raises(ObjectNotFound):
        objects.delete(bucket, key)


def test_parts_are_read(objects: Objects, bucket: str) -> None:
    objects.put(bucket, "k", b"0123456789")
    objects.put(bucket, "empty", b"")
    assert objects.read(bucket, "k", 3, 5) == b"34"
    assert objects.read(bucket, "k", 8, 50) == b"89"
    assert objects.read(bucket, "k", 10) == objects.read(bucket, "k", 4, 4) == objects.read(bucket, "empty") == b""
    for begin, left in ((0, b"0123456789"), (4, b"456789"), (10, b"")):
        size, content = objects.get_stream(bucket, "k", begin)
        assert (size, b"".join(content)) == (10, left)
    size, content = objects.get_stream(bucket, "empty")
    assert (size, b"".join(content)) == (0, b"")


def test_a_version_changes_with_the_content(objects: Objects, bucket: str) -> None:
    objects.put(bucket, "k", b"first")
    version = objects.head(bucket, "k").version
    assert version
    assert objects.head(bucket, "k").version == version
    size, content = objects.get_stream(bucket, "k", 2, version)
    assert (size, b"".join(content)) == (5, b"rst")
    objects.put(bucket, "k", b"other")
    assert objects.head(bucket, "k").version != version
    for begin in (0, 2):
        with pytest.raises(ObjectReplaced):
            objects.get_stream(bucket, "k", begin, version)


def test_what_is_not_there(objects: Objects, bucket: str) -> None:
    objects.put(bucket, "a/b", b"x")
    assert not objects.exists(bucket, "none")
    for key in ("none", "a", "a/c"):
        with pytest.raises(ObjectNotFound):
            objects.head(bucket, key)
        with pytest.raises(ObjectNotFound):
            objects.read(bucket, key)
        with pytest.raises(ObjectNotFound):
            objects.get_stream(bucket, key)
    assert not objects.has_bucket("no-such-bucket")
    for call in (objects.head, objects.read, objects.exists, objects.get_stream, objects.delete):
        with pytest.raises(BucketNotFound, match="no-such-bucket"):
            call("no-such-bucket", "k")
    for store in (objects.put, objects.put_new):
        with pytest.raises(BucketNotFound, match="no-such-bucket"):
            store("no-such-bucket", "k", b"x")
    for listed in (lambda: list(objects.listing("no-such-bucket")), lambda: objects.folders("no-such-bucket", "")):
        with pytest.raises(BucketNotFound, match="no-such-bucket"):
            listed()
    with pytest.raises(BucketNotFound):
        objects.require_bucket("no-such-bucket")
    with pytest.raises(BucketNotFound):
        asyncio.run(objects.put_stream("no-such-bucket", "k", pieces(b"x"), 10))


@pytest.mark.parametrize(
    "key",
    ["", "/a", "a/", "a//b", "../x", "a/../../x", "a/./b", "a\0b", "a\tb", "upload#1", "x" * 241, "a/" * 600 + "b"],
)
def test_a_bad_key_is_refused(objects: Objects, bucket: str, key: str) -> None:
    with pytest.raises(BadField):
        put(objects, bucket, key, b"x")
    with pytest.raises(BadField):
        objects.head(bucket, key)
    assert keys(objects, bucket) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-a", ".a", "a..b", "a b", "x" * 64, "ü"])
def test_a_bad_bucket_is_refused(objects: Objects, name: str) -> None:
    with pytest.raises(BadField):
        objects.create_bucket(name)
    assert not objects.has_bucket(name)
    with pytest.raises(BucketNotFound):
        objects.require_bucket(name)


def test_buckets_are_made_once(objects: Objects, bucket: str) -> None:
    with pytest.raises(NameTaken):
        objects.create_bucket(bucket)
    assert bucket in objects.buckets()
    assert objects.buckets() == sorted(objects.buckets())
    assert objects.has_bucket(bucket)
    objects.require_bucket(bucket)


def test_an_object_is_made_once(objects: Objects, bucket: str) -> None:
    assert objects.put_new(bucket, "a/k", b"first")
    assert not objects.put_new(bucket, "a/k", b"second")
    assert objects.read(bucket, "a/k") == b"first"
    objects.put(bucket, "a/k", b"third")
    assert objects.read(bucket, "a/k") == b"third"


def test_a_broken_upload_leaves_nothing(objects: Objects, bucket: str) -> None:
    put(objects, bucket, "k", b"old")

    async def broken() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield b"x" * 1_000_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        asyncio.run(objects.put_stream(bucket, "k", broken(), 1 << 30))
    with pytest.raises(BodyTooLarge):
        put(objects, bucket, "k", *[b"x" * 1_000_000] * 12, max_bytes=11_000_000)
    assert keys(objects, bucket) == ["k"]
    assert objects.read(bucket, "k") == b"old"
    assert put(objects, bucket, "k", *[b"x" * 1_000_000] * 12) == 12_000_000
    size, content = objects.get_stream(bucket, "k", 11_999_990)
    assert (size, b"".join(content)) == (12_000_000, b"x" * 10)


def test_a_list_takes_a_prefix(objects: Objects, bucket: str) -> None:
    for key in ("jobs/logs/12/a", "jobs/logs/1/a", "jobs/x", "other"):
        put(objects, bucket, key, b"x")
    assert keys(objects, bucket) == ["jobs/logs/1/a", "jobs/logs/12/a", "jobs/x", "other"]
    assert keys(objects, bucket, "jobs/logs/1") == ["jobs/logs/1/a", "jobs/logs/12/a"]
    assert keys(objects, bucket, "jobs/logs/1/") == ["jobs/logs/1/a"]
    assert keys(objects, bucket, "o") == ["other"]
    assert keys(objects, bucket, "none/x") == []


def test_folders_are_what_keys_have_in_common(objects: Objects, bucket: str) -> None:
    for key in ("jobs/logs/2/a", "jobs/logs/10/b/c", "jobs/logs/file", "other/x"):
        put(objects, bucket, key, b"x")
    assert objects.folders(bucket, "") == ["jobs", "other"]
    assert objects.folders(bucket, "jobs/logs") == ["10", "2"]
    assert objects.folders(bucket, "jobs/logs/2") == objects.folders(bucket, "none") == []
    objects.delete_folder(bucket, "jobs/logs/10")
    objects.delete_folder(bucket, "none")
    assert keys(objects, bucket) == ["jobs/logs/2/a", "jobs/logs/file", "other/x"]
    objects.delete_folder(bucket, "jobs")
    assert keys(objects, bucket) == ["other/x"]


# -- of folders only --------------------------------------------------------------------------------------------------


@pytest.fixture
def local(tmp_path: Path) -> FolderObjects:
    store = FolderObjects(tmp_path / "objects")
    store.create_bucket("b")
    return store


def test_an_object_is_no_folder(local: FolderObjects) -> None:
    put(local, "b", "a/b", b"x")
    for key in ("a", "a/b/c", "a/b/c/d"):
        with pytest.raises(BadField):
            put(local, "b", key, b"x")
    assert keys(local, "b") == ["a/b"]


def test_no_symbolic_link_leads_out_of_a_bucket(local: FolderObjects, tmp_path: Path) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "file").write_text("secret")
    (local.root / "b" / "link").symlink_to(secret)
    (local.root / "b" / "file").symlink_to(secret / "file")
    (local.root / "linked").symlink_to(secret)
    for key in ("link/file", "file", "link/new"):
        for look in (local.head, local.read, local.get_stream, local.delete):
            with pytest.raises(ObjectNotFound):
                look("b", key)
        with pytest.raises(ObjectNotFound):
            put(local, "b", key, b"x")
    local.delete_folder("b", "link")
    assert list(local.listing("b")) == []
    assert list(local.listing("b", "link/")) == []
    assert local.folders("b", "") == local.folders("b", "link") == []
    assert local.buckets() == ["b"]
    with pytest.raises(BucketNotFound):
        local.head("linked", "file")
    assert (secret / "file").read_text() == "secret"
    assert [path.name for path in secret.iterdir()] == ["file"]


def test_who_reads_an_object_reads_it_as_it_was(local: FolderObjects) -> None:
    local.put("b", "k", b"abcde")
    size, content = local.get_stream("b", "k")
    local.put("b", "k", b"replaced")
    assert (size, b"".join(content)) == (5, b"abcde")


# -- names of files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant", "shown"),
    [
        ("obs://b/a/c.jar", ObjectRef("b", "a/c.jar"), "obs://b/a/c.jar"),
        ("s3://b/a/c.jar", ObjectRef("b", "a/c.jar"), "obs://b/a/c.jar"),
        ("s3a://b/c.jar", ObjectRef("b", "c.jar"), "obs://b/c.jar"),
        ("group/c.jar", PackageRef("group", "c.jar"), "group/c.jar"),
        ("c.jar", PackageRef("", "c.jar"), "c.jar"),
    ],
)
def test_references(text: str, meant: object, shown: str) -> None:
    assert parse_reference(text, "entrypoint") == meant
    assert str(meant) == shown
    assert base_name(text) == "c.jar"


@pytest.mark.parametrize(
    "text",
    ["", "obs://b", "obs://b/", "obs:///k", "s3n://b/k", "S3://b/k", "obs://s3://b/k", "a/b/c.jar", "/etc/passwd"],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(BadField, match="dependency_jars"):
        parse_reference(text, "dependency_jars")


@pytest.mark.parametrize("text", ["../c.jar", "a/", "ä.jar", "."])
def test_what_is_no_package(text: str) -> None:
    with pytest.raises(BadField, match="dependency_jars"):
        parse_reference(text, "dependency_jars")


def test_the_resolver_finds_objects_and_packages(local: FolderObjects, tmp_path: Path) -> None:
    store = PackageStore(Database(tmp_path / "db.sqlite"))
    contents = PackageFiles(tmp_path / "packages")
    resolver = ArtifactResolver(local, contents, store.object_key, {"b": "p"}.get)
    put(local, "b", "x/a.jar", b"object")

    def package(project: str, group: str, now: int) -> Package:
        key = contents.add("a.jar", local.get_stream("b", "x/a.jar")[1])
        return Package(project, group, "a.jar", "jar", key, "owner", now, now)

    first = package("p", "g", 1)
    assert store.put([first, package("p", "", 1)]) == []
    found = resolver.locate("p", "s3a://b/x/a.jar")
    assert (found.name, found.size, b"".join(found.stream(2)), found.read(1, 3)) == ("a.jar", 6, b"ject", b"bj")
    assert found.version == resolver.locate("p", "obs://b/x/a.jar").version
    in_group, alone = resolver.locate("p", "g/a.jar"), resolver.locate("p", "a.jar")
    assert b"".join(in_group.stream(0)) == alone.read(0, 6) == b"object"
    assert len({found.version, in_group.version, alone.version}) == 3
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


def test_links_in_a_circle_are_no_objects(local: FolderObjects) -> None:
    put(local, "b", "a", b"a")
    (local.root / "b" / "one").symlink_to("two")
    (local.root / "b" / "two").symlink_to("one")
    (local.root / "b" / "folder").symlink_to("folder")
    with pytest.raises(Unavailable, match="cannot be listed"):
        list(local.listing("b"))
    for key in ("one", "folder", "folder/x"):
        with pytest.raises(ObjectNotFound):
            local.head("b", key)
        with pytest.raises(ObjectNotFound):
            local.exists("b", key)
    assert list(local.listing("b", "folder/")) == []
    assert local.read("b", "a") == b"a"


def test_only_the_settings_count(server: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what a shell has for the AWS tools, or for the web."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-somebody-else")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    store = S3Objects(access_to(server))
    store.create_bucket("of-settings")
    server.prepare_bucket("of-settings")
    store.put("of-settings", "k", b"content")
    assert store.read("of-settings", "k") == b"content"
    assert "of-settings" in store.buckets()


def test_a_name_that_cannot_be_taken_is_told(server: Seaweed) -> None:
    store = S3Objects(access_to(server))
    store.create_bucket("strange")
    server.prepare_bucket("strange")
    client = boto3_of(server)
    client.put_object(Bucket="strange", Key="two\nlines", Body=b"x")
    client.put_object(Bucket="strange", Key="folder/k", Body=b"x")
    with pytest.raises(Unavailable, match=r"the bucket strange cannot be listed.*two\\nlines.*Rename or delete"):
        list(store.listing("strange"))
    assert [info.key for info in store.listing("strange", "folder/")] == ["folder/k"]


def test_a_small_disk_has_room_for_some_buckets_until_it_is_full(tmp_path: Path) -> None:
    server = Seaweed(tmp_path / "weed", volumes=6, volume_mb=1)
    server.start()
    try:
        store = S3Objects(access_to(server))
        for name in ("one", "two", "three"):
            store.create_bucket(name)
            store.put(name, "k", b"content")

        def fill() -> str:
            try:
                store.put("one", f"fill-{next(NUMBERS)}", bytes(1 << 20))
            except StoreSilent as error:
                return str(error)
            return ""

        told = wait_until("it is full", fill)
        assert "obs://one/" in told
        assert "no room left" in told
        assert store.read("three", "k") == b"content"
    finally:
        server.kill()


def test_an_endpoint_that_knows_no_conditions_mixes_no_versions() -> None:
    with answering(200) as url:
        store = S3Objects(S3Access(url, "r", path_style=True, default=Keys("AK", "SK")))
        assert store.get_stream("bucket", "k", version='"1"')[0] == 0
        with pytest.raises(ObjectReplaced, match="obs://bucket/k was replaced"):
            store.get_stream("bucket", "k", version='"2"')
