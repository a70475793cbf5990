"""Types on the wire, as clients with types of their own need them (dli-contract §2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
from fastapi.routing import APIRoute
from huaweicloudsdkdli.v1 import model  # type: ignore[import-untyped]

from headrace.api.app import ROUTERS
from headrace.domain.job import Phase
from headrace.runtimes.base import Records
from tests.support.clients import Sdk

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"
RUN = "/v1.0/{p}/streaming/jobs/run"

pytestmark = pytest.mark.filterwarnings("ignore:Method .* is deprecated:DeprecationWarning")

_PLAIN: dict[str, Any] = {"str": str, "int": int, "bool": bool, "float": (int, float), "object": object}


def wrong_types(found: Any, kind: str, place: str) -> Iterator[str]:
    """Where a body differs from the types that the vendor declares, for SDKs that convert nothing (Go, Java)."""
    if found is None:
        return
    if kind.startswith("list["):
        if not isinstance(found, list):
            yield f"{place}: {kind}, not {found!r}"
            return
        for index, each in enumerate(found):
            yield from wrong_types(each, kind[5:-1], f"{place}[{index}]")
    elif kind.startswith("dict("):
        if not isinstance(found, dict):
            yield f"{place}: {kind}, not {found!r}"
    elif kind in _PLAIN:
        plain = _PLAIN[kind]
        if not isinstance(found, plain) or (isinstance(found, bool) and kind not in ("bool", "object")):
            yield f"{place}: {kind}, not {found!r}"
    elif not isinstance(found, dict):
        yield f"{place}: {kind}, not {found!r}"
    else:
        yield from wrong_fields(found, getattr(model, kind), place)


def wrong_fields(found: dict[str, Any], kind: Any, place: str) -> Iterator[str]:
    for name, of in kind.openapi_types.items():
        yield from wrong_types(found.get(kind.attribute_map[name]), of, f"{place}.{name}")


class Typed:
    """The SDK, each of whose answers must have the declared types; counts the operations."""

    def __init__(self, sdk: Sdk) -> None:
        self.sdk = sdk
        self.done: list[str] = []

    def __call__(self, operation: str, body: dict[str, Any] | None = None, **parameters: Any) -> Any:
        answer = self.sdk(operation, body, **parameters)
        self.done.append(operation)
        content = json.loads(answer.raw_content or "{}")
        if isinstance(content, list):
            wrong = list(wrong_types(content, type(answer).openapi_types["body"], operation))
        else:
            wrong = list(wrong_fields(content, type(answer), operation))
        assert not wrong
        return answer


@pytest.fixture
def typed(url: str) -> Typed:
    return Typed(Sdk.with_project(url, "AK", "secret of AK", PROJECT))


def test_jobs_have_the_types_that_the_vendor_declares(typed: Typed, stand: Stand) -> None:
    tags = [{"key": "a", "value": "1"}]
    body = {"name": "typed", "queue_name": "q", "entrypoint": "obs://b/app.jar", "obs_bucket": "b", "tags": tags}
    job_id = typed("create_flink_jar_job", body).job.job_id
    typed("update_flink_jar_job", {"desc": "d"}, job_id=job_id)
    typed("show_flink_job", job_id=job_id)
    typed("batch_run_flink_jobs", {"job_ids": [job_id, 999]})
    stand.move(job_id, Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING)
    name = stand.job(job_id).deployment
    stand.runtime.graphs[name] = {"jid": "0" * 32, "name": "typed", "isStoppable": False, "state": "RUNNING"} | {
        "start-time": 1, "end-time": -1, "duration": 2, "vertices": []
    }  # fmt: skip
    stand.runtime.counted[name] = Records({"in": 3}, {"out": None}, 1.5, 0.0)
    typed("show_flink_job", job_id=job_id)
    typed("list_flink_jobs")
    typed("list_flink_jobs", show_detail=True)
    typed("show_flink_job_execution_graph", job_id=job_id)
    typed("show_flink_metric", {"job_ids": [job_id]})
    typed("execute_flink_job_savepoint", {"action": "TRIGGER"}, job_id=str(job_id))
    zipped = typed("export_flink_jobs", {"obs_dir": "b/x", "is_selected": True, "job_selected": [job_id]}).zip_file[0]
    typed("import_flink_jobs", {"zip_file": zipped})
    typed("list_authorization_privileges", object=f"jobs.flink.{job_id}")
    typed("show_resource_tags", resource_type="dli_flink_job", resource_id=str(job_id))
    typed("list_resources_tags", resource_type="dli_flink_job", limit=5, offset=0)
    typed("list_resources_by_tags", {"tags": []}, resource_type="dli_flink_job", limit=5, offset=0)
    typed("count_resources_by_tags", {"without_any_tag": False}, resource_type="dli_flink_job")
    typed("batch_stop_flink_jobs", {"job_ids": [job_id]})
    typed("batch_delete_flink_jobs", {"job_ids": [job_id]})


def test_everything_else_has_the_types_that_the_vendor_declares(typed: Typed) -> None:
    queue = {
        "queue_name": "typed",
        "queue_type": "general",
        "cu_count": 16,
        "labels": ["multi_az=2"],
        "feature": "basic",
    }
    typed("create_queue", queue | {"tags": [{"key": "a", "value": "1"}]})
    typed("show_queue", queue_name="typed")
    assert len(typed("list_queues", queue_type="all").queues) == 2
    typed("run_queue_action", {"action": "scale_out", "cu_count": 16}, queue_name="typed")
    common = model.CommonQueueProperty(compute_engine_max_instance=2, compute_engine_spark_native_enabled="true")
    typed("create_queue_property", {"properties": common}, queue_name="typed")
    advanced = model.AdvancedQueueProperty(job_max_concurrent=3, network_cidr_in_vpc="10.0.0.0/8")
    typed("update_queue_property", {"properties": advanced}, queue_name="typed")
    typed("delete_queue_property", {"keys": ["job.maxConcurrent"]}, queue_name="typed")
    typed("list_queue_properties", queue_name="typed")
    typed("list_queue_users", queue_name="typed")
    typed("delete_queue", queue_name="typed")
    typed("upload_job_resources", {"paths": ["obs://b/app.jar"], "kind": "jar", "group": "g"})
    typed("upload_jar_job_resources", {"paths": ["obs://b/app.jar"], "group": "h"})
    typed("list_job_resources")
    typed("show_job_resource", resource_name="app.jar", group="g")
    typed("update_job_resource_owner", {"new_owner": "tester", "group_name": "g", "resource_name": "app.jar"})
    typed("create_global_variable", {"var_name": "v", "var_value": "1", "is_sensitive": False})
    typed("update_global_variable", {"var_value": "2"}, var_name="v")
    typed("list_global_variables")
    typed("delete_global_variable", var_name="v")
    typed("show_quota")
    typed("create_elastic_resource_pool", {"elastic_resource_pool_name": "pool", "max_cu": 64, "min_cu": 64})
    typed("list_elastic_resource_pools")
    typed("list_elastic_resource_pool_queues", elastic_resource_pool_name="pool")
    typed("delete_elastic_resource_pool", elastic_resource_pool_name="pool")


def test_what_is_done_seldom_has_the_types_that_the_vendor_declares(typed: Typed, stand: Stand) -> None:
    typed("create_elastic_resource_pool", {"elastic_resource_pool_name": "Pool", "max_cu": 64, "min_cu": 16})
    typed("create_queue", {"queue_name": "solo", "queue_type": "general", "cu_count": 16})
    pool: dict[str, Any] = {"elastic_resource_pool_name": "pool"}
    typed("associate_queue_to_elastic_resource_pool", {"queue_name": "solo"}, **pool)
    day = {"impact_start_time": "00:00", "impact_stop_time": "24:00"}
    policy = model.QueueScalingPolicy(priority=1, min_cu=0, max_cu=32, **day)
    body = {"queue_scaling_policies": [policy]}
    typed("update_elastic_resource_pool_queue", body, queue_name="solo", **pool)
    [shown] = typed("list_elastic_resource_pool_queues", **pool).queues
    assert [(each.min_cu, each.max_cu) for each in shown.queue_scaling_policies] == [(0, 32)]
    typed("update_elastic_resource_pool", {"max_cu": 80}, **pool)
    stand.clock.ms += 1000
    typed("update_elastic_resource_pool", {"min_cu": 48}, **pool)
    records = typed("list_elastic_resource_pool_scale_records", **pool)
    assert (records.items[0].target_cu, records.count) == (48, len(records.items))
    task = typed("create_connectivity_task", {"address": "127.0.0.1:1"}, queue_name="q").task_id
    tested = typed("show_connectivity_task", queue_name="q", task_id=str(task))
    assert tested.connectivity == "UNREACHABLE"
    typed("update_queue_cidr", {"cidr_in_vpc": "10.0.0.0/8"}, queue_name="q")
    typed("upload_file_job_resources", {"paths": ["obs://b/data.txt"], "group": "f"})
    typed("upload_python_file_job_resources", {"paths": ["obs://b/data.txt"], "group": "p"})
    typed("delete_job_resource", resource_name="data.txt", group="f")
    assert [each.resource_type for each in typed("list_job_resources").resources] == ["pyFile"]


def test_privileges_by_the_sdk(typed: Typed, stand: Stand) -> None:
    job = f"jobs.flink.{stand.create()}"
    change: dict[str, Any] = {"user_name": "sub", "action": "grant"}
    typed("run_authorization_action", change | {"privileges": [model.Privilege(job, ["GET"])]})
    more = [model.DataAuthorizationPrivilege(job, ["START"])]
    typed("run_data_authorization_action", change | {"privileges": more})
    typed("register_authorized_queue", change | {"queue_name": "q", "privileges": ["SUBMIT_JOB"]})
    held = typed("list_authorization_privileges", object=job).privileges
    assert [(each.user_name, each.privileges) for each in held] == [("tester", ["ALL"]), ("sub", ["GET", "START"])]
    users = typed("list_queue_users", queue_name="q").privileges
    assert [(each.user_name, each.privileges) for each in users] == [("tester", ["ALL"]), ("sub", ["SUBMIT_JOB"])]


def test_what_is_not_supported_is_refused_to_the_sdk(typed: Typed) -> None:
    assert typed("list_flink_sql_job_templates").template_list.total_count == 0
    assert typed("list_queue_plans", queue_name="q").plans == []
    calls: list[tuple[str, dict[str, Any] | None, dict[str, Any]]] = [
        ("create_flink_sql_job", {"name": "s", "sql_body": "x"}, {}),
        ("update_flink_sql_job", {"name": "s"}, {"job_id": 1}),
        ("create_flink_sql_job_graph", {"sql_body": "s"}, {"job_id": 1}),
        ("create_flink_sql_job_template", {"name": "s"}, {}),
        ("update_flink_sql_job_template", {"name": "s"}, {"template_id": "1"}),
        ("delete_flink_sql_job_template", None, {"template_id": "1"}),
        ("create_queue_plan", {"plan_name": "p"}, {"queue_name": "q"}),
        ("update_queue_plan", {"plan_name": "p"}, {"queue_name": "q", "plan_id": 1}),
        ("delete_queue_plan", None, {"queue_name": "q", "plan_id": 1}),
        ("batch_delete_queue_plans", {"plan_ids": [1]}, {"queue_name": "q"}),
    ]
    for operation, body, parameters in calls:
        assert "not supported" in typed.sdk.refused(400, "DLI.0007", operation, body, **parameters)


def test_one_answer_cannot_suit_both_of_the_vendors_libraries(url: str, stand: Stand) -> None:
    """obs-authorize: Terraform's library wants text, the SDKs declare a boolean. Python's takes the text for it."""
    answer = Sdk.with_project(url, "AK", "secret of AK", PROJECT)("register_bucket", {"obs_buckets": ["b"]})
    assert json.loads(answer.raw_content)["is_success"] == "true"
    assert answer.is_success is True


BOOLEAN = (
    "/queues",
    "/elastic-resource-pools",
    "/variables",
    "/job-templates",
    "/gen-graph",
    "/quotas",
    "/jobs/metrics",
    "authorization",
    "/resources",
)
TEXT = ("/streaming/jobs", "/streaming/flink-jobs", "/dli/obs-authorize")


def models_with_success() -> dict[str, Any]:
    """Method and path -> the annotation of is_success, of all routes whose answers (or their elements) have one."""
    found = {}
    for route in (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)):
        answer = route.responses.get(route.status_code or 200, {}).get("model")
        for shape in [answer, *get_args(answer)] if get_origin(answer) is list else [answer]:
            if shape is not None and "is_success" in getattr(shape, "model_fields", {}):
                name = f"{min(route.methods or ())} {route.path}"
                found[name] = shape.model_fields["is_success"].annotation
    return found


@pytest.mark.parametrize(("route", "annotation"), models_with_success().items())
def test_is_success_is_text_for_jobs_and_a_boolean_for_the_rest(route: str, annotation: Any) -> None:
    boolean = any(part in route for part in BOOLEAN)
    assert boolean or any(part in route for part in TEXT)
    values = get_args(annotation) or (annotation,)
    if boolean:
        assert all(value is bool or isinstance(value, bool) for value in values)
    else:
        assert all(value is str or value in ("true", "false") for value in values)


def test_there_are_routes_of_both_kinds() -> None:
    kinds = [any(part in route for part in BOOLEAN) for route in models_with_success()]
    assert (kinds.count(False) >= 10, kinds.count(True) >= 15) == (True, True)


def test_batches_answer_with_arrays(stand: Stand, golden: Any) -> None:
    first, second = stand.create(name="one"), stand.create(name="two", queue_name="")
    mixed = stand.run(first, second, 999)
    assert mixed.status_code == 200
    golden("batch_mixed", mixed.json())
    refused = stand.run(first, 999)
    assert refused.status_code == 400
    golden("batch_refused", refused.json())
    golden("batch_deleted", stand.ok("POST", "/v1.0/{p}/streaming/jobs/delete", {"job_ids": [first, second]}))


def test_the_times_and_names_of_a_job_that_never_ran(stand: Stand) -> None:
    job_id = stand.create()
    detail = stand.show(job_id)
    [listed] = stand.ok("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["jobs"]
    assert (detail["start_time"], listed["start_time"]) == (None, 0)
    assert (listed["user_name"], listed["username"]) == ("tester", "tester")
    assert type(listed["job_id"]) is int
