from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Stand

RESOURCES = "/v2.0/{p}/resources"


def without_uuid(body: Any) -> Any:
    return json.loads(re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", json.dumps(body)))


def test_upload_list_show_use_delete(stand: Stand, golden: Any) -> None:
    paths = ["obs://b/app.jar", "https://b.obs.eu-de.otc.t-systems.com/data.txt"]
    body = {"paths": paths, "kind": "jar", "group": "g", "is_async": False, "tags": [{"key": "a", "value": "b"}]}
    golden("package_upload", without_uuid(stand.ok("POST", RESOURCES, body, status=201)))
    golden("package_list", without_uuid(stand.ok("GET", RESOURCES)))
    for name in ("g%2Fapp.jar", "g/app.jar", "app.jar?group=g"):
        golden("package", without_uuid(stand.ok("GET", f"{RESOURCES}/{name}")))
    stand.services.objects.delete("b", "app.jar")  # a package is a copy
    job_id = stand.create(entrypoint="g/app.jar", dependency_files=["g/data.txt"])
    assert stand.run(job_id).status_code == 200
    stand.ok("DELETE", f"{RESOURCES}/app.jar?group=g")
    answer = stand.send("DELETE", f"{RESOURCES}/app.jar?group=g")
    assert (answer.status_code, answer.content) == (404, b"")
    assert stand.refused("GET", f"{RESOURCES}/app.jar?group=g")[:2] == (400, "DLI.12002")
    assert stand.rows()["files"] == stand.rows()["packages"] == 1


def test_upload_again_replaces(stand: Stand) -> None:
    body = {"paths": ["obs://b/app.jar"], "kind": "jar"}
    first = stand.ok("POST", RESOURCES, body, status=201)["details"][0]
    stand.clock.ms += 1000
    second = stand.ok("POST", RESOURCES, body, status=201)["details"][0]
    assert first["underlying_name"] != second["underlying_name"]
    assert (second["create_time"], second["update_time"]) == (first["create_time"], first["create_time"] + 1000)
    assert stand.rows()["files"] == stand.rows()["packages"] == 1


@pytest.mark.parametrize(("route", "kind"), [("jars", "jar"), ("files", "file"), ("pyfiles", "pyFile")])
def test_upload_by_kind(stand: Stand, route: str, kind: str) -> None:
    answer = stand.ok("POST", f"{RESOURCES}/{route}", {"paths": ["obs://b/data.txt"], "group": "g"}, status=201)
    assert (answer["group_name"], answer["status"], answer["module_type"]) == ("g", "READY", kind)
    assert stand.ok("GET", f"{RESOURCES}?kind={kind}")["total"] == 1
    assert stand.ok("GET", f"{RESOURCES}?kind=modelFile")["total"] == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"paths": []}, "DLI.0001"),
        ({"paths": ["b/app.jar"]}, "DLI.0001"),
        ({"paths": ["https://b.example.com/app.jar"]}, "DLI.0001"),
        ({"paths": ["https://b.obs.example.com/"]}, "DLI.0001"),
        ({"paths": ["file:///etc/passwd"]}, "DLI.0001"),
        ({"paths": ["https://[x/y.jar"]}, "DLI.0001"),
        ({"paths": ["obs://b/app.jar", "obs://b/../b/app.jar"]}, "DLI.0001"),
        ({"paths": ["obs://b/app.jar", "obs://b/app.jar"]}, "DLI.0001"),
        ({"paths": ["obs://b/app.jar", "obs://b/none.jar"]}, "DLI.12002"),
        ({"paths": ["obs://none/app.jar"]}, "DLI.11016"),
        ({"kind": "war"}, "DLI.0001"),
        ({"kind": None}, "DLI.0001"),
        ({"group": "a/b"}, "DLI.0001"),
        ({"group": ".."}, "DLI.0001"),
        ({"group": "x" * 65}, "DLI.0001"),
        ({"unknown": 1}, "DLI.0001"),
    ],
    ids=str,
)
def test_a_bad_upload_leaves_nothing(stand: Stand, changes: dict[str, Any], code: str) -> None:
    before = stand.rows()
    body = {"paths": ["obs://b/app.jar"], "kind": "jar", **changes}
    assert stand.refused("POST", RESOURCES, body)[:2] == (400, code)
    assert stand.rows() == before


def test_a_failed_copy_leaves_nothing(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stand.rows()
    files, real = stand.services.package_files, stand.services.package_files.add

    def add(name: str, source: Path) -> str:
        if name == "data.txt":
            raise OSError("disk full")
        return real(name, source)

    monkeypatch.setattr(files, "add", add)
    answer = stand.send("POST", RESOURCES, {"paths": ["obs://b/app.jar", "obs://b/data.txt"], "kind": "jar"})
    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")
    assert stand.rows() == before


def test_packages_are_their_projects(stand: Stand) -> None:
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar"}, status=201)
    path = "/v2.0/fedcba9876543210fedcba9876543210/resources"
    assert stand.ok("GET", path, ak="OTHER")["total"] == 0
    assert stand.refused("GET", f"{path}/app.jar", ak="OTHER")[:2] == (400, "DLI.12002")


def test_obs_authorize(stand: Stand) -> None:
    path = "/v1.0/{p}/dli/obs-authorize"
    assert stand.ok("POST", path, {"obs_buckets": ["b"]}) == {
        "is_success": "true",
        "message": "The following OBS bucket is authorized successfully, b.",
    }
    assert stand.refused("POST", path, {"obs_buckets": ["b", "none"]})[:2] == (400, "DLI.11016")
    assert stand.refused("POST", path, {"obs_buckets": []})[:2] == (400, "DLI.0001")
