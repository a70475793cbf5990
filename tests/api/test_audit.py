"""The audit trail."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from headrace.api.app import create_app
from tests.api.conftest import PROJECT
from tests.support.serving import serving

if TYPE_CHECKING:
    from tests.api.conftest import Stand

TRAIL = "/headrace/v1/{p}/audit"


def lines(stand: Stand, query: str = "", **options: Any) -> list[tuple[str, str, str]]:
    found = stand.ok("GET", f"{TRAIL}?limit=1000&{query}", **options)["traces"]
    return [(line["user_name"], line["trace_name"], line["resource_id"]) for line in reversed(found)]


def test_who_did_what_to_which_job(stand: Stand) -> None:
    first, second = stand.create(), stand.create(name="second")
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{first}", {"desc": "x"})
    stand.run(first, second)
    stand.stop(first, ak="ADMIN")
    stand.ok("DELETE", f"/v1.0/{{p}}/streaming/jobs/{second}")
    stand.ok("POST", "/v1.0/{p}/streaming/jobs/delete", {"job_ids": [first]})
    assert lines(stand, "resource_type=job") == [
        ("tester", "createStreamJarJob", str(first)),
        ("tester", "createStreamJarJob", str(second)),
        ("tester", "updateStreamJarJob", str(first)),
        ("tester", "submitStreamJobs", str(first)),
        ("tester", "submitStreamJobs", str(second)),
        ("boss", "stopStreamJobs", str(first)),
        ("tester", "deleteStreamJob", str(second)),
        ("tester", "deleteStreamJobs", str(first)),
    ]
    assert lines(stand, f"resource_type=job&resource_id={second}&trace_name=submitStreamJobs") == [
        ("tester", "submitStreamJobs", str(second))
    ]
    assert lines(stand, "user_name=boss") == [("boss", "stopStreamJobs", str(first))]


def test_a_line_tells_request_time_and_place(stand: Stand, golden: Any) -> None:
    answer = stand.send("POST", "/v1.0/{p}/streaming/flink-jobs", {"name": "orders"})
    job_id = answer.json()["job"]["job_id"]
    found = stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/audit")
    assert found["traces"][0]["request_id"] == answer.headers["X-Request-Id"]
    found["traces"][0]["request_id"] = "…"
    golden("audit", found)


def test_what_was_refused_is_not_told_as_done(stand: Stand) -> None:
    before = lines(stand)
    stand.create()
    stand.refused("POST", "/v1.0/{p}/streaming/flink-jobs", {"name": "job"})  # taken
    stand.refused("PUT", "/v1.0/{p}/streaming/flink-jobs/1", {"desc": "x"}, ak="SUB")
    stand.stop(1)
    assert lines(stand)[len(before) :] == [("tester", "createStreamJarJob", "1")]


def test_other_things(stand: Stand) -> None:
    stand.ok("POST", "/v2.0/{p}/resources/jars", {"paths": ["obs://b/app.jar"], "group": "g"}, status=201)
    stand.ok("POST", "/v1.0/{p}/dli/obs-authorize", {"obs_buckets": ["b"]})
    grant = {"object": "queues.q", "privileges": ["SUBMIT_JOB"]}
    body = {"user_name": "sub", "action": "grant", "privileges": [grant]}
    stand.ok("PUT", "/v1.0/{p}/user-authorization", body)
    stand.send("DELETE", "/v2.0/{p}/resources/g%2Fapp.jar")
    stand.ok("DELETE", "/v1.0/{p}/queues/q")
    assert lines(stand) == [
        ("tester", "createBucket", "b"),
        ("tester", "createQueue", "q"),
        ("tester", "uploadResources", "g/app.jar"),
        ("tester", "authorizeObsBucketsForStream", "b"),
        ("tester", "updateUserAuthorization", "queues.q"),
        ("tester", "deleteResource", "g/app.jar"),
        ("tester", "deleteQueue", "q"),
    ]


def test_pages_and_times(stand: Stand) -> None:
    made = [stand.create(name=f"job{number}") for number in range(5)]
    page = stand.ok("GET", f"{TRAIL}?resource_type=job&limit=2&offset=1")
    assert (page["count"], [line["resource_id"] for line in page["traces"]]) == (5, [str(made[3]), str(made[2])])
    now = stand.clock.ms
    assert lines(stand, f"from_ms={now + 1}") == []
    assert lines(stand, f"to_ms={now - 1}") == []
    assert stand.refused("GET", f"{TRAIL}?limit=0")[1] == "DLI.0001"
    assert stand.refused("GET", f"{TRAIL}?nothing=1")[1] == "DLI.0001"


@pytest.mark.parametrize("statement", ["UPDATE audit SET user_name = 'x'", "DELETE FROM audit"])
def test_no_line_is_ever_changed(stand: Stand, statement: str) -> None:
    before = lines(stand)
    assert before
    with pytest.raises(IntegrityError, match="append-only"), stand.database.write() as connection:
        connection.execute(text(statement))
    assert lines(stand) == before


@pytest.mark.parametrize(("public_url", "told"), [(None, "127.0.0.1"), ("https://dli.example.com", "203.0.113.9")])
def test_an_address_is_believed_of_a_proxy_only(stand: Stand, public_url: str | None, told: str) -> None:
    """It counts wrong passwords, too: nobody may choose their own."""
    settings = stand.services.settings.model_copy(update={"public_url": public_url})
    with serving(create_app(replace(stand.services, settings=settings))) as url:
        headers = {"X-Auth-Token": "token of AK", "X-Forwarded-For": "203.0.113.9"}
        answer = urllib3.request("PUT", f"{url}/headrace/v1/{PROJECT}/buckets/new", headers=headers, timeout=60)
    assert answer.status == 201
    found = stand.ok("GET", "/headrace/v1/{p}/audit?resource_id=new")["traces"]
    assert [line["source_ip"] for line in found] == [told]
