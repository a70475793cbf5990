"""How to call each route so that an administrator's call succeeds: a row for each, with what it is called on."""

from __future__ import annotations

from typing import Any

from headrace.domain.job import Phase
from tests.api.matrix.more_recipes import MORE
from tests.api.matrix.recipes_base import Make, Recipe, Things, job_rights, package_rights, queue_rights
from tests.support.people import PASSWORD

PROJECT = "0123456789abcdef0123456789abcdef"
STREAMING = "/v1.0/{project_id}/streaming"
PACKAGES = "/v2.0/{project_id}/resources"
OURS = "/headrace/v1/{project_id}"


def ids(things: Things) -> Any:
    return {"job_ids": [things.job_id]}


def upload(things: Things) -> Any:
    return {"paths": ["obs://b/app.jar"], "group": things.group}


def privilege_change(things: Things) -> Any:
    change = {"object": f"jobs.flink.{things.job_id}", "privileges": ["GET"]}
    return {"user_name": "sub2", "action": "grant", "privileges": [change]}


RECIPES: dict[str, Recipe] = {
    **MORE,
    "GET /healthz": Recipe(),
    "GET /openapi.json": Recipe(),
    f"POST {STREAMING}/flink-jobs": Recipe(lambda t: {"name": f"new-{t.job_name}", "entrypoint": "obs://b/app.jar"}),
    f"PUT {STREAMING}/flink-jobs/{{job_id}}": Recipe(lambda _: {"desc": "changed"}),
    f"GET {STREAMING}/jobs": Recipe(),
    f"GET {STREAMING}/jobs/{{job_id}}": Recipe(),
    f"DELETE {STREAMING}/jobs/{{job_id}}": Recipe(),
    f"POST {STREAMING}/jobs/run": Recipe(ids, grants=queue_rights("SUBMIT_JOB")),
    f"POST {STREAMING}/jobs/stop": Recipe(ids, phase=Phase.RUNNING),
    f"POST {STREAMING}/jobs/delete": Recipe(ids),
    f"GET {STREAMING}/jobs/{{job_id}}/execute-graph": Recipe(phase=Phase.RUNNING),
    f"POST {STREAMING}/jobs/metrics": Recipe(ids),
    f"POST {STREAMING}/jobs/{{job_id}}/savepoint": Recipe(lambda _: {"action": "TRIGGER"}, phase=Phase.RUNNING),
    f"POST {STREAMING}/jobs/{{job_id}}/import-savepoint": Recipe(
        lambda t: {"job_id": t.job_id, "savepoint_path": "obs://b/savepoint/"}
    ),
    "GET /headrace/v1/{project_id}/jobs/{job_id}/history": Recipe(),
    "GET /headrace/v1/{project_id}/jobs/{job_id}/events": Recipe(),
    "GET /headrace/v1/{project_id}/jobs/{job_id}/logs": Recipe(),
    "GET /headrace/v1/{project_id}/jobs/{job_id}/logs/content": Recipe(
        query=lambda _: "attempt=1&role=jobmanager&name=jobmanager.log", ok=400, refusal="DLI.12002"
    ),
    "GET /headrace/v1/{project_id}/jobs/{job_id}/audit": Recipe(),
    f"GET {OURS}/audit": Recipe(),
    "POST /v1.0/{project_id}/queues": Recipe(
        lambda t: {"queue_name": f"new_{t.queue}", "queue_type": "general", "cu_count": 16}
    ),
    "GET /v1.0/{project_id}/queues": Recipe(),
    "GET /v1.0/{project_id}/queues/{queue_name}": Recipe(grants=queue_rights("SUBMIT_JOB")),
    "DELETE /v1.0/{project_id}/queues/{queue_name}": Recipe(),
    "GET /v1.0/{project_id}/queues/{queue_name}/users": Recipe(grants=queue_rights("SHOW_PRIVILEGES")),
    "PUT /v1.0/{project_id}/queues/user-authorization": Recipe(
        lambda t: {"queue_name": t.queue, "user_name": "sub2", "action": "grant", "privileges": ["SUBMIT_JOB"]},
        grants=queue_rights("SUBMIT_JOB", "GRANT_PRIVILEGE"),
        member="refused",
    ),
    f"POST {PACKAGES}": Recipe(
        lambda t: {**upload(t), "kind": "jar"}, ok=201, grants=package_rights("UPDATE_RESOURCE"), member="refused"
    ),
    f"POST {PACKAGES}/jars": Recipe(upload, ok=201, grants=package_rights("UPDATE_RESOURCE"), member="refused"),
    f"POST {PACKAGES}/files": Recipe(upload, ok=201, grants=package_rights("UPDATE_RESOURCE"), member="refused"),
    f"POST {PACKAGES}/pyfiles": Recipe(upload, ok=201, grants=package_rights("UPDATE_RESOURCE"), member="refused"),
    f"GET {PACKAGES}": Recipe(),
    f"GET {PACKAGES}/{{name:path}}": Recipe(query=lambda t: f"group={t.group}"),
    f"DELETE {PACKAGES}/{{name:path}}": Recipe(query=lambda t: f"group={t.group}"),
    "POST /v1.0/{project_id}/dli/obs-authorize": Recipe(lambda t: {"obs_buckets": [t.bucket]}),
    "GET /v1.0/{project_id}/authorization/privileges": Recipe(
        query=lambda t: f"object=jobs.flink.{t.job_id}", grants=job_rights("SHOW_PRIVILEGES"), member="refused"
    ),
    "PUT /v1.0/{project_id}/user-authorization": Recipe(
        privilege_change, grants=job_rights("GET", "GRANT_PRIVILEGE"), member="refused"
    ),
    "PUT /v1.0/{project_id}/authorization": Recipe(
        privilege_change, grants=job_rights("GET", "GRANT_PRIVILEGE"), member="refused"
    ),
    f"GET {OURS}/buckets": Recipe(),
    f"PUT {OURS}/buckets/{{bucket}}": Recipe(ok=201, params=lambda t: {"bucket": f"new-{t.job_name}"}),
    f"GET {OURS}/objects/{{bucket}}": Recipe(),
    f"PUT {OURS}/objects/{{bucket}}/{{key:path}}": Recipe(lambda _: b"content", ok=201),
    f"GET {OURS}/objects/{{bucket}}/{{key:path}}": Recipe(),
}


