from __future__ import annotations

import json
import re
from collections.abc import Iterator
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
    assert stand.refused("GET", f"{RESOURCES}/app.jar?group=g")[:2] == (404, "DLI.12002")  # Terraform: it is gone
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

    def add(name: str, content: Iterator[bytes]) -> str:
        if name == "data.txt":
            assert b"".join(content)
            raise OSError("disk full")
        return real(name, content)

    monkeypatch.setattr(files, "add", add)
    answer = stand.send("POST", RESOURCES, {"paths": ["obs://b/app.jar", "obs://b/data.txt"], "kind": "jar"})
    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")
    assert stand.rows() == before


def test_packages_are_their_projects(stand: Stand) -> None:
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar"}, status=201)
    path = "/v2.0/fedcba9876543210fedcba9876543210/resources"
    assert stand.ok("GET", path, ak="OTHER")["total"] == 0
    assert stand.refused("GET", f"{path}/app.jar", ak="OTHER")[:2] == (404, "DLI.12002")


def put(stand: Stand, *names: str, route: str = "", group: str = "g", **options: Any) -> Any:
    """Uploads objects of these names."""
    for name in names:
        stand.put_object("b", name, stand.jar("a.B", main="a.B"))
    body = {"paths": [f"obs://b/{name}" for name in names], "group": group}
    if not route:
        body["kind"] = "file"
    return stand.ok("POST", f"{RESOURCES}{route}", body, **{"status": 201, **options})


def names(stand: Stand, **options: Any) -> list[str]:
    found = stand.ok("GET", RESOURCES, **options)["resources"]
    return [f"{each['group_name']}/{each['resource_name']}:{each['owner']}" for each in found]


@pytest.mark.parametrize("route", ["/jars", "/files", "/pyfiles"])
def test_a_group_is_overwritten(stand: Stand, route: str) -> None:
    put(stand, "a.jar", "b.jar")
    put(stand, "a.jar", group="other")
    put(stand, "c.jar")
    assert names(stand) == ["g/a.jar:tester", "g/b.jar:tester", "g/c.jar:tester", "other/a.jar:tester"]
    answer = put(stand, "b.jar", "d.jar", route=route)
    assert answer["resources"] == ["b.jar", "d.jar"]
    assert names(stand) == ["g/b.jar:tester", "g/d.jar:tester", "other/a.jar:tester"]
    assert stand.rows()["files"] == 3
    traces = stand.ok("GET", "/headrace/v1/{p}/audit?trace_name=deleteResource")["traces"]
    assert {trace["resource_id"] for trace in traces} == {"g/a.jar", "g/c.jar"}


def test_without_a_group_nothing_is_overwritten(stand: Stand) -> None:
    put(stand, "a.jar", route="/jars", group="")
    put(stand, "b.jar", route="/jars", group="")
    assert names(stand) == ["/a.jar:tester", "/b.jar:tester"]


def test_no_package_is_dropped_that_a_job_names(stand: Stand) -> None:
    put(stand, "a.jar", "b.jar")
    job_id = stand.create(entrypoint="g/a.jar")
    before = stand.rows()
    body = {"paths": ["obs://b/b.jar"], "group": "g"}
    status, code, message = stand.refused("POST", f"{RESOURCES}/jars", body)
    assert (status, code) == (400, "DLI.0007")
    assert f"the job {job_id}" in message
    assert stand.rows() == before
    put(stand, "a.jar", route="/jars")
    assert names(stand) == ["g/a.jar:tester"]


def test_no_package_is_dropped_that_is_somebody_elses(stand: Stand) -> None:
    put(stand, "a.jar")
    join = {"object": "groups.g", "privileges": ["UPDATE_GROUP"]}
    stand.ok("PUT", "/v1.0/{p}/user-authorization", {"user_name": "sub", "action": "grant", "privileges": [join]})
    put(stand, "b.jar", ak="SUB")
    before = stand.rows()
    body = {"paths": ["obs://b/b.jar"], "group": "g"}
    assert stand.refused("POST", f"{RESOURCES}/jars", body, ak="SUB")[:2] == (403, "DLI.0016")
    assert stand.rows() == before
    grant = [{"object": "resources.g/a.jar", "privileges": ["DELETE_RESOURCE"]}]
    change = {"user_name": "sub", "action": "grant", "privileges": grant}
    stand.ok("PUT", "/v1.0/{p}/user-authorization", change)
    put(stand, "b.jar", route="/jars", ak="SUB")
    assert names(stand) == ["g/b.jar:sub"]


def test_nobody_adds_to_a_group_of_somebody_else(stand: Stand) -> None:
    put(stand, "a.jar", ak="SUB")
    stand.put_object("b", "b.jar", stand.jar("a.B"))
    before = stand.rows()
    for route in ("", "/jars"):
        body = {"paths": ["obs://b/b.jar"], "group": "g", **({} if route else {"kind": "jar"})}
        answer = stand.refused("POST", f"{RESOURCES}{route}", body, ak="SUB2")
        assert answer[:2] == (403, "DLI.0016")
    assert stand.rows() == before
    put(stand, "b.jar", ak="SUB")
    put(stand, "b.jar", group="", ak="SUB2")
    assert names(stand) == ["/b.jar:sub2", "g/a.jar:sub", "g/b.jar:sub"]


OWNER = f"{RESOURCES}/owner"


