"""The OpenAPI document: valid, complete, described, and the one in ``docs/``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis.specs.openapi.definitions import OPENAPI_31

from headrace.api.app import ROUTERS
from headrace.api.keystone import Tolerant
from headrace.api.openapi import FAMILIES, family
from headrace.api.wire import JobFields, Wire
from tests.docs.generated import DOCS
from tests.support import contract

if TYPE_CHECKING:
    from tests.api.conftest import Stand

ROUTES = {
    f"{method} {route.path_format}": route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
}
PAGE = DOCS / "openapi.json"
OPEN = {"As Flink's REST API gives it under /jobs/:id", "This document"}
"""Objects whose fields are not ours to tell, by their description."""


def subclasses(model: type[Any]) -> Iterator[type[Any]]:
    for child in model.__subclasses__():
        yield child
        yield from subclasses(child)


def operation(name: str) -> dict[str, Any]:
    method, path = name.split(" ")
    found: dict[str, Any] = contract.document()["paths"][path][method.lower()]
    return found


def schemas(node: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, schema) of every schema with fields, in bodies and components."""
    if isinstance(node, dict):
        if node.get("type") == "object" and place.rpartition("/")[2] != "properties":
            yield place, node
        for key, child in node.items():
            if key not in ("example", "examples", "default", "enum", "const"):
                yield from schemas(child, f"{place}/{key}")
    elif isinstance(node, list):
        for number, child in enumerate(node):
            yield from schemas(child, f"{place}/{number}")


def parameters(name: str) -> list[dict[str, Any]]:
    found = []
    for parameter in operation(name)["parameters"]:
        reference = parameter.get("$ref", "")
        found.append(
            contract.document()["components"]["parameters"][reference.rpartition("/")[2]] if reference else parameter
        )
    return found


def test_it_is_valid_openapi() -> None:
    assert [error.message for error in Draft202012Validator(OPENAPI_31).iter_errors(contract.document())] == []


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(contract.document())
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', text))
    assert references
    for reference in references:
        node: Any = contract.document()
        for part in reference.split("/"):
            assert part in node, reference
            node = node[part]


def test_every_component_is_used() -> None:
    text = json.dumps(contract.document())
    unused = [name for name in contract.document()["components"]["schemas"] if f'/{name}"' not in text]
    assert unused == []


def test_it_has_every_route() -> None:
    described = {
        f"{method.upper()} {path}" for path, methods in contract.document()["paths"].items() for method in methods
    }
    assert described == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_is_described(name: str) -> None:
    told = operation(name)
    assert told["summary"]
    assert {"400", "401", "403", "404", "405", "413"} <= set(told["responses"]), f"{name} is without answers(...)"
    for status, response in told["responses"].items():
        if int(status) >= 400 or "$ref" in response:
            continue
        for media, content in response.get("content", {}).items():
            assert content["schema"], f"{name} -> {status}: {media} is not described"
    in_path = [parameter["name"] for parameter in parameters(name) if parameter["in"] == "path"]
    assert in_path == re.findall(r"{(\w+)}", name)


@pytest.mark.parametrize("name", ROUTES)
def test_every_parameter_is_described(name: str) -> None:
    bare = [parameter["name"] for parameter in parameters(name) if not parameter.get("description")]
    assert bare == [], f"{name}: without a description"


@pytest.mark.parametrize("name", ROUTES)
def test_every_text_in_a_query_has_a_limit(name: str) -> None:
    for parameter in parameters(name):
        schema = parameter["schema"]
        for kind in schema.get("anyOf", [schema]):
            if kind.get("type") == "string" and parameter["in"] == "query":
                assert {"maxLength", "pattern", "enum", "const"} & set(kind), f"{name}: {parameter['name']}"


def test_every_field_is_described() -> None:
    bare = [
        f"{place}.{name}"
        for place, schema in schemas(contract.document())
        for name, field in schema.get("properties", {}).items()
        if not field.get("description")
    ]
    assert bare == []


