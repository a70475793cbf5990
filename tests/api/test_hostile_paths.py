"""Names that want to lead out of their folder: over a real socket, as no client would send them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.conftest import PROJECT
from tests.support.raw import Reply, ask

if TYPE_CHECKING:
    from tests.api.conftest import Stand

CANARY = "content that is nobody's business"
OURS = f"/headrace/v1/{PROJECT}"
PACKAGES = f"/v2.0/{PROJECT}/resources"
STREAMING = f"/v1.0/{PROJECT}/streaming"

IN_PATH = [
    "..",
    "../canary",
    "../../canary",
    "../b/../../canary",
    "..%2fcanary",
    "..%2f..%2fcanary",
    "%2e%2e/canary",
    "%2e%2e%2f%2e%2e%2fcanary",
    "%2E%2E%2F%2E%2E%2Fcanary",
    "%252e%252e%252fcanary",
    "..%252f..%252fcanary",
    "..%5c..%5ccanary",
    "..\\..\\canary",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "./canary",
    "a/./../../../canary",
    "a//../../canary",
    "%00",
    "canary%00.jar",
    "..%00/canary",
    "..%0d%0aX-Injected:%20yes",
    "%c0%ae%c0%ae%2fcanary",
    "%ff%fe",
    "%ed%a0%80",
    "..;/canary",
    "file:%2f%2f%2fetc%2fpasswd",
    "x" * 3000,
    "%2e",
    "~root",
    "*",
]
IN_BODY = [
    "obs://b/../canary",
    "obs://b/../../canary",
    "obs://b/%2e%2e/canary",
    "obs://../canary",
    "obs://b/x/../../canary",
    "obs://b//canary",
    "obs://b/./canary",
    "obs://b\\..\\canary",
    "obs:///canary",
    "obs://b/",
    "obs://.b/canary",
    "b/../canary",
    "b/../../canary",
    "../canary",
    "..",
    "/etc/passwd",
    "//b/canary",
    "file:///etc/passwd",
    "https://example.com/../../canary",
    "https://../canary",
    "C:\\canary",
    "canary\x00.jar",
    "obs://b/canary\r\nX-Injected: yes",
    "obs://b/" + "x" * 3000,
    "obs://b/" + "x/" * 700 + "canary",
    "obs://" + "b" * 300 + "/canary",
]


@pytest.fixture
def canary(stand: Stand) -> Path:
    """A file beside the buckets' folder, and one in it, that belong to no bucket."""
    for folder in (stand.home, stand.home / "objects"):
        (folder / "canary").write_text(CANARY)
    return stand.home / "canary"


def files(stand: Stand) -> dict[str, bytes]:
    """All files of the home but the database's and the bucket's."""
    return {
        str(path.relative_to(stand.home)): path.read_bytes()
        for path in sorted(stand.home.rglob("*"))
        if path.is_file()
        and "sqlite" not in path.name
        and not path.is_relative_to(stand.home / "objects" / "b")
        and path.name != "made.jar"
    }


def check_refused(told: str, reply: Reply) -> None:
    assert 400 <= reply.status < 500, f"{told}: {reply}"
    if reply.body:
        reply.refusal()
    assert CANARY.encode() not in reply.body, told
    assert "x-injected" not in reply.headers, told


def stays_inside(stand: Stand, reply: Reply) -> bool:
    """Whether an object was stored, under exactly the name that the answer tells, in the bucket."""
    if reply.status != 201:
        return False
    told = json.loads(reply.body)
    file = stand.home / "objects" / "b" / told["key"]
    return file.read_bytes() == b"taken" and bool(
        file.resolve().is_relative_to((stand.home / "objects" / "b").resolve())
    )


def test_keys_of_objects(stand: Stand, canary: Path, url: str) -> None:
    before = files(stand)
    stored = []
    for name in IN_PATH:
        check_refused(f"GET {name}", ask(url, "GET", f"{OURS}/objects/b/{name}"))
    for name in IN_PATH:
        reply = ask(url, "PUT", f"{OURS}/objects/b/{name}", body=b"taken")
        if stays_inside(stand, reply):
            stored.append(name)
        else:
            check_refused(f"PUT {name}", reply)
    # Odd, but names like any other on this system: kept under just these characters, inside the bucket.
    assert set(stored) == {
        "%252e%252e%252fcanary",
        "..%252f..%252fcanary",
        "..%5c..%5ccanary",
        "..\\..\\canary",
        "..;/canary",
        "~root",
        "*",
    }
    assert files(stand) == before


