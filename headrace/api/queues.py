"""Queues (dli-contract §1.16): dedicated pools of CUs. ``is_success`` is a boolean here."""

from __future__ import annotations

import re
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.checks import GENERAL
from headrace.api.services import Parts
from headrace.api.wire import Text, Wire
from headrace.domain.errors import BadField, NotSupported, QueueInUse
from headrace.domain.rights import QueueRight, Standing
from headrace.domain.sizing import MILLI
from headrace.flink import catalog
from headrace.store.queues import Queue

router = APIRouter()

DELETION_PATIENCE_S = 30.0
"""How long the deletion of a queue waits for jobs that are just being deleted."""

MAX_CUS = 10_000
"""DLI sells 16, 64 or 256 CUs; a laptop has fewer, a machine of one's own may have others."""


def _queue_name(name: str) -> str:
    if re.fullmatch(r"(?!_)[A-Za-z0-9_]{1,128}", name) is None or name.isdigit():
        raise ValueError("must be 1 to 128 letters, digits and '_', not digits only, not beginning with '_'")
    return name.lower()


class QueueTag(Wire):
    """A tag; DLI's table writes ``Key``, its SDK ``key``."""

    key: Annotated[Text, Field(validation_alias=AliasChoices("key", "Key"))]
    value: Text


class CreateQueue(Wire):
    """POST queues. The fields after ``cu_count`` are kept and read back, and have no effect."""

    queue_name: Annotated[Text, AfterValidator(_queue_name)]
    queue_type: Literal["sql", "general"] | None = None
    cu_count: Annotated[int, Field(ge=1, le=MAX_CUS)]
    description: Annotated[Text, Field(max_length=512)] | None = None
    enterprise_project_id: Text | None = None
    platform: Text | None = None
    resource_mode: Literal[0, 1] | None = None
    charging_mode: int | None = None
    labels: list[Text] | None = None
    feature: Text | None = None
    properties: dict[str, Any] | None = None
    tags: list[QueueTag] | None = None
    engine: Text | None = None
    elastic_resource_pool_name: Text | None = None


@router.post("/v1.0/{project_id}/queues")
def create(
    body: CreateQueue, access: Annotated[Access, needs(QueueRight.CREATE_QUEUE, trace="createQueue")], parts: Parts
) -> dict[str, Any]:
    """A new queue, ready at once."""
    if body.elastic_resource_pool_name:
        raise NotSupported(
            f"elastic_resource_pool_name={body.elastic_resource_pool_name[:80]!r}: there are no elastic resource pools "
            "here. Leave the field out; every queue has CUs of its own."
        )
    kept = body.model_dump(
        exclude_none=True, exclude={"queue_name", "queue_type", "cu_count", "description", "elastic_resource_pool_name"}
    )
    queue = Queue(
        id=0,
        project_id=access.project_id,
        name=body.queue_name,
        queue_type=body.queue_type or "sql",
        cu_milli=body.cu_count * MILLI,
        owner=access.caller.user_name,
        created_ms=parts.now_ms(),
        description=body.description or "",
        details=kept,
    )
    parts.queues.create(queue, trace=access.trace)
    return {"is_success": True, "message": "", "queue_name": queue.name}


class ListQuery(BaseModel):
    """Query of the list; privileges and charges are never shown."""

    model_config = ConfigDict(extra="forbid")

    queue_type: Literal["sql", "general", "all"] = "all"
    order: Literal["queue_name_asc", "queue_name_desc", "cu_asc", "cu_desc"] = "queue_name_asc"
    page_size: Annotated[int, Field(alias="page-size", ge=1, le=2**31 - 1)] = 2**31 - 1
    current_page: Annotated[int, Field(alias="current-page", ge=1, le=2**31 - 1)] = 1
    with_priv: Annotated[bool, Field(alias="with-priv")] = False
    with_charge_info: Annotated[bool, Field(alias="with-charge-info")] = False
    tags: str = ""


