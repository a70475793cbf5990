"""How a user's own tools put a file into a bucket of a real S3 server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from obs import ObsClient  # type: ignore[import-untyped]

from tests.support.seaweed import Seaweed


def boto3_of(weed: Seaweed) -> Any:
    """boto3's client of the server."""
    return boto3.client(
        "s3",
        endpoint_url=weed.endpoint,
        region_name="us-east-1",
        aws_access_key_id=weed.access_key,
        aws_secret_access_key=weed.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )


def by_boto3(weed: Seaweed, bucket: str, file: Path, key: str) -> None:
    """Uploads by boto3."""
    boto3_of(weed).upload_file(str(file), bucket, key)


def by_obs_sdk(weed: Seaweed, bucket: str, file: Path, key: str) -> None:
    """Uploads by the vendor's OBS SDK."""
    client = ObsClient(
        access_key_id=weed.access_key,
        secret_access_key=weed.secret_key,
        server=weed.endpoint,
        signature="v4",
        path_style=True,
        is_signature_negotiation=False,
    )
    try:
        answer = client.putFile(bucket, key, str(file))
        assert answer.status < 300, answer
    finally:
        client.close()
