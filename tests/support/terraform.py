"""What Terraform's provider does with a DLI endpoint, request by request, as its source has it.

After huaweicloud/terraform-provider-huaweicloud, in ``huaweicloud/services/dli`` the files
``resource_huaweicloud_dli_{flinkjar_job,queue,package}.go``: which calls in which order, the fields that Go always
sends, the statuses that each call takes for success, and the job statuses between which it may wait; any other one
fails an apply. Its delays (20 s before it looks at a job, 4 minutes after a queue) are left out: to look at once is the
harder test.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.support.clients import GoClient, ProviderError
from tests.support.server import wait_until

RECORDED = Path(__file__).parents[1] / "api" / "terraform"
"""``<name>.json``: every request of a flow with its body, what Go had signed, and the status of the answer."""


def recorded(name: str, go: GoClient) -> None:
    """Compares what a client has sent with what was recorded.

    HEADRACE_WRITE_GOLDEN=1 records it; compare that with the provider's source before it is committed.
    """
    file = RECORDED / f"{name}.json"
    if os.environ.get("HEADRACE_WRITE_GOLDEN"):
        lines = ",\n".join(json.dumps(request, ensure_ascii=False) for request in go.sent)
        file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    assert go.sent == json.loads(file.read_text(encoding="utf-8"))


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``omitempty`` of values: "", 0, empty lists and nil pointers are left out."""
    return {name: value for name, value in fields.items() if value not in ("", 0, [], None) or value is False}


