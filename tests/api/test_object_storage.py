"""The API with its buckets behind a real S3 server: whose they are, what goes in and out, what each failure says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from headrace.objects.access import Keys
from headrace.objects.s3 import S3Objects
from headrace.settings import Settings
from tests.api.conftest import MAIN, OTHER, Stand, standing
from tests.support.s3_answers import answering, certificate
from tests.support.seaweed import READER, Seaweed, only, seaweed
from tests.support.stores import access_to

FLOW = "/v1.0/{p}/streaming/flink-jobs"
AUTHORIZE = "/v1.0/{p}/dli/obs-authorize"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed"), only("mine")) as server:
        server.create_bucket("mine")
        yield server


@pytest.fixture
def bucket(weed: Seaweed) -> str:
    """One that was made elsewhere: no project has it."""
    name = f"found-{next(NUMBERS)}"
    weed.create_bucket(name)
    return name


@pytest.fixture
def at(tmp_path: Path, migrated: Path, settings: Settings, weed: Seaweed) -> Iterator[Any]:
    """Makes a server on the endpoint, by whichever keys and settings."""
    made: list[AbstractContextManager[Stand]] = []

    def make(**access: Any) -> Stand:
        home = tmp_path / f"home-{len(made)}"
        home.mkdir()
        shutil.copyfile(migrated, home / "db.sqlite")
        entered = standing(home, settings, S3Objects(access_to(weed, **access)))
        made.append(entered)
        stand = entered.__enter__()
        stand.ok("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
        return stand

    yield make
    for entered in made:
        entered.__exit__(None, None, None)


@pytest.fixture
def s3(at: Any) -> Stand:
    stand: Stand = at()
    return stand


def authorize(stand: Stand, *names: str, **options: Any) -> Any:
    return stand.ok("POST", AUTHORIZE, {"obs_buckets": list(names)}, **options)


def upload(weed: Seaweed, bucket: str, key: str, content: bytes) -> None:
    weed.store(bucket).put(key, content)


def test_a_bucket_of_the_storage_is_taken_over_by_a_projects_administrator(s3: Stand, bucket: str) -> None:
    body = {"obs_buckets": [bucket]}
    assert s3.refused("POST", AUTHORIZE, body, ak="SUB")[:2] == (400, "DLI.11016")
    assert s3.refused("GET", f"/headrace/v1/{{p}}/objects/{bucket}")[:2] == (400, "DLI.11016")
    told = s3.refused("PUT", f"/headrace/v1/{{p}}/buckets/{bucket}")
    assert told[:2] == (400, "DLI.0006")
    assert "obs-authorize" in told[2]
    authorize(s3, bucket)
    assert s3.ok("GET", "/headrace/v1/{p}/buckets") == {"buckets": [bucket]}
    authorize(s3, bucket, ak="SUB")
    theirs = AUTHORIZE.replace("{p}", OTHER)
    assert s3.refused("POST", theirs, body, ak="OTHER")[:2] == (400, "DLI.11016")
    assert s3.refused("POST", AUTHORIZE, {"obs_buckets": [bucket, "no-such-bucket"]})[:2] == (400, "DLI.11016")


def test_nothing_is_taken_over_if_one_bucket_is_missing(s3: Stand, bucket: str) -> None:
    assert s3.refused("POST", AUTHORIZE, {"obs_buckets": [bucket, "no-such-bucket"]})[:2] == (400, "DLI.11016")
    assert s3.ok("GET", "/headrace/v1/{p}/buckets") == {"buckets": []}


def test_objects_go_in_and_out(s3: Stand, weed: Seaweed) -> None:
    name = f"made-{next(NUMBERS)}"
    s3.ok("PUT", f"/headrace/v1/{{p}}/buckets/{name}", status=201)
    weed.prepare_bucket(name)
    assert s3.refused("PUT", f"/headrace/v1/{{p}}/buckets/{name}")[:2] == (400, "DLI.0006")
    assert s3.refused("PUT", "/headrace/v1/{p}/buckets/No_S3_Name")[:2] == (400, "DLI.0001")
    assert s3.ok("GET", "/headrace/v1/{p}/buckets") == {"buckets": [name]}, "what was refused changes nothing"
    trail = s3.ok("GET", "/headrace/v1/{p}/audit?trace_name=createBucket")
    assert [line["resource_id"] for line in trail["traces"]] == [name]
    s3.put_object(name, "deep/a b.txt", b"content")
    assert s3.send("GET", f"/headrace/v1/{{p}}/objects/{name}/deep/a%20b.txt").content == b"content"
    listed = s3.ok("GET", f"/headrace/v1/{{p}}/objects/{name}?prefix=deep/")
    assert [found["key"] for found in listed["objects"]] == ["deep/a b.txt"]


@pytest.mark.parametrize("scheme", ["obs", "s3", "s3a"])
def test_a_job_is_made_of_objects_by_either_name(s3: Stand, weed: Seaweed, bucket: str, scheme: str) -> None:
    authorize(s3, bucket)
    upload(weed, bucket, "jars/app.jar", s3.jar(MAIN, main=MAIN))
    upload(weed, bucket, "chk/_metadata", bytes.fromhex("4960672d") + b"rest")
    job_id = s3.create(
        entrypoint=f"{scheme}://{bucket}/jars/app.jar",
        checkpoint_path=f"{scheme}://{bucket}/checkpoints",
        obs_bucket=bucket,
        log_enabled=True,
    )
    place = f"/v1.0/{{p}}/streaming/jobs/{job_id}/import-savepoint"
    s3.ok("POST", place, {"job_id": job_id, "savepoint_path": f"{scheme}://{bucket}/chk"})
    assert s3.job(job_id).record.savepoint_path == f"obs://{bucket}/chk"
    body = {"obs_dir": f"{scheme}://{bucket}/exports", "is_selected": True, "job_selected": [job_id]}
    (written,) = s3.ok("POST", "/v1.0/{p}/streaming/jobs/export", body)["zip_file"]
    brought = {"zip_file": f"{scheme}://{written}", "is_cover": True}
    assert s3.ok("POST", "/v1.0/{p}/streaming/jobs/import", brought)["job_mapping"]
    uploaded = {"paths": [f"{scheme}://{bucket}/jars/app.jar"], "kind": "jar"}
    assert s3.ok("POST", "/v2.0/{p}/resources", uploaded, status=201)["resources"] == ["app.jar"]
    assert s3.create(name="of-a-package", entrypoint="app.jar")


def test_what_the_jar_lacks_is_told_without_fetching_all_of_it(s3: Stand, weed: Seaweed, bucket: str) -> None:
    authorize(s3, bucket)
    upload(weed, bucket, "app.jar", s3.jar(MAIN))
    upload(weed, bucket, "no.jar", b"no jar")
    body = {"name": "j", "queue_name": "q", "main_class": "a.None"}
    told = s3.refused("POST", FLOW, {**body, "entrypoint": f"obs://{bucket}/app.jar"})
    assert told[:2] == (400, "DLI.0001")
    assert "a.None" in told[2]
    assert "is not a JAR" in s3.refused("POST", FLOW, {**body, "entrypoint": f"obs://{bucket}/no.jar"})[2]
    assert s3.refused("POST", FLOW, {**body, "entrypoint": f"obs://{bucket}/none.jar"})[:2] == (400, "DLI.12002")
    assert s3.refused("POST", FLOW, {**body, "obs_bucket": "no-such-bucket"})[:2] == (400, "DLI.11016")


# -- failures ---------------------------------------------------------------------------------------------------------


def look(stand: Stand, bucket: str) -> tuple[int, str, str]:
    """Asks for the bucket's objects; no answer tells a secret."""
    stand.services.buckets.claim(bucket, "0123456789abcdef0123456789abcdef", now_ms=1)
    told = stand.refused("GET", f"/headrace/v1/{{p}}/objects/{bucket}")
    assert "SKOWNER" not in told[2]
    assert "Signature=" not in told[2]
    return told


