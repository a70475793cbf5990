"""What one does not see is not there: between projects, and between the users of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.job import JobSpec, Phase
from headrace.domain.rights import Caller
from tests.api.conftest import MAIN, OTHER, PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/jobs"


def of_other(path: str) -> str:
    return path.replace("{p}", OTHER)


@pytest.fixture
def two(stand: Stand) -> tuple[int, int]:
    """A job of the administrator and one of ``sub``."""
    return owned(stand, "tester", "theirs"), owned(stand, "sub", "mine")


def owned(stand: Stand, owner: str, name: str, **fields: Any) -> int:
    spec = JobSpec(name=name, queue_name="q", entrypoint="obs://b/app.jar", main_class=MAIN, **fields)
    return stand.services.jobs.create(Caller(PROJECT, owner), spec, tags=[("k", name)], now_ms=1).id


def listed(stand: Stand, query: str = "", **options: Any) -> list[str]:
    found = stand.ok("GET", f"{JOBS}?{query}", **options)["job_list"]
    assert found["total_count"] == len(found["jobs"])
    return [job["name"] for job in found["jobs"]]


def grant(stand: Stand, name: str, *privileges: str, user: str = "sub", ak: str = "AK") -> None:
    body = {"user_name": user, "action": "grant", "privileges": [{"object": name, "privileges": list(privileges)}]}
    assert stand.ok("PUT", "/v1.0/{p}/user-authorization", body, ak=ak) == {"is_success": True, "message": ""}


def test_another_project_has_nothing(stand: Stand, two: tuple[int, int]) -> None:
    stand.ok("POST", "/v2.0/{p}/resources/jars", {"paths": ["obs://b/app.jar"], "group": "g"}, status=201)
    assert stand.ok("GET", of_other(JOBS), ak="OTHER")["job_list"] == {"total_count": 0, "jobs": []}
    assert stand.ok("GET", of_other("/v1.0/{p}/queues?queue_type=all"), ak="OTHER")["queues"] == []
    assert stand.ok("GET", of_other("/v2.0/{p}/resources"), ak="OTHER")["total"] == 0
    assert stand.ok("GET", of_other("/headrace/v1/{p}/buckets"), ak="OTHER")["buckets"] == []
    assert stand.ok("GET", of_other("/headrace/v1/{p}/audit"), ak="OTHER")["count"] == 0
    metrics = stand.refused("POST", of_other(f"{JOBS}/metrics"), {"job_ids": list(two)}, ak="OTHER")
    assert metrics[:2] == (400, "DLI.16001")


def test_a_bucket_is_its_projects_alone(stand: Stand) -> None:
    for method, path in (
        ("GET", "/headrace/v1/{p}/objects/b"),
        ("GET", "/headrace/v1/{p}/objects/b/data.txt"),
        ("PUT", "/headrace/v1/{p}/objects/b/data.txt"),
    ):
        content = {"content": b"x", "content_type": "application/octet-stream"} if method == "PUT" else {}
        assert stand.refused(method, of_other(path), ak="OTHER", **content)[:2] == (400, "DLI.11016")
    taken = stand.refused("PUT", of_other("/headrace/v1/{p}/buckets/b"), ak="OTHER")
    assert taken[:2] == (400, "DLI.0006")
    for field, value in (("entrypoint", "obs://b/app.jar"), ("obs_bucket", "b"), ("dependency_files", ["obs://b/x"])):
        body = {"name": "spy", field: value}
        assert stand.refused("POST", of_other("/v1.0/{p}/streaming/flink-jobs"), body, ak="OTHER")[1] == "DLI.11016"
    body = {"paths": ["obs://b/app.jar"]}
    assert stand.refused("POST", of_other("/v2.0/{p}/resources/jars"), body, ak="OTHER")[1] == "DLI.11016"
    body = {"obs_buckets": ["b"]}
    assert stand.refused("POST", of_other("/v1.0/{p}/dli/obs-authorize"), body, ak="OTHER")[1] == "DLI.11016"
    assert stand.ok("GET", "/headrace/v1/{p}/buckets")["buckets"] == ["b"]


def test_names_are_each_projects_own(stand: Stand) -> None:
    body = {"name": "job"}
    first = stand.ok("POST", "/v1.0/{p}/streaming/flink-jobs", body)["job"]["job_id"]
    second = stand.ok("POST", of_other("/v1.0/{p}/streaming/flink-jobs"), body, ak="OTHER")["job"]["job_id"]
    assert first != second


def test_a_member_sees_their_own_jobs(stand: Stand, two: tuple[int, int]) -> None:
    assert listed(stand) == ["mine", "theirs"]
    assert listed(stand, ak="SUB") == ["mine"]
    assert listed(stand, "show_detail=true", ak="SUB") == ["mine"]
    assert listed(stand, "tags=k=theirs", ak="SUB") == []
    assert listed(stand, "user_name=tester", ak="SUB") == []
    assert listed(stand, ak="SUB2") == []
    assert stand.refused("GET", f"{JOBS}/{two[0]}", ak="SUB")[:2] == (400, "DLI.16001")


@pytest.mark.parametrize(
    ("name", "privilege", "details"),
    [("one", "STOP", False), ("one", "GET", True), ("all", "LIST_ALL", False), ("all", "GET", True)],
)
def test_any_right_shows_a_job_and_get_its_details(
    stand: Stand, two: tuple[int, int], name: str, privilege: str, *, details: bool
) -> None:
    grant(stand, f"jobs.flink.{two[0]}" if name == "one" else "jobs.flink.*", privilege)
    assert listed(stand, ak="SUB") == ["mine", "theirs"]
    shown = stand.ok("GET", f"{JOBS}?show_detail=true&name=theirs", ak="SUB")["job_list"]["jobs"][0]
    assert ("job_config" in shown) == details
    if details:
        stand.ok("GET", f"{JOBS}/{two[0]}", ak="SUB")
    else:
        assert stand.refused("GET", f"{JOBS}/{two[0]}", ak="SUB")[:2] == (403, "DLI.0016")
    assert listed(stand, ak="SUB2") == []


def test_to_create_is_granted_and_shows_nothing(stand: Stand, two: tuple[int, int]) -> None:
    body = {"name": "new"}
    assert stand.refused("POST", "/v1.0/{p}/streaming/flink-jobs", body, ak="SUB")[0] == 403
    grant(stand, "jobs.flink.*", "CREATE")
    made = stand.ok("POST", "/v1.0/{p}/streaming/flink-jobs", body, ak="SUB")["job"]["job_id"]
    assert listed(stand, ak="SUB") == ["new", "mine"]
    shown = stand.ok("GET", f"{JOBS}/{made}", ak="SUB")["job_detail"]
    assert (shown["user_name"], shown["user_id"]) == ("sub", "id-of-sub")


def test_a_package_of_somebody_else_must_be_granted(stand: Stand) -> None:
    stand.ok("POST", "/v2.0/{p}/resources/jars", {"paths": ["obs://b/app.jar"], "group": "g"}, status=201)
    grant(stand, "jobs.flink.*", "CREATE")
    body = {"name": "new", "entrypoint": "g/app.jar"}
    unseen = stand.refused("POST", "/v1.0/{p}/streaming/flink-jobs", body, ak="SUB")
    assert unseen[:2] == (400, "DLI.12002")  # as if there were none
    grant(stand, "resources.g/app.jar", "GET_RESOURCE")
    assert stand.refused("POST", "/v1.0/{p}/streaming/flink-jobs", body, ak="SUB")[0] == 403
    grant(stand, "groups.g", "USE_GROUP")
    job_id = stand.ok("POST", "/v1.0/{p}/streaming/flink-jobs", body, ak="SUB")["job"]["job_id"]
    path = f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}"
    assert stand.refused("PUT", path, {"entrypoint": "app.jar"}, ak="SUB")[1] == "DLI.12002"
    assert stand.ok("GET", "/v2.0/{p}/resources", ak="SUB2")["total"] == 0


def test_a_job_names_no_queue_that_its_user_does_not_see(stand: Stand) -> None:
    grant(stand, "jobs.flink.*", "CREATE")
    create = "/v1.0/{p}/streaming/flink-jobs"
    job_id = stand.ok("POST", create, {"name": "mine"}, ak="SUB")["job"]["job_id"]
    for method, path, body in (("POST", create, {"name": "new"}), ("PUT", f"{create}/{job_id}", {})):
        for name in ("q", "Q"):
            there = stand.refused(method, path, {**body, "queue_name": name}, ak="SUB")
            gone = stand.refused(method, path, {**body, "queue_name": "z"}, ak="SUB")
            assert there[1] == "DLI.0002"
            assert (there[0], there[2].lower()) == (gone[0], gone[2].replace("named z", "named q").lower())
    grant(stand, "queues.q", "SUBMIT_JOB")
    stand.ok("PUT", f"{create}/{job_id}", {"queue_name": "q"}, ak="SUB")


def test_a_queue_takes_jobs_of_whom_it_was_granted_to(stand: Stand, two: tuple[int, int]) -> None:
    refused = stand.run(two[1], ak="SUB")
    assert refused.status_code == 400
    assert "SUBMIT_JOB" in refused.json()[0]["error_msg"]
    grant(stand, "queues.q", "SUBMIT_JOB")
    assert [
        queue["queue_name"] for queue in stand.ok("GET", "/v1.0/{p}/queues?queue_type=all", ak="SUB")["queues"]
    ] == ["q"]
    assert stand.run(two[1], ak="SUB").status_code == 200


def test_who_may_cancel_jobs_of_a_queue_may_stop_each(stand: Stand, two: tuple[int, int]) -> None:
    stand.bring(two[0], Phase.RUNNING)
    assert stand.stop(two[0], ak="SUB").json()[0]["error_code"] == "DLI.16001"
    grant(stand, "queues.q", "CANCEL_JOB")
    assert stand.stop(two[0], ak="SUB").status_code == 200
    assert stand.send("POST", f"{JOBS}/delete", {"job_ids": [two[0]]}, ak="SUB").status_code == 400


def test_the_creator_of_a_queue_may_stop_each_of_its_jobs(stand: Stand) -> None:
    grant(stand, "queues.*", "CREATE_QUEUE")
    body = {"queue_name": "of_sub", "queue_type": "general", "cu_count": 16}
    stand.ok("POST", "/v1.0/{p}/queues", body, ak="SUB")
    job_id = stand.create(queue_name="of_sub")
    stand.bring(job_id, Phase.RUNNING)
    assert stand.stop(job_id, ak="SUB2").json()[0]["error_code"] == "DLI.16001"
    assert stand.stop(job_id, ak="SUB").status_code == 200
