"""The vendor's SDK runs the whole life of jobs on real Flink, in the three ways in which it can say who it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3

from headrace.flink.engines import EngineStore
from tests.support.clients import GoClient, Sdk
from tests.support.server import BUCKET, ENDS, EXAMPLES, Jobs, ServerUnderTest, jar_family, processes_of, wait_until
from tests.support.terraform import FlinkJarJob

pytestmark = [
    pytest.mark.flink,
    # The SDK marks what it calls packages, metrics and registered buckets so; its users see the same warnings.
    pytest.mark.filterwarnings("ignore:Method .* is deprecated:DeprecationWarning"),
]

REGION = "region-1"
JAR = "statefulCounter.jar"


@dataclass
class Served:
    """A server, and its administrator's credentials."""

    server: ServerUnderTest
    jobs: Jobs

    @property
    def url(self) -> str:
        return self.jobs.client.url

    @property
    def keys(self) -> tuple[str, str]:
        published = json.loads((self.server.home / "server.json").read_text())
        return published["access_key"], published["secret_key"]

    @property
    def project_id(self) -> str:
        return self.jobs.client.project_id

    def sdk(self) -> Sdk:
        return Sdk.with_project(self.url, *self.keys, self.project_id)

    def token(self, name: str, password: str) -> str:
        """Of a user made for it, who may do everything in the project."""
        call = self.jobs.client.call
        user_id = call("POST", "/v3/users", {"user": {"name": name, "password": password}})["user"]["id"]
        [role] = [role["id"] for role in call("GET", "/v3/roles")["roles"] if role["name"] == "admin"]
        call("PUT", f"/v3/projects/{{p}}/users/{user_id}/roles/{role}")
        user = {"name": name, "password": password, "domain": {"name": "Default"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        scope = {"project": {"name": REGION, "domain": {"name": "Default"}}}
        answer = urllib3.request(
            "POST", f"{self.url}/v3/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}, timeout=60
        )
        assert answer.status == 201, answer.data
        return answer.headers["X-Subject-Token"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, engine_store: EngineStore) -> Iterator[Served]:
    """One server for all ways, with a bucket that holds a JAR, and a topic."""
    engine_store.install("1.20.5")
    folder = tmp_path_factory.mktemp("sdk")
    server = ServerUnderTest(folder / "home", engine_store.root, {"HEADRACE_REGION": REGION})
    jobs = Jobs(server.start())
    jobs.client.create_bucket(BUCKET)
    jobs.client.upload(EXAMPLES / "jars" / jar_family(jobs.flink) / JAR, BUCKET, JAR)
    jobs.client.call("POST", "/v2/{p}/notifications/topics", {"name": "told"})
    yield Served(server, jobs)
    server.down()
    wait_until("no process is left", lambda: not processes_of(folder), 30)


def until(sdk: Sdk, job_id: int, *wanted: str) -> Any:
    """Polls as users do; fails at once on an end that is not wanted."""

    def reached() -> Any:
        detail = sdk("show_flink_job", job_id=job_id).job_detail
        assert detail.status not in ENDS - set(wanted), f"{detail.status}: {detail.status_desc}"
        return detail if detail.status in wanted else None

    return wait_until(f"job {job_id} is {wanted}", reached)


def counter(name: str, queue: str, **more: Any) -> dict[str, Any]:
    """A job that counts, with its state in checkpoints."""
    return {
        "name": name,
        "queue_name": queue,
        "entrypoint": f"obs://{BUCKET}/{JAR}",
        "entrypoint_args": f"--rate 50 --output obs://{BUCKET}/{name}",
        "obs_bucket": BUCKET,
        "checkpoint_enabled": True,
        "checkpoint_interval": 1,
        **more,
    }


def records(sdk: Sdk, job_id: int) -> int:
    [job] = sdk("show_flink_metric", {"job_ids": [job_id]}).metrics.jobs
    assert job.job_id == job_id
    return sum(source.records or 0 for source in job.metrics.sources)


def sorted_tags(tags: Any) -> list[tuple[str, Any]]:
    return sorted((tag.key, getattr(tag, "value", None) or tag.values) for tag in tags)


def test_the_whole_life(served: Served) -> None:
    sdk = served.sdk()
    lay_out(sdk)
    job_id = defined(sdk)
    refusals_at_rest(sdk, job_id)
    run_and_watched(sdk, job_id)
    tagged(sdk, job_id)
    listed(sdk, job_id)
    first = saved_while_running(sdk, job_id)
    counted = stopped_and_resumed(sdk, served.jobs, job_id)
    restored(sdk, served.jobs, job_id, first, counted)
    exported_and_imported(sdk, job_id)
    deleted(sdk, job_id)
    wait_until("nothing of it is left", lambda: not processes_of(served.server.home / "deployments"))


def lay_out(sdk: Sdk) -> None:
    """A queue that grows, and a package."""
    made = sdk("create_queue", {"queue_name": "Life", "queue_type": "general", "cu_count": 16})
    assert (made.is_success, made.queue_name) == (True, "life")
    assert sdk.refused(400, "DLI.0006", "create_queue", {"queue_name": "life", "queue_type": "general", "cu_count": 16})
    assert sdk("run_queue_action", {"action": "scale_out", "cu_count": 16}, queue_name="life").is_success is True
    queue = sdk("show_queue", queue_name="life")
    assert (queue.queue_name, queue.queue_type, queue.cu_count) == ("life", "general", 32)
    assert [each.queue_name for each in sdk("list_queues", queue_type="general").queues] == ["life"]

    assert sdk("register_bucket", {"obs_buckets": [BUCKET]}).is_success is True
    assert BUCKET[:4] in sdk.refused(400, "DLI.11016", "register_bucket", {"obs_buckets": ["testnone"]})
    path = f"obs://{BUCKET}/{JAR}"
    uploaded = sdk("upload_job_resources", {"paths": [path], "kind": "jar", "group": "g"})
    assert (uploaded.group_name, uploaded.status, uploaded.resources) == ("g", "READY", [JAR])
    assert sdk("show_job_resource", resource_name=JAR, group="g").resource_type == "jar"
    assert [package.resource_name for package in sdk("list_job_resources").resources] == [JAR]


def defined(sdk: Sdk) -> int:
    """Created with mistakes, then without, then changed."""
    body = counter("life", "life", entrypoint=f"g/{JAR}", cu_number=3, tags=None)
    tags = [{"key": "team", "value": "a b"}, {"key": "stage", "value": "test"}]
    for code, wrong in (
        ("DLI.0001", {"parallel_number": 9}),
        ("DLI.0001", {"name": "x" * 58}),
        ("DLI.11016", {"obs_bucket": "nobodys-bucket"}),
        ("DLI.12002", {"entrypoint": "g/none.jar"}),
        ("DLI.0002", {"queue_name": "none"}),
    ):
        message = sdk.refused(400, code, "create_flink_jar_job", body | wrong)
        assert str(next(iter(wrong.values()))) in message, "the value is named"
    created = sdk("create_flink_jar_job", body | {"tags": tags})
    assert (created.is_success, created.job.status_name) == ("true", "job_init")
    assert isinstance(created.job.job_id, int)
    assert "life" in sdk.refused(400, "DLI.0006", "create_flink_jar_job", body)
    changed = sdk("update_flink_jar_job", {"desc": "改了", "cu_number": 2}, job_id=created.job.job_id)
    assert changed.is_success == "true"
    detail = sdk("show_flink_job", job_id=created.job.job_id).job_detail
    assert (detail.status, detail.desc, detail.job_config.cu_number) == ("job_init", "改了", 2)
    assert detail.start_time is None
    return int(created.job.job_id)


def refusals_at_rest(sdk: Sdk, job_id: int) -> None:
    """What cannot be done with a job that has never run, and with one that does not exist."""
    assert "999" in sdk.refused(400, "DLI.16001", "show_flink_job", job_id=999)
    sdk.refused(400, "DLI.16001", "delete_flink_job", job_id=999)
    sdk.refused(400, "DLI.0007", "show_flink_job_execution_graph", job_id=job_id)
    sdk.refused(400, "DLI.0007", "execute_flink_job_savepoint", {"action": "TRIGGER"}, job_id=str(job_id))
    # Bodies of batches are arrays, and the SDK looks for a code in objects only: the text has it.
    assert "DLI.0007" in sdk.refused(400, "400", "batch_stop_flink_jobs", {"job_ids": [job_id]})
    assert "DLI.16001" in sdk.refused(400, "400", "batch_run_flink_jobs", {"job_ids": [998, 999]})
    resume = {"job_ids": [job_id], "resume_savepoint": True}
    assert "DLI.0007" in sdk.refused(400, "400", "batch_run_flink_jobs", resume)
    idle = sdk("create_flink_jar_job", {"name": "idle"}).job.job_id
    assert "DLI.13024" in sdk.refused(400, "400", "batch_run_flink_jobs", {"job_ids": [idle]})
    mixed = sdk("batch_delete_flink_jobs", {"job_ids": [idle, 999]}).body
    assert [element.is_success for element in mixed] == ["true", "false"]


def run_and_watched(sdk: Sdk, job_id: int) -> None:
    """Run, polled, its graph and its growing numbers."""
    [told] = sdk("batch_run_flink_jobs", {"job_ids": [job_id], "resume_savepoint": False}).body
    assert told.is_success == "true"
    running = until(sdk, job_id, "job_running")
    assert running.start_time >= running.create_time
    assert "DLI.0007" in sdk.refused(400, "400", "batch_run_flink_jobs", {"job_ids": [job_id]})
    assert "cu_number" in sdk.refused(400, "DLI.0007", "update_flink_jar_job", {"cu_number": 4}, job_id=job_id)
    assert sdk("update_flink_jar_job", {"smn_topic": "told"}, job_id=job_id).is_success == "true"
    sdk.refused(400, "DLI.0007", "delete_queue", queue_name="life")
    graph = sdk("show_flink_job_execution_graph", job_id=job_id).execute_graph
    assert (graph.state, graph.end_time) == ("RUNNING", -1)
    first = wait_until("records are counted", lambda: records(sdk, job_id))
    wait_until("the numbers grow", lambda: records(sdk, job_id) > first + 50)


def tagged(sdk: Sdk, job_id: int) -> None:
    """Tags of a running job, by the calls of v3."""
    job: dict[str, Any] = {"resource_type": "dli_flink_job", "resource_id": str(job_id)}
    sdk("batch_create_resource_tags", {"tags": [{"key": "owner", "value": "sdk"}]}, **job)
    sdk("batch_delete_resource_tags", {"tags": [{"key": "stage", "value": "test"}]}, **job)
    shown = sdk("show_resource_tags", **job)
    assert (shown.count, sorted_tags(shown.tags)) == (2, [("owner", "sdk"), ("team", "a b")])
    of_project = sdk("list_resources_tags", resource_type="dli_flink_job", limit=10, offset=0)
    assert sorted_tags(of_project.tags) == [("owner", ["sdk"]), ("team", ["a b"])]
    wanted = {"tags": [{"key": "owner", "values": ["sdk", "x"]}], "matches": [{"key": "resource_name", "value": "li"}]}
    found = sdk("list_resources_by_tags", wanted, resource_type="dli_flink_job", limit=10, offset=0)
    assert [(each.resource_id, each.resource_name) for each in found.resources] == [(str(job_id), "life")]
    assert sdk("count_resources_by_tags", wanted, resource_type="dli_flink_job").total_count == 1


def listed(sdk: Sdk, job_id: int) -> None:
    """Each filter finds the job, and a wrong one does not."""
    right: dict[str, Any] = {
        "name": "LIF",
        "status": "job_running",
        "queue_name": "life",
        "user_name": "admin",
        "tags": "team=a b",
    }
    wrong = {"name": "x", "status": "job_init", "queue_name": "other", "user_name": "eve", "tags": "team=b"}
    common: dict[str, Any] = {"job_type": "flink_jar_job", "order": "asc", "limit": 10, "offset": 0}
    found = sdk("list_flink_jobs", **right, **common).job_list
    assert [job.job_id for job in found.jobs] == [job_id]
    assert (found.total_count, found.jobs[0].user_name) == (1, "admin")
    [detailed] = sdk("list_flink_jobs", show_detail=True, **right).job_list.jobs
    assert detailed.job_config.checkpoint_mode == "exactly_once"
    for name, value in wrong.items():
        assert sdk("list_flink_jobs", **(right | {name: value})).job_list.total_count == 0, name
    assert sdk("list_flink_jobs", **(right | {"offset": 1})).job_list.jobs == []
    sdk.refused(400, "DLI.0001", "list_flink_jobs", limit=101)


def saved_while_running(sdk: Sdk, job_id: int) -> str:
    """A savepoint of a job that goes on; gives its path."""
    folder = f"obs://{BUCKET}/saved/"
    trigger = {"action": "TRIGGER", "savepoint_path": folder}
    assert sdk("execute_flink_job_savepoint", trigger, job_id=str(job_id)).is_success == "true"

    def saved() -> str:
        detail = sdk("show_flink_job", job_id=job_id).job_detail
        assert detail.status in ("job_running", "job_savepointing")
        return str(detail.savepoint_path or "")

    path = wait_until("the savepoint is made", saved)
    assert path.startswith(folder)
    until(sdk, job_id, "job_running")
    return path


def stopped_and_resumed(sdk: Sdk, jobs: Jobs, job_id: int) -> int:
    """Stopped with a savepoint, resumed from it: every number is counted once; gives how many."""
    [told] = sdk("batch_stop_flink_jobs", {"job_ids": [job_id], "trigger_savepoint": True}).body
    assert told.is_success == "true"
    stopped = until(sdk, job_id, "job_cancel_success")
    assert stopped.has_savepoint is True
    assert stopped.savepoint_path.startswith(f"obs://{BUCKET}/jobs/savepoint/{job_id}/")
    before = len(jobs.counted("life"))
    sdk("batch_run_flink_jobs", {"job_ids": [job_id], "resume_savepoint": True})
    until(sdk, job_id, "job_running")
    wait_until("it goes on from its state", lambda: len(jobs.counted("life")) > before + 50)
    sdk("batch_stop_flink_jobs", {"job_ids": [job_id], "trigger_savepoint": False})
    until(sdk, job_id, "job_cancel_success")
    return before


def restored(sdk: Sdk, jobs: Jobs, job_id: int, savepoint: str, counted: int) -> None:
    """Run from the older savepoint, which is imported first: it counts again what it had counted since."""
    body = {"job_id": job_id, "savepoint_path": f"obs://{BUCKET}/none/"}
    sdk.refused(400, "DLI.0001", "import_flink_job_savepoint", body, job_id=str(job_id))
    body |= {"savepoint_path": savepoint}
    imported = sdk("import_flink_job_savepoint", body, job_id=str(job_id))
    assert imported.is_success == "true"
    sdk("batch_run_flink_jobs", {"job_ids": [job_id], "resume_savepoint": True})
    until(sdk, job_id, "job_running")

    def twice() -> list[int]:
        numbers = Counter(int(line.split()[2]) for text in jobs.texts("life/") for line in text.splitlines())
        return [number for number, times in numbers.items() if times == 2]

    again = wait_until("it counts again", twice)
    assert 0 < min(again) < counted, "it begins where the savepoint of the running job was made"
    sdk.refused(400, "DLI.0007", "import_flink_job_savepoint", body, job_id=str(job_id))


def exported_and_imported(sdk: Sdk, job_id: int) -> None:
    """Written into the bucket, read again: the name is taken; then under a name that is free."""
    [zipped] = sdk(
        "export_flink_jobs", {"obs_dir": f"{BUCKET}/exports", "is_selected": True, "job_selected": [job_id]}
    ).zip_file
    assert zipped.startswith(f"{BUCKET}/exports/")
    [taken] = sdk("import_flink_jobs", {"zip_file": zipped, "is_cover": False}).job_mapping
    assert (int(taken.old_job_id), int(taken.new_job_id)) == (job_id, -1)
    sdk("update_flink_jar_job", {"name": "renamed"}, job_id=job_id)
    [fresh] = sdk("import_flink_jobs", {"zip_file": zipped, "is_cover": False}).job_mapping
    detail = sdk("show_flink_job", job_id=int(fresh.new_job_id)).job_detail
    assert (detail.name, detail.status) == ("life", "job_init")
    assert sdk("show_flink_job", job_id=job_id).job_detail.status == "job_running"


def deleted(sdk: Sdk, job_id: int) -> None:
    """Jobs in a batch, the running one too; the package, the queue."""
    listed = [job.job_id for job in sdk("list_flink_jobs", queue_name="life").job_list.jobs]
    assert job_id in listed
    answered = sdk("batch_delete_flink_jobs", {"job_ids": listed}).body
    assert [element.is_success for element in answered] == ["true"] * len(listed)
    assert "DLI.16001" in sdk.refused(400, "400", "batch_delete_flink_jobs", {"job_ids": listed})
    sdk.refused(400, "DLI.16001", "show_flink_job", job_id=job_id)
    sdk("delete_job_resource", resource_name=JAR, group="g")
    sdk.refused(404, "404", "delete_job_resource", resource_name=JAR, group="g")
    assert sdk("delete_queue", queue_name="life").is_success is True
    assert "life" in sdk.refused(400, "DLI.0002", "show_queue", queue_name="life")


def short_life(sdk: Sdk, name: str) -> None:
    """Create, run, poll, stop, delete."""
    sdk("create_queue", {"queue_name": name, "queue_type": "general", "cu_count": 16})
    job_id = sdk("create_flink_jar_job", counter(name, name)).job.job_id
    sdk("batch_run_flink_jobs", {"job_ids": [job_id]})
    until(sdk, job_id, "job_running")
    sdk("batch_stop_flink_jobs", {"job_ids": [job_id]})
    until(sdk, job_id, "job_cancel_success")
    sdk("delete_flink_job", job_id=job_id)
    sdk.refused(400, "DLI.16001", "show_flink_job", job_id=job_id)
    sdk("delete_queue", queue_name=name)


def test_without_a_project_id(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUAWEICLOUD_SDK_IAM_ENDPOINT", served.url)
    short_life(Sdk.without_project(served.url, *served.keys, REGION), "looked_up")


def test_with_a_token(served: Served) -> None:
    short_life(Sdk.with_token(served.url, served.token("ada", "the engine of 1843"), served.project_id), "token")
    wrong = Sdk.with_token(served.url, "not a token", served.project_id)
    wrong.refused(401, "DLI.0013", "list_flink_jobs")


def test_wrong_credentials(served: Served) -> None:
    access_key, secret_key = served.keys
    wrong = Sdk.with_project(served.url, access_key, secret_key[::-1], served.project_id)
    assert "signature" in wrong.refused(401, "DLI.0013", "list_flink_jobs")
    unknown = Sdk.with_project(served.url, "NOBODYSKEY", secret_key, served.project_id)
    unknown.refused(401, "DLI.0013", "list_flink_jobs")
    elsewhere = Sdk.with_project(served.url, access_key, secret_key, "f" * 32)
    assert "f" * 32 in elsewhere.refused(403, "DLI.0016", "list_flink_jobs")


def test_terraform_destroys_a_running_job(served: Served) -> None:
    """Apply, change and destroy, with the statuses of the real thing between."""
    sdk = served.sdk()
    sdk("create_queue", {"queue_name": "iac", "queue_type": "general", "cu_count": 16})
    go = GoClient(served.url, served.project_id, *served.keys)
    config = counter("iac", "iac", resume_checkpoint=True, tags={"foo": "bar"})
    job = FlinkJarJob(go, config)
    job.create()
    assert (job.state["status"], job.state["tags"]) == ("job_running", {"foo": "bar"})
    job.update(smn_topic="told")
    job.update(desc="changed")  # stopped with a savepoint, and run from it
    assert (job.state["desc"], job.state["status"]) == ("changed", "job_running")
    job.delete()
    assert not job.read()
    sdk("delete_queue", queue_name="iac")
