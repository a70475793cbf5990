"""Rows of queues' settings, pools, quotas, variables, tags, files of jobs, and what is not supported."""

from __future__ import annotations

from typing import Any

from tests.api.matrix.recipes_base import Grants, Recipe, Things, job_rights, queue_rights

TOPICS = "/v2/{project_id}/notifications/topics"
TOPIC = f"{TOPICS}/{{topic_urn}}"
SUBSCRIPTIONS = "/v2/{project_id}/notifications/subscriptions"
STREAMING = "/v1.0/{project_id}/streaming"
QUEUE = "/v1.0/{project_id}/queues/{queue_name}"
POOLS = "/v3/{project_id}/elastic-resource-pools"
POOL = f"{POOLS}/{{elastic_resource_pool_name}}"
PROPERTIES = "/v3/{project_id}/queues/{queue_name}/properties"
PLANS = "/v1/{project_id}/queues/{queue_name}/plans"
VARIABLES = "/v1.0/{project_id}/variables"
TAGS = "/v3/{project_id}/{resource_type}"
NOT_SUPPORTED = Recipe(ok=400, refusal="DLI.0007", member="served")


def tags(_: Things) -> Any:
    return {"tags": [{"key": "k", "value": "v"}]}


def policies(things: Things) -> Any:
    policy = {"impact_start_time": "00:00", "impact_stop_time": "24:00", "priority": 1, "min_cu": 1, "max_cu": 2}
    return {"queue_scaling_policies": [policy]}


def properties(_: Things) -> Any:
    return {"properties": {"job.maxConcurrent": 2}}


def pooled(things: Things) -> Any:
    return {"queue_name": things.names["pooled_queue"]}


def not_supported(grants: Grants | None = None) -> Recipe:
    """Refused whoever asks, once they may ask."""
    return Recipe(ok=400, refusal="DLI.0007", grants=grants or (lambda _: []), body=lambda _: {})