TOKEN = "token of sub"
"""One that the store knows."""


def subject(_: Things) -> Any:
    return {"X-Subject-Token": TOKEN}


def who(**names: str) -> Make:
    """Parameters of an Identity API path; whom the call is about is sub, or sub2 if sub must still be there."""
    values = {"tenant_id": PROJECT, "user_id": "id-of-sub", "role_id": "member", "access_key": "KEY-sub", **names}
    return lambda _: values


def password(_: Things) -> Any:
    user = {"name": "sub", "domain": {"name": "Default"}, "password": PASSWORD}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}


SUB2 = who(user_id="id-of-sub2")
KEYS = "/v3.0/OS-CREDENTIAL/credentials"
MEMBERSHIP = "/v3/projects/{tenant_id}/users/{user_id}/roles"
SYSTEM_ROLES = "/v3/system/users/{user_id}/roles"

RECIPES |= {
    "GET /": Recipe(ok=300),
    "GET /headrace/v1/audit": Recipe(),
    "GET /v3": Recipe(),
    "GET /v3/": Recipe(),
    "POST /v3/auth/tokens": Recipe(password, ok=201),
    "GET /v3/auth/tokens": Recipe(headers=subject),
    "HEAD /v3/auth/tokens": Recipe(headers=subject),
    "DELETE /v3/auth/tokens": Recipe(headers=subject, ok=204, once=True),
    "GET /v3/auth/catalog": Recipe(),
    "GET /v3/auth/projects": Recipe(),
    "GET /v3/auth/domains": Recipe(),
    "GET /v3/domains": Recipe(),
    "GET /v3/domains/{domain_id}": Recipe(params=lambda _: {"domain_id": "default"}),
    "GET /v3/projects": Recipe(query=lambda _: "name=one"),
    "GET /v3/projects/{tenant_id}": Recipe(params=who()),
    "POST /v3/projects": Recipe(lambda t: {"project": {"name": f"new-{t.job_name}"}}, ok=201),
    "PATCH /v3/projects/{tenant_id}": Recipe(lambda _: {"project": {"description": "changed"}}, params=who()),
    "GET /v3/roles": Recipe(),
    "GET /v3/roles/{role_id}": Recipe(params=who()),
    "GET /v3/role_assignments": Recipe(query=lambda _: f"scope.project.id={PROJECT}"),
    f"GET {MEMBERSHIP}": Recipe(params=who()),
    f"PUT {MEMBERSHIP}/{{role_id}}": Recipe(params=who(), ok=204),
    f"HEAD {MEMBERSHIP}/{{role_id}}": Recipe(params=who(), ok=204),
    f"DELETE {MEMBERSHIP}/{{role_id}}": Recipe(params=SUB2, ok=204),
    "GET /v3/users": Recipe(),
    "GET /v3/users/{user_id}": Recipe(params=who()),
    "GET /v3/users/{user_id}/projects": Recipe(params=who()),
    "POST /v3/users": Recipe(lambda t: {"user": {"name": f"new-{t.job_name}"}}, ok=201),
    "PATCH /v3/users/{user_id}": Recipe(lambda _: {"user": {"description": "changed"}}, params=SUB2),
    "DELETE /v3/users/{user_id}": Recipe(params=SUB2, ok=204),
    "POST /v3/users/{user_id}/password": Recipe(
        lambda _: {"user": {"original_password": PASSWORD, "password": "another password"}},
        params=who(),
        ok=204,
        once=True,
    ),
    f"GET {SYSTEM_ROLES}": Recipe(params=who()),
    f"PUT {SYSTEM_ROLES}/{{role_id}}": Recipe(params=who(role_id="admin"), ok=204),
    f"DELETE {SYSTEM_ROLES}/{{role_id}}": Recipe(params=who(role_id="admin"), ok=204),
    f"POST {KEYS}": Recipe(lambda _: {"credential": {"user_id": "id-of-sub"}}, ok=201),
    f"GET {KEYS}": Recipe(query=lambda _: "user_id=id-of-sub"),
    f"GET {KEYS}/{{access_key}}": Recipe(params=who()),
    f"PUT {KEYS}/{{access_key}}": Recipe(lambda _: {"credential": {"status": "inactive"}}, params=who()),
    f"DELETE {KEYS}/{{access_key}}": Recipe(once=True, params=who(), ok=204),
    "POST /v3.0/OS-CREDENTIAL/securitytokens": Recipe(
        lambda _: {"auth": {"identity": {"methods": ["token"], "token": {"id": TOKEN}}}}, ok=201
    ),
}
