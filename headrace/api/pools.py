"""Elastic resource pools (dli-contract §1.17, §4.5): CUs that queues share. ``is_success`` is a boolean here.

Every user of a project sees its pools; its administrators change them. The CUs are a bound, nothing is paid for: what
the jobs of a pool's queues hold is never more than its ``max_cu``; of that each queue is kept its policy's ``min_cu``,
and takes at most its policy's ``max_cu``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from headrace.api.access import Access, needs
from headrace.api.answers import answers, link
from headrace.api.fields import Text, Wire, shaped, up_to, whole
from headrace.api.language import told
from headrace.api.pool_answers import (
    CreatedAnswer,
    ListAnswer,
    QueuesAnswer,
    RecordsAnswer,
    shown,
    shown_queue,
)
from headrace.api.queue_answers import DoneAnswer
from headrace.api.queue_settings import Cidr
from headrace.api.queues import LowerName, QueueInPath, QueueTags, Short, pairs
from headrace.api.services import Parts
from headrace.domain.errors import BadField
from headrace.domain.pools import Policy, check_policies
from headrace.domain.rights import Standing
from headrace.store.pools import ElasticPool, PoolChange

router = APIRouter()

MAX_CUS = 32_000
DAY_MS = 24 * 60 * 60 * 1000
PoolInPath = Annotated[
    str,
    Path(
        description="Name of the pool, whatever the case; DLI.0002 if the project has none of this name",
        examples=["pool_1"],
    ),
]
Cus = Annotated[int, whole(1, MAX_CUS)]
FEATURE = Field(description="Kept and read back; without effect.")
DONE = {"is_success": True, "message": ""}


class Label(Wire):
    """DLI's edition."""

    spec: Annotated[Short | None, FEATURE] = None
    billing_spec_code: Annotated[Short | None, FEATURE] = None


class CreatePool(Wire):
    """POST elastic-resource-pools."""

    elastic_resource_pool_name: Annotated[
        LowerName, Field(description="Unique in the project; made lower-case.", examples=["pool_1"])
    ]
    description: Annotated[Annotated[Text, up_to(256)] | None, Field(description="For people.")] = None
    max_cu: Annotated[Cus, Field(description="The most that the jobs of its queues hold together.", examples=[64])]
    min_cu: Annotated[
        Cus, Field(description="The most that may be kept for its queues together; at most max_cu.", examples=[16])
    ]
    cidr_in_vpc: Annotated[Cidr | None, FEATURE] = None
    charging_mode: Annotated[Literal[1] | None, Field(description="1; there is nothing to pay for.")] = None
    enterprise_project_id: Annotated[Short | None, FEATURE] = None
    tags: Annotated[QueueTags | None, Field(description="At most 20, with different keys.")] = None
    label: Annotated[Label | None, FEATURE] = None
    ipv6_enable: Annotated[bool | None, FEATURE] = None


OWN_FIELDS = {"elastic_resource_pool_name", "description", "max_cu", "min_cu"}
OF_POOL = {"elastic_resource_pool_name": "$response.body#/elastic_resource_pool_name"}


@router.post(
    "/v3/{project_id}/elastic-resource-pools",
    **answers(
        CreatedAnswer, links={name: link(f"pools_{name}", OF_POOL) for name in ("update", "delete", "list_queues")}
    ),
)
def create(
    body: CreatePool, access: Annotated[Access, needs(Standing.ADMIN, trace="createElasticResourcePool")], parts: Parts
) -> dict[str, Any]:
    """A new pool, available at once."""
    pool = parts.pools.create(
        ElasticPool(
            id=0,
            project_id=access.project_id,
            name=body.elastic_resource_pool_name,
            min_cu=body.min_cu,
            max_cu=body.max_cu,
            owner=access.caller.user_name,
            created_ms=parts.now_ms(),
            description=body.description or "",
            details=body.model_dump(exclude_none=True, exclude=OWN_FIELDS),
        ),
        limits=parts.settings.quotas,
        trace=access.trace,
    )
    return {**DONE, "elastic_resource_pool_name": pool.name}


class ListQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most pools in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Pools to leave out, from the first.")] = 0
    name: Annotated[str, Field(max_length=128, description="Part of the name, whatever the case.")] = ""
    status: Annotated[
        Literal["", "AVAILABLE", "SCALING", "CREATING", "FAILED"], Field(description="All are AVAILABLE.")
    ] = ""
    tags: Annotated[
        str, Field(max_length=10_000, description="key=value,… : all must match.", examples=["a=1,b=2"])
    ] = ""


@router.get("/v3/{project_id}/elastic-resource-pools", **answers(ListAnswer))
def list_pools(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """One page of the project's pools, by name; of their queues, those that the caller may see."""
    tags = pairs(query.tags)
    found = [
        pool
        for pool in parts.pools.of_project(access.project_id)
        if query.name.lower() in pool.name
        and query.status in ("", "AVAILABLE")
        and tags <= {f"{tag['key']}={tag['value']}" for tag in pool.details.get("tags", [])}
    ]
    seen = {queue.name for queue in parts.queues.of_project(access.project_id) if access.sees_queue(queue)}
    page = [shown(pool, seen) for pool in found[query.offset : query.offset + query.limit]]
    return {**DONE, "count": len(found), "elastic_resource_pools": page}


class UpdatePool(Wire):
    """PUT elastic-resource-pools/{elastic_resource_pool_name}; what is absent stays."""

    description: Annotated[Annotated[Text, up_to(256)] | None, Field(description="For people.")] = None
    max_cu: Annotated[Cus | None, Field(description="At least what its jobs hold, and its queues may take.")] = None
    min_cu: Annotated[Cus | None, Field(description="At least what is kept for its queues; at most max_cu.")] = None


@router.put("/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}", **answers(DoneAnswer))
def update(
    elastic_resource_pool_name: PoolInPath,
    body: UpdatePool,
    access: Annotated[Access, needs(Standing.ADMIN, trace="updateElasticResourcePool")],
    parts: Parts,
) -> dict[str, Any]:
    """Other bounds, at once."""
    parts.pools.update(
        access.project_id,
        elastic_resource_pool_name,
        PoolChange(body.min_cu, body.max_cu, body.description),
        limits=parts.settings.quotas,
        trace=access.trace,
    )
    return DONE


@router.delete("/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}", **answers(DoneAnswer))
def delete(
    elastic_resource_pool_name: PoolInPath,
    access: Annotated[Access, needs(Standing.ADMIN, trace="deleteElasticResourcePool")],
    parts: Parts,
) -> dict[str, Any]:
    """Deletes a pool that has no queues."""
    parts.pools.delete(access.project_id, elastic_resource_pool_name, trace=access.trace)
    return DONE


class QueuesQuery(BaseModel):
    """Query of the list of a pool's queues."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most queues in one answer.")] = 100
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Queues to leave out, from the first.")] = 0
    queue_name: Annotated[str, Field(max_length=128, description="Part of the name, whatever the case.")] = ""


@router.get("/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}/queues", **answers(QueuesAnswer))
def list_queues(
    elastic_resource_pool_name: PoolInPath,
    query: Annotated[QueuesQuery, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """The pool's queues that the caller may see, by name, with their policies."""
    pool = parts.pools.find(access.project_id, elastic_resource_pool_name)
    found = [
        queue
        for queue in parts.queues.of_project(access.project_id)
        if queue.pool_name == pool.name and query.queue_name.lower() in queue.name and access.sees_queue(queue)
    ]
    page = [shown_queue(queue) for queue in found[query.offset : query.offset + query.limit]]
    return {**DONE, "queues": page, "count": len(found)}


class JoinPool(Wire):
    """POST elastic-resource-pools/{elastic_resource_pool_name}/queues."""

    queue_name: Annotated[
        Annotated[Text, up_to(128)], Field(description="A queue outside any pool.", examples=["stream_1"])
    ]


@router.post("/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}/queues", **answers(DoneAnswer))
def join(
    elastic_resource_pool_name: PoolInPath,
    body: JoinPool,
    access: Annotated[Access, needs(Standing.ADMIN, trace="associateQueueToElasticResourcePool")],
    parts: Parts,
) -> dict[str, Any]:
    """Puts a queue into the pool, for as long as it lives; its jobs go on."""
    parts.pools.join(access.project_id, elastic_resource_pool_name, body.queue_name, trace=access.trace)
    return DONE


class PolicyFields(Wire):
    """What a queue is kept and may take between two hours of the day."""

    impact_start_time: Annotated[
        Text,
        shaped("(?:[01][0-9]|2[0-3]):00", 'must be a full hour, "00:00" to "23:00"'),
        Field(description="From this full hour.", examples=["00:00"]),
    ]
    impact_stop_time: Annotated[
        Text,
        shaped("(?:0[0-9]|1[0-9]|2[0-4]):00", 'must be a full hour, "00:00" to "24:00"'),
        Field(description="To this full hour.", examples=["24:00"]),
    ]
    priority: Annotated[int, whole(1, 100), Field(description="Kept and read back; jobs are served in turn.")]
    min_cu: Annotated[int, whole(0, MAX_CUS), Field(description="CUs that are kept for the queue.", examples=[4])]
    max_cu: Annotated[Cus, Field(description="The most CUs that its jobs may hold.", examples=[16])]
    inherit_elastic_resource_pool_max_cu: Annotated[
        bool | None, Field(description="Its jobs may hold all that the pool has, whatever max_cu.")
    ] = None

    def policy(self) -> Policy:
        """As the store knows it."""
        return Policy(
            start=self.impact_start_time,
            stop=self.impact_stop_time,
            priority=self.priority,
            min_cu=self.min_cu,
            max_cu=self.max_cu,
            inherit=self.inherit_elastic_resource_pool_max_cu or False,
        )


class SetPolicies(Wire):
    """PUT elastic-resource-pools/{elastic_resource_pool_name}/queues/{queue_name}."""

    queue_scaling_policies: Annotated[
        list[PolicyFields],
        Field(min_length=1, max_length=24, description="One of 00:00 to 24:00, which counts; others are only kept."),
    ]


@router.put(
    "/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}/queues/{queue_name}", **answers(DoneAnswer)
)
def set_policies(
    elastic_resource_pool_name: PoolInPath,
    queue_name: QueueInPath,
    body: SetPolicies,
    access: Annotated[Access, needs(Standing.ADMIN, trace="updateElasticResourcePoolQueue")],
    parts: Parts,
) -> dict[str, Any]:
    """What the queue is kept and may take, at once."""
    policies = [given.policy() for given in body.queue_scaling_policies]
    check_policies(policies)
    parts.pools.set_policies(access.project_id, elastic_resource_pool_name, queue_name, policies, trace=access.trace)
    if len(policies) > 1:
        return {**DONE, "message": told("Only the policy of 00:00 to 24:00 has an effect, the others are kept.")}
    return DONE


class RecordsQuery(BaseModel):
    """Query of the scaling history."""

    model_config = ConfigDict(extra="forbid")

    start_time: Annotated[int | None, Field(ge=0, le=2**53, description="Epoch milliseconds.")] = None
    end_time: Annotated[int | None, Field(ge=0, le=2**53, description="Epoch milliseconds.")] = None
    status: Annotated[Literal["", "success", "fail"], Field(description="All are success.")] = ""
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Records to leave out, from the latest.")] = 0
    limit: Annotated[int, Field(ge=0, le=100, description="Most records in one answer.")] = 100


@router.get(
    "/v3/{project_id}/elastic-resource-pools/{elastic_resource_pool_name}/scale-records", **answers(RecordsAnswer)
)
def list_records(
    elastic_resource_pool_name: PoolInPath,
    query: Annotated[RecordsQuery, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """When the pool came to other CUs, the latest first: of the last 15 days if no time is given."""
    end = parts.now_ms() if query.end_time is None else query.end_time
    days = 15 if query.end_time is None else 7
    start = end - days * DAY_MS if query.start_time is None else query.start_time
    if start > end:
        raise BadField("start_time", query.start_time, "must not be after end_time, or after now")
    pool = parts.pools.find(access.project_id, elastic_resource_pool_name)
    found = [
        each
        for each in reversed(pool.scale_records)
        if start <= each["record_time"] <= end and query.status in ("", each["status"])
    ]
    page = found[query.offset : query.offset + query.limit]
    return {"count": len(page), "items": page}