@dataclass
class FlinkJarJob:
    """``huaweicloud_dli_flinkjar_job``: ``config`` is what the user wrote, ``state`` what Terraform has read.

    ``between`` is done between two looks at a job that one waits for: a stand lets its reconciler go on.
    """

    go: GoClient
    config: dict[str, Any]
    between: Callable[[], None] = lambda: None
    job_id: int = 0
    state: dict[str, Any] = field(default_factory=dict)

    def create(self) -> None:
        """apply: authorise, create, tag, run, wait, read."""
        self._authorize()
        body = {
            "name": self._get("name", ""),
            **self._definition(),
            **filled({key: self._get(key, "") for key in ("obs_bucket", "smn_topic", "checkpoint_path")}),
            "restart_when_exception": self._get("restart_when_exception", False),
            "resume_checkpoint": self._get("resume_checkpoint", False),
            "resume_max_num": self._get("resume_max_num", -1),
            "tags": None,
        }
        made = self.go.call("POST", "/v1.0/{p}/streaming/flink-jobs", body, into="CreateJobResp")
        assert made["is_success"], made
        self.job_id = made["job"]["job_id"]
        self._tag("create", self.config.get("tags", {}))
        self._run(resume=False)
        self._wait_for_run()
        self.read()

    def read(self) -> bool:
        """refresh: whether it is still there; ``state`` is what Terraform keeps of it."""
        try:
            detail = self._show()
        except ProviderError as error:
            if not error.is_gone():
                raise
            return False
        config = detail["job_config"]
        if config["runtime_config"]:
            json.loads(config["runtime_config"])  # setRuntimeConfigToState: nothing but JSON will do
        self.state = {
            **config,
            **{key: detail[key] for key in ("name", "desc", "queue_name", "main_class", "entrypoint_args", "status")},
            "checkpoint_mode": {"exactly_once": 1, "at_least_once": 2}.get(config["checkpoint_mode"], 0),
        }
        tags = self.go.call("GET", self._tags_path(), into="ResourceTags", ok=(200, 202))["tags"]
        self.state["tags"] = {tag["key"]: tag["value"] for tag in tags}
        return True

    def update(self, **changes: Any) -> None:
        """apply of a changed configuration."""
        before, self.config = self.config, {**self.config, **changes}
        if "tags" in changes:
            self._tag("delete", before.get("tags", {}))
            self._tag("create", changes["tags"])
        if changed := set(changes) - {"tags"}:
            self._authorize()
            if changed & CHANGEABLE:
                self._update_running(changed)
            if changed - CHANGEABLE:
                self._update_stopped()
            self._wait_for_run()
        self.read()

    def delete(self) -> None:
        """destroy: no stop before it."""
        path = f"/v1.0/{{p}}/streaming/jobs/{self.job_id}"
        assert self.go.call("DELETE", path, into="CommonResp")["is_success"]

    def _update_running(self, changed: set[str]) -> None:
        body = {
            **filled({"smn_topic": self._get("smn_topic", "")}),
            "restart_when_exception": self._get("restart_when_exception", False),
            "resume_checkpoint": self._get("resume_checkpoint", False),
            "resume_max_num": self._get("resume_max_num", -1),
        }
        if "obs_bucket" in changed:
            body["obs_bucket"] = self._get("obs_bucket", "")
        if not self._get("checkpoint_enabled", False) and self._get("resume_checkpoint", False):
            body |= filled({"checkpoint_path": self._get("checkpoint_path", "")})
        self._put(body)

    def _update_stopped(self) -> None:
        body = {"job_ids": [self.job_id], "trigger_savepoint": self._get("resume_checkpoint", False)}
        try:
            elements = self.go.call("POST", "/v1.0/{p}/streaming/jobs/stop", body, into="[]CommonResp")
        except ProviderError:  # logged only: a job that is not running needs no stop
            pass
        else:
            assert [element["is_success"] for element in elements] == [True]
            self._wait(STOPPING, ("job_init", "job_cancel_success"))
        self._put({**filled({"name": self._get("name", "")}), **self._definition()})
        self._run(resume=self._get("resume_checkpoint", False))

    def _definition(self) -> dict[str, Any]:
        """What create and the update of a stopped job have in common."""
        texts = (
            *("queue_name", "desc", "main_class", "entrypoint", "entrypoint_args", "feature", "flink_version", "image"),
            *("execution_agency_urn", "resource_config_version"),
        )
        numbers = ("manager_cu_number", "parallel_number", "tm_cus", "checkpoint_mode", "checkpoint_interval")
        runtime = [{"key": key, "value": value} for key, value in self._get("runtime", {}).items()]
        return {
            **filled({name: self._get(name, "") for name in texts}),
            **filled({name: self._get(name, 0) for name in numbers}),
            **filled({name: self._get(name, []) for name in ("dependency_jars", "dependency_files")}),
            **filled({"runtime_config": json.dumps(runtime, separators=(",", ":")) if runtime else ""}),
            **filled({"resource_config": self._get("resource_config", None)}),
            "cu_number": self._get("cu_number", 2),
            "log_enabled": self._get("log_enabled", False),
            "tm_slot_num": self._get("tm_slot_num", 0),
            "checkpoint_enabled": self._get("checkpoint_enabled", False),
        }

    def _get(self, name: str, default: Any) -> Any:
        """``d.Get``: what the user wrote; else, of a computed attribute, what was read."""
        return self.config.get(name, self.state.get(name, default) if name in COMPUTED else default)

    def _authorize(self) -> None:
        if bucket := self._get("obs_bucket", ""):
            with contextlib.suppress(ProviderError):  # logged only
                self.go.call("POST", "/v1.0/{p}/dli/obs-authorize", {"obs_buckets": [bucket]}, into="CommonResp")

    def _put(self, body: dict[str, Any]) -> None:
        path = f"/v1.0/{{p}}/streaming/flink-jobs/{self.job_id}"
        assert self.go.call("PUT", path, body, into="UpdateJobResp")["is_success"]

    def _run(self, *, resume: bool) -> None:
        body = {"job_ids": [self.job_id], "resume_savepoint": resume}
        elements = self.go.call("POST", "/v1.0/{p}/streaming/jobs/run", body, into="[]CommonResp")
        assert [element["is_success"] for element in elements] == [True]

    def _show(self) -> dict[str, Any]:
        answer = self.go.call("GET", f"/v1.0/{{p}}/streaming/jobs/{self.job_id}", into="GetJobResp")
        assert answer["is_success"]
        detail: dict[str, Any] = answer["job_detail"]
        return detail

    def _wait_for_run(self) -> None:
        self._wait(("job_init", "job_submitting"), ("job_running", "job_finish"))

    def _wait(self, pending: tuple[str, ...], target: tuple[str, ...]) -> None:
        def reached() -> bool:
            detail = self._show()
            if detail["status"] in target:
                return True
            assert detail["status"] in pending, f"unexpected state {detail['status']}: {detail['status_desc']}"
            self.between()
            return False

        wait_until(f"the job is {target}", reached)

    def _tag(self, action: str, tags: Mapping[str, str]) -> None:
        if tags:
            pairs = [{"key": key, "value": value} for key, value in tags.items()]
            self.go.call("POST", f"{self._tags_path()}/{action}", {"tags": pairs}, ok=(204,), headers={})

    def _tags_path(self) -> str:
        return f"/v3/{{p}}/dli_flink_job/{self.job_id}/tags"


CHANGEABLE = frozenset(
    {"smn_topic", "restart_when_exception", "resume_checkpoint", "resume_max_num", "obs_bucket", "checkpoint_path"}
)
COMPUTED = frozenset(
    {"queue_name", "feature", "flink_version", "parallel_number", "manager_cu_number", "tm_cus", "tm_slot_num"}
    | {"checkpoint_path", "checkpoint_mode", "checkpoint_interval", "resource_config_version", "resource_config"}
)
STOPPING = ("job_submitting", "job_running", "job_canceling", "job_savepointing", "job_arrearage_recovering")


