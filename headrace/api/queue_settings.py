"""What is done to a queue: actions, its network block and its properties (dli-contract §1.16).

Who may scale a queue may set the other two. They are kept for clients that set them, and have no effect: there is no
private network here, and no Spark.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import answers
from headrace.api.checks import GENERAL
from headrace.api.fields import Text, Wire, shaped, whole
from headrace.api.language import told
from headrace.api.queue_answers import CIDR, MAX_CUS, ActionAnswer, DoneAnswer, PropertiesAnswer
from headrace.api.queues import QueueInPath
from headrace.api.services import Parts
from headrace.domain.errors import BadField, NotSupported
from headrace.domain.rights import QueueRight, Standing, queue_thing

router = APIRouter()

_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
Cidr = Annotated[
    Text,
    shaped(rf"{_BYTE}(?:\.{_BYTE}){{3}}/(?:3[0-2]|[12]?[0-9])", "must be a block of IPv4 addresses: 172.16.0.0/12"),
    Field(description="Kept and read back; without effect.", examples=["172.16.0.0/12"]),
]
TrueOrFalse = Literal["true", "false"]
UNUSED = "Kept and read back; without effect, as there is no Spark here."
DONE = {"is_success": True, "message": ""}


class QueueAction(Wire):
    """PUT queues/{queue_name}/action."""

    action: Annotated[
        Literal["restart", "scale_out", "scale_in"],
        Field(description="restart is for queues of type sql only.", examples=["scale_out"]),
    ]
    force: Annotated[bool | None, Field(description="Restart although jobs run: none do in a queue of type sql.")] = (
        None
    )
    cu_count: Annotated[
        Annotated[int, whole(1, MAX_CUS)] | None,
        Field(description="By how many CUs; needed to scale. DLI takes multiples of 16 only.", examples=[16]),
    ] = None


class ReplaceCidr(Wire):
    """PUT queues/{queue_name}."""

    cidr_in_vpc: Cidr


class CommonProperties(Wire):
    """Properties that a queue can be given."""

    max_instance: Annotated[
        Annotated[int, whole(1, 10_000)] | None, Field(alias="computeEngine.maxInstance", description=UNUSED)
    ] = None
    max_prefetch: Annotated[
        Annotated[int, whole(0, 10_000)] | None, Field(alias="computeEngine.maxPrefetchInstance", description=UNUSED)
    ] = None
    max_concurrent: Annotated[
        Annotated[int, whole(1, 10_000)] | None, Field(alias="job.maxConcurrent", description=UNUSED)
    ] = None
    native: Annotated[TrueOrFalse | None, Field(alias="computeEngine.spark.nativeEnabled", description=UNUSED)] = None


class AdvancedProperties(CommonProperties):
    """Properties that can be changed."""

    cidr: Annotated[
        Cidr | None, Field(alias="network.cidrInVpc", description="A network block; kept and read back.")
    ] = None
    save_result: Annotated[TrueOrFalse | None, Field(alias="job.saveJobResultToJobBucket", description=UNUSED)] = None


class AddProperties(Wire):
    """POST properties."""

    properties: Annotated[CommonProperties, Field(description="What is set.")]


class ChangeProperties(Wire):
    """PUT properties."""

    properties: Annotated[AdvancedProperties, Field(description="What is set.")]


Key = Literal[
    "computeEngine.maxInstance",
    "computeEngine.maxPrefetchInstance",
    "job.maxConcurrent",
    "computeEngine.spark.nativeEnabled",
    "job.saveJobResultToJobBucket",
]


class DropProperties(Wire):
    """DELETE properties."""

    keys: Annotated[
        list[Key],
        Field(min_length=1, max_length=20, description="Which; one that is not set is no error."),
    ]


Changing = Annotated[Access, needs(QueueRight.SCALE_QUEUE, trace="updateQueueProperties")]


@router.put("/v1.0/{project_id}/queues/{queue_name}/action", **answers(ActionAnswer))
def act(
    queue_name: QueueInPath,
    body: QueueAction,
    access: Annotated[Access, needs(Standing.SEES, trace="queueActions")],
    parts: Parts,
) -> dict[str, Any]:
    """Restarts a queue of type sql, or gives a queue more or fewer CUs, never fewer than its jobs hold.

    It takes RESTART or SCALE_QUEUE on the queue.
    """
    queue = access.queue(queue_name)
    restart = body.action == "restart"
    access.demand(QueueRight.RESTART if restart else QueueRight.SCALE_QUEUE, queue_thing(queue.name, queue.owner))
    answer = {**DONE, "queue_name": queue.name, "result": True}
    if restart:
        if queue.queue_type == GENERAL:
            raise NotSupported(
                f"The queue {queue.name} is of type general: only a queue of type sql can be restarted. Stop and run "
                "its jobs instead."
            )
        if body.cu_count is not None:
            raise BadField("cu_count", body.cu_count, "is for scale_out and scale_in; leave it out to restart")
        parts.audit.note(access.trace.of("queue", queue.name, queue.name))
        return {**answer, "message": told("Restart success")}
    if body.cu_count is None:
        raise BadField("cu_count", None, "is required to scale: by how many CUs")
    if body.force:
        raise BadField("force", body.force, "is for restart; jobs are never stopped to scale a queue")
    parts.queues.scale(
        access.project_id,
        queue.name,
        body.cu_count if body.action == "scale_out" else -body.cu_count,
        bounds=range(1, MAX_CUS + 1),
        limits=parts.settings.quotas,
        trace=access.trace,
    )
    return answer


@router.put("/v1.0/{project_id}/queues/{queue_name}", **answers(DoneAnswer))
def replace_cidr(
    queue_name: QueueInPath,
    body: ReplaceCidr,
    access: Annotated[Access, needs(QueueRight.SCALE_QUEUE, trace="replaceQueue")],
    parts: Parts,
) -> dict[str, Any]:
    """Keeps another network block for the queue; nothing else of a queue can be replaced."""
    parts.queues.keep(
        access.project_id, queue_name, lambda details: {**details, CIDR: body.cidr_in_vpc}, trace=access.trace
    )
    return DONE


class Page(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most properties in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Properties to leave out, from the first.")] = 0


@router.get("/v3/{project_id}/queues/{queue_name}/properties", **answers(PropertiesAnswer))
def list_properties(
    queue_name: QueueInPath, page: Annotated[Page, Query()], access: Annotated[Access, needs(Standing.SEES)]
) -> dict[str, Any]:
    """The properties that were set, by key."""
    found = sorted(access.queue(queue_name).details.get("properties", {}).items())
    listed = [{"key": key, "value": str(value)} for key, value in found]
    return {**DONE, "properties": listed[page.offset : page.offset + page.limit]}


@router.post("/v3/{project_id}/queues/{queue_name}/properties", **answers(DoneAnswer))
def add_properties(queue_name: QueueInPath, body: AddProperties, access: Changing, parts: Parts) -> dict[str, Any]:
    """Sets properties; those that are not named stay."""
    parts.queues.keep(access.project_id, queue_name, _with(body.properties), trace=access.trace)
    return DONE


@router.put("/v3/{project_id}/queues/{queue_name}/properties", **answers(DoneAnswer))
def change_properties(
    queue_name: QueueInPath, body: ChangeProperties, access: Changing, parts: Parts
) -> dict[str, Any]:
    """Sets properties, or the network block; those that are not named stay."""
    parts.queues.keep(access.project_id, queue_name, _with(body.properties), trace=access.trace)
    return DONE


@router.delete("/v3/{project_id}/queues/{queue_name}/properties", **answers(DoneAnswer))
def drop_properties(queue_name: QueueInPath, body: DropProperties, access: Changing, parts: Parts) -> dict[str, Any]:
    """Forgets properties."""

    def dropped(details: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in details.get("properties", {}).items() if key not in body.keys}
        return {**details, "properties": kept}

    parts.queues.keep(access.project_id, queue_name, dropped, trace=access.trace)
    return DONE


def _with(properties: CommonProperties) -> Callable[[dict[str, Any]], dict[str, Any]]:
    given = properties.model_dump(exclude_none=True, by_alias=True)
    cidr = given.pop("network.cidrInVpc", None)

    def changed(details: dict[str, Any]) -> dict[str, Any]:
        merged = {**details, "properties": {**details.get("properties", {}), **given}}
        return merged if cidr is None else {**merged, CIDR: cidr}

    return changed
