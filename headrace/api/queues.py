"""Queues (dli-contract §1.16): dedicated CUs, or a share of a pool's. ``is_success`` is a boolean here."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import answers, link
from headrace.api.fields import TagKey, TagValue, Text, Wire, shaped, up_to, whole
from headrace.api.queue_answers import MAX_CUS, CreatedAnswer, DoneAnswer, ListAnswer, ShowAnswer, shown
from headrace.api.services import Parts
from headrace.domain.errors import BadField, QueueInUse
from headrace.domain.rights import QueueRight, Standing
from headrace.domain.sizing import MILLI
from headrace.store.queues import Queue

router = APIRouter()

DELETION_PATIENCE_S = 30.0
"""How long the deletion of a queue waits for jobs that are just being deleted."""

NAME = r"(?!_)(?![0-9]+$)[A-Za-z0-9_]{1,128}"
NAME_RULE = "must be 1 to 128 letters, digits and '_', not digits only, not beginning with '_'"

LowerName = Annotated[Text, shaped(NAME, NAME_RULE), AfterValidator(str.lower)]
"""Names of queues and pools: kept in lower case, and found whatever the case."""

Short = Annotated[Text, up_to(255)]
QueueInPath = Annotated[
    str,
    Path(
        description="Name of the queue, whatever the case; DLI.0002 if the project has none of this name",
        json_schema_extra={"pattern": f"^{NAME}$"},
        examples=["stream_1"],
    ),
]
FEATURE = Field(description="Kept and read back; without effect.")


class QueueTag(Wire):
    """A tag; DLI's table writes ``Key``, its SDK ``key``."""

    key: Annotated[
        TagKey,
        Field(validation_alias=AliasChoices("key", "Key"), description="1 to 128 characters.", examples=["team"]),
    ]
    value: Annotated[TagValue, Field(description="At most 255 characters.", examples=["payments"])]


def _keys_differ(tags: list[QueueTag]) -> list[QueueTag]:
    keys = [tag.key for tag in tags]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} is given twice")
    return tags


QueueTags = Annotated[list[QueueTag], Field(max_length=20), AfterValidator(_keys_differ)]


class NativeProperties(Wire):
    """The property of Spark that a queue can be created with."""

    native: Annotated[
        Literal["true", "false"] | None, Field(alias="computeEngine.spark.nativeEnabled", description="Without effect.")
    ] = None


class CreateQueue(Wire):
    """POST queues. What "kept" is said of is read back, and has no effect."""

    queue_name: Annotated[
        LowerName, Field(description="Unique in the project; made lower-case.", examples=["stream_1"])
    ]
    queue_type: Annotated[
        Literal["sql", "general"] | None,
        Field(description="general runs JAR jobs; sql, the default, runs nothing here."),
    ] = None
    cu_count: Annotated[int, whole(1, MAX_CUS), Field(description="CUs: 1 CU is 1 vCPU and 4 GB.", examples=[16])]
    description: Annotated[Annotated[Text, up_to(512)] | None, Field(description="For people.")] = None
    enterprise_project_id: Annotated[Short | None, FEATURE] = None
    platform: Annotated[Short | None, FEATURE] = None
    resource_mode: Annotated[Literal[0, 1] | None, FEATURE] = None
    charging_mode: Annotated[Annotated[int, whole(0, 100)] | None, FEATURE] = None
    labels: Annotated[Annotated[list[Short], Field(max_length=20)] | None, FEATURE] = None
    feature: Annotated[Short | None, FEATURE] = None
    properties: Annotated[NativeProperties | None, FEATURE] = None
    tags: Annotated[QueueTags | None, Field(description="At most 20, with different keys.")] = None
    engine: Annotated[Short | None, FEATURE] = None
    elastic_resource_pool_name: Annotated[
        Annotated[Text, up_to(128)] | None,
        Field(description="The pool to put it into; its CUs are then its share of the pool's.", examples=["pool_1"]),
    ] = None


OWN_FIELDS = {"queue_name", "queue_type", "cu_count", "description", "elastic_resource_pool_name"}
OF_QUEUE = {"queue_name": "$response.body#/queue_name"}