@router.get("/v1.0/{project_id}/queues")
def list_queues(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """The queues that the caller may see; of all types unless ``queue_type`` says otherwise.

    DLI's page names sql as the default. But Terraform's client asks without a type and looks for queues of any type in
    the answer, against DLI itself with success (golangsdk ``openstack/dli/v1/queues/requests.go``, List).
    """
    found = [
        queue
        for queue in parts.queues.of_project(access.project_id)
        if access.sees_queue(queue) and query.queue_type in ("all", queue.queue_type) and _has_tags(queue, query.tags)
    ]
    by_cus = query.order.startswith("cu")
    found.sort(key=lambda queue: queue.cu_milli if by_cus else 0)  # they come by name
    if query.order.endswith("desc"):
        found.reverse()
    begin = (query.current_page - 1) * query.page_size
    page = found[begin : begin + query.page_size]
    default = parts.settings.engine_default
    return {"is_success": True, "message": "", "queues": [_shown(queue, default) for queue in page]}


@router.get("/v1.0/{project_id}/queues/{queue_name}")
def show(queue_name: str, access: Annotated[Access, needs(Standing.SEES)], parts: Parts) -> dict[str, Any]:
    """One queue, in camelCase as DLI has it here, and in snake_case too."""
    queue = access.queue(queue_name)
    shown = _shown(queue, parts.settings.engine_default)
    camel = {"queueName": queue.name, "queueType": queue.queue_type, "cuCount": shown["cu_count"]}
    return {"is_success": True, "message": "", **shown, **camel, "chargingMode": shown["charging_mode"]}


@router.delete("/v1.0/{project_id}/queues/{queue_name}")
def delete(
    queue_name: str, access: Annotated[Access, needs(QueueRight.DROP_QUEUE, trace="deleteQueue")], parts: Parts
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


def _shown(queue: Queue, default_engine: str) -> dict[str, Any]:
    details = queue.details
    general = queue.queue_type == GENERAL
    engines = sorted({catalog.minor_of(version) for version in catalog.KNOWN}, key=catalog.version_key)
    return {
        "queue_id": queue.id,
        "queue_name": queue.name,
        "description": queue.description,
        "owner": queue.owner,
        "create_time": queue.created_ms,
        "queue_type": queue.queue_type,
        "engine": details.get("engine", "flink" if general else "spark"),
        "used_cu": queue.used_milli / MILLI,
        "cu_count": queue.cu_milli // MILLI,
        "cu_spec": queue.cu_milli // MILLI,
        "cu_scale_out_limit": 0,
        "cu_scale_in_limit": 0,
        "charging_mode": details.get("charging_mode", 1),
        "resource_id": str(queue.id),
        "enterprise_project_id": details.get("enterprise_project_id", "0"),
        "cidr_in_vpc": "",
        "cidr_in_mgntsubnet": "",
        "cidr_in_subnet": "",
        "resource_mode": details.get("resource_mode", 1),
        "platform": details.get("platform", "x86_64"),
        "is_restarting": False,
        "labels": details.get("labels", []),
        "tags": details.get("tags", []),
        "elastic_resource_pool_name": "",
        "support_spark_versions": [],
        "default_spark_version": "",
        "support_flink_sql_versions": [],
        "default_flink_sql_version": "",
        "support_opensource_flink_versions": [],
        "support_flink_jar_versions": engines if general else [],
        "default_flink_jar_version": default_engine if general else "",
    }


def _has_tags(queue: Queue, wanted: str) -> bool:
    pairs = {f"{tag['key']}={tag['value']}" for tag in queue.details.get("tags", [])}
    for part in wanted.split(",") if wanted else ():
        if "=" not in part:
            raise BadField("tags", wanted, "must be key=value pairs with commas between them, such as a=1,b=2")
        if part not in pairs:
            return False
    return True
