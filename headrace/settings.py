"""One frozen, validated settings object. Environment ``HEADRACE_<FIELD>`` wins over ``<home>/headrace.toml``."""

from __future__ import annotations

import os
import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from headrace.domain.quotas import LIMITED


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "headrace"


class Settings(BaseSettings):
    """Everything an operator can set. Sizes in MB are 1024 * 1024 bytes; times are in seconds."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Annotated[Path, Field(description="Folder with all state of one server; created with mode 0700.")] = Field(
        default_factory=lambda: _data_home() / "home"
    )
    host: Annotated[str, Field(description="Address to listen on. Beyond loopback needs `--insecure-bind`.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 7373

    engine_store: Annotated[
        Path, Field(description="Folder with the installed Flink engines and their Java, shared by all homes.")
    ] = Field(default_factory=lambda: _data_home() / "engines")
    engine_default: Annotated[str, Field(description="Flink version of a job that names none.")] = "1.20"
    engine_aliases: Annotated[
        dict[str, str],
        Field(description='Flink versions that jobs name → the one that runs them, e.g. {"1.15": "1.17"}.'),
    ] = {}
    engine_java_homes: Annotated[
        dict[str, Path],
        Field(description='JDK of your own per Flink version or minor, e.g. {"1.20": "/opt/jdk-17"}.'),
    ] = {}

    memory_per_cu_mb: Annotated[
        int, Field(ge=256, le=65536, description="Memory of 1 CU in MB. DLI's is 4096; smaller suits a laptop.")
    ] = 4096
    memory_reserve_mb: Annotated[
        int, Field(ge=0, description="Memory that is never promised to jobs: for the system and Headrace itself.")
    ] = 1024
    memory_limit_mb: Annotated[
        int | None,
        Field(ge=0, description="Memory of this machine for jobs and reserve; default: the machine's or cgroup's."),
    ] = None

    sweep_seconds: Annotated[float, Field(gt=0, description="Period at which every active job is looked at.")] = 1.0
    start_patience_seconds: Annotated[
        float, Field(gt=0, description="How long a deployment may take until all its tasks run.")
    ] = 300.0
    savepoint_patience_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="How long a savepoint may take before it is given up (and the stop with it is called failed).",
        ),
    ] = 600.0
    cancel_patience_seconds: Annotated[
        float, Field(gt=0, description="How long Flink may take to cancel a job before its processes are ended.")
    ] = 30.0
    unresponsive_after_seconds: Annotated[
        float, Field(gt=0, description="A live JobManager whose REST is silent for so long is ended.")
    ] = 120.0
    taskmanager_silent_after_seconds: Annotated[
        float,
        Field(gt=0, description="A live TaskManager that Flink has not heard of for so long is ended and replaced."),
    ] = 30.0
    kept_attempts: Annotated[
        int,
        Field(
            ge=1,
            description="Logs and checkpoints of so many attempts of a job are kept, and older checkpoints that a job "
            "may still be restored from.",
        ),
    ] = 5

    log_period_seconds: Annotated[
        float,
        Field(gt=0, le=60, description="Period at which logs of jobs with log_enabled go to their bucket."),
    ] = 2.0
    log_spool_mb: Annotated[
        int,
        Field(ge=1, description="So much of each log stays on this machine, the newest; what is older goes."),
    ] = 128
    log_segment_mb: Annotated[
        int,
        Field(ge=1, le=128, description="A log's object in the bucket is at most so large; then the next one begins."),
    ] = 4
    log_roll_minutes: Annotated[
        int,
        Field(ge=1, le=1440, description="A log's next object in the bucket begins after so long, and with each day."),
    ] = 60
    log_wait_seconds: Annotated[
        float,
        Field(ge=0, description="So long the logs of a deleted job wait for a bucket that cannot be written to."),
    ] = 3600.0

    object_store: Annotated[
        Literal["folder", "s3", "embedded"],
        Field(
            description="Where buckets are: `folder` of the home, `s3` = at `s3_endpoint`, or `embedded` = in an S3 "
            "server that Headrace runs itself. See [objects.md](objects.md)."
        ),
    ] = "folder"
    s3_endpoint: Annotated[
        str | None,
        Field(description="URL of the S3 or OBS endpoint, without a bucket, e.g. https://obs.eu-de.otc.t-systems.com."),
    ] = None
    s3_region: Annotated[str, Field(description="Region that requests to the endpoint are signed for.")] = "us-east-1"
    s3_path_style: Annotated[
        bool,
        Field(description="Buckets are in the path (endpoint/bucket), not in the host name (bucket.endpoint)."),
    ] = True
    s3_access_key: Annotated[str | None, Field(description="Access key (AK) for all buckets.")] = None
    s3_secret_key: Annotated[
        SecretStr | None,
        Field(description="Secret key (SK) for all buckets; better in the environment than in a file."),
    ] = None
    s3_bucket_keys_file: Annotated[
        Path | None,
        Field(
            description="JSON file with keys for single buckets, so that a job gets no others: "
            '{"bucket": {"access_key": "…", "secret_key": "…"}}.'
        ),
    ] = None
    s3_ca_file: Annotated[
        Path | None, Field(description="Certificates (PEM) to trust for `s3_endpoint` besides the system's.")
    ] = None
    s3_proxy: Annotated[
        str | None, Field(description="HTTP proxy to the endpoint, e.g. http://proxy.example.com:3128.")
    ] = None
    s3_timeout_seconds: Annotated[
        float,
        Field(gt=0, le=600, description="How long the endpoint may take to connect, and be silent while it answers."),
    ] = 30.0
    s3_plugin_folder: Annotated[
        Path | None,
        Field(
            description="Folder with Flink's S3 file systems for the engines, `flink-s3-fs-hadoop-<version>.jar`; "
            "default: they come from Maven Central, by the command `mvn`."
        ),
    ] = None
    embedded_s3_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of the embedded S3 server, on loopback; 0 takes a free one.")
    ] = 8333
    stage_cache_mb: Annotated[
        int,
        Field(
            ge=0, description="So much of the jobs' JARs and files is kept for the next run; more while they are used."
        ),
    ] = 4096

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

    @field_validator("engine_store")
    @classmethod
    def _fits_a_class_path(cls, path: Path) -> Path:
        if ":" in str(path):
            message = "must not have ':' in it: that separates the entries of a Java class path"
            raise ValueError(message)
        return path

    @field_validator("s3_endpoint", "s3_proxy")
    @classmethod
    def _is_a_url(cls, text: str | None) -> str | None:
        if text is None:
            return None
        url = urlsplit(text)
        bare = url.path in ("", "/") and not url.query and not url.fragment
        if url.scheme not in ("http", "https") or not url.hostname or not bare or not _port_is_one(text):
            message = "must be http://host, https://host or either with a port; no bucket and no path"
            raise ValueError(message)
        return text.rstrip("/")

    @field_validator("s3_endpoint")
    @classmethod
    def _has_no_keys(cls, text: str | None) -> str | None:
        if text is not None and "@" in urlsplit(text).netloc:
            message = "must not have keys in it; they are s3_access_key and s3_secret_key"
            raise ValueError(message)
        return text

    @model_validator(mode="after")
    def _can_reach_s3(self) -> Settings:
        missing = ""
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            missing = "s3_access_key and s3_secret_key belong together: give both, or neither"
        elif self.object_store == "s3" and not self.s3_endpoint:
            missing = "object_store=s3 needs s3_endpoint, the URL of the endpoint"
        elif self.object_store == "s3" and self.s3_access_key is None:
            missing = "object_store=s3 needs s3_access_key and s3_secret_key"
        elif self.object_store != "s3" and self.s3_endpoint:
            missing = f"s3_endpoint is used with object_store=s3 only, and that is {self.object_store}"
        if missing:
            raise ValueError(missing)
        return self

    @field_validator("quotas")
    @classmethod
    def _can_be_limited(cls, quotas: dict[str, int]) -> dict[str, int]:
        for kind in quotas:
            if kind not in LIMITED:
                message = f"{kind} cannot be limited; {', '.join(LIMITED)} can"
                raise ValueError(message)
        return quotas

    @field_validator("region", "domain_name")
    @classmethod
    def _is_a_name(cls, text: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is None:
            message = "must be 1 to 64 letters, digits, - and _"
            raise ValueError(message)
        return text

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
            if not re.fullmatch(r"https?://[!-~]+", self.smn_endpoint):
                message = "smn_endpoint must be a URL such as https://smn.eu-de.otc.t-systems.com"
                raise ValueError(message)
            if not (self.smn_project_id and self.smn_access_key and self.smn_secret_key):
                message = "smn_endpoint needs smn_project_id, smn_access_key and smn_secret_key"
                raise ValueError(message)
        return self

    @classmethod
    def tellable(cls) -> frozenset[str]:
        """Names of the settings whose values may be shown."""
        return frozenset(
            name for name, field in cls.model_fields.items() if SecretStr not in get_args(field.annotation)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then ``<home>/headrace.toml``."""
        del dotenv_settings, file_secret_settings
        home = init_settings().get("home") or env_settings().get("home") or _data_home() / "home"
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(str(home)) / "headrace.toml")


def _port_is_one(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def load_settings(home: Path | None = None, **overrides: object) -> Settings:
    """The settings in force; ``overrides`` (from the command line) win over environment and file.

    Raises:
        pydantic.ValidationError: a value is out of range or a name is unknown.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    if home is not None:
        given["home"] = home
    return Settings(**given)  # type: ignore[arg-type]
