"""Quotas (dli-contract §1.22): how much of what the project has, and may have. ``is_success`` is a boolean here."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.api.services import Parts
from headrace.domain.quotas import ABSENT, KINDS, UNLIMITED, quota_of
from headrace.domain.rights import Standing

router = APIRouter()


class QuotaFields(Answer):
    """One kind."""

    type: Annotated[
        str,
        Field(
            description="CU: of queues, and of pools at most; QUEUE; ELASTIC_RESOURCE_POOL; SL_PKG_RESOURCE: packages; "
            "JOB_CU: held by jobs; the others are not here.",
            examples=["QUEUE"],
        ),
    ]
    min: Annotated[int, Field(description="The least that the quota can be.")]
    max: Annotated[int, Field(description="The most that the quota can be; -1 = any.")]
    quota: Annotated[int, Field(ge=-1, description="How much the project may have; -1 = no limit.", examples=[-1])]
    used: Annotated[int, Field(ge=0, description="How much it has.", examples=[3])]


class Quotas(Answer):
    """All kinds."""

    resources: Annotated[list[QuotaFields], Field(description="One of each kind")]


class QuotasAnswer(Answer):
    """The project's quotas."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    quotas: Annotated[Quotas, Field(description="All kinds")]


@router.get("/v3/{project_id}/quotas", **answers(QuotasAnswer))
def show(access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts) -> dict[str, Any]:
    """What the project may have and has, of all its users together; the operator sets it, the same for each project."""
    used = parts.queues.usage(access.project_id)
    resources = [
        {
            "type": kind,
            "min": 0,
            "max": 0 if kind in ABSENT else UNLIMITED,
            "quota": quota_of(kind, parts.settings.quotas),
            "used": used[kind],
        }
        for kind in KINDS
    ]
    return {"is_success": True, "quotas": {"resources": resources}}