def test_every_object_is_closed() -> None:
    """But what is Flink's own, and requests for tokens: Keystone takes more fields than it knows."""
    tolerant = {model.__name__ for model in subclasses(Tolerant)}
    doors = [
        place
        for place, schema in schemas(contract.document())
        if not isinstance(schema.get("additionalProperties"), dict)
        and schema.get("additionalProperties") is not False
        and schema.get("maxProperties") != 0
        and schema.get("description") not in OPEN
        and place.rpartition("/")[2] not in tolerant
    ]
    assert doors == []


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [operation(name)["operationId"] for name in ROUTES]
    twice = {one for one in ids if ids.count(one) > 1}
    assert twice == set()


def test_every_link_leads_to_an_operation_with_what_it_needs() -> None:
    operations = {operation(name)["operationId"]: name for name in ROUTES}
    links = [
        (name, to, link)
        for name in ROUTES
        for response in operation(name)["responses"].values()
        for to, link in response.get("links", {}).items()
    ]
    assert len(links) >= 20
    for name, to, link in links:
        assert link["operationId"] in operations, f"{name}: the link {to} leads to no operation"
        wanted = parameters(operations[link["operationId"]])
        required = {parameter["name"] for parameter in wanted if parameter.get("required")}
        given = set(link.get("parameters", {}))
        known = {parameter["name"] for parameter in wanted}
        missing = required - given - {"resource_type", "key"}
        assert given <= known, f"{name}: the link {to} gives {given - known}, which is none of its parameters"
        assert not missing, f"{name}: the link {to} lacks {missing}"


def test_the_fields_of_a_job_show_their_limits() -> None:
    fields = JobFields.model_json_schema()["properties"]

    def limits(name: str) -> dict[str, Any]:
        field = fields[name]
        return dict(field["anyOf"][0] if "anyOf" in field else field)

    assert limits("name")["pattern"] == r"^(?:[\p{L}\p{N}_-]{1,57})$"
    assert limits("desc")["maxLength"] == 512
    assert (limits("cu_number")["minimum"], limits("cu_number")["maximum"]) == (2, 10000)
    assert limits("checkpoint_mode")["enum"] == [1, 2, "exactly_once", "at_least_once", None]
    assert (limits("resume_max_num")["minimum"], limits("resume_max_num")["maximum"]) == (-1, 2**31 - 1)
    assert limits("resume_max_num")["not"] == {"const": 0}
    assert limits("dependency_jars")["maxItems"] == 1000
    assert limits("obs_bucket")["pattern"].startswith("^(?:[A-Za-z0-9]")


def test_every_number_of_a_request_has_both_limits() -> None:
    numbers = [
        (model.__name__, name, kind)
        for model in subclasses(Wire)
        for name, field in model.model_json_schema()["properties"].items()
        for kind in field.get("anyOf", [field])
        if kind.get("type") in ("integer", "number") and not {"enum", "const"} & set(kind)
    ]
    assert len(numbers) > 20
    assert [number for number in numbers if not {"minimum", "maximum"} <= set(number[2])] == []


def test_every_family_has_its_tag() -> None:
    assert {family(route) for route in ROUTES.values()} <= set(FAMILIES)
    told = [tag["name"] for tag in contract.document()["tags"]]
    assert len(told) == len(set(told))
    assert {tag for name in ROUTES for tag in operation(name)["tags"]} <= set(told)


def test_only_public_routes_need_no_credentials() -> None:
    public = {name for name in ROUTES if operation(name).get("security") == []}
    assert {"GET /healthz", "GET /openapi.json", "POST /v3/auth/tokens"} <= public
    assert all("{project_id}" not in name for name in public)


def test_it_is_served_without_credentials(bare: Stand) -> None:
    assert bare.ok("GET", "/openapi.json", unsigned=True) == contract.document()


def test_the_page_is_what_the_code_says() -> None:
    wanted = json.dumps(contract.document(), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("HEADRACE_WRITE_DOCS"):
        PAGE.write_text(wanted, "utf-8")
    assert PAGE.read_text("utf-8") == wanted, "HEADRACE_WRITE_DOCS=1 pytest tests/api/test_openapi.py writes it"
