"""Whether the server answers; without credentials."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.domain.rights import Standing

router = APIRouter()


class Health(Answer):
    """The server is up."""

    status: Annotated[Literal["ok"], Field(description="ok")]


@router.get("/healthz", **answers(Health))
def healthz(access: Annotated[Access, needs(Standing.PUBLIC)]) -> dict[str, str]:
    """The server is up, and serves requests."""
    del access
    return {"status": "ok"}