@pytest.mark.parametrize(
    ("keys", "code"),
    [(Keys("AKNOBODY", "secret-of-nobody"), "InvalidAccessKeyId"), (None, "SignatureDoesNotMatch")],
)
def test_wrong_keys(at: Any, weed: Seaweed, bucket: str, keys: Keys | None, code: str) -> None:
    stand = at(default=keys or Keys(weed.access_key, "secret-of-nobody"))
    status, error, text = look(stand, bucket)
    assert (status, error) == (503, "DLI.0999")
    assert code in text
    assert "s3_access_key" in text
    assert "secret-of-nobody" not in text


def test_a_bucket_that_is_gone(s3: Stand, weed: Seaweed) -> None:
    told = look(s3, "gone-meanwhile")
    assert told[:2] == (400, "DLI.11016")
    body = {"name": "j", "queue_name": "q", "entrypoint": "obs://gone-meanwhile/app.jar"}
    assert s3.refused("POST", FLOW, body)[:2] == (400, "DLI.11016")


def test_no_right_to_write(at: Any, bucket: str) -> None:
    stand = at(default=Keys(READER.access_key, READER.secret_key))
    authorize(stand, bucket)
    path = f"/headrace/v1/{{p}}/objects/{bucket}/k"
    told = stand.refused("PUT", path, content=b"x", content_type="application/octet-stream")
    assert told[:2] == (400, "DLI.11016")
    assert f"rights on the bucket {bucket}" in told[2]
    told = stand.refused("PUT", f"/headrace/v1/{{p}}/buckets/new-{bucket}")
    assert told[:2] == (400, "DLI.11016")
    assert stand.ok("GET", "/headrace/v1/{p}/buckets") == {"buckets": [bucket]}


