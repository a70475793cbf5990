from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.job import Phase
from headrace.domain.queue import Claim

if TYPE_CHECKING:
    from tests.api.conftest import Stand

QUEUES = "/v1.0/{p}/queues"


def test_create_show_list_delete(bare: Stand, golden: Any) -> None:
    body = {
        "queue_name": "Q_1",
        "queue_type": "general",
        "cu_count": 16,
        "description": "for tests",
        "enterprise_project_id": "0",
        "platform": "x86_64",
        "resource_mode": 1,
        "charging_mode": 1,
        "labels": ["multi_az=2"],
        "tags": [{"Key": "a", "value": "b"}],
    }
    assert bare.ok("POST", QUEUES, body) == {"is_success": True, "message": "", "queue_name": "q_1"}
    golden("queue", bare.ok("GET", f"{QUEUES}/Q_1"))
    golden("queues", bare.ok("GET", f"{QUEUES}?queue_type=general"))
    assert bare.ok("DELETE", f"{QUEUES}/q_1") == {"is_success": True, "message": ""}
    for method in ("GET", "DELETE"):
        status, code, message = bare.refused(method, f"{QUEUES}/q_1")
        assert (status, code) == (400, "DLI.0002")
        assert message.startswith("There is no queue named q_1")


def test_list_in_order_and_in_pages(bare: Stand) -> None:
    for name, kind, cus in (("a", "general", 64), ("b", "sql", 16), ("c", "general", 3)):
        bare.ok(
            "POST",
            QUEUES,
            {"queue_name": name, "queue_type": kind, "cu_count": cus, "tags": [{"key": "n", "value": name}]},
        )

    def names(query: str) -> str:
        return "".join(queue["queue_name"] for queue in bare.ok("GET", f"{QUEUES}?{query}")["queues"])

    assert names("queue_type=general") == "ac"
    assert names("queue_type=sql") == "b"
    assert names("") == "abc"
    assert names("queue_type=all") == "abc"
    assert names("queue_type=all&order=queue_name_desc") == "cba"
    assert names("queue_type=all&order=cu_asc") == "cba"
    assert names("queue_type=all&order=cu_desc&with-priv=false") == "abc"
    assert names("queue_type=all&page-size=2&current-page=2") == "c"
    assert names("queue_type=all&tags=n=a") == "a"


@pytest.mark.parametrize(
    "changes",
    [
        {"queue_name": ""},
        {"queue_name": "_a"},
        {"queue_name": "12"},
        {"queue_name": "a-b"},
        {"queue_name": "x" * 129},
        {"queue_name": None},
        {"queue_type": "spark"},
        {"cu_count": 0},
        {"cu_count": "16"},
        {"cu_count": 16.5},
        {"cu_count": 10001},
        {"cu_count": None},
        {"resource_mode": 2},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_bad_queue(bare: Stand, changes: dict[str, Any]) -> None:
    body = {"queue_name": "q", "cu_count": 16, **changes}
    status, code, message = bare.refused("POST", QUEUES, body)
    assert (status, code) == (400, "DLI.0001")
    assert next(iter(changes)) in message
    assert bare.rows()["queues"] == 0


def test_a_name_is_taken_once(stand: Stand) -> None:
    assert stand.refused("POST", QUEUES, {"queue_name": "Q", "cu_count": 16})[:2] == (400, "DLI.0006")


def test_a_queue_in_use(stand: Stand) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.WAITING)
    queue = stand.services.queues.find(stand.job(job_id).project_id, "q")
    assert stand.services.queues.grant(Claim(job_id, str(queue.id), 2500, 8192))
    assert stand.ok("GET", f"{QUEUES}/q")["used_cu"] == 2.5
    status, code, message = stand.refused("DELETE", f"{QUEUES}/q")
    assert (status, code) == (400, "DLI.0007")
    assert str(job_id) in message


def sql_queue(stand: Stand, name: str = "s") -> None:
    stand.ok("POST", QUEUES, {"queue_name": name, "queue_type": "sql", "cu_count": 16})


def test_scale(stand: Stand, golden: Any) -> None:
    golden("queue_action", stand.ok("PUT", f"{QUEUES}/Q/action", {"action": "scale_out", "cu_count": 48}))
    assert stand.ok("GET", f"{QUEUES}/q")["cuCount"] == 64
    stand.ok("PUT", f"{QUEUES}/q/action", {"action": "scale_in", "cu_count": 63, "force": False})
    assert stand.ok("GET", f"{QUEUES}/q")["cuCount"] == 1
    traces = stand.ok("GET", "/headrace/v1/{p}/audit?trace_name=queueActions")["traces"]
    assert [(trace["resource_type"], trace["resource_name"]) for trace in traces] == [("queue", "q")] * 2


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"action": "scale_out"}, "DLI.0001"),
        ({"action": "scale_out", "cu_count": 0}, "DLI.0001"),
        ({"action": "scale_out", "cu_count": -16}, "DLI.0001"),
        ({"action": "scale_out", "cu_count": 9985}, "DLI.0001"),
        ({"action": "scale_in", "cu_count": 16}, "DLI.0001"),
        ({"action": "scale_in", "cu_count": 1, "force": True}, "DLI.0001"),
        ({"action": "grow", "cu_count": 1}, "DLI.0001"),
        ({"cu_count": 1}, "DLI.0001"),
        ({"action": "restart"}, "DLI.0007"),
    ],
    ids=str,
)
def test_an_action_that_cannot_be_done(stand: Stand, body: dict[str, Any], code: str) -> None:
    assert stand.refused("PUT", f"{QUEUES}/q/action", body)[:2] == (400, code)
    assert stand.ok("GET", f"{QUEUES}/q")["cuCount"] == 16


