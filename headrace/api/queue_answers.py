"""What is told of queues (dli-contract §1.16). ``is_success`` is a boolean here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer
from headrace.api.checks import GENERAL
from headrace.domain.pools import default_of
from headrace.domain.sizing import MILLI
from headrace.flink import catalog
from headrace.store.queues import Queue

MAX_CUS = 10_000
"""DLI sells 16, 64 or 256 CUs; a laptop has fewer, a machine of one's own may have others."""

CIDR = "cidr_in_vpc"
"""Detail of a queue: a network block, kept for clients that set one."""

Success = Annotated[bool, Field(description="Always true; an error has another body.")]
Message = Annotated[str, Field(description="Empty, or a sentence.")]
Kept = Field(description="As it was given when the queue was created; without effect here.")
Millis = Annotated[int, Field(description="Epoch milliseconds.", examples=[1790000000000])]
QueueNameShown = Annotated[str, Field(description="Name of the queue, in lower case.", examples=["stream_1"])]
Versions = Annotated[list[str], Field(description="None here: Headrace runs JAR jobs only.", max_length=0)]


class DoneAnswer(Answer):
    """It is done."""

    is_success: Success
    message: Message


class CreatedAnswer(DoneAnswer):
    """The queue is there, and ready."""

    queue_name: QueueNameShown


class TagFields(Answer):
    """A tag."""

    key: Annotated[str, Field(description="The key", examples=["team"])]
    value: Annotated[str, Field(description="The value", examples=["payments"])]


class QueueFields(Answer):
    """One queue."""

    queue_id: Annotated[int, Field(description="Unique over all projects.")]
    queue_name: QueueNameShown
    description: Annotated[str, Field(description="For people")]
    owner: Annotated[str, Field(description="Name of the user who created it.", examples=["ann"])]
    create_time: Millis
    queue_type: Annotated[str, Field(description="general runs JAR jobs; sql runs nothing here.", examples=["general"])]
    engine: Annotated[str, Field(description="flink for type general, else as it was given", examples=["flink"])]
    used_cu: Annotated[float, Field(ge=0, description="CUs that jobs hold now.", examples=[2.5])]
    cu_count: Annotated[int, Field(ge=1, description="CUs that it was made with, or scaled to.", examples=[16])]
    cu_spec: Annotated[int, Field(ge=1, description="The same.")]
    cu_scale_out_limit: Annotated[
        int, Field(ge=0, description="The most CUs that it can be scaled to; in a pool, what its jobs may hold in all.")
    ]
    cu_scale_in_limit: Annotated[
        int, Field(ge=0, description="The fewest CUs that it can be scaled to; in a pool, what is kept for it.")
    ]
    charging_mode: Annotated[int, Kept]
    resource_id: Annotated[str, Field(description="queue_id, as text.", examples=["7"])]
    enterprise_project_id: Annotated[str, Kept]
    cidr_in_vpc: Annotated[str, Field(description="As it was set; without effect here.", examples=["172.16.0.0/12"])]
    cidr_in_mgntsubnet: Annotated[str, Field(description="Empty.")]
    cidr_in_subnet: Annotated[str, Field(description="Empty.")]
    resource_mode: Annotated[int, Kept]
    platform: Annotated[str, Kept]
    is_restarting: Annotated[bool, Field(description="Always false.")]
    labels: Annotated[str, Field(description="As they were given, with commas between.", examples=["multi_az=2"])]
    feature: Annotated[str, Kept]
    tags: Annotated[list[TagFields], Field(description="As they were given")]
    elastic_resource_pool_name: Annotated[str, Field(description="Its pool; empty outside any.")]
    support_spark_versions: Versions
    default_spark_version: Annotated[str, Field(description="Empty.")]
    support_flink_sql_versions: Versions
    default_flink_sql_version: Annotated[str, Field(description="Empty.")]
    support_opensource_flink_versions: Versions
    support_flink_jar_versions: Annotated[
        list[str], Field(description="Flink versions that a job's flink_version may name.", examples=[["1.17", "1.20"]])
    ]
    default_flink_jar_version: Annotated[str, Field(description="Of a job that names none.", examples=["1.20"])]


