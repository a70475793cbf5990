"""Whether the server answers; without credentials."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from headrace.api.access import Access, needs
from headrace.domain.rights import Standing

router = APIRouter()


@router.get("/healthz")
def healthz(access: Annotated[Access, needs(Standing.PUBLIC)]) -> dict[str, str]:
    """The server is up, and serves requests."""
    del access
    return {"status": "ok"}
