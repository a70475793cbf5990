"""Buckets and objects: ours only, in place of the object storage that DLI's users have beside DLI."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated, Any

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers, link
from headrace.api.services import Parts
from headrace.domain.errors import NameTaken, Refused, StoreBusy, StoreRefused
from headrace.domain.rights import Standing
from headrace.objects.paths import check_bucket

router = APIRouter(prefix="/headrace/v1/{project_id}")

READ_AT_ONCE = 8
_READERS: RunVar[CapacityLimiter] = RunVar("readers of objects")

OCTETS = "application/octet-stream"
BINARY = {"type": "string", "format": "binary"}
AFTER_BUCKET = {
    "list": link("objects_list_objects", {"bucket": "$response.body#/bucket"}),
    "put": link("objects_put", {"bucket": "$response.body#/bucket"}),
}
AFTER_PUT = {"get": link("objects_get", {"bucket": "$response.body#/bucket", "key": "$response.body#/key"})}
Bucket = Annotated[str, Field(description="The bucket", examples=["b"])]
Key = Annotated[str, Field(max_length=1024, description="The object's key", examples=["jars/app.jar"])]
Size = Annotated[int, Field(ge=0, description="Bytes")]


class BucketsAnswer(Answer):
    """Buckets of the project."""

    buckets: Annotated[list[str], Field(description="Their names, sorted")]


class BucketAnswer(Answer):
    """The new bucket."""

    bucket: Bucket


class ObjectFound(Answer):
    """One object."""

    key: Key
    size: Size
    last_modified_ms: Annotated[int, Field(ge=0, description="Epoch milliseconds")]


class ObjectsAnswer(Answer):
    """One page of a bucket."""

    bucket: Bucket
    objects: Annotated[list[ObjectFound], Field(description="By key")]
    more: Annotated[bool, Field(description="Whether there is another page, after the last key")]


class StoredAnswer(Answer):
    """The object is stored whole."""

    bucket: Bucket
    key: Key
    size: Size


@router.get("/buckets", **answers(BucketsAnswer))
def buckets(access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts) -> dict[str, Any]:
    """Names of the project's buckets."""
    return {"buckets": parts.buckets.of_project(access.project_id)}


@router.put("/buckets/{bucket}", **answers(BucketAnswer, status=201, links=AFTER_BUCKET))
def create_bucket(
    bucket: str, access: Annotated[Access, needs(Standing.MEMBER, trace="createBucket")], parts: Parts
) -> dict[str, Any]:
    """Creates a bucket of the project; DLI.0006 if it exists, whoever's it is."""
    check_bucket(bucket)
    if parts.bucket_owner(bucket) is None and parts.objects.has_bucket(bucket):
        raise NameTaken(
            f"bucket={bucket!r}: the object storage has such a bucket, and no project has it. An administrator of the "
            "project can take it over: POST …/dli/obs-authorize."
        )
    claimed = parts.buckets.claim(bucket, access.project_id, now_ms=parts.now_ms())
    try:
        parts.objects.create_bucket(bucket)
    except (Refused, StoreRefused, StoreBusy):  # asked, with no answer, it may have been made: then it stays claimed
        if claimed:
            parts.buckets.release(bucket, access.project_id)
        raise
    parts.buckets.tell(access.trace.of("bucket", bucket, bucket) if access.trace else None)
    return {"bucket": bucket}


class ListQuery(BaseModel):
    """Query of the list; ``after`` is the last key of the page before."""

    model_config = ConfigDict(extra="forbid")

    prefix: Annotated[str, Field(max_length=1024, description="What the keys begin with")] = ""
    after: Annotated[str, Field(max_length=1024, description="The last key of the page before")] = ""
    limit: Annotated[int, Field(ge=1, le=10000, description="Objects on a page")] = 1000


@router.get("/objects/{bucket}", **answers(ObjectsAnswer))
def list_objects(
    bucket: str, query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of a bucket's objects, by key; ``more`` says whether there is another."""
    access.bucket(bucket)
    later = (info for info in parts.objects.listing(bucket, query.prefix) if info.key > query.after)
    page = list(islice(later, query.limit + 1))
    objects = [
        {"key": info.key, "size": info.size, "last_modified_ms": info.modified_ms} for info in page[: query.limit]
    ]
    return {"bucket": bucket, "objects": objects, "more": len(page) > query.limit}


@router.put(
    "/objects/{bucket}/{key:path}",
    **answers(StoredAnswer, status=201, links=AFTER_PUT),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The bytes, up to max_object_mb; sign them as UNSIGNED-PAYLOAD",
            "content": {OCTETS: {"schema": BINARY}},
        }
    },
)
async def put(
    bucket: str, key: str, request: Request, access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """Stores the body as an object, whole or not at all; never all of it in memory."""
    await run_in_threadpool(access.bucket, bucket)
    limit = parts.settings.max_object_mb * 1024 * 1024
    size = await parts.objects.put_stream(bucket, key, request.stream(), limit)
    return {"bucket": bucket, "key": key, "size": size}


@router.get(
    "/objects/{bucket}/{key:path}",
    response_class=StreamingResponse,
    **answers(also={200: {"description": "The bytes", "content": {OCTETS: {"schema": BINARY}}}}),
)
def get(bucket: str, key: str, access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts) -> StreamingResponse:
    """The object's bytes."""
    access.bucket(bucket)
    size, content = parts.objects.get_stream(bucket, key)
    return StreamingResponse(_pieces(content), media_type=OCTETS, headers={"Content-Length": str(size)})


async def _pieces(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read by threads that are for this alone: a storage that falls silent leaves those of all other requests."""
    try:
        readers = _READERS.get()
    except LookupError:  # the first one of this server
        readers = CapacityLimiter(READ_AT_ONCE)
        _READERS.set(readers)
    while (piece := await to_thread.run_sync(next, content, None, limiter=readers)) is not None:
        yield piece
