"""The OpenAPI document: what FastAPI derives from the routes, and what is the same for all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from headrace.api.access import Access, declared, needs
from headrace.api.answers import REFUSALS, ErrorAnswer, answers
from headrace.api.fields import MAX_ID
from headrace.domain.rights import Standing

router = APIRouter()

FAMILIES: Mapping[str, tuple[str, str]] = {
    "jobs": ("Jobs", "Flink JAR jobs: create, update, list, show, delete"),
    "batches": ("Batches", "Run, stop and delete, of many jobs at once"),
    "graphs": ("Jobs", ""),
    "logs": ("Jobs", ""),
    "savepoints": ("Savepoints", "Make one of a running job, put one into a job at rest"),
    "transfers": ("Export and import", "Jobs as files in a bucket"),
    "tags": ("Tags", "Tags of jobs and packages"),
    "queues": ("Queues", "Dedicated CUs, and what is done to them"),
    "queue_settings": ("Queues", ""),
    "connection_tests": ("Queues", ""),
    "pools": ("Elastic resource pools", "Limits that queues share"),
    "packages": ("Packages", "DLI packages: files by group and name"),
    "variables": ("Variables", "Values for {{name}} in arguments and options"),
    "quotas": ("Quotas", "How much of everything a project may have"),
    "privileges": ("Privileges", "Who may do what"),
    "topics": ("Notices", "Topics, subscriptions and messages: a part of SMN's API v2; and what became of messages"),
    "subscriptions": ("Notices", ""),
    "publishing": ("Notices", ""),
    "smn_links": ("Notices", ""),
    "notices": ("Notices", ""),
    "audit": ("Audit", "Who did what. Ours only"),
    "objects": ("Objects", "Buckets and objects, in place of the object storage beside DLI. Ours only"),
    "keystone": ("Identity", "Tokens and the catalog: a part of Keystone v3"),
    "keystone_projects": ("Identity", ""),
    "keystone_users": ("Identity", ""),
    "access_keys": ("Identity", ""),
    "unsupported": ("Not supported", "What DLI has and Headrace has not"),
    "health": ("Server", "The server itself. Ours only"),
    "openapi": ("Server", ""),
}
"""Module of the routes -> (tag, what it holds; told once)."""

SECURITY_SCHEMES = {
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…`: the request signed with an access "
        "key and its secret key, as Huawei Cloud's SDKs do; `X-Sdk-Date` must be among the signed headers.",
    },
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Auth-Token",
        "description": "A token of POST /v3/auth/tokens, for the project of the path.",
    },
}

PATH_PARAMETERS: Mapping[str, dict[str, Any]] = {
    "project_id": {
        "description": "The project, which the credentials must be good for",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{1,64}$"},
    },
    "job_id": {
        "description": "The job; DLI.16001 if the project has none of this id",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
    },
    "bucket": {
        "description": "The bucket",
        "schema": {"type": "string", "pattern": r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"},
    },
    "key": {
        "description": "The object's key: parts of at most 240 bytes with `/` between them, none of them `.` or `..`",
        "schema": {"type": "string", "minLength": 1, "maxLength": 1024},
    },
    "queue_name": {
        "description": "The queue, whatever the case",
        "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    },
    "template_id": {"description": "A template, of which there are none", "schema": {"type": "integer"}},
    "notice_id": {
        "description": "The notice: one message on its way to one subscription",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
    },
    "plan_id": {"description": "A plan, of which there are none", "schema": {"type": "integer"}},
    **{
        name: {"description": text, "schema": {"type": "string", "minLength": 1, "maxLength": 128}}
        for name, text in (
            ("domain_id", "The domain"),
            ("tenant_id", "The project"),
            ("user_id", "The user"),
            ("role_id", "The role"),
            ("access_key", "The access key"),
        )
    },
}
"""Parameters of paths that mean the same everywhere, and have no description where they stand."""

LANGUAGE = {
    "name": "X-Language",
    "in": "header",
    "required": False,
    "description": "zh-cn for answers in Chinese; English otherwise",
    "schema": {"type": "string", "examples": ["en-us", "zh-cn"]},
}
REQUEST_ID = {
    "description": "Of this answer alone; the server's log has it",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
THIS = {"type": "object", "required": ["openapi", "paths"], "description": "This document"}
_HEADERS = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
DESCRIPTION = """Apache Flink JAR jobs behind the HTTP API of Huawei Cloud's Data Lake Insight.

