"""``docs/compatibility.md`` knows every route, every field and every code."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.routing import APIRoute

from headrace.api.app import ROUTERS
from headrace.api.errors import TABLE

PAGE = (Path(__file__).parents[2] / "docs" / "compatibility.md").read_text("utf-8")


def test_every_route_has_its_row() -> None:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    assert len(routes) > 25
    for route in routes:
        path = route.path.replace("{project_id}", "{p}").replace(":path}", "}")
        for method in route.methods or ():
            assert f"| `{method} {path}` |" in PAGE


def test_every_row_is_a_route_or_pending() -> None:
    routes = {
        f"{method} {route.path.replace('{project_id}', '{p}').replace(':path}', '}')}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    rows = re.findall(r"^\| `([A-Z]+ [^`]+)` \| (?:same|differs|ours) ", PAGE, re.MULTILINE)
    assert set(rows) == routes


def test_every_code_is_told() -> None:
    for status, code in TABLE.values():
        assert f"{status} `{code}`" in PAGE
