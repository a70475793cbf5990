"""Settings of notices: receivers, mail server, external SMN."""

from __future__ import annotations

import re
from ipaddress import IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from headrace.settings import checks

MAPPED = IPv6Network("::ffff:0:0/96")
OF_MAIL = ("smtp_port", "smtp_security", "smtp_user", "smtp_password", "smtp_from", "smtp_ca_file")
OF_SMN = ("smn_project_id", "smn_access_key", "smn_secret_key", "smn_ca_file")


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
        Field(
            gt=0,
            le=3600,
            description="A notice that was not delivered is tried again so soon, then after twice as long …",
        ),
    ] = 5.0
    notice_give_up_hours: Annotated[
        float,
        Field(
            gt=0, le=8760, description="… up to an hour apart, until so long after it was published; then it is dead."
        ),
    ] = 24.0
    notice_kept_days: Annotated[
        float, Field(gt=0, le=36500, description="How long what was delivered, or is dead, stays listed.")
    ] = 30.0
    smn_auto_confirm: Annotated[
        bool,
        Field(
            description="New subscriptions need no confirmation by their receivers: for where nobody subscribes others "
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
        for text in networks:
            network = ip_network(text)  # its ValueError says what is wrong
            if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
                message = f"{text} means IPv4 addresses: write them as IPv4, e.g. 10.1.0.0/16"
                raise ValueError(message)
        return networks

    @field_validator("notice_ca_file", "smtp_ca_file", "smn_ca_file")
    @classmethod
    def _notices_have_certificates(cls, path: Path | None) -> Path | None:
        return path and checks.certificates(path)

    @field_validator("smn_endpoint")
    @classmethod
    def _smn_endpoint_is_a_base(cls, text: str | None) -> str | None:
        return text and checks.base_url(text)

    @model_validator(mode="after")
    def _is_used(self) -> Self:
        """Nothing is taken that has no effect."""
        for switch, names in (("smtp_host", OF_MAIL), ("smn_endpoint", OF_SMN)):
            lone = [name for name in names if name in self.model_fields_set and getattr(self, name) is not None]
            if not getattr(self, switch) and lone:
                message = f"{', '.join(lone)}: nothing without {switch}; set it, or leave these out"
                raise ValueError(message)
        return self

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
        if self.smn_endpoint and not (self.smn_project_id and self.smn_access_key and self.smn_secret_key):
            message = "smn_endpoint needs smn_project_id, smn_access_key and smn_secret_key"
            raise ValueError(message)
        return self
