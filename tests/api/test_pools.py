from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.domain.job import Phase
from headrace.domain.queue import Claim

if TYPE_CHECKING:
    from tests.api.conftest import Stand

POOLS = "/v3/{p}/elastic-resource-pools"
QUEUES = "/v1.0/{p}/queues"
DONE = {"is_success": True, "message": ""}
OTHER_POOLS = "/v3/fedcba9876543210fedcba9876543210/elastic-resource-pools"


def pool(stand: Stand, name: str = "pool", min_cu: int = 16, max_cu: int = 64, **more: Any) -> None:
    body = {"elastic_resource_pool_name": name, "min_cu": min_cu, "max_cu": max_cu, **more}
    assert stand.ok("POST", POOLS, body) == {**DONE, "elastic_resource_pool_name": name.lower()}


def queue(stand: Stand, name: str, cus: int, pool_name: str = "pool", **options: Any) -> None:
    body = {"queue_name": name, "queue_type": "general", "cu_count": cus, "elastic_resource_pool_name": pool_name}
    stand.ok("POST", QUEUES, body, **options)


def policy(min_cu: int, max_cu: int, start: str = "00:00", stop: str = "24:00", **more: Any) -> dict[str, Any]:
    period = {"impact_start_time": start, "impact_stop_time": stop}
    return {"priority": 1, **period, "min_cu": min_cu, "max_cu": max_cu, **more}


def set_policies(stand: Stand, name: str, *policies: dict[str, Any], status: int = 200) -> Any:
    body = {"queue_scaling_policies": list(policies)}
    return stand.ok("PUT", f"{POOLS}/pool/queues/{name}", body, status=status)


def shown(stand: Stand, name: str = "pool") -> Any:
    found = stand.ok("GET", POOLS)["elastic_resource_pools"]
    return next(each for each in found if each["elastic_resource_pool_name"] == name)


def hold(stand: Stand, name: str, milli: int) -> None:
    """A job of the queue holds so many thousandths of a CU."""
    job_id = stand.create(name=f"job-of-{name}", queue_name="q")
    stand.bring(job_id, Phase.WAITING)
    found = stand.services.queues.find(stand.job(job_id).project_id, name)
    assert stand.services.queues.grant(Claim(job_id, str(found.id), milli, 1024))


def test_create_list_update_delete(bare: Stand, golden: Any) -> None:
    tags = [{"key": "foo", "value": "bar"}]
    pool(bare, "POOL_1", 80, 96, description="by a script", enterprise_project_id="0", tags=tags)
    pool(bare, "basic", 1, 4, label={"spec": "basic"}, cidr_in_vpc="10.0.0.0/8", charging_mode=1, ipv6_enable=False)
    queue(bare, "q_1", 8, "Pool_1")
    golden("pools", bare.ok("GET", POOLS))
    bare.clock.ms += 1000
    assert bare.ok("PUT", f"{POOLS}/pool_1", {"description": "", "max_cu": 112, "min_cu": 64}) == DONE
    after = shown(bare, "pool_1")
    assert (after["min_cu"], after["max_cu"], after["description"]) == (64, 112, "")
    assert after["update_time"] == after["create_time"] + 1000
    assert bare.ok("PUT", f"{POOLS}/pool_1", {"max_cu": None}) == DONE
    assert shown(bare, "pool_1")["max_cu"] == 112
    assert bare.ok("DELETE", f"{POOLS}/BASIC") == DONE
    names = [each["elastic_resource_pool_name"] for each in bare.ok("GET", POOLS)["elastic_resource_pools"]]
    assert names == ["pool_1"]
    for method, body in (("PUT", {"max_cu": 4}), ("DELETE", None)):
        assert bare.refused(method, f"{POOLS}/basic", body)[:2] == (400, "DLI.0002")


