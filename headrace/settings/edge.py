"""Settings of the HTTP edge."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.domain.quotas import LIMITED
from headrace.settings import checks


class EdgeSettings(BaseModel):
    """Fields of Settings: limits of requests, how clients reach us, quotas."""

    model_config = ConfigDict(frozen=True)

    max_body_kb: Annotated[int, Field(ge=16, description="Largest body of an API request (objects excepted).")] = 1024
    max_object_mb: Annotated[int, Field(ge=1, description="Largest object that `headrace objects put` takes.")] = 2048
    body_timeout_seconds: Annotated[
        float,
        Field(gt=0, description="How long a body may take to come; of an object, how long 1 KB of it may take."),
    ] = 30.0
    head_timeout_seconds: Annotated[
        float, Field(gt=0, description="How long a request's first line and headers may take to come.")
    ] = 10.0
    max_connections: Annotated[
        int, Field(ge=1, description="Connections at once; one more is answered with 503 and closed.")
    ] = 1000
    signature_skew_seconds: Annotated[
        int, Field(ge=0, description="How far the clock of a signed request may be from ours.")
    ] = 900

    public_url: Annotated[
        str | None,
        Field(
            description="URL under which clients reach this server, for the catalog (default: as each request came) "
            "and the links in notices (default: the address listened on). Needed behind a TLS proxy on this machine, "
            "whose X-Forwarded-For is then believed."
        ),
    ] = None
    quotas: Annotated[
        dict[str, Annotated[int, Field(ge=0)]],
        Field(
            description="How much each project may have, of CU, QUEUE, ELASTIC_RESOURCE_POOL and SL_PKG_RESOURCE "
            '(packages), e.g. {"QUEUE": 20}; what is not named has no limit.'
        ),
    ] = {}

    @field_validator("public_url")
    @classmethod
    def _public_url_is_a_base(cls, text: str | None) -> str | None:
        return text and checks.base_url(text)

    @field_validator("quotas")
    @classmethod
    def _can_be_limited(cls, quotas: dict[str, int]) -> dict[str, int]:
        for kind in quotas:
            if kind not in LIMITED:
                message = f"{kind} cannot be limited; {', '.join(LIMITED)} can"
                raise ValueError(message)
        return quotas
