"""Settings of notices: receivers, mail server, external SMN."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class NoticeSettings(BaseModel):
    """Fields of Settings: how notices reach who has subscribed."""

    model_config = ConfigDict(frozen=True)

    notice_allowed_networks: Annotated[
        list[str],
        Field(
            description='Networks that HTTP subscriptions may reach although they are not public, e.g. ["10.1.0.0/16"].'
        ),
    ] = []
    notice_timeout_seconds: Annotated[
        float, Field(gt=0, le=120, description="How long a receiver of notices may take for one.")
    ] = 10.0
    notice_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust for HTTPS receivers, besides the system's.")
    ] = None
    notice_retry_seconds: Annotated[
        float,
        Field(gt=0, description="A notice that was not delivered is tried again so soon, then after twice as long …"),
    ] = 5.0
    notice_give_up_hours: Annotated[
        float, Field(gt=0, description="… up to an hour apart, until so long after it was published; then it is dead.")
    ] = 24.0
    notice_kept_days: Annotated[
        float, Field(gt=0, description="How long what was delivered, or is dead, stays listed.")
    ] = 30.0
    smn_auto_confirm: Annotated[
        bool,
        Field(
            description="Subscriptions need no confirmation by their receivers: for where nobody subscribes others "
            "against their will."
        ),
    ] = False
    smtp_host: Annotated[
        str | None, Field(description="Mail server for notices by e-mail; default: none are sent.")
    ] = None
    smtp_port: Annotated[int, Field(ge=1, le=65535, description="Port of the mail server.")] = 587
    smtp_security: Annotated[
        Literal["none", "starttls", "tls"],
        Field(description="none, starttls, or tls (from the first byte). Mails are not sent with less than is set."),
    ] = "starttls"
    smtp_user: Annotated[str | None, Field(description="User name at the mail server; default: no sign-in.")] = None
    smtp_password: Annotated[SecretStr | None, Field(description="Password of `smtp_user`.")] = None
    smtp_from: Annotated[str | None, Field(description="Sender of the mails, e.g. headrace@example.com.")] = None
    smtp_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust for the mail server, besides the system's.")
    ] = None
    smn_endpoint: Annotated[
        str | None,
        Field(
            description="URL of an external SMN, e.g. https://smn.eu-de.otc.t-systems.com: notices of jobs are "
            "published there, and `smn_topic` names its topics."
        ),
    ] = None
    smn_project_id: Annotated[str | None, Field(description="Project of the topics at the external SMN.")] = None
    smn_access_key: Annotated[str | None, Field(description="Access key (AK) for the external SMN.")] = None
    smn_secret_key: Annotated[SecretStr | None, Field(description="Secret key (SK) of `smn_access_key`.")] = None
    smn_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust for the external SMN; default: the system's.")
    ] = None

    @field_validator("notice_allowed_networks")
    @classmethod
    def _are_networks(cls, networks: list[str]) -> list[str]:
        for network in networks:
            ip_network(network)  # its ValueError says what is wrong
        return networks

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """What belongs together is given together, and a password never goes in clear."""
        if self.smtp_host and not re.fullmatch(r"[!-~]+@[A-Za-z0-9.-]+", self.smtp_from or ""):
            message = "smtp_host needs smtp_from, an address such as headrace@example.com"
            raise ValueError(message)
        if (self.smtp_user is None) != (self.smtp_password is None):
            message = "smtp_user and smtp_password need each other"
            raise ValueError(message)
        if self.smtp_user and self.smtp_security == "none":
            message = "smtp_security none would send smtp_password in clear; use starttls or tls"
            raise ValueError(message)
        if self.smn_endpoint:
            if not re.fullmatch(r"https?://[!-?A-~]+", self.smn_endpoint):  # no "@": errors tell the URL
                message = "smn_endpoint must be a URL such as https://smn.eu-de.otc.t-systems.com, without a password"
                raise ValueError(message)
            if not (self.smn_project_id and self.smn_access_key and self.smn_secret_key):
                message = "smn_endpoint needs smn_project_id, smn_access_key and smn_secret_key"
                raise ValueError(message)
        return self