MORE: dict[str, Recipe] = {
    "PUT /v2.0/{project_id}/resources/owner": Recipe(
        lambda t: {"new_owner": "sub2", "group_name": t.group, "resource_name": t.package},
        member="refused",
        only_owner=True,
    ),
    f"PUT {QUEUE}": Recipe(lambda _: {"cidr_in_vpc": "172.16.0.0/12"}),
    f"PUT {QUEUE}/action": Recipe(
        lambda _: {"action": "scale_out", "cu_count": 16}, grants=queue_rights("SCALE_QUEUE"), member="refused"
    ),
    f"POST {QUEUE}/connection-test": Recipe(
        lambda _: {"address": "127.0.0.1:1"}, grants=lambda _: [("jobs.flink.*", "CREATE")], owner_needs_grants=True
    ),
    f"GET {QUEUE}/connection-test/{{task_id}}": Recipe(
        ok=400,
        refusal="DLI.0002",
        params=lambda _: {"task_id": "1"},
        grants=lambda _: [("jobs.flink.*", "CREATE")],
        owner_needs_grants=True,
    ),
    f"GET {PROPERTIES}": Recipe(grants=queue_rights("SUBMIT_JOB")),
    f"POST {PROPERTIES}": Recipe(properties),
    f"PUT {PROPERTIES}": Recipe(properties),
    f"DELETE {PROPERTIES}": Recipe(lambda _: {"keys": ["job.maxConcurrent"]}),
    f"GET {PLANS}": Recipe(grants=queue_rights("SUBMIT_JOB")),
    f"POST {PLANS}": not_supported(queue_rights("SUBMIT_JOB")),
    f"POST {PLANS}/batch-delete": not_supported(queue_rights("SUBMIT_JOB")),
    f"PUT {PLANS}/{{plan_id}}": not_supported(queue_rights("SUBMIT_JOB")),
    f"DELETE {PLANS}/{{plan_id}}": not_supported(queue_rights("SUBMIT_JOB")),
    f"GET {POOLS}": Recipe(),
    f"POST {POOLS}": Recipe(
        lambda t: {
            "elastic_resource_pool_name": f"new_{t.names['elastic_resource_pool_name']}",
            "max_cu": 8,
            "min_cu": 4,
        }
    ),
    f"PUT {POOL}": Recipe(lambda _: {"description": "changed"}),
    f"DELETE {POOL}": Recipe(params=lambda t: {"elastic_resource_pool_name": t.names["empty_pool"]}),
    f"GET {POOL}/queues": Recipe(),
    f"POST {POOL}/queues": Recipe(
        lambda t: {"queue_name": t.queue}, params=lambda t: {"elastic_resource_pool_name": t.names["empty_pool"]}
    ),
    f"PUT {POOL}/queues/{{queue_name}}": Recipe(policies, params=lambda t: {"queue_name": t.names["pooled_queue"]}),
    f"GET {POOL}/scale-records": Recipe(),
    "GET /v3/{project_id}/quotas": Recipe(),
    f"GET {VARIABLES}": Recipe(),
    f"POST {VARIABLES}": Recipe(lambda t: {"var_name": f"new_{t.names['var_name']}", "var_value": "v"}),
    f"PUT {VARIABLES}/{{var_name}}": Recipe(lambda _: {"var_value": "w"}, member="refused", only_owner=True),
    f"DELETE {VARIABLES}/{{var_name}}": Recipe(member="refused", only_owner=True),
    f"GET {TAGS}/tags": Recipe(),
    f"GET {TAGS}/{{resource_id:path}}/tags": Recipe(member="refused", grants=job_rights("GET")),
    f"POST {TAGS}/{{resource_id:path}}/tags/create": Recipe(
        tags, ok=204, member="refused", grants=job_rights("UPDATE")
    ),
    f"POST {TAGS}/{{resource_id:path}}/tags/delete": Recipe(
        tags, ok=204, member="refused", grants=job_rights("UPDATE")
    ),
    f"POST {TAGS}/resource-instances/filter": Recipe(lambda _: {}),
    f"POST {TAGS}/resource-instances/count": Recipe(lambda _: {}),
    f"POST {STREAMING}/jobs/export": Recipe(
        lambda t: {"obs_dir": "b/exports", "is_selected": True, "job_selected": [t.job_id]}
    ),
    f"POST {STREAMING}/jobs/import": Recipe(
        lambda t: {"zip_file": t.names["export"]},
        member="refused",
        grants=lambda _: [("jobs.flink.*", "CREATE")],
        owner_needs_grants=True,
    ),
    f"POST {TOPICS}": Recipe(lambda t: {"name": f"new-{t.names['var_name']}"}, ok=201),
    f"GET {TOPICS}": Recipe(),
    f"GET {TOPIC}": Recipe(),
    f"PUT {TOPIC}": Recipe(lambda _: {"display_name": "changed"}, member="refused", only_owner=True),
    f"DELETE {TOPIC}": Recipe(member="refused", only_owner=True),
    f"GET {TOPIC}/attributes": Recipe(query=lambda _: "name=introduction"),
    f"PUT {TOPIC}/attributes/{{attribute}}": Recipe(lambda _: {"value": "text"}, member="refused", only_owner=True),
    f"DELETE {TOPIC}/attributes/{{attribute}}": Recipe(member="refused", only_owner=True),
    f"DELETE {TOPIC}/attributes": Recipe(member="refused", only_owner=True),
    f"POST {TOPIC}/publish": Recipe(lambda _: {"message": "text"}, member="refused", only_owner=True),
    f"POST {TOPIC}/subscriptions": Recipe(
        lambda _: {"protocol": "http", "endpoint": "http://127.0.0.1:10/"}, ok=201, member="refused", only_owner=True
    ),
    f"GET {TOPIC}/subscriptions": Recipe(member="refused", only_owner=True),
    f"PUT {TOPIC}/subscriptions/{{subscription_urn}}": Recipe(
        lambda _: {"remark": "text"}, member="refused", only_owner=True
    ),
    f"GET {SUBSCRIPTIONS}": Recipe(),
    f"DELETE {SUBSCRIPTIONS}/{{subscription_urn}}": Recipe(member="refused", only_owner=True),
    "GET /smn/subscription/confirm": Recipe(query=lambda t: f"token={t.names['token']}"),
    "GET /smn/subscription/unsubscribe": Recipe(query=lambda t: f"token={t.names['token']}"),
    "GET /rest/v2/notifications/subscription/confirm": Recipe(query=lambda t: f"token={t.names['token']}"),
    "GET /smn/{certificate_id}": Recipe(),
    "GET /headrace/v1/{project_id}/notices": Recipe(),
    "POST /headrace/v1/{project_id}/notices/{notice_id}/retry": Recipe(),
    f"POST {STREAMING}/sql-jobs": NOT_SUPPORTED,
    f"PUT {STREAMING}/sql-jobs/{{job_id}}": NOT_SUPPORTED,
    f"GET {STREAMING}/job-templates": Recipe(),
    f"POST {STREAMING}/job-templates": NOT_SUPPORTED,
    f"PUT {STREAMING}/job-templates/{{template_id}}": NOT_SUPPORTED,
    f"DELETE {STREAMING}/job-templates/{{template_id}}": NOT_SUPPORTED,
    f"GET {STREAMING}/jobs/{{job_id}}/apig-sinks": NOT_SUPPORTED,
    "POST /v3/{project_id}/streaming/jobs/{job_id}/gen-graph": NOT_SUPPORTED,
}
