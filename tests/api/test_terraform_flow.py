"""Terraform's flows: the provider's own sequence of requests, each answer decoded as strictly as Go decodes it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.job import Goal, Phase
from headrace.domain.rights import Principal, SignedKey
from tests.support.clients import GoClient, ProviderError
from tests.support.golang import UnmarshalError, marshal, unmarshal
from tests.support.terraform import FlinkJarJob, Package, Queue, recorded

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"
SAVEPOINT = "obs://b/jobs/savepoint/1/2026-09-21_12-00-00/"

BASIC = {
    "name": "iac",
    "queue_name": "q",
    "entrypoint": "g/app.jar",
    "entrypoint_args": "--output.path obs://b/output",
    "obs_bucket": "b",
    "log_enabled": True,
    "tags": {"foo": "bar", "key": "value"},
}
"""As the provider's acceptance test TestAccResourceDliFlinkJarJob_basic has it."""

ALL = BASIC | {
    "desc": "description of dli job",
    "main_class": "a.B",
    "dependency_files": ["g/data.txt"],
    "feature": "basic",
    "flink_version": "1.20",
    "cu_number": 6,
    "manager_cu_number": 2,
    "parallel_number": 2,
    "tm_cus": 2,
    "tm_slot_num": 1,
    "smn_topic": "iac",
    "restart_when_exception": True,
    "resume_checkpoint": True,
    "resume_max_num": 2,
    "checkpoint_path": "b/checkpoint/",
    "runtime": {"max_records_per_file": "10"},
}
"""As TestAccResourceDliFlinkJarJob_all."""


@pytest.fixture
def go(stand: Stand, url: str) -> GoClient:
    stand.ok("POST", "/v2.0/{p}/resources", {"paths": ["obs://b/app.jar"], "kind": "jar", "group": "g"}, status=201)
    stand.ok("POST", "/v2.0/{p}/resources", {"paths": ["obs://b/data.txt"], "kind": "file", "group": "g"}, status=201)
    return GoClient(url, PROJECT, "AK", "secret of AK")


def reconciler(stand: Stand, job: FlinkJarJob) -> Callable[[], None]:
    """Moves the job on by one phase, as the real one would."""
    way = deque[Phase]()

    def go_on() -> None:
        desired = stand.job(job.job_id).desired
        if stand.job(job.job_id).request_pending:
            way.clear()
            if desired.goal is Goal.RUN:
                way.extend((Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING))
            else:
                way.extend((Phase.SAVEPOINTING,) if desired.trigger_savepoint else ())
                way.extend((Phase.CANCELING, Phase.STOPPED))
        saved = {"savepoint_path": SAVEPOINT} if desired.trigger_savepoint and way[0] is Phase.CANCELING else {}
        stand.move(job.job_id, way.popleft(), **saved)

    return go_on


def managed(stand: Stand, go: GoClient, config: dict[str, Any]) -> FlinkJarJob:
    job = FlinkJarJob(go, dict(config))
    job.between = reconciler(stand, job)
    return job


def test_a_job_is_applied_changed_and_destroyed(stand: Stand, go: GoClient) -> None:
    job = managed(stand, go, BASIC)
    job.create()
    assert job.state["status"] == "job_running"
    assert job.state["tags"] == BASIC["tags"]
    assert {key: job.state[key] for key in BASIC} == BASIC, "a second plan would want a change"

    job.update(tags={"owner": "terraform"})
    assert job.state["tags"] == {"owner": "terraform"}
    job.update(smn_topic="told", restart_when_exception=True, resume_max_num=5)
    assert (job.state["smn_topic"], job.state["resume_max_num"], job.state["status"]) == ("told", 5, "job_running")
    assert stand.job(job.job_id).record.attempt == 1, "none of these needs a new run"

    job.update(entrypoint_args="--other", cu_number=3)
    assert (job.state["entrypoint_args"], job.state["cu_number"], job.state["status"]) == ("--other", 3, "job_running")
    assert stand.job(job.job_id).record.attempt == 2

    stand.move(job.job_id, Phase.CLEARING, Phase.FINISHED)
    job.update(desc="again")  # of a job that has ended: its stop is refused, and the update goes on
    assert (job.state["desc"], job.state["status"]) == ("again", "job_running")

    job.delete()
    assert not job.read()
    stand.move(job.job_id, Phase.CANCELING, Phase.DELETED)
    assert not job.read()
    recorded("flinkjar_job", go)


