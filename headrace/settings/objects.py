"""Settings of the object store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

_OF_AN_ENDPOINT = (
    "s3_endpoint",
    "s3_region",
    "s3_path_style",
    "s3_access_key",
    "s3_secret_key",
    "s3_bucket_keys_file",
    "s3_ca_file",
    "s3_proxy",
    "s3_timeout_seconds",
)
"""Settings that mean nothing but with ``object_store=s3``. ``s3_plugin_folder`` is ``headrace engines``' too."""


class ObjectSettings(BaseModel):
    """Fields of Settings: where buckets are, and what is kept of them here."""

    model_config = ConfigDict(frozen=True)

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

    @field_validator("s3_proxy")
    @classmethod
    def _is_spoken_to_by_flink(cls, text: str | None) -> str | None:
        """Hadoop 3.3, which all of Flink's S3 file systems contain, knows no TLS to a proxy."""
        if text is not None and urlsplit(text).scheme != "http":
            message = (
                "must be http://host:port: Flink speaks no TLS to a proxy. An https endpoint is tunnelled through it"
            )
            raise ValueError(message)
        return text

    @field_validator("s3_endpoint")
    @classmethod
    def _has_no_keys(cls, text: str | None) -> str | None:
        if text is not None and "@" in urlsplit(text).netloc:
            message = "must not have keys in it; they are s3_access_key and s3_secret_key"
            raise ValueError(message)
        return text

    @model_validator(mode="after")
    def _can_reach_s3(self) -> Self:
        missing = ""
        useless = [
            name for name in _OF_AN_ENDPOINT if name in self.model_fields_set and getattr(self, name) is not None
        ]
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            missing = "s3_access_key and s3_secret_key belong together: give both, or neither"
        elif self.object_store == "s3" and not self.s3_endpoint:
            missing = "object_store=s3 needs s3_endpoint, the URL of the endpoint"
        elif self.object_store == "s3" and self.s3_access_key is None:
            missing = "object_store=s3 needs s3_access_key and s3_secret_key"
        elif self.object_store != "s3" and useless:
            verb = "is" if len(useless) == 1 else "are"
            missing = (
                f"{', '.join(useless)} {verb} used with object_store=s3 only, and that is {self.object_store}: "
                f"set object_store=s3, or take {'it' if len(useless) == 1 else 'them'} away"
            )
        if missing:
            raise ValueError(missing)
        return self


def _port_is_one(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