def test_keys_of_one_bucket(at: Any, weed: Seaweed, bucket: str) -> None:
    """Those of all buckets may be of no use for it, and its own for no other."""
    mine = only("mine")
    stand = at(default=Keys("AKNOBODY", "none"), keys={"mine": Keys(mine.access_key, mine.secret_key)})
    authorize(stand, "mine")
    stand.put_object("mine", "k", b"content")
    assert look(stand, bucket)[:2] == (503, "DLI.0999")
    other = at(default=Keys(mine.access_key, mine.secret_key))
    assert look(other, bucket)[:2] == (400, "DLI.11016")


@pytest.mark.parametrize(
    ("status", "code", "wanted", "words"),
    [
        (403, "RequestTimeTooSkewed", (503, "DLI.0999"), "clock"),
        (403, "QuotaExceeded", (503, "DLI.0999"), "no room"),
        (507, "XMinioStorageFull", (503, "DLI.0999"), "no room"),
        (503, "SlowDown", (503, "DLI.0999"), "tried again"),
        (500, "InternalError", (503, "DLI.0999"), "tried again"),
        (403, "AccessDenied", (400, "DLI.11016"), "rights on the bucket"),
        (404, "NoSuchBucket", (400, "DLI.11016"), "no such bucket"),
        (501, "NotImplemented", (503, "DLI.0999"), "NotImplemented"),
    ],
)
def test_what_an_endpoint_refuses(at: Any, status: int, code: str, wanted: tuple[int, str], words: str) -> None:
    with answering(status, code) as url:
        told = look(at(endpoint=url), "some-bucket")
    assert told[:2] == wanted
    assert words in told[2]


def test_an_endpoint_that_says_nothing(at: Any, bucket: str, weed: Seaweed) -> None:
    stand = at(timeout_s=1.0)
    weed.freeze()
    try:
        told = look(stand, bucket)
    finally:
        weed.thaw()
    assert told[:2] == (503, "DLI.0999")
    assert "s3_timeout_seconds" in told[2]
    stand.ok("GET", f"/headrace/v1/{{p}}/objects/{bucket}")


def test_an_endpoint_that_is_down(at: Any) -> None:
    with answering(200) as url:
        pass
    told = look(at(endpoint=url), "some-bucket")
    assert told[:2] == (503, "DLI.0999")
    assert url in told[2]
    assert "cannot be reached" in told[2]
    told = look(at(endpoint="http://storage.invalid"), "some-bucket")
    assert told[:2] == (503, "DLI.0999")
    assert "s3_endpoint" in told[2]


def test_only_a_certificate_that_is_trusted_will_do(at: Any, tmp_path: Path) -> None:
    files = certificate(tmp_path)
    with answering(200, tls=files) as url:
        told = look(at(endpoint=url), "some-bucket")
        assert told[:2] == (503, "DLI.0999")
        assert "s3_ca_file" in told[2]
        stand = at(endpoint=url, ca_file=files[0])
        assert stand.services.objects.has_bucket("some-bucket")
        stand.services.objects.put("some-bucket", "k", b"x")