def test_never_below_what_jobs_hold(stand: Stand) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.WAITING)
    queue = stand.services.queues.find(stand.job(job_id).project_id, "q")
    assert stand.services.queues.grant(Claim(job_id, str(queue.id), 3500, 8192))
    status, code, message = stand.refused("PUT", f"{QUEUES}/q/action", {"action": "scale_in", "cu_count": 13})
    assert (status, code) == (400, "DLI.0007")
    assert "hold 3.5 CUs" in message
    stand.ok("PUT", f"{QUEUES}/q/action", {"action": "scale_in", "cu_count": 12})
    assert stand.ok("GET", f"{QUEUES}/q")["cuCount"] == 4


def test_restart_is_for_sql(stand: Stand) -> None:
    sql_queue(stand)
    for force in (None, False, True):
        answer = stand.ok("PUT", f"{QUEUES}/s/action", {"action": "restart", "force": force})
        assert (answer["is_success"], answer["message"]) == (True, "Restart success")
    refused = stand.refused("PUT", f"{QUEUES}/s/action", {"action": "restart", "cu_count": 16})
    assert refused[:2] == (400, "DLI.0001")


@pytest.mark.parametrize(("action", "right"), [("scale_out", "SCALE_QUEUE"), ("restart", "RESTART")])
def test_an_action_takes_its_right(stand: Stand, action: str, right: str) -> None:
    sql_queue(stand)
    body = {"action": action, **({"cu_count": 1} if action == "scale_out" else {})}
    path = f"{QUEUES}/s/action"
    assert stand.refused("PUT", path, body, ak="SUB")[:2] == (400, "DLI.0002")
    change = {"queue_name": "s", "user_name": "sub", "action": "grant"}
    others = [each for each in ("SCALE_QUEUE", "RESTART", "DROP_QUEUE") if each != right]
    stand.ok("PUT", f"{QUEUES}/user-authorization", {**change, "privileges": others})
    assert stand.refused("PUT", path, body, ak="SUB")[:2] == (403, "DLI.0016")
    stand.ok("PUT", f"{QUEUES}/user-authorization", {**change, "privileges": [right]})
    stand.ok("PUT", path, body, ak="SUB")


def test_a_network_block_is_kept(stand: Stand) -> None:
    done = {"is_success": True, "message": ""}
    assert stand.ok("PUT", f"{QUEUES}/q", {"cidr_in_vpc": "10.0.0.0/8"}) == done
    assert stand.ok("GET", f"{QUEUES}/q")["cidr_in_vpc"] == "10.0.0.0/8"
    properties = {"properties": {"network.cidrInVpc": "172.16.0.0/18"}}
    assert stand.ok("PUT", PROPERTIES, properties) == done
    assert stand.ok("GET", f"{QUEUES}/q")["cidr_in_vpc"] == "172.16.0.0/18"
    for block in ("", "10.0.0.0", "10.0.0.0/33", "10.0.0.256/8", "::/8", "10.0.0.0/8\n", None):
        assert stand.refused("PUT", f"{QUEUES}/q", {"cidr_in_vpc": block})[:2] == (400, "DLI.0001")


PROPERTIES = "/v3/{p}/queues/q/properties"