def test_packages_change_their_owner(stand: Stand) -> None:
    done = {"is_success": True, "message": ""}
    put(stand, "a.jar", "b.jar")
    put(stand, "a.jar", group="")
    assert stand.ok("PUT", OWNER, {"new_owner": "sub", "group_name": "g", "resource_name": "a.jar"}) == done
    assert names(stand) == ["/a.jar:tester", "g/a.jar:sub", "g/b.jar:tester"]
    assert names(stand, ak="SUB") == ["g/a.jar:sub"]
    assert stand.ok("PUT", OWNER, {"new_owner": "sub", "resource_name": "a.jar"}) == done
    assert stand.ok("PUT", OWNER, {"new_owner": "sub2", "resource_name": "g/a.jar"}, ak="SUB") == done
    assert names(stand) == ["/a.jar:sub", "g/a.jar:sub2", "g/b.jar:tester"]
    assert stand.ok("PUT", OWNER, {"new_owner": "sub", "group_name": "g", "resource_name": None}) == done
    assert names(stand) == ["/a.jar:sub", "g/a.jar:sub", "g/b.jar:sub"]
    stand.ok("DELETE", f"{RESOURCES}/b.jar?group=g", ak="SUB")
    traces = stand.ok("GET", "/headrace/v1/{p}/audit?trace_name=updateResourceOwner")["traces"]
    assert {trace["resource_id"] for trace in traces} == {"a.jar", "g/a.jar", "g/b.jar"}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"new_owner": "nobody"}, 404, "DLI.0002"),
        ({"new_owner": "stranger"}, 404, "DLI.0002"),  # of another project
        ({"new_owner": ""}, 400, "DLI.0001"),
        ({"new_owner": None}, 400, "DLI.0001"),
        ({"resource_name": None, "group_name": None}, 400, "DLI.0001"),
        ({"resource_name": "", "group_name": ""}, 400, "DLI.0001"),
        ({"resource_name": "none.jar"}, 404, "DLI.12002"),
        ({"group_name": "none"}, 404, "DLI.12002"),
        ({"group_name": "none", "resource_name": None}, 404, "DLI.12002"),
        ({"group_name": ".."}, 400, "DLI.0001"),
        ({"unknown": 1}, 400, "DLI.0001"),
    ],
    ids=str,
)
def test_a_change_of_owner_that_cannot_be(stand: Stand, changes: dict[str, Any], status: int, code: str) -> None:
    put(stand, "a.jar")
    body = {"new_owner": "sub", "group_name": "g", "resource_name": "a.jar", **changes}
    found = stand.refused("PUT", OWNER, body)
    assert found[:2] == (status, code)
    if code == "DLI.0002":
        assert found[2] == f"No such user. userName:{changes['new_owner']}."
    assert names(stand) == ["g/a.jar:tester"]


def test_only_whose_it_is_gives_it_away(stand: Stand) -> None:
    put(stand, "a.jar", "b.jar")
    stand.ok("PUT", OWNER, {"new_owner": "sub", "group_name": "g", "resource_name": "b.jar"})
    body = {"new_owner": "sub", "group_name": "g", "resource_name": "a.jar"}
    assert stand.refused("PUT", OWNER, body, ak="SUB")[:2] == (404, "DLI.12002")  # they do not see it
    every = ["USE_RESOURCE", "UPDATE_RESOURCE", "GET_RESOURCE", "DELETE_RESOURCE", "GRANT_PRIVILEGE"]
    change = {"user_name": "sub", "action": "grant"}
    granted = [{"object": "resources.g/a.jar", "privileges": every}]
    stand.ok("PUT", "/v1.0/{p}/user-authorization", {**change, "privileges": granted})
    assert stand.refused("PUT", OWNER, body, ak="SUB")[:2] == (403, "DLI.0016")
    whole_group = {"new_owner": "sub", "group_name": "g"}
    assert stand.refused("PUT", OWNER, whole_group, ak="SUB")[:2] == (403, "DLI.0016")
    assert names(stand) == ["g/a.jar:tester", "g/b.jar:sub"]


def test_obs_authorize(stand: Stand) -> None:
    path = "/v1.0/{p}/dli/obs-authorize"
    assert stand.ok("POST", path, {"obs_buckets": ["b"]}) == {
        "is_success": "true",
        "message": "The following OBS bucket is authorized successfully, b.",
    }
    assert stand.refused("POST", path, {"obs_buckets": ["b", "none"]})[:2] == (400, "DLI.11016")
    assert stand.refused("POST", path, {"obs_buckets": []})[:2] == (400, "DLI.0001")


def test_who_is_overtaken_replaces_nothing_that_is_another_users(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right to replace is looked at when the package is replaced, not only before its content is copied."""
    stand.put_object("b", "a.jar", b"mine")
    files = stand.services.package_files
    copy = files.add

    def overtaken(name: str, content: Iterator[bytes]) -> str:
        monkeypatch.setattr(files, "add", copy)
        put(stand, "a.jar")
        return copy(name, content)

    monkeypatch.setattr(files, "add", overtaken)
    body = {"paths": ["obs://b/a.jar"], "group": "g", "kind": "jar"}
    assert stand.refused("POST", RESOURCES, body, ak="SUB")[:2] == (403, "DLI.0016")
    assert names(stand) == ["g/a.jar:tester"]
    assert stand.rows()["files"] == 1