def test_all_attributes_and_a_savepoint_between_two_runs(stand: Stand, go: GoClient) -> None:
    job = managed(stand, go, ALL)
    job.create()
    same = {key: value for key, value in ALL.items() if key != "runtime"}
    assert {key: job.state[key] for key in same} == same, "a second plan would want a change"
    job.update(parallel_number=4, cu_number=8)
    assert job.state["status"] == "job_running"
    assert stand.job(job.job_id).desired.resume_savepoint
    job.update(resource_config_version="v2", resource_config={"max_slot": 2, "parallel_number": 2})
    assert job.state["resource_config"]["jobmanager_resource_spec"] == {"cpu": 1.0, "memory": "4G"}
    job.update(parallel_number=1)  # sends back everything that was read
    recorded("flinkjar_job_all", go)


def test_a_job_of_another_client_is_imported(stand: Stand, go: GoClient) -> None:
    """Terraform reads runtime_config as JSON with texts for values, and fails on anything else."""
    for name, given in (
        ("lines", "a=1\nb=x y"),
        ("numbers", '[{"key": "a", "value": 1}, {"key": "b", "value": "x y"}]'),
    ):
        job = FlinkJarJob(go, {}, job_id=stand.create(name=name, runtime_config=given))
        assert job.read()
        pairs = [{"key": "a", "value": "1"}, {"key": "b", "value": "x y"}]
        assert json.loads(job.state["runtime_config"]) == pairs


def test_a_job_that_cannot_be_submitted_ends_the_wait(stand: Stand, go: GoClient) -> None:
    job = managed(stand, go, BASIC)
    fails = deque((Phase.PREPARING, Phase.CLEARING, Phase.SUBMIT_FAILED))

    def go_on() -> None:
        outcome = {"outcome": Phase.SUBMIT_FAILED} if fails[0] is Phase.CLEARING else {}
        stand.move(job.job_id, fails.popleft(), note="the reason", **outcome)

    job.between = go_on
    with pytest.raises(AssertionError, match="job_submit_fail: the reason"):
        job.create()


def test_temporary_keys_whose_token_is_added_after_signing(stand: Stand, url: str) -> None:
    principal = Principal("id-of-temp", "temp", roles={PROJECT: "admin"})
    stand.keys["TEMP"] = SignedKey("TEMP", "secret of TEMP", principal, sha256(b"its token").hexdigest())
    queues = "/v1.0/{p}/queues"
    assert GoClient(url, PROJECT, "TEMP", "secret of TEMP", "its token").call("GET", queues, into="QueueList")["queues"]
    for token in ("", "another token"):
        with pytest.raises(ProviderError, match=r"401 .*DLI\.0013"):
            GoClient(url, PROJECT, "TEMP", "secret of TEMP", token).call("GET", queues)


def test_the_project_of_the_unsigned_header_counts_for_nothing(stand: Stand, url: str) -> None:
    other = GoClient(url, "fedcba9876543210fedcba9876543210", "AK", "secret of AK")  # says so in the header too
    with pytest.raises(ProviderError, match=r"403 .*DLI\.0016"):
        other.call("GET", "/v1.0/{p}/streaming/jobs")


def test_a_queue(stand: Stand, go: GoClient) -> None:
    queue = Queue(go, "iac_queue")
    queue.create(16, description="of Terraform", tags=[{"key": "foo", "value": "bar"}])
    assert (queue.state["cu_count"], queue.state["queue_type"]) == (16, "general")
    assert (queue.state["description"], queue.state["platform"]) == ("of Terraform", "x86_64")
    assert queue.state["resource_mode"] == 0, "a second plan would want a change"
    queue.scale(48)
    queue.scale(32)
    assert queue.state["cu_count"] == 32
    queue.set_properties(max_instance=2, max_concurrent=3)
    wanted = {"computeEngine.maxInstance": "2", "job.maxConcurrent": "3"}
    assert {key: queue.state["properties"][key] for key in wanted} == wanted
    queue.drop_properties("job.maxConcurrent")
    assert "job.maxConcurrent" not in queue.state["properties"]
    queue.delete()
    assert not queue.read()
    recorded("queue", go)


