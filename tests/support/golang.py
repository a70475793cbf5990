"""What Go's ``encoding/json`` makes of an answer: the types that Terraform's client declares, and nothing milder.

Only names and types of fields are stated here, after the structs of github.com/chnsz/golangsdk; each group names its
file. Go ignores fields that a struct does not have, takes ``null`` as the zero value, finds names whatever their case,
and refuses any other difference of type: a boolean where ``,string`` wants it in quotes, ``1.0`` for an int.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Never

_RESULT = {"is_success": "bool,string", "message": "string"}
_BOOLEAN_RESULT = {"is_success": "bool", "message": "string"}
_FORCED = {"is_success": "string", "message": "string"}

_CONFIG = {
    "checkpoint_enabled": "bool",
    "checkpoint_mode": "string",
    "checkpoint_interval": "int",
    "log_enabled": "bool",
    "obs_bucket": "string",
    "smn_topic": "string",
    "root_id": "int",
    "edge_group_ids": "[]string",
    "manager_cu_number": "int",
    "cu_number": "int",
    "parallel_number": "int",
    "restart_when_exception": "bool",
    "idle_state_retention": "int",
    "udf_jar_url": "string",
    "dirty_data_strategy": "string",
    "entrypoint": "string",
    "dependency_jars": "[]string",
    "dependency_files": "[]string",
    "executor_number": "int",
    "executor_cu_number": "int",
    "resume_checkpoint": "bool",
    "tm_cus": "int",
    "tm_slot_num": "int",
    "resume_max_num": "int",
    "checkpoint_path": "string",
    "feature": "string",
    "flink_version": "string",
    "image": "string",
    "operator_config": "string",
    "static_estimator_config": "string",
    "execution_agency_urn": "string",
    "resource_config_version": "string",
    "resource_config": "ResourceConfig",
}

_JOB = {
    "job_id": "int",
    "name": "string",
    "desc": "string",
    "job_type": "string",
    "status": "string",
    "status_desc": "string",
    "create_time": "int",
    "start_time": "int",
    "user_id": "string",
    "project_id": "string",
    "sql_body": "string",
    "run_mode": "string",
    "main_class": "string",
    "entrypoint_args": "string",
    "execution_graph": "string",
    "update_time": "int",
}

_PACKAGE = {
    "create_time": "int",
    "update_time": "int",
    "resource_type": "string",
    "resource_name": "string",
    "status": "string",
    "underlying_name": "string",
}

_TOPIC = {
    "topic_urn": "string",
    "display_name": "string",
    "name": "string",
    "push_policy": "int",
    "update_time": "string",
    "create_time": "string",
    "enterprise_project_id": "string",
}

STRUCTS: Mapping[str, Mapping[str, str]] = {
    # openstack/dli/v1/flinkjob/results.go
    "CommonResp": _RESULT,
    "CreateJobResp": {**_RESULT, "job": "JobStatus"},
    "JobStatus": {"job_id": "int", "status_name": "string", "status_desc": "string"},
    "UpdateJobResp": {**_RESULT, "job": "UpdateJobRespJob"},
    "UpdateJobRespJob": {"update_time": "int"},
    "GetJobResp": {**_RESULT, "job_detail": "Job"},
    "Job": {**_JOB, "queue_name": "string", "job_config": "JobConf", "feature": "string", "flink_version": "string"},
    "JobConf": {**_CONFIG, "runtime_config": "string"},
    "ResourceConfig": {
        "max_slot": "int",
        "parallel_number": "int",
        "jobmanager_resource_spec": "ManagerResourceSpec",
        "taskmanager_resource_spec": "ManagerResourceSpec",
    },
    "ManagerResourceSpec": {"cpu": "float64", "memory": "string"},
    "ListResp": {**_RESULT, "job_list": "JobList"},
    "JobList": {"total_count": "int", "jobs": "[]ListedJob"},
    "ListedJob": {**_JOB, "username": "string", "duration": "int", "root_id": "int", "job_config": "JobConfBase"},
    "JobConfBase": _CONFIG,
    "DliError": {"error_code": "string", "error_msg": "string"},
    # openstack/dli/v1/queues/results.go, openstack/dli/v3/queues/results.go
    "QueueList": {**_BOOLEAN_RESULT, "queues": "[]Queue"},
    "Queue": {
        "queue_name": "string",
        "description": "string",
        "owner": "string",
        "create_time": "int64",
        "queue_type": "string",
        "cu_count": "int",
        "charging_mode": "int",
        "resource_id": "string",
        "enterprise_project_id": "string",
        "cidr_in_vpc": "string",
        "cidr_in_mgntsubnet": "string",
        "cidr_in_subnet": "string",
        "resource_mode": "int",
        "platform": "string",
        "is_restarting": "bool",
        "feature": "string",
        "queue_resource_type": "string",
        "elastic_resource_pool_name": "string",
    },
    "Queue4Get": {
        "queueName": "string",
        "description": "string",
        "owner": "string",
        "create_time": "int64",
        "queueType": "string",
        "cuCount": "int",
        "chargingMode": "int",
        "resource_id": "string",
        "resource_mode": "int",
        "enterprise_project_id": "string",
        "resource_type": "string",
    },
    "QueuePropertyResp": _BOOLEAN_RESULT,
    "QueueProperties": {"properties": "[]Property"},
    "Property": {"key": "string", "value": "string"},
    # openstack/dli/v2/spark/resources/results.go
    "Group": {
        "group_name": "string",
        "status": "string",
        "resources": "[]string",
        "resource_names": "[]string",
        "details": "[]Detail",
        "create_time": "int",
        "update_time": "int",
        "is_async": "bool",
        "owner": "string",
        "description": "string",
        "module_name": "string",
        "module_type": "string",
    },
    "Detail": {**_PACKAGE, "is_async": "bool"},
    "Resource": {**_PACKAGE, "owner": "string"},
    "ResourceList": {"resources": "[]Resource", "groups": "[]Group", "total": "int"},
    "UpdateResp": _BOOLEAN_RESULT,
    # openstack/common/tags/results.go
    "ResourceTags": {"tags": "[]ResourceTag"},
    "ResourceTag": {"key": "string", "value": "string"},
    # No struct, but a cast of the provider that panics on anything but text:
    # resource_huaweicloud_dli_flink_job_{export,import}.go, ..._flinksql_job_savepoint{,_import}.go
    "Forced": _FORCED,
    # openstack/dli/v1/auth/results.go
    "Permissions": {**_BOOLEAN_RESULT, "privileges": "[]Privilege"},
    "Privilege": {"is_admin": "bool", "user_name": "string", "privileges": "[]string"},
    # read through jmespath or gjson, then set as the type of the schema: resource_huaweicloud_dli_global_variable.go,
    # resource_huaweicloud_dli_elastic_resource_pool.go, data_source_huaweicloud_dli_quotas.go
    "Variables": {"global_vars": "[]Variable"},
    "Variable": {"var_name": "string", "var_value": "string", "is_sensitive": "bool"},
    "CreatePool": {"elastic_resource_pool_name": "string"},
    "Pools": {"elastic_resource_pools": "[]Pool"},
    "Pool": {
        "elastic_resource_pool_name": "string",
        "resource_id": "string",
        "status": "string",
        "max_cu": "float64",
        "min_cu": "float64",
        "current_cu": "int",
        "actual_cu": "int",
        "create_time": "float64",
        "cidr_in_vpc": "string",
        "description": "string",
        "enterprise_project_id": "string",
    },
    # openstack/smn/v2/{topics,subscriptions}/results.go
    "SmnTopic": {"request_id": "string", "topic_urn": "string"},
    "SmnTopicGet": _TOPIC,
    "SmnTopics": {"topics": "[]SmnTopicGet"},
    "SmnPolicies": {"attributes": "SmnAttributes"},
    "SmnAttributes": {"access_policy": "string", "introduction": "string"},
    "SmnSubscription": {"request_id": "string", "subscription_urn": "string"},
    "SmnSubscriptions": {"subscriptions": "[]SmnSubscriptionGet"},
    "SmnSubscriptionGet": {
        "topic_urn": "string",
        "protocol": "string",
        "subscription_urn": "string",
        "owner": "string",
        "endpoint": "string",
        "remark": "string",
        "status": "int",
        "filter_polices": "[]SmnFilterPolicy",
    },
    "SmnFilterPolicy": {"name": "string", "string_equals": "[]string"},
    "Quotas": {"quotas": "QuotaResources"},
    "QuotaResources": {"resources": "[]Quota"},
    "Quota": {"type": "string", "min": "int", "max": "int", "quota": "int", "used": "int"},
}

_ZERO: Mapping[str, Any] = {"bool": False, "string": "", "int": 0, "int64": 0, "float64": 0.0}


class UnmarshalError(AssertionError):
    """Go would refuse the answer."""


def unmarshal(body: bytes, into: str) -> Any:
    """The answer as Go reads it into this type; a struct becomes a dict that has all of its fields.

    Raises:
        UnmarshalError: Go's decoder would give an error, and the client with it.
    """
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise UnmarshalError(f"not JSON: {body[:200]!r}") from error
    return _value(found, into, into)


def marshal(body: object) -> bytes:
    """A body as golangsdk writes it: a map with its keys sorted, nothing escaped for HTML, a newline at the end."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _value(found: Any, kind: str, place: str) -> Any:
    if found is None:
        return _zero(kind)
    if kind.endswith(",string"):
        return _quoted(found, kind.removesuffix(",string"), place)
    if kind.startswith("[]"):
        if not isinstance(found, list):
            _refuse(found, kind, place)
        return [_value(each, kind[2:], f"{place}[{index}]") for index, each in enumerate(found)]
    if kind in STRUCTS:
        return _struct(found, kind, place)
    right = {
        "bool": isinstance(found, bool),
        "string": isinstance(found, str),
        "int": _is_int(found),
        "int64": _is_int(found),
        "float64": isinstance(found, int | float) and not isinstance(found, bool),
    }
    if not right[kind]:
        _refuse(found, kind, place)
    return found


