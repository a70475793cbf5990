"""What the JVMs of a deployment are told of an S3 endpoint: which keys, in which file, in which spelling."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import BucketNotFound, ObjectNotFound, Unavailable
from headrace.domain.job import JobSpec
from headrace.domain.sizing import size
from headrace.flink.command import Layout
from headrace.flink.engines import EngineStore
from headrace.flink.s3 import S3Plugins
from headrace.objects.access import Keys, S3Access
from headrace.runtimes.local import LocalRuntime
from headrace.runtimes.s3 import FILE, S3Store
from tests.support.files import fetched_from

DEFAULT, ONE, TWO = Keys("AKD", "SKD"), Keys("AK1", "SK1"), Keys("AK2", "SK2")
JAR = Path("/engines/s3-1.20.1/flink-s3-fs-hadoop-1.20.1.jar")
OWNED = {"one", "two", "three"}


def plan(*buckets: str, **options: str) -> DeploymentPlan:
    shape = size(JobSpec("job"), {})
    return DeploymentPlan("job-1-1", 1, 1, "job", "1.20.5", shape, "a.jar", buckets=buckets, options=options)


class Nowhere:
    """A store that nobody looks into."""

    def read(self, bucket: str, key: str, begin: int = 0, end: int | None = None) -> bytes:
        raise ObjectNotFound(f"{bucket}/{key} {begin} {end}")

    def folders(self, bucket: str, folder: str) -> list[str]:
        raise BucketNotFound(f"{bucket}/{folder}")

    def delete_folder(self, bucket: str, folder: str) -> None:
        raise BucketNotFound(f"{bucket}/{folder}")


ACCESS = S3Access("http://store:8333", "eu-de", path_style=True, default=DEFAULT)


def store_of(folder: Path, access: S3Access = ACCESS) -> S3Store:
    return S3Store(access, Nowhere(), S3Plugins(folder, pins={}), lambda _project, bucket: bucket in OWNED)


def keys_in(content: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in content.items() if "access.key" in name or "secret.key" in name}


def scoped(bucket: str, keys: Keys) -> dict[str, str]:
    place = f"fs.s3a.bucket.{bucket}." if bucket else "fs.s3a."
    return {f"{place}access.key": keys.access_key, f"{place}secret.key": keys.secret_key}


@pytest.mark.parametrize(
    ("keys", "named", "given"),
    [
        ({}, ("one",), scoped("", DEFAULT)),
        ({}, (), scoped("", DEFAULT)),
        ({"one": ONE, "two": TWO}, ("one",), scoped("one", ONE)),
        ({"one": ONE, "two": TWO}, ("one", "two"), scoped("one", ONE) | scoped("two", TWO)),
        ({"one": ONE}, ("one", "three"), scoped("one", ONE) | scoped("", DEFAULT)),
        ({"one": ONE}, (), {}),
        ({"one": ONE, "others": TWO}, ("one", "others"), scoped("one", ONE)),
    ],
    ids=["none", "none-named", "its-own", "both", "one-without", "no-bucket", "another-projects"],
)
def test_a_job_gets_the_keys_of_its_buckets(
    tmp_path: Path, keys: dict[str, Keys], named: tuple[str, ...], given: dict[str, str]
) -> None:
    content = store_of(tmp_path, replace(ACCESS, keys=keys)).content(plan(*named), Layout(tmp_path), JAR)
    assert keys_in(dict(content)) == given


def test_how_the_endpoint_is_reached(tmp_path: Path) -> None:
    proxy = "http://us%40er:pa%3Ass@proxy:3128"
    access = replace(ACCESS, ca_file=tmp_path / "ca.pem", proxy=proxy, timeout_s=1.5)
    content = store_of(tmp_path, access).content(plan(), Layout(tmp_path), JAR)
    expected = {
        "ca": str(tmp_path / "ca.pem"),
        "jar": str(JAR),
        "fs.s3a.endpoint": "http://store:8333",
        "fs.s3a.endpoint.region": "eu-de",
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.timeout": "1500",
        "fs.s3a.proxy.host": "proxy",
        "fs.s3a.proxy.port": "3128",
        "fs.s3a.proxy.username": "us@er",
        "fs.s3a.proxy.password": "pa:ss",
    }
    assert {key: content[key] for key in expected} == expected


def test_what_a_job_tunes_is_not_overridden(tmp_path: Path) -> None:
    content = store_of(tmp_path).content(plan(**{"s3.retry.limit": "9"}), Layout(tmp_path), JAR)
    assert "fs.s3a.retry.limit" not in content
    assert content["fs.s3a.attempts.maximum"] == "3"


def test_the_file_is_its_owners_alone_and_any_key_survives_it(tmp_path: Path) -> None:
    jar = tmp_path / "given" / "flink-s3-fs-hadoop-1.20.1.jar"
    jar.parent.mkdir()
    jar.write_bytes(b"jar")
    odd = Keys(r" a=b:c#d!e\f", "é😀'\"$")
    access = S3Access("http://store", "r", path_style=True, default=odd)
    plugins = S3Plugins(tmp_path / "engines", jar.parent, pins={})
    (tmp_path / "engines").mkdir()
    store = S3Store(access, Nowhere(), plugins, lambda _project, _bucket: True)
    with pytest.raises(Unavailable, match="gone from the engine store"):
        store.write(plan(), Layout(tmp_path), "1.20.5")
    plugins.install("1.20.5")
    path = store.write(plan(), Layout(tmp_path), "1.20.5")
    assert path == tmp_path / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    read = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert spelled(read["fs.s3a.access.key"]) == odd.access_key
    assert spelled(read["fs.s3a.secret.key"]) == odd.secret_key
    assert [entry.name for entry in tmp_path.glob("*.tmp")] == []


def spelled(text: str) -> str:
    """As ``java.util.Properties`` reads it."""
    return text.encode().decode("unicode_escape").encode("utf-16", "surrogatepass").decode("utf-16")


def test_no_keys_are_left_of_a_deployment(tmp_path: Path) -> None:
    """Not even where Headrace was killed while it wrote them."""
    runtime = LocalRuntime(tmp_path, EngineStore(tmp_path / "engines"), fetched_from(tmp_path))
    layout = Layout(tmp_path / "deployments" / "job-1-1")
    layout.folder.mkdir()
    for name in (FILE, f"{FILE}.140213.tmp", f"{FILE}.7.tmp"):
        (layout.folder / name).write_text("fs.s3a.secret.key=SK")
    runtime.remove("job-1-1")
    assert runtime.names() == ()
    assert list(layout.folder.glob(f"{FILE}*")) == []
