"""What is told of elastic resource pools (dli-contract §1.17)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer
from headrace.api.checks import GENERAL
from headrace.api.queue_answers import CIDR, DoneAnswer, Kept, Millis, QueueNameShown
from headrace.store.pools import ElasticPool
from headrace.store.queues import Queue

DEFAULT_CIDR = "172.16.0.0/12"

PoolNameShown = Annotated[str, Field(description="Name of the pool, in lower case.", examples=["pool_1"])]


class CreatedAnswer(DoneAnswer):
    """The pool is there, and available."""

    elastic_resource_pool_name: PoolNameShown


class PoolFields(Answer):
    """One pool."""

    id: Annotated[int, Field(description="Unique over all projects.")]
    elastic_resource_pool_name: PoolNameShown
    description: Annotated[str, Field(description="For people")]
    owner: Annotated[str, Field(description="Name of the user who created it.", examples=["ann"])]
    min_cu: Annotated[int, Field(description="The fewest CUs that it has", ge=1, examples=[16])]
    max_cu: Annotated[int, Field(description="The most CUs that it has", ge=1, examples=[64])]
    actual_cu: Annotated[int, Field(ge=1, description="What its queues may take together, within min_cu and max_cu.")]
    current_cu: Annotated[int, Field(ge=1, description="The same: a pool scales at once.")]
    prepay_cu: Annotated[int, Field(description="0.")]
    cidr_in_vpc: Annotated[str, Kept]
    create_time: Millis
    update_time: Millis
    status: Annotated[str, Field(description="AVAILABLE, always.", examples=["AVAILABLE"])]
    fail_reason: Annotated[str, Field(description="Empty.")]
    resource_id: Annotated[str, Field(description="id, as text.", examples=["7"])]
    enterprise_project_id: Annotated[str, Kept]
    charging_mode: Annotated[int, Field(description="1.")]
    queues: Annotated[list[str], Field(description="Its queues that the caller may see, by name.")]
    manager: Annotated[str, Field(description="Empty.")]
    label: Annotated[dict[str, str], Kept]
    ipv6_enable: Annotated[bool, Kept]
    ipv6_cidr_in_subnet: Annotated[str, Field(description="Empty.")]


class ListAnswer(DoneAnswer):
    """One page of pools."""

    count: Annotated[int, Field(ge=0, description="Number of all pools that match.")]
    elastic_resource_pools: Annotated[list[PoolFields], Field(description="The page")]


class PolicyShown(Answer):
    """What a queue is kept and may take between two hours of the day."""

    priority: Annotated[int, Field(description="Kept and read back; jobs are served in turn", ge=1, le=100)]
    impact_start_time: Annotated[str, Field(description="From this hour", examples=["00:00"])]
    impact_stop_time: Annotated[str, Field(description="To this hour", examples=["24:00"])]
    min_cu: Annotated[int, Field(description="CUs that are kept for the queue", ge=0)]
    max_cu: Annotated[int, Field(description="The most CUs that its jobs may hold", ge=1)]
    inherit_elastic_resource_pool_max_cu: Annotated[
        bool, Field(description="Whether the pool's max_cu stands for max_cu")
    ]


class PooledQueueFields(Answer):
    """One queue of a pool."""

    queue_name: QueueNameShown
    enterprise_project_id: Annotated[str, Kept]
    queue_type: Annotated[str, Field(description="general runs JAR jobs; sql runs nothing here", examples=["general"])]
    owner: Annotated[str, Field(description="Name of the user who created it.", examples=["ann"])]
    create_time: Millis
    engine: Annotated[str, Field(description="flink for type general", examples=["flink"])]
    queue_scaling_policies: Annotated[list[PolicyShown], Field(description="That of 00:00 to 24:00 counts.")]


class QueuesAnswer(DoneAnswer):
    """One page of a pool's queues."""

    queues: Annotated[list[PooledQueueFields], Field(description="The page")]
    count: Annotated[int, Field(ge=0, description="Number of all that match.")]


class RecordFields(Answer):
    """The pool came to other CUs."""

    max_cu: Annotated[int, Field(description="Of the pool, then.")]
    min_cu: Annotated[int, Field(description="Of the pool, then.")]
    current_cu: Annotated[int, Field(description="CUs afterwards.")]
    origin_cu: Annotated[int, Field(description="CUs before.")]
    target_cu: Annotated[int, Field(description="CUs afterwards.")]
    record_time: Millis
    status: Annotated[str, Field(description="success.", examples=["success"])]
    fail_reason: Annotated[str, Field(description="Empty.")]


class RecordsAnswer(Answer):
    """One page of the scaling history."""

    count: Annotated[int, Field(ge=0, description="Number of the items.")]
    items: Annotated[list[RecordFields], Field(description="The page")]


def shown(pool: ElasticPool, seen: Collection[str]) -> dict[str, Any]:
    """The fields of one pool; ``seen``: names of the queues that the caller may see."""
    details = pool.details
    return {
        "id": pool.id,
        "elastic_resource_pool_name": pool.name,
        "description": pool.description,
        "owner": pool.owner,
        "min_cu": pool.min_cu,
        "max_cu": pool.max_cu,
        "actual_cu": pool.actual_cu,
        "current_cu": pool.actual_cu,
        "prepay_cu": 0,
        "cidr_in_vpc": details.get(CIDR, DEFAULT_CIDR),
        "create_time": pool.created_ms,
        "update_time": pool.updated_ms,
        "status": "AVAILABLE",
        "fail_reason": "",
        "resource_id": str(pool.id),
        "enterprise_project_id": details.get("enterprise_project_id", "0"),
        "charging_mode": 1,
        "queues": [name for name in pool.queues if name in seen],
        "manager": "",
        "label": details.get("label", {}),
        "ipv6_enable": details.get("ipv6_enable", False),
        "ipv6_cidr_in_subnet": "",
    }


def shown_queue(queue: Queue) -> dict[str, Any]:
    """The fields of one queue of a pool."""
    return {
        "queue_name": queue.name,
        "enterprise_project_id": queue.details.get("enterprise_project_id", "0"),
        "queue_type": queue.queue_type,
        "owner": queue.owner,
        "create_time": queue.created_ms,
        "engine": queue.details.get("engine", "flink" if queue.queue_type == GENERAL else "spark"),
        "queue_scaling_policies": [
            {
                "priority": policy.priority,
                "impact_start_time": policy.start,
                "impact_stop_time": policy.stop,
                "min_cu": policy.min_cu,
                "max_cu": policy.max_cu,
                "inherit_elastic_resource_pool_max_cu": policy.inherit,
            }
            for policy in queue.policies
        ],
    }
