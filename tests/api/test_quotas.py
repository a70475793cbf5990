from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.domain.job import Phase
from headrace.domain.queue import Claim
from headrace.settings import Settings
from tests.api.conftest import Stand

QUOTAS = "/v3/{p}/quotas"
QUEUES = "/v1.0/{p}/queues"
POOLS = "/v3/{p}/elastic-resource-pools"
RESOURCES = "/v2.0/{p}/resources"
OTHER = "fedcba9876543210fedcba9876543210"


def limit(stand: Stand, **quotas: int) -> None:
    """From now on, as if the operator had set them before the start."""
    settings = stand.services.settings.model_copy(update={"quotas": quotas})
    stand.app.state.services = dataclasses.replace(stand.services, settings=settings)


def used(stand: Stand, path: str = QUOTAS, **options: Any) -> dict[str, int]:
    resources = stand.ok("GET", path, **options)["quotas"]["resources"]
    return {each["type"]: each["used"] for each in resources if each["used"]}


def new_queue(name: str, cus: int = 1, **more: Any) -> dict[str, Any]:
    return {"queue_name": name, "queue_type": "general", "cu_count": cus, **more}


def new_pool(name: str, max_cu: int = 1) -> dict[str, Any]:
    return {"elastic_resource_pool_name": name, "min_cu": 1, "max_cu": max_cu}


def test_what_is_used_is_counted(stand: Stand, golden: Any) -> None:
    golden("quotas", stand.ok("GET", QUOTAS))
    stand.ok("POST", POOLS, new_pool("pool", 40))
    stand.ok("POST", QUEUES, new_queue("pooled", elastic_resource_pool_name="pool"))
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar", "obs://b/data.txt"], "kind": "file"}, status=201)
    job_id = stand.create()
    stand.bring(job_id, Phase.WAITING)
    queue = stand.services.queues.find(stand.job(job_id).project_id, "q")
    assert stand.services.queues.grant(Claim(job_id, str(queue.id), 2500, 1024))
    assert used(stand, ak="SUB") == {
        "CU": 16 + 40,
        "QUEUE": 2,
        "ELASTIC_RESOURCE_POOL": 1,
        "SL_PKG_RESOURCE": 2,
        "JOB_CU": 3,
    }
    assert used(stand, f"/v3/{OTHER}/quotas", ak="OTHER") == {}


def test_limits_are_shown(bare: Stand) -> None:
    limit(bare, QUEUE=3, CU=0)
    quotas = {each["type"]: each["quota"] for each in bare.ok("GET", QUOTAS)["quotas"]["resources"]}
    assert (quotas["QUEUE"], quotas["CU"], quotas["SL_PKG_RESOURCE"], quotas["TABLE"]) == (3, 0, -1, 0)


Grow = Callable[[Stand], tuple[str, str, dict[str, Any]]]


def _queue(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "POST", QUEUES, new_queue("new", 4)


def _pooled_queue(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "POST", QUEUES, new_queue("new", 1, elastic_resource_pool_name="pool")


def _scale_out(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "PUT", f"{QUEUES}/q/action", {"action": "scale_out", "cu_count": 4}


def _pool(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "POST", POOLS, new_pool("new", 4)


def _larger_pool(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "PUT", f"{POOLS}/pool", {"max_cu": 5}


def _package(_: Stand) -> tuple[str, str, dict[str, Any]]:
    return "POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar", "group": "new"}


@pytest.mark.parametrize(
    ("kind", "enough", "grow"),
    [
        ("QUEUE", 2, _queue),
        ("QUEUE", 2, _pooled_queue),
        ("CU", 21, _queue),
        ("CU", 21, _scale_out),
        ("CU", 21, _pool),
        ("CU", 21, _larger_pool),
        ("ELASTIC_RESOURCE_POOL", 2, _pool),
        ("SL_PKG_RESOURCE", 2, _package),
    ],
)
def test_no_more_than_the_quota(stand: Stand, kind: str, enough: int, grow: Grow) -> None:
    stand.ok("POST", POOLS, new_pool("pool", 1))
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar"}, status=201)
    before = (stand.rows(), used(stand))
    method, path, body = grow(stand)
    limit(stand, **{kind: enough - 1})
    status, code, message = stand.refused(method, path, body)
    assert (status, code) == (400, "DLI.1028")
    assert f"{enough} {kind}" in message
    assert (stand.rows(), used(stand)) == before
    limit(stand, **{kind: enough})
    assert stand.send(method, path, body).status_code in (200, 201)
    assert used(stand)[kind] == enough


def test_a_limit_below_what_is_there_hinders_only_growth(stand: Stand) -> None:
    stand.ok("POST", POOLS, new_pool("pool", 8))
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar"}, status=201)
    limit(stand, CU=1, QUEUE=5, SL_PKG_RESOURCE=1)
    stand.ok("PUT", f"{QUEUES}/q/action", {"action": "scale_in", "cu_count": 4})
    stand.ok("PUT", f"{POOLS}/pool", {"max_cu": 4, "description": "smaller"})
    stand.ok("POST", QUEUES, new_queue("pooled", elastic_resource_pool_name="pool"))
    stand.ok("POST", RESOURCES, {"paths": ["obs://b/app.jar"], "kind": "jar"}, status=201)  # replaces
    stand.ok("DELETE", f"{QUEUES}/q")


@pytest.mark.parametrize("quotas", [{"TABLE": 1}, {"QUEUE": -1}, {"QUEUE": "many"}, {"JOB_CU": 1}])
def test_bad_settings(quotas: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="quotas"):
        Settings(quotas=quotas)
