"""The HTTP application: the routers, behind the edge and the gate."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response

from headrace.api import batches, graphs, health, jobs, objects, packages, queues
from headrace.api.auth import Gate
from headrace.api.edge import Edge
from headrace.api.errors import answer
from headrace.api.services import Services
from headrace.domain.errors import HeadraceError

ROUTERS: tuple[APIRouter, ...] = (
    health.router,
    jobs.router,
    batches.router,
    graphs.router,
    queues.router,
    packages.router,
    objects.router,
)


def create_app(services: Services) -> FastAPI:
    """The application over these services."""
    app = FastAPI(
        title="Headrace",
        openapi_url=None,  # every route needs a signature, which no browser can give
        redirect_slashes=False,
        middleware=[
            Middleware(Edge, answer=answer),
            Middleware(Gate, settings=services.settings, access=services.access, now_ms=services.now_ms),
        ],
        exception_handlers={
            HeadraceError: _handle,
            RequestValidationError: _handle,
            HTTPException: _handle,
        },
    )
    app.state.services = services
    for router in ROUTERS:
        app.include_router(router)
    return app


async def _handle(_request: Request, error: Exception) -> Response:
    return answer(error)
