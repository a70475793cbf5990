"""Settings of who may sign in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class IdentitySettings(BaseModel):
    """Fields of Settings: region, domain, tokens, keys, an external Keystone."""

    model_config = ConfigDict(frozen=True)

    region: Annotated[
        str,
        Field(description="Name of the region in the catalog, and of the project that is made at the first start."),
    ] = "headrace"
    domain_name: Annotated[
        str,
        Field(description="Name of the one domain (account) that all users and projects are in."),
    ] = "Default"
    token_hours: Annotated[float, Field(gt=0, le=720, description="How long an X-Auth-Token is valid, in hours.")] = (
        24.0
    )
    key_file: Annotated[
        Path | None,
        Field(description="File with the key that opens the sealed secrets; default: `secrets.key` in the home."),
    ] = None
    keystone_url: Annotated[
        str | None,
        Field(description="URL of an external Keystone v3, e.g. https://iam.example.com/v3, that issues all tokens."),
    ] = None
    keystone_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust for `keystone_url`; default: the system's.")
    ] = None
    keystone_admin_roles: Annotated[
        list[str], Field(description="Roles of the external Keystone that make an administrator of a project.")
    ] = ["admin", "te_admin"]
    keystone_cache_seconds: Annotated[
        float, Field(ge=0, le=60, description="How long an answer of the external Keystone is taken for granted.")
    ] = 30.0

    @field_validator("region", "domain_name")
    @classmethod
    def _is_a_name(cls, text: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is None:
            message = "must be 1 to 64 letters, digits, - and _"
            raise ValueError(message)
        return text