def test_properties(stand: Stand, golden: Any) -> None:
    done = {"is_success": True, "message": ""}
    assert stand.ok("GET", PROPERTIES) == {**done, "properties": []}
    first = {"computeEngine.maxInstance": 2, "job.maxConcurrent": 1, "computeEngine.maxPrefetchInstance": 0}
    assert stand.ok("PUT", PROPERTIES, {"properties": first}) == done
    assert stand.ok("POST", PROPERTIES, {"properties": {"computeEngine.spark.nativeEnabled": "true"}}) == done
    assert stand.ok("PUT", PROPERTIES, {"properties": {"job.maxConcurrent": 4}}) == done
    golden("queue_properties", stand.ok("GET", PROPERTIES))
    page = stand.ok("GET", f"{PROPERTIES}?offset=1&limit=2")["properties"]
    assert [each["key"] for each in page] == ["computeEngine.maxPrefetchInstance", "computeEngine.spark.nativeEnabled"]
    assert stand.ok("GET", f"{PROPERTIES}?offset=4")["properties"] == []
    keys = ["computeEngine.maxInstance", "computeEngine.maxPrefetchInstance", "job.saveJobResultToJobBucket"]
    assert stand.ok("DELETE", PROPERTIES, {"keys": keys}) == done
    left = {each["key"]: each["value"] for each in stand.ok("GET", PROPERTIES)["properties"]}
    assert left == {"computeEngine.spark.nativeEnabled": "true", "job.maxConcurrent": "4"}
    assert stand.ok("GET", f"{QUEUES}/q")["cuCount"] == 16


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PUT", {}),
        ("PUT", {"properties": None}),
        ("PUT", {"properties": {"flink.version": "1"}}),
        ("PUT", {"properties": {"max_instance": 1}}),
        ("PUT", {"properties": {"computeEngine.maxInstance": "2"}}),
        ("PUT", {"properties": {"computeEngine.maxInstance": 0}}),
        ("PUT", {"properties": {"computeEngine.spark.nativeEnabled": True}}),
        ("POST", {"properties": {"network.cidrInVpc": "10.0.0.0/8"}}),
        ("DELETE", {"keys": []}),
        ("DELETE", {"keys": ["flink.version"]}),
        ("DELETE", None),
    ],
    ids=str,
)
def test_bad_properties(stand: Stand, method: str, body: Any) -> None:
    assert stand.refused(method, PROPERTIES, body)[:2] == (400, "DLI.0001")
    assert stand.ok("GET", PROPERTIES)["properties"] == []


def test_properties_of_the_creation_are_shown(bare: Stand) -> None:
    properties = {"computeEngine.spark.nativeEnabled": "false"}
    bare.ok("POST", QUEUES, {"queue_name": "q", "cu_count": 16, "properties": properties, "feature": "basic"})
    assert bare.ok("GET", PROPERTIES)["properties"] == [{"key": "computeEngine.spark.nativeEnabled", "value": "false"}]
    assert bare.ok("GET", f"{QUEUES}/q")["feature"] == "basic"


TEST = f"{QUEUES}/q/connection-test"


def result_of(stand: Stand, address: str, **options: Any) -> str:
    task_id = stand.ok("POST", TEST, {"address": address}, **options)["task_id"]
    return str(stand.ok("GET", f"{TEST}/{task_id}", **options)["connectivity"])


def test_a_connection_test(stand: Stand) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        assert result_of(stand, f"127.0.0.1:{port}") == "UNREACHABLE"  # nobody listens yet
        listener.listen()
        assert result_of(stand, f"127.0.0.1:{port}") == "REACHABLE"
        assert result_of(stand, f"localhost:{port}") == "REACHABLE"
        answer = stand.ok("POST", TEST, {"address": f"127.0.0.1:{port}"})
        assert answer["message"] == f"check connectivity to address:127.0.0.1 with port: {port} successfully"
    assert result_of(stand, "nowhere.invalid:80") == "UNREACHABLE"
    traces = stand.ok("GET", "/headrace/v1/{p}/audit?trace_name=createConnectivityTask")["traces"]
    assert traces[0]["resource_name"] == "nowhere.invalid:80"


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", ":80", "host:0", "host:65536", "http://host:80", "a b:80", "a\n:80", "::1:80", None],
)
def test_no_address(stand: Stand, address: Any) -> None:
    assert stand.refused("POST", TEST, {"address": address})[:2] == (400, "DLI.0001")


def test_a_connection_test_is_its_queues(stand: Stand) -> None:
    sql_queue(stand)
    task_id = stand.ok("POST", TEST, {"address": "127.0.0.1:1"})["task_id"]
    assert stand.refused("GET", f"{QUEUES}/s/connection-test/{task_id}")[:2] == (400, "DLI.0002")
    assert stand.refused("GET", f"{TEST}/{task_id + 1}")[:2] == (400, "DLI.0002")
    assert stand.refused("GET", f"{TEST}/last")[:2] == (400, "DLI.0001")


def test_only_who_could_run_a_job_may_test_connections(stand: Stand) -> None:
    grant = {"user_name": "sub", "action": "grant"}
    stand.ok("PUT", f"{QUEUES}/user-authorization", {**grant, "queue_name": "q", "privileges": ["SUBMIT_JOB"]})
    assert stand.refused("POST", TEST, {"address": "127.0.0.1:1"}, ak="SUB")[:2] == (403, "DLI.0016")
    creating = [{"object": "jobs.flink.*", "privileges": ["CREATE"]}]
    stand.ok("PUT", "/v1.0/{p}/user-authorization", {**grant, "privileges": creating})
    assert result_of(stand, "127.0.0.1:1", ak="SUB") == "UNREACHABLE"