class ListAnswer(DoneAnswer):
    """One page of queues."""

    queues: Annotated[list[QueueFields], Field(description="The page")]


class ShowAnswer(QueueFields):
    """One queue, with DLI's other spelling of four fields besides."""

    is_success: Success
    message: Message
    queueName: QueueNameShown  # noqa: N815 - DLI's name
    queueType: Annotated[str, Field(description="queue_type.")]  # noqa: N815
    cuCount: Annotated[int, Field(ge=1, description="cu_count.")]  # noqa: N815
    chargingMode: Annotated[int, Field(description="charging_mode.")]  # noqa: N815


class ActionAnswer(DoneAnswer):
    """The action is done."""

    queue_name: QueueNameShown
    result: Annotated[bool, Field(description="Always true.")]


class PropertyFields(Answer):
    """One property."""

    key: Annotated[str, Field(description="Its name", examples=["computeEngine.maxInstance"])]
    value: Annotated[str, Field(description="As text, numbers too.", examples=["2"])]


class PropertiesAnswer(DoneAnswer):
    """One page of a queue's properties, by key."""

    properties: Annotated[list[PropertyFields], Field(description="The page")]


class TestAnswer(DoneAnswer):
    """The connection test is done; its result is asked for by its number."""

    task_id: Annotated[int, Field(ge=0, description="Number of the test.", examples=[9])]


class TestResultAnswer(DoneAnswer):
    """The result of one connection test."""

    connectivity: Annotated[
        str,
        Field(description="REACHABLE: this machine opened a TCP connection to it; else UNREACHABLE."),
    ]


def shown(queue: Queue, default_engine: str) -> dict[str, Any]:
    """The fields of one queue."""
    details = queue.details
    general = queue.queue_type == GENERAL
    engines = sorted({catalog.minor_of(version) for version in catalog.KNOWN}, key=catalog.version_key)
    pooled = bool(queue.pool_name)
    return {
        "queue_id": queue.id,
        "queue_name": queue.name,
        "description": queue.description,
        "owner": queue.owner,
        "create_time": queue.created_ms,
        "queue_type": queue.queue_type,
        "engine": details.get("engine", "flink" if general else "spark"),
        "used_cu": queue.used_milli / MILLI,
        "cu_count": queue.cu_count,
        "cu_spec": queue.cu_count,
        "cu_scale_out_limit": queue.cu_milli // MILLI if pooled else MAX_CUS,
        "cu_scale_in_limit": default_of(queue.policies).min_cu if pooled else 1,
        "charging_mode": details.get("charging_mode", 1),
        "resource_id": str(queue.id),
        "enterprise_project_id": details.get("enterprise_project_id", "0"),
        "cidr_in_vpc": details.get(CIDR, ""),
        "cidr_in_mgntsubnet": "",
        "cidr_in_subnet": "",
        "resource_mode": details.get("resource_mode", 1),
        "platform": details.get("platform", "x86_64"),
        "is_restarting": False,
        "labels": ",".join(details.get("labels", [])),  # text: the vendor's Go SDK reads nothing else
        "feature": details.get("feature", ""),  # Terraform replaces a queue that has one which was not asked for
        "tags": [{"key": tag["key"], "value": tag["value"]} for tag in details.get("tags", [])],
        "elastic_resource_pool_name": queue.pool_name,
        "support_spark_versions": [],
        "default_spark_version": "",
        "support_flink_sql_versions": [],
        "default_flink_sql_version": "",
        "support_opensource_flink_versions": [],
        "support_flink_jar_versions": engines if general else [],
        "default_flink_jar_version": default_engine if general else "",
    }