def test_lists_are_filtered_and_in_pages(bare: Stand) -> None:
    for name in ("a_1", "a_2", "b_1"):
        pool(bare, name, tags=[{"key": "n", "value": name}])

    def names(query: str) -> str:
        found = bare.ok("GET", f"{POOLS}?{query}")["elastic_resource_pools"]
        return " ".join(each["elastic_resource_pool_name"] for each in found)

    assert names("") == names("status=AVAILABLE") == "a_1 a_2 b_1"
    assert names("status=SCALING") == ""
    assert names("name=A_") == "a_1 a_2"
    assert names("tags=n=b_1") == "b_1"
    assert names("limit=1&offset=1") == "a_2"
    assert names("limit=100&offset=3") == ""  # Terraform asks until a page is empty
    assert bare.ok("GET", f"{POOLS}?limit=1")["count"] == 3
    assert bare.refused("GET", f"{POOLS}?tags=n")[:2] == (400, "DLI.0001")


@pytest.mark.parametrize(
    "changes",
    [
        {"elastic_resource_pool_name": "_a"},
        {"elastic_resource_pool_name": "12"},
        {"elastic_resource_pool_name": "a-b"},
        {"elastic_resource_pool_name": None},
        {"min_cu": 0},
        {"min_cu": 65},
        {"max_cu": 32_001},
        {"max_cu": "64"},
        {"description": "x" * 257},
        {"cidr_in_vpc": "172.16.0.0"},
        {"charging_mode": 2},
        {"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]},
        {"label": {"color": "red"}},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_bad_pool(bare: Stand, changes: dict[str, Any]) -> None:
    body = {"elastic_resource_pool_name": "pool", "min_cu": 16, "max_cu": 64, **changes}
    status, code, message = bare.refused("POST", POOLS, body)
    assert (status, code) == (400, "DLI.0001")
    assert next(iter(changes)) in message
    assert bare.ok("GET", POOLS)["count"] == 0


def test_a_name_is_taken_once(bare: Stand) -> None:
    pool(bare)
    body = {"elastic_resource_pool_name": "POOL", "min_cu": 1, "max_cu": 1}
    assert bare.refused("POST", POOLS, body)[:2] == (400, "DLI.0006")
    pool_of_others = {**body, "elastic_resource_pool_name": "pool"}
    assert bare.ok("POST", OTHER_POOLS, pool_of_others, ak="OTHER")["elastic_resource_pool_name"] == "pool"


def test_queues_of_a_pool(bare: Stand, golden: Any) -> None:
    pool(bare, max_cu=64)
    queue(bare, "Q_1", 8)
    queue(bare, "q_2", 4)
    bare.ok("POST", QUEUES, {"queue_name": "alone", "queue_type": "general", "cu_count": 16})
    golden("pool_queues", bare.ok("GET", f"{POOLS}/pool/queues"))
    assert [each["queue_name"] for each in bare.ok("GET", f"{POOLS}/POOL/queues?queue_name=Q_2")["queues"]] == ["q_2"]
    assert bare.ok("GET", f"{POOLS}/pool/queues?limit=100&offset=2") == {**DONE, "queues": [], "count": 2}
    assert bare.refused("GET", f"{POOLS}/none/queues")[:2] == (400, "DLI.0002")
    assert bare.ok("GET", f"{QUEUES}/q_1")["elastic_resource_pool_name"] == "pool"
    assert bare.ok("POST", f"{POOLS}/pool/queues", {"queue_name": "ALONE"}, status=400)["error_code"] == "DLI.0001"
    bare.ok("PUT", f"{POOLS}/pool", {"min_cu": 28})
    assert bare.ok("POST", f"{POOLS}/pool/queues", {"queue_name": "ALONE"}) == DONE
    assert bare.refused("POST", f"{POOLS}/pool/queues", {"queue_name": "alone"})[:2] == (400, "DLI.0007")
    assert shown(bare)["queues"] == ["alone", "q_1", "q_2"]
    bare.ok("DELETE", f"{QUEUES}/alone")
    assert shown(bare)["queues"] == ["q_1", "q_2"]


def test_policies_say_what_a_queue_may_take(bare: Stand) -> None:
    pool(bare, min_cu=16, max_cu=64)
    queue(bare, "a", 8)
    queue(bare, "b", 4)
    before = bare.ok("GET", f"{QUEUES}/a")
    assert (before["cu_count"], before["cu_scale_in_limit"], before["cu_scale_out_limit"]) == (8, 8, 8)
    assert set_policies(bare, "A", policy(4, 40)) == DONE
    after = bare.ok("GET", f"{QUEUES}/a")
    assert after["cu_count"] == 8, "Terraform would want to scale it"
    assert (after["cu_scale_in_limit"], after["cu_scale_out_limit"]) == (4, 40)
    set_policies(bare, "a", policy(4, 1 + 4, inherit_elastic_resource_pool_max_cu=True))
    assert bare.ok("GET", f"{QUEUES}/a")["cu_scale_out_limit"] == 64 - 4, "4 are kept for the other"
    bare.ok("PUT", f"{POOLS}/pool", {"max_cu": 100})
    assert bare.ok("GET", f"{QUEUES}/a")["cu_scale_out_limit"] == 100 - 4
    answer = set_policies(bare, "a", policy(4, 40), policy(1, 64, "01:00", "05:00"), policy(1, 8, "22:00", "01:00"))
    assert answer["message"] == "Only the policy of 00:00 to 24:00 has an effect, the others are kept."
    found = bare.ok("GET", f"{POOLS}/pool/queues")["queues"][0]["queue_scaling_policies"]
    assert [each["impact_start_time"] for each in found] == ["00:00", "01:00", "22:00"]
    assert bare.ok("GET", f"{QUEUES}/a")["cu_scale_out_limit"] == 40


@pytest.mark.parametrize(
    "policies",
    [
        [],
        [policy(1, 4, "00:00", "12:00")],
        [policy(1, 4), policy(1, 4)],
        [policy(1, 4), policy(1, 4, "10:00", "10:00")],
        [policy(1, 4), policy(1, 4, "10:00", "12:00"), policy(1, 4, "11:00", "13:00")],
        [policy(1, 4), policy(1, 4, "22:00", "02:00"), policy(1, 4, "01:00", "03:00")],
        [policy(1, 4), policy(1, 65, "10:00", "12:00")],
        [policy(1, 65)],
        [policy(5, 4)],
        [policy(17, 20)],
        [policy(13, 20)],
        [policy(1, 4, "00:30")],
        [policy(1, 4, stop="25:00")],
        [policy(1, 4, priority=0)],
        [policy(1, 4, priority=101)],
        [policy(1, 0)],
        [policy(1, 4, color="red")],
        [{**policy(1, 4), "max_cu": "4"}],
    ],
    ids=str,
)
def test_bad_policies(bare: Stand, policies: list[dict[str, Any]]) -> None:
    pool(bare, min_cu=16, max_cu=64)
    queue(bare, "a", 4)
    queue(bare, "b", 4)
    before = bare.ok("GET", f"{POOLS}/pool/queues")
    body = {"queue_scaling_policies": policies}
    status, code, message = bare.refused("PUT", f"{POOLS}/pool/queues/a", body)
    assert (status, code) == (400, "DLI.0001")
    assert "queue_scaling_policies" in message
    assert bare.ok("GET", f"{POOLS}/pool/queues") == before


def test_policies_are_of_queues_of_the_pool(bare: Stand) -> None:
    pool(bare)
    pool(bare, "other")
    queue(bare, "a", 4, "other")
    body = {"queue_scaling_policies": [policy(1, 4)]}
    for name in ("a", "none"):
        assert bare.refused("PUT", f"{POOLS}/pool/queues/{name}", body)[:2] == (400, "DLI.0002")


def test_a_pool_is_never_smaller_than_its_queues(bare: Stand) -> None:
    pool(bare, min_cu=16, max_cu=64)
    queue(bare, "a", 8)
    set_policies(bare, "a", policy(8, 40))
    for body, field in (({"max_cu": 39}, "max_cu"), ({"min_cu": 7}, "min_cu"), ({"min_cu": 65}, "min_cu")):
        status, code, message = bare.refused("PUT", f"{POOLS}/pool", body)
        assert (status, code) == (400, "DLI.0001")
        assert message.startswith(field)
    status, code, message = bare.refused("DELETE", f"{POOLS}/pool")
    assert (status, code) == (400, "DLI.0007")
    assert "such as a" in message


def test_a_pool_has_no_room(bare: Stand) -> None:
    pool(bare, min_cu=16, max_cu=32)
    queue(bare, "a", 12)
    for cus in (8, 33):
        body = {"queue_name": "b", "cu_count": cus, "elastic_resource_pool_name": "pool"}
        assert bare.refused("POST", QUEUES, body)[:2] == (400, "DLI.0001")
    body = {"queue_name": "b", "cu_count": 1, "elastic_resource_pool_name": "none"}
    assert bare.refused("POST", QUEUES, body)[:2] == (400, "DLI.0002")
    assert bare.rows()["queues"] == 1


def test_a_queue_of_a_pool_is_not_scaled_by_itself(bare: Stand) -> None:
    pool(bare)
    queue(bare, "a", 8)
    body = {"action": "scale_out", "cu_count": 8}
    assert bare.refused("PUT", f"{QUEUES}/a/action", body)[:2] == (400, "DLI.0007")


def test_what_jobs_hold_stays_theirs(stand: Stand) -> None:
    stand.ok("POST", QUEUES, {"queue_name": "a", "queue_type": "general", "cu_count": 8})
    hold(stand, "a", 6500)
    pool(stand, "small", 8, 8)
    queue(stand, "b", 2, "small")
    hold(stand, "b", 2000)
    assert stand.refused("POST", f"{POOLS}/small/queues", {"queue_name": "a"})[:2] == (400, "DLI.0007")
    pool(stand, min_cu=8, max_cu=64)
    stand.ok("POST", f"{POOLS}/pool/queues", {"queue_name": "a"})
    set_policies(stand, "a", policy(2, 7))
    body = {"queue_scaling_policies": [policy(2, 6)]}
    status, code, message = stand.refused("PUT", f"{POOLS}/pool/queues/a", body)
    assert (status, code) == (400, "DLI.0007")
    assert "hold 6.5 CUs" in message
    set_policies(stand, "a", policy(2, 7, inherit_elastic_resource_pool_max_cu=True))
    status, code, message = stand.refused("PUT", f"{POOLS}/pool", {"max_cu": 6, "min_cu": 6})
    assert (status, code) == (400, "DLI.0007")
    assert "hold 6.5 CUs" in message
    assert stand.ok("GET", f"{QUEUES}/a")["used_cu"] == 6.5


def test_a_job_that_its_pool_can_never_hold_is_refused_at_run(stand: Stand) -> None:
    pool(stand, min_cu=8, max_cu=8)
    queue(stand, "a", 1)
    queue(stand, "b", 6)
    set_policies(stand, "a", policy(1, 8))
    job_id = stand.create(queue_name="a", cu_number=3)
    answer = stand.run(job_id)
    assert (answer.status_code, answer.json()[0]["error_code"]) == (400, "DLI.0009")
    assert "its queue has 2" in answer.json()[0]["error_msg"]
    set_policies(stand, "b", policy(5, 6))
    assert stand.run(job_id).status_code == 200


def test_members_see_pools_and_change_nothing(bare: Stand) -> None:
    pool(bare)
    queue(bare, "a", 4)
    creating = {"user_name": "sub", "action": "grant", "privileges": [{"object": "queues.*", "privileges": ["ALL"]}]}
    bare.ok("PUT", "/v1.0/{p}/user-authorization", creating)
    queue(bare, "mine", 4, ak="SUB")
    listed = bare.ok("GET", POOLS, ak="SUB2")["elastic_resource_pools"]
    assert [(each["elastic_resource_pool_name"], each["queues"]) for each in listed] == [("pool", [])]
    assert bare.ok("GET", f"{POOLS}/pool/queues", ak="SUB2")["count"] == 0
    assert shown(bare)["queues"] == ["a", "mine"]
    for method, path, body in (
        ("POST", POOLS, {"elastic_resource_pool_name": "new", "min_cu": 1, "max_cu": 1}),
        ("PUT", f"{POOLS}/pool", {"max_cu": 65}),
        ("DELETE", f"{POOLS}/pool", None),
        ("POST", f"{POOLS}/pool/queues", {"queue_name": "mine"}),
        ("PUT", f"{POOLS}/pool/queues/mine", {"queue_scaling_policies": [policy(4, 64)]}),
    ):
        assert bare.refused(method, path, body, ak="SUB")[:2] == (403, "DLI.0016")
    assert bare.ok("GET", OTHER_POOLS, ak="OTHER")["count"] == 0
    assert bare.refused("GET", f"{OTHER_POOLS}/pool/queues", ak="OTHER")[:2] == (400, "DLI.0002")


def test_scale_records(bare: Stand, golden: Any) -> None:
    records = f"{POOLS}/pool/scale-records"
    pool(bare, min_cu=4, max_cu=64)
    bare.clock.ms += 1
    queue(bare, "a", 4)  # 4 either way
    bare.clock.ms += 1
    set_policies(bare, "a", policy(4, 40))
    bare.clock.ms += 1
    bare.ok("PUT", f"{POOLS}/pool", {"max_cu": 50})  # 40 either way
    bare.ok("PUT", f"{POOLS}/pool", {"min_cu": 45})
    bare.clock.ms += 1
    bare.ok("DELETE", f"{QUEUES}/a")  # 45 either way
    bare.ok("PUT", f"{POOLS}/pool", {"min_cu": 4})
    golden("scale_records", bare.ok("GET", records))
    now = bare.clock.ms

    def origins(query: str) -> list[int]:
        return [each["origin_cu"] for each in bare.ok("GET", f"{records}?{query}")["items"]]

    assert origins("status=success") == [45, 40, 4]
    assert origins("status=fail") == []
    assert origins("limit=1&offset=1") == [40]
    assert origins(f"start_time={now}&end_time={now}") == [45]
    assert origins(f"end_time={now - 2}") == [4]
    assert origins(f"start_time={now - 2}") == [45, 40, 4]
    bare.clock.ms += 15 * 24 * 60 * 60 * 1000
    assert origins("") == [45]
    assert bare.refused("GET", f"{records}?start_time=2&end_time=1")[:2] == (400, "DLI.0001")
    assert bare.refused("GET", f"{records}?limit=101")[:2] == (400, "DLI.0001")
    assert bare.refused("GET", f"{POOLS}/none/scale-records")[:2] == (400, "DLI.0002")


def test_what_is_done_to_pools_is_on_the_trail(bare: Stand) -> None:
    pool(bare)
    bare.ok("POST", QUEUES, {"queue_name": "a", "queue_type": "general", "cu_count": 4})
    bare.ok("POST", f"{POOLS}/pool/queues", {"queue_name": "a"})
    set_policies(bare, "a", policy(1, 4))
    bare.ok("PUT", f"{POOLS}/pool", {"max_cu": 65})
    bare.ok("DELETE", f"{QUEUES}/a")
    bare.ok("DELETE", f"{POOLS}/pool")
    traces = bare.ok("GET", "/headrace/v1/{p}/audit")["traces"]
    assert [(each["trace_name"], each["resource_name"]) for each in reversed(traces)] == [
        ("createElasticResourcePool", "pool"),
        ("createQueue", "a"),
        ("associateQueueToElasticResourcePool", "a"),
        ("updateElasticResourcePoolQueue", "a"),
        ("updateElasticResourcePool", "pool"),
        ("deleteQueue", "a"),
        ("deleteElasticResourcePool", "pool"),
    ]
