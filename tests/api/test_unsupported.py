from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute

from headrace.api.unsupported import router

if TYPE_CHECKING:
    from tests.api.conftest import Stand

ROUTES = [
    (method, route.path)
    for route in router.routes
    if isinstance(route, APIRoute) and route.status_code == 400
    for method in sorted(route.methods or ())
]
SQL_JOB = {"name": "j", "sql_body": "select 1", "job_type": "flink_opensource_sql_job", "run_mode": "exclusive_cluster"}
PATH = {"job_id": "1", "template_id": "1", "queue_name": "q", "plan_id": "1", "project_id": "{p}"}


def test_there_are_some() -> None:
    assert len(ROUTES) >= 11


@pytest.mark.parametrize("body", [None, {}, SQL_JOB, [1]], ids=str)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_it_is_refused_whatever_the_body(stand: Stand, method: str, path: str, body: Any) -> None:
    before = stand.rows()
    status, code, message = stand.refused(method, path.format(**PATH), body)
    assert (status, code) == (400, "DLI.0007")
    assert message.startswith("The operation is not supported: ")
    assert stand.rows() == before


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_but_nobody_is_told_who_may_not_ask(stand: Stand, method: str, path: str) -> None:
    assert stand.refused(method, path.format(**PATH), ak="OTHER")[:2] == (403, "DLI.0016")
    assert stand.refused(method, path.format(**PATH), unsigned=True)[:2] == (401, "DLI.0013")


def test_lists_of_what_nobody_can_make_are_empty(stand: Stand, golden: Any) -> None:
    golden(
        "templates", stand.ok("GET", "/v1.0/{p}/streaming/job-templates?name=a&limit=10&offset=0&order=asc&tags=a=b")
    )
    golden("plans", stand.ok("GET", "/v1/{p}/queues/q/plans"))
    assert stand.refused("GET", "/v1/{p}/queues/none/plans")[:2] == (400, "DLI.0002")
    assert stand.refused("GET", "/v1/{p}/queues/q/plans", ak="SUB")[:2] == (400, "DLI.0002")
