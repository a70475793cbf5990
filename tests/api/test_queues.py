from __future__ import annotations

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


def test_pools_are_refused(bare: Stand) -> None:
    body = {"queue_name": "q", "cu_count": 16, "elastic_resource_pool_name": "pool"}
    assert bare.refused("POST", QUEUES, body)[:2] == (400, "DLI.0007")


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