def test_packages(stand: Stand, go: GoClient) -> None:
    grouped = Package(go, "iac")
    grouped.create("https://b.obs.eu-de.example.com/app.jar", is_async=True, tags=[{"key": "foo", "value": "bar"}])
    assert grouped.id == "iac#app.jar"
    assert (grouped.state["resource_name"], grouped.state["resource_type"]) == ("app.jar", "jar")
    assert (grouped.state["status"], grouped.state["owner"]) == ("READY", "tester")
    assert grouped.state["tags"] == {"foo": "bar"}
    grouped.update("tester", {"owner": "terraform"})
    assert (grouped.state["owner"], grouped.state["tags"]) == ("tester", {"owner": "terraform"})
    alone = Package(go)
    alone.create("https://b.obs.eu-de.example.com/data.txt", "file")
    assert alone.id == "data.txt"
    listed = go.call("GET", "/v2.0/{p}/resources", into="ResourceList", headers={})
    assert listed["total"] == 4
    for package in (grouped, alone):
        package.delete()
        assert not package.read()
    recorded("package", go)


def test_a_savepoint_an_export_and_an_import(stand: Stand, go: GoClient) -> None:
    job = managed(stand, go, BASIC)
    job.create()
    typed = {"Content-Type": "application/json"}
    path = f"/v1.0/{{p}}/streaming/jobs/{job.job_id}/savepoint"
    assert go.call("POST", path, {"action": "TRIGGER"}, into="Forced", headers=typed)["is_success"] == "true"
    body = {"obs_dir": "b/exported", "job_selected": [job.job_id], "is_selected": True}
    told = go.call("POST", "/v1.0/{p}/streaming/jobs/export", body, into="Forced", headers=typed)
    assert told["is_success"] == "true"
    imported = go.call(
        "POST", "/v1.0/{p}/streaming/jobs/import", {"zip_file": "b/exported"}, into="Forced", headers=typed
    )
    assert imported["is_success"] == "true"


def test_a_variable(go: GoClient) -> None:
    path = "/v1.0/{p}/variables"

    def read() -> dict[str, Any]:
        """pagination.ListAllItems: until a page is empty, with an offset and no limit."""
        found = list[dict[str, Any]]()
        while page := go.call("GET", path + (f"?offset={len(found)}" if found else ""), into="Variables", headers={})[
            "global_vars"
        ]:
            found += page
            assert len(found) < 100, "the pages have no end"
        return {each["var_name"]: each["var_value"] for each in found}

    go.call("POST", path, {"var_name": "iac", "var_value": "1"}, ok=(200,), headers={})
    assert read() == {"iac": "1"}
    go.call("PUT", f"{path}/iac", {"var_value": "2"}, ok=(200,), headers={})
    assert read() == {"iac": "2"}
    go.call("DELETE", f"{path}/iac", ok=(200,), headers={})
    assert read() == {}


def test_a_permission(stand: Stand, go: GoClient) -> None:
    thing = f"jobs.flink.{stand.create(name='granted')}"

    def grant(*privileges: str) -> None:
        listed = [{"object": thing, "privileges": list(privileges)}]
        body = {"user_name": "sub", "action": "update", "privileges": listed}
        answer = go.call("PUT", "/v1.0/{p}/user-authorization", body, into="UpdateResp", headers={})
        assert answer["is_success"]

    def read() -> dict[str, list[str]]:
        path = f"/v1.0/{{p}}/authorization/privileges?object={thing}"
        return {
            each["user_name"]: each["privileges"]
            for each in go.call("GET", path, into="Permissions", headers={})["privileges"]
        }

    grant("GET", "START")
    assert sorted(read()["sub"]) == ["GET", "START"]
    grant()  # destroy
    assert "sub" not in read()