@dataclass
class Queue:
    """``huaweicloud_dli_queue``."""

    go: GoClient
    name: str
    queue_type: str = "general"
    state: dict[str, Any] = field(default_factory=dict)

    def create(self, cu_count: int, **more: Any) -> None:
        """apply; golangsdk takes 200 alone for success."""
        body = {"queue_name": self.name, "queue_type": self.queue_type, "cu_count": cu_count, "platform": "x86_64"}
        self.go.call("POST", "/v1.0/{p}/queues", {**body, "resource_mode": 0, **more}, ok=(200,), headers={})
        assert self.read()

    def read(self) -> bool:
        """refresh: the queue is looked for in the list of all, and its properties are asked for.

        golangsdk builds a query with queue_type, and then sends the request without it.
        """
        found = self.go.call("GET", "/v1.0/{p}/queues", into="QueueList", ok=(200,), headers={})
        assert found["is_success"]
        mine = [queue for queue in found["queues"] if queue["queue_name"] == self.name]
        if not mine:
            return False
        assert mine[0]["resource_id"], "it becomes the id of the resource"
        self.state = {**mine[0], "properties": self._properties()}
        return True

    def scale(self, cu_count: int) -> None:
        """apply with another cu_count: the difference is sent, then it is waited for in the queue's details."""
        change = cu_count - self.state["cu_count"]
        body = {"action": "scale_out" if change > 0 else "scale_in", "cu_count": abs(change)}
        self.go.call("PUT", f"/v1.0/{{p}}/queues/{self.name}/action", body, ok=(200,), headers={})
        shown = self.go.call("GET", f"/v1.0/{{p}}/queues/{self.name}", into="Queue4Get", ok=(200,), headers={})
        assert (shown["queueName"], shown["cuCount"]) == (self.name, cu_count)
        self.read()

    def set_properties(self, **properties: int) -> None:
        """``spark_driver``."""
        names = {"max_instance": "computeEngine.maxInstance", "max_concurrent": "job.maxConcurrent"}
        body = {"properties": {names[name]: value for name, value in properties.items()}}
        path = f"/v3/{{p}}/queues/{self.name}/properties"
        assert self.go.call("PUT", path, body, into="QueuePropertyResp", headers={})["is_success"]
        self.read()

    def drop_properties(self, *keys: str) -> None:
        """A DELETE with a body."""
        path = f"/v3/{{p}}/queues/{self.name}/properties"
        assert self.go.call("DELETE", path, {"keys": list(keys)}, into="QueuePropertyResp", headers={})["is_success"]
        self.read()

    def delete(self) -> None:
        """destroy."""
        self.go.call("DELETE", f"/v1.0/{{p}}/queues/{self.name}", ok=(200,), headers={})

    def _properties(self) -> dict[str, str]:
        """Page by page until one is empty: the next offset is sent without a limit."""
        path, found = f"/v3/{{p}}/queues/{self.name}/properties", list[dict[str, str]]()
        while page := self.go.call(
            "GET", path + (f"?offset={len(found)}" if found else ""), into="QueueProperties", headers={}
        )["properties"]:
            found += page
            assert len(found) < 100, "the pages have no end"
        return {entry["key"]: entry["value"] for entry in found}


@dataclass
class Package:
    """``huaweicloud_dli_package``; ``id`` is ``group#name``, or the name alone."""

    go: GoClient
    group: str = ""
    id: str = ""
    state: dict[str, Any] = field(default_factory=dict)

    def create(self, object_path: str, kind: str = "jar", **more: Any) -> None:
        """apply; golangsdk always sends ``group``."""
        body = {"paths": [object_path], "kind": kind, "group": self.group, **more}
        made = self.go.call("POST", "/v2.0/{p}/resources", body, into="Group", headers={})
        self.id = f"{self.group}#{made['resources'][0]}" if self.group else made["resource_names"][0]
        assert self.read()

    def read(self) -> bool:
        """refresh."""
        try:
            self.state = self.go.call("GET", self._path(), into="Resource", headers={})
        except ProviderError as error:
            if error.status != 404:
                raise
            return False
        tags = self.go.call("GET", self._tags_path(), into="ResourceTags", ok=(200, 202))["tags"]
        self.state["tags"] = {tag["key"]: tag["value"] for tag in tags}
        return True

    def update(self, owner: str, tags: Mapping[str, str]) -> None:
        """apply of other tags: the owner is sent too, changed or not."""
        body = filled({"new_owner": owner, "group_name": self.group, "resource_name": self.state["resource_name"]})
        assert self.go.call("PUT", "/v2.0/{p}/resources/owner", body, into="UpdateResp", headers={})["is_success"]
        for action, given in (("delete", self.state["tags"]), ("create", tags)):
            if given:
                pairs = [{"key": key, "value": value} for key, value in given.items()]
                self.go.call("POST", f"{self._tags_path()}/{action}", {"tags": pairs}, ok=(204,), headers={})
        self.read()

    def delete(self) -> None:
        """destroy."""
        self.go.call("DELETE", self._path(), headers={})

    def _path(self) -> str:
        name = self.id.rpartition("#")[2]
        return f"/v2.0/{{p}}/resources/{quote(name)}" + (f"?group={quote(self.group)}" if self.group else "")

    def _tags_path(self) -> str:
        return f"/v3/{{p}}/dli_package_resource/{quote(self.id, safe='')}/tags"