Every error has the body `{"error_code", "error_msg"}` (Identity: Keystone's own; topics: SMN's own),
and every answer has `X-Request-Id`.
A field that is not known is refused; `null` is the same as absence. docs/compatibility.md tells route by route what is
as in DLI and what is not."""


@router.get(
    "/openapi.json",
    **answers(
        also={
            200: {
                "description": "This document",
                "content": {"application/json": {"schema": THIS}},
            }
        }
    ),
)
def describe(request: Request, access: Annotated[Access, needs(Standing.PUBLIC)]) -> JSONResponse:
    """This document."""
    del access
    app: FastAPI = request.app
    return JSONResponse(app.openapi())


def document(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """The document of all routes of the application."""
    described = _without_modules(
        get_openapi(
            title="Headrace",
            version=version("headrace"),
            routes=app.routes,
            description=DESCRIPTION,
            openapi_version="3.1.0",
        )
    )
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():
                    operation = described["paths"][route.path_format][method.lower()]
                    _complete(operation, route)
                    if method == "HEAD":
                        operation["responses"][str(route.status_code or 200)].pop("content", None)
    components = described["components"]
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which nobody is ever answered
        components["schemas"].pop(unused, None)
    schemas = {**components["schemas"], "ErrorAnswer": _without_titles(ErrorAnswer.model_json_schema())}
    components["schemas"] = dict(sorted(schemas.items()))
    components["responses"] = {f"Refused{code}": _refusal(code) for code in REFUSALS}
    components["headers"] = {"X-Request-Id": REQUEST_ID}
    components["parameters"] = {"X-Language": LANGUAGE}
    components["securitySchemes"] = SECURITY_SCHEMES
    described["info"]["title"] = "Headrace"
    described["tags"] = [{"name": name, "description": text} for name, text in FAMILIES.values() if text]
    described["security"] = [{"signature": []}, {"token": []}]
    return described


def family(route: APIRoute) -> str:
    """The module of the route."""
    return route.endpoint.__module__.rpartition(".")[2]


def operation_id(route: APIRoute) -> str:
    """Stable as long as the function keeps its name: ``jobs_create``."""
    return f"{family(route)}_{route.endpoint.__name__}"


def _without_modules(described: dict[str, Any]) -> dict[str, Any]:
    """Models of one name in two modules are told apart by words, and not by paths of ours."""
    text = json.dumps(_without_titles(described))
    for path, module, name in set(re.findall(r"\b(headrace__api__(\w+?)__(\w+))\b", text)):
        word = "".join(part.capitalize() for part in module.removesuffix("_answers").split("_"))
        text = re.sub(rf"\b{path}\b", f"{word}{name}", text)
    return dict(json.loads(text))


def _refusal(code: int) -> dict[str, Any]:
    return {
        "description": REFUSALS[code],
        "headers": _HEADERS,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}},
    }


def _without_titles(node: Any, *, named: bool = False) -> Any:
    """Titles are the names of fields in other words; ``named``: the keys of this node are names."""
    if isinstance(node, list):
        return [_without_titles(child) for child in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(child, named=not named and key in ("properties", "schemas"))
        for key, child in node.items()
        if named or key != "title" or not isinstance(child, str)
    }


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    operation["operationId"] = operation_id(route)
    operation["tags"] = [FAMILIES[family(route)][0]]
    told = str(operation.pop("description", ""))
    operation["summary"], _, more = told.partition("\n\n")
    if more:
        operation["description"] = told
    if declared(route).right is Standing.PUBLIC:
        operation["security"] = []
    given = {parameter["name"]: parameter for parameter in operation.get("parameters", ())}
    for name in reversed(route.param_convertors):
        own = given.pop(name, {})
        common = PATH_PARAMETERS.get(name, {})
        if own.get("description"):
            common = {}
        given = {name: {"name": name, "in": "path", "required": True, **own, **common}, **given}
    operation["parameters"] = [*given.values(), {"$ref": "#/components/parameters/X-Language"}]
    responses = operation["responses"]
    responses.pop("422", None)
    for code, response in responses.items():
        response["headers"] = {**response.get("headers", {}), **_HEADERS}
        if int(code) in REFUSALS and response == _refusal(int(code)):
            responses[code] = {"$ref": f"#/components/responses/Refused{code}"}