def test_the_data_sources(stand: Stand, go: GoClient) -> None:
    job_id = stand.create(name="seen", tags=[{"key": "a", "value": "1"}])
    path = "/v1.0/{p}/streaming/jobs?job_type=flink_jar_job&limit=100&offset={}&show_detail=true&tags=a%3D1"
    listed = go.call("GET", path.replace("{}", "0"), into="ListResp")["job_list"]
    assert [(job["job_id"], job["job_config"]["cu_number"]) for job in listed["jobs"]] == [(job_id, 2)]
    assert go.call("GET", path.replace("{}", "100"), into="ListResp")["job_list"]["jobs"] == []
    typed = {"Content-Type": "application/json"}
    queues = "/v1.0/{p}/queues?page-size=100&with-priv=true&with-charge-info=true&queue_type=general&current-page=1"
    assert [queue["queue_name"] for queue in go.call("GET", queues, into="QueueList", headers=typed)["queues"]] == ["q"]
    quotas = go.call("GET", "/v3/{p}/quotas", into="Quotas", headers={})["quotas"]["resources"]
    assert {quota["type"] for quota in quotas} >= {"CU", "QUEUE"}


def test_a_pool(go: GoClient) -> None:
    path = "/v3/{p}/elastic-resource-pools"

    def read() -> list[dict[str, Any]]:
        found = list[dict[str, Any]]()
        while page := go.call("GET", f"{path}?offset={len(found)}&limit=100", into="Pools", ok=(200,), headers={})[
            "elastic_resource_pools"
        ]:
            found += page
            assert len(found) < 100, "the pages have no end"
        return found

    body = {"elastic_resource_pool_name": "Iac", "description": "", "max_cu": 64, "min_cu": 64, "tags": []}
    assert go.call("POST", path, body, into="CreatePool", headers={})["elastic_resource_pool_name"] == "iac"
    pool = read()[0]
    assert (pool["status"], pool["max_cu"], pool["min_cu"]) == ("AVAILABLE", 64, 64)
    assert pool["resource_id"], "it becomes the id of the resource"
    go.call("PUT", f"{path}/Iac", {"description": "changed", "max_cu": 128, "min_cu": 64}, headers={})
    assert (read()[0]["description"], read()[0]["max_cu"]) == ("changed", 128)
    go.call("DELETE", f"{path}/Iac", ok=(200,), headers={})
    assert read() == []


@pytest.mark.parametrize(
    ("body", "into", "told"),
    [
        ('{"is_success": true}', "CommonResp", "invalid use of ,string"),
        ('{"is_success": "yes"}', "CommonResp", "invalid use of ,string"),
        ('{"is_success": "true"}', "QueueList", "cannot unmarshal 'true' .* bool"),
        ('{"is_success": true}', "Forced", "cannot unmarshal True .* string"),
        ('{"job": {"job_id": "7"}}', "CreateJobResp", r"job\.job_id: cannot unmarshal '7' .* int"),
        ('{"job": {"job_id": 7.0}}', "CreateJobResp", r"cannot unmarshal 7\.0 .* int"),
        ('{"job": {"job_id": 9223372036854775808}}', "CreateJobResp", "int"),
        ('{"job_detail": {"job_config": {"tm_cus": true}}}', "GetJobResp", r"tm_cus: cannot unmarshal True"),
        ('{"job_list": {"jobs": {}}}', "ListResp", r"jobs: cannot unmarshal {}"),
        ("[]", "CommonResp", "cannot unmarshal"),
        ("{}", "[]CommonResp", "cannot unmarshal"),
        ('{"total": NaN}', "ResourceList", "not JSON"),
        ("", "CommonResp", "not JSON"),
    ],
)
def test_the_decoder_is_as_strict_as_go(body: str, into: str, told: str) -> None:
    with pytest.raises(UnmarshalError, match=told):
        unmarshal(body.encode(), into)


def test_the_decoder_is_no_stricter_than_go() -> None:
    assert unmarshal(b'{"Is_Success": "true", "more": [1], "message": null}', "CommonResp") == {
        "is_success": True,
        "message": "",
    }
    assert unmarshal(b'{"cpu": 1}', "ManagerResourceSpec") == {"cpu": 1, "memory": ""}
    assert marshal({"b": "<ö>", "a": None}) == '{"a":null,"b":"<ö>"}\n'.encode()
