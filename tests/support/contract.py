"""Holds every answer to the OpenAPI document: a status, field or type that it does not tell of is a failure."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from headrace.api import smn_errors
from headrace.api.app import ROUTERS, describe
from headrace.api.errors import IDENTITY

BASE = "urn:openapi"
REQUEST_ID = re.compile(r"[0-9a-f]{32}")


@cache
def document() -> dict[str, Any]:
    """The document, made once: it depends on the routes alone."""
    app = FastAPI(openapi_url=None)
    for router in ROUTERS:
        app.include_router(router)
    return describe(app)


@cache
def _validator(pointer: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource(BASE, DRAFT202012.create_resource(document()))
    return Draft202012Validator({"$ref": f"{BASE}#{pointer}"}, registry=registry)


def _pointer(*parts: str) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


@cache
def _paths() -> list[tuple[str, re.Pattern[str], str]]:
    """(method, pattern of paths, path of the document) of all routes, in the order in which they are tried."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return [(method, route.path_regex, route.path_format) for route in routes for method in route.methods or ()]


def template(method: str, path: str) -> str | None:
    """The path of the document that a path belongs to; None if it has no such route."""
    for of_method, pattern, found in _paths():
        if of_method == method and pattern.match(path):
            return found
    return None


def check_answer(answer: Any) -> None:
    """The same of an answer of a client; a hook of httpx."""
    answer.read()
    check(answer.request.method, answer.request.url.path, answer.status_code, answer.headers, answer.content)


def check(method: str, path: str, status: int, headers: Any, content: bytes) -> None:
    """Fails unless the document tells of such an answer."""
    where = f"{method} {path} -> {status}"
    assert REQUEST_ID.fullmatch(headers.get("X-Request-Id", "")), f"{where}: no X-Request-Id"
    found = template(method, path)
    if found is None:
        assert status in (400, 401, 403, 404, 405, 408, 413), f"{where}: no such route"
        if method != "HEAD":
            shape = "IdentityError" if IDENTITY.fullmatch(path) else "ErrorAnswer"
            shape = "SmnError" if smn_errors.PATHS.fullmatch(path) else shape
            _check_body(where, _pointer("components", "schemas", shape), content)
        return
    responses = document()["paths"][found][method.lower()]["responses"]
    assert str(status) in responses, f"{where}: {method} {found} does not tell of this status: {content[:300]!r}"
    pointer = _pointer("paths", found, method.lower(), "responses", str(status))
    response = responses[str(status)]
    if "$ref" in response:
        pointer = response["$ref"].removeprefix("#")
        response = document()["components"]["responses"][pointer.rpartition("/")[2]]
    media = headers.get("Content-Type", "").partition(";")[0]
    if not response.get("content"):
        assert not content, f"{where}: a body that the document does not tell of: {content[:300]!r}"
        return
    if not content and method == "HEAD":
        return
    assert media in response["content"], f"{where}: {media} is not told of; {sorted(response['content'])} are"
    if media == "application/json":
        _check_body(where, f"{pointer}{_pointer('content', media, 'schema')}", content)


def _check_body(where: str, pointer: str, content: bytes) -> None:
    errors = sorted(_validator(pointer).iter_errors(json.loads(content)), key=lambda error: list(error.path))
    told = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in _leaves(errors)]
    assert not told, f"{where}: not as the document says:\n" + "\n".join(told)


def _leaves(errors: Any) -> list[Any]:
    """Of alternatives, what is wrong with each."""
    found = []
    for error in errors:
        found += _leaves(error.context) if error.context else [error]
    return found


def filled(path: str, project: str) -> str:
    """A path of the document with something in the place of each parameter."""
    return re.sub(r"{\w+}", "1", path.replace("{project_id}", project))