def test_listing_by_prefix(stand: Stand, canary: Path, url: str) -> None:
    for name in IN_PATH:
        reply = ask(url, "GET", f"{OURS}/objects/b?prefix={name}")
        if reply.status == 200:
            assert json.loads(reply.body)["objects"] == [], name
        else:
            check_refused(name, reply)


def test_buckets(stand: Stand, canary: Path, url: str) -> None:
    before = files(stand)
    for name in IN_PATH:
        for method, target, body in (
            ("PUT", f"{OURS}/buckets/{name}", None),
            ("GET", f"{OURS}/objects/{name}", None),
            ("GET", f"{OURS}/objects/{name}/canary", None),
            ("PUT", f"{OURS}/objects/{name}/canary", b"taken"),
        ):
            check_refused(f"{method} {target}", ask(url, method, target, body=body))
    assert files(stand) == before
    assert [path.name for path in (stand.home / "objects").iterdir() if path.is_dir()] == ["b"]


def test_names_of_packages_in_paths(stand: Stand, canary: Path, url: str) -> None:
    before = files(stand)
    for name in IN_PATH:
        for method in ("GET", "DELETE"):
            check_refused(f"{method} {name}", ask(url, method, f"{PACKAGES}/{name}"))
            check_refused(f"{method} group={name}", ask(url, method, f"{PACKAGES}/app.jar?group={name}"))
    assert files(stand) == before


def bodies(name: str) -> list[tuple[str, str, Any]]:
    """Everywhere that a body names a file, a folder, a bucket or a group."""
    job = {"name": "hostile", "queue_name": "q", "entrypoint": "obs://b/app.jar"}
    return [
        ("POST", f"{STREAMING}/flink-jobs", {**job, "entrypoint": name}),
        ("POST", f"{STREAMING}/flink-jobs", {**job, "dependency_jars": [name]}),
        ("POST", f"{STREAMING}/flink-jobs", {**job, "dependency_files": [name]}),
        ("POST", f"{STREAMING}/flink-jobs", {**job, "obs_bucket": name}),
        ("POST", f"{STREAMING}/flink-jobs", {**job, "main_class": name}),
        ("PUT", f"{STREAMING}/flink-jobs/1", {"entrypoint": name}),
        ("PUT", f"{STREAMING}/flink-jobs/1", {"obs_bucket": name}),
        ("POST", f"{STREAMING}/jobs/export", {"obs_dir": name, "is_selected": True, "job_selected": [99]}),
        ("POST", f"{STREAMING}/jobs/import", {"zip_file": name}),
        ("POST", f"{STREAMING}/jobs/1/savepoint", {"action": "TRIGGER", "savepoint_path": name}),
        ("POST", f"{STREAMING}/jobs/1/import-savepoint", {"job_id": 1, "savepoint_path": name}),
        ("POST", PACKAGES, {"paths": [name], "kind": "jar", "group": "g"}),
        ("POST", PACKAGES, {"paths": ["obs://b/app.jar"], "kind": "jar", "group": f"{name}/"}),
        ("POST", f"{PACKAGES}/files", {"paths": [name], "group": "g"}),
        ("POST", f"/v1.0/{PROJECT}/dli/obs-authorize", {"obs_buckets": [name]}),
    ]


def test_names_in_bodies(stand: Stand, canary: Path, url: str) -> None:
    stand.create()
    before, rows = files(stand), stand.rows()
    for name in IN_BODY:
        for method, target, body in bodies(name):
            check_refused(f"{method} {target} {body}"[:300], ask(url, method, target, body=body))
    assert files(stand) == before
    assert stand.rows() == rows
    assert stand.show(1)["status"] == "job_init"


def test_checkpoint_paths(stand: Stand, url: str) -> None:
    for name in IN_BODY:
        if ".." in name and "%2e" not in name:
            body = {"name": "x", "checkpoint_path": name}
            check_refused(name, ask(url, "POST", f"{STREAMING}/flink-jobs", body=body))


def test_names_in_the_zip_of_an_import(stand: Stand, canary: Path, url: str) -> None:
    """An import writes no file, whatever the entries are called."""
    before, rows = files(stand), stand.rows()
    for number, name in enumerate(
        ("../canary", "../../canary", "/etc/canary", "..\\canary", "canary\x00.json", "a/../x")
    ):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as bundle:
            bundle.writestr(zipfile.ZipInfo(name), "{}")
        stand.put_object("b", f"{number}.zip", content.getvalue())
        reply = ask(url, "POST", f"{STREAMING}/jobs/import", body={"zip_file": f"b/{number}.zip"})
        check_refused(name, reply)
    assert files(stand) == before
    assert stand.rows() == rows
