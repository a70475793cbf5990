"""The HTTP application: the routers, behind the edge and the gate."""

from __future__ import annotations

import re
from functools import cache, partial
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Match

from headrace.api import (
    access_keys,
    audit,
    batches,
    connection_tests,
    graphs,
    health,
    jobs,
    keystone,
    keystone_projects,
    keystone_users,
    logs,
    notices,
    objects,
    openapi,
    packages,
    pools,
    privileges,
    publishing,
    queue_settings,
    queues,
    quotas,
    savepoints,
    smn_links,
    subscriptions,
    tags,
    topics,
    transfers,
    unsupported,
    variables,
)
from headrace.api.access import declared
from headrace.api.auth import Gate
from headrace.api.edge import REQUEST_ID, Edge
from headrace.api.errors import answer
from headrace.api.services import Services
from headrace.api.sound import Sound
from headrace.domain.errors import HeadraceError
from headrace.domain.rights import Standing

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    openapi.router,
    jobs.router,
    batches.router,
    graphs.router,
    logs.router,
    privileges.router,  # before the queues: a queue of the name user-authorization would be in the way
    queues.router,
    queue_settings.router,
    connection_tests.router,
    packages.router,
    objects.router,
    savepoints.router,
    transfers.router,
    tags.router,
    variables.router,
    quotas.router,
    pools.router,
    audit.router,
    topics.router,
    subscriptions.router,
    publishing.router,
    smn_links.router,
    notices.router,
    unsupported.router,
    keystone.router,
    keystone_projects.router,
    keystone_users.router,
    access_keys.router,
)


def create_app(services: Services) -> FastAPI:
    """The application over these services."""
    app = FastAPI(
        title="Headrace",
        openapi_url=None,  # headrace.api.openapi has the route; pages that show it would need scripts from elsewhere
        redirect_slashes=False,
        middleware=[
            Middleware(Edge, answer=answer),
            Middleware(
                Gate,
                settings=services.settings,
                directory=services.directory,
                now_ms=services.now_ms,
                is_public=is_public,
            ),
            Middleware(Sound),
        ],
        exception_handlers={
            HeadraceError: _handle,
            RequestValidationError: _handle,
            HTTPException: _handle,
        },
    )
    app.state.services = services
    for router in ROUTERS:  # nothing is added to them, so they need not be built anew for each application
        app.router.routes.extend(router.routes)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    return app


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made when it is first asked for."""
    if app.openapi_schema is None:
        app.openapi_schema = openapi.document(app, ROUTERS)
    return app.openapi_schema


def is_public(method: str, path: str) -> bool:
    """Whether the route of this path declares that it needs no credentials."""
    return any(method in methods and pattern.match(path) for methods, pattern in _public_routes())


@cache
def _public_routes() -> list[tuple[frozenset[str], re.Pattern[str]]]:
    return [
        (frozenset(route.methods or ()), route.path_regex)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and declared(route).right is Standing.PUBLIC
    ]


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(_methods(request))}  # Starlette names those of one route only
    return answer(error, request.scope["path"], str(request.scope.get(REQUEST_ID, "")))


def _methods(request: Request) -> list[str]:
    """What the path can be asked with."""
    found = set[str]()
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE:
                found |= route.methods or set()
    return sorted(found)