def _struct(found: Any, kind: str, place: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        _refuse(found, kind, place)
    fields = STRUCTS[kind]
    by_case = {name.lower(): name for name in fields}
    filled = {name: _zero(of) for name, of in fields.items()}
    for key, value in found.items():
        name = key if key in fields else by_case.get(key.lower())
        if name is not None and value is not None:
            filled[name] = _value(value, fields[name], f"{place}.{name}")
    return filled


def _quoted(found: Any, kind: str, place: str) -> Any:
    if not isinstance(found, str):
        raise UnmarshalError(f"{place}: invalid use of ,string struct tag, trying to unmarshal unquoted {found!r}")
    try:
        inner = json.loads(found)
    except ValueError as error:
        raise UnmarshalError(f"{place}: invalid use of ,string struct tag: {found!r}") from error
    return _value(inner, kind, place)


def _zero(kind: str) -> Any:
    if kind.startswith("[]"):
        return []
    if kind in STRUCTS:
        return {name: _zero(of) for name, of in STRUCTS[kind].items()}
    return _ZERO[kind.removesuffix(",string")]


def _is_int(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and -(2**63) <= found < 2**63


def _refuse(found: Any, kind: str, place: str) -> Never:
    raise UnmarshalError(f"{place}: cannot unmarshal {found!r} into a value of Go type {kind}")


def _no_constant(text: str) -> Never:
    raise ValueError(text)
