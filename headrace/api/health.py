"""Whether the server answers; the one route that needs no signature."""

from __future__ import annotations

from fastapi import APIRouter

from headrace.api.auth import HEALTH_PATH

router = APIRouter()


@router.get(HEALTH_PATH)
def healthz() -> dict[str, str]:
    """The server is up, and serves requests."""
    return {"status": "ok"}