@router.post(
    "/v1.0/{project_id}/queues",
    **answers(CreatedAnswer, links={name: link(f"queues_{name}", OF_QUEUE) for name in ("show", "delete")}),
)
def create(
    body: CreateQueue, access: Annotated[Access, needs(QueueRight.CREATE_QUEUE, trace="createQueue")], parts: Parts
) -> dict[str, Any]:
    """A new queue, ready at once, with CUs of its own or in a pool."""
    queue = Queue(
        id=0,
        project_id=access.project_id,
        name=body.queue_name,
        queue_type=body.queue_type or "sql",
        cu_milli=body.cu_count * MILLI,
        owner=access.caller.user_name,
        created_ms=parts.now_ms(),
        description=body.description or "",
        details=body.model_dump(exclude_none=True, exclude=OWN_FIELDS, by_alias=True),
        pool_name=body.elastic_resource_pool_name or "",
    )
    add = parts.pools.create_queue if queue.pool_name else parts.queues.create
    add(queue, limits=parts.settings.quotas, trace=access.trace)
    return {"is_success": True, "message": "", "queue_name": queue.name}


class ListQuery(BaseModel):
    """Query of the list; privileges and charges are never shown."""

    model_config = ConfigDict(extra="forbid")

    queue_type: Annotated[Literal["sql", "general", "all"], Field(description="Of which type.")] = "all"
    order: Annotated[
        Literal["queue_name_asc", "queue_name_desc", "cu_asc", "cu_desc"], Field(description="By what.")
    ] = "queue_name_asc"
    page_size: Annotated[int, Field(alias="page-size", ge=1, le=2**31 - 1, description="Queues on one page.")] = (
        2**31 - 1
    )
    current_page: Annotated[int, Field(alias="current-page", ge=1, le=2**31 - 1, description="From 1.")] = 1
    with_priv: Annotated[bool, Field(alias="with-priv", description="Without effect.")] = False
    with_charge_info: Annotated[bool, Field(alias="with-charge-info", description="Without effect.")] = False
    tags: Annotated[
        str, Field(max_length=10_000, description="key=value,… : all must match.", examples=["a=1,b=2"])
    ] = ""


@router.get("/v1.0/{project_id}/queues", **answers(ListAnswer))
def list_queues(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """The queues that the caller may see; of all types unless ``queue_type`` says otherwise.

    DLI's page names sql as the default, but its Go client, and so Terraform, never sends the type and still expects to
    find a general queue in the answer.
    """
    tags = pairs(query.tags)
    found = [
        queue
        for queue in parts.queues.of_project(access.project_id)
        if access.sees_queue(queue)
        and query.queue_type in ("all", queue.queue_type)
        and tags <= {f"{tag['key']}={tag['value']}" for tag in queue.details.get("tags", [])}
    ]
    by_cus = query.order.startswith("cu")
    found.sort(key=lambda queue: queue.cu_count if by_cus else 0)  # they come by name
    if query.order.endswith("desc"):
        found.reverse()
    begin = (query.current_page - 1) * query.page_size
    page = found[begin : begin + query.page_size]
    default = parts.settings.engine_default
    return {"is_success": True, "message": "", "queues": [shown(queue, default) for queue in page]}


@router.get("/v1.0/{project_id}/queues/{queue_name}", **answers(ShowAnswer))
def show(queue_name: QueueInPath, access: Annotated[Access, needs(Standing.SEES)], parts: Parts) -> dict[str, Any]:
    """One queue, in camelCase as DLI has it here, and in snake_case too."""
    queue = access.queue(queue_name)
    fields = shown(queue, parts.settings.engine_default)
    camel = {"queueName": queue.name, "queueType": queue.queue_type, "cuCount": fields["cu_count"]}
    return {"is_success": True, "message": "", **fields, **camel, "chargingMode": fields["charging_mode"]}


@router.delete("/v1.0/{project_id}/queues/{queue_name}", **answers(DoneAnswer))
def delete(
    queue_name: QueueInPath,
    access: Annotated[Access, needs(QueueRight.DROP_QUEUE, trace="deleteQueue")],
    parts: Parts,
) -> dict[str, Any]:
    """Deletes a queue in which nothing runs; jobs that are just being deleted are waited for."""
    deadline = time.monotonic() + DELETION_PATIENCE_S
    while True:
        try:
            parts.queues.delete(access.project_id, queue_name, trace=access.trace)
        except QueueInUse as error:
            if not error.passing or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return {"is_success": True, "message": ""}


def pairs(tags: str) -> set[str]:
    """The ``key=value`` pairs of a query; raises BadField."""
    found = set(tags.split(",")) if tags else set()
    if any("=" not in pair for pair in found):
        raise BadField("tags", tags, "must be key=value pairs with commas between them, such as a=1,b=2")
    return found
