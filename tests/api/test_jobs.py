from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from headrace.api.wire import STATUS_WORDS, CreateJob, status_word
from headrace.domain.job import Phase

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/flink-jobs"
FOUNDING: dict[str, Any] = {
    "name": "test",
    "desc": "job for test",
    "queue_name": "testQueue",
    "manager_cu_number": 1,
    "cu_number": 2,
    "parallel_number": 1,
    "tm_cus": 1,
    "tm_slot_num": 1,
    "log_enabled": True,
    "obs_bucket": "bucketName",
    "smn_topic": "topic",
    "main_class": "org.apache.flink.examples.streaming.JavaQueueStream",
    "restart_when_exception": False,
    "entrypoint": "javaQueueStream.jar",
    "entrypoint_args": "-windowSize 2000 -rate 3",
    "dependency_jars": ["myGroup/test.jar", "myGroup/test1.jar"],
    "dependency_files": ["myGroup/test.csv", "myGroup/test1.csv"],
    "execution_agency_urn": "myAgencyName",
}


def test_the_founding_page(bare: Stand, golden: Any) -> None:
    """DLI's own example is accepted verbatim, once the things that it names exist."""
    bare.ok("PUT", "/headrace/v1/{p}/buckets/bucketName", status=201)
    bare.ok("POST", "/v1.0/{p}/queues", {"queue_name": "testQueue", "queue_type": "general", "cu_count": 16})
    bare.ok("POST", "/v2/{p}/notifications/topics", {"name": "topic"}, status=201)
    for name in ("javaQueueStream.jar", "test.jar", "test1.jar", "test.csv", "test1.csv"):
        bare.put_object("bucketName", name, bare.jar(FOUNDING["main_class"]) if name.endswith(".jar") else b"a,b")
    for kind, group, names in (
        ("jar", None, ["javaQueueStream.jar"]),
        ("jar", "myGroup", ["test.jar", "test1.jar"]),
        ("file", "myGroup", ["test.csv", "test1.csv"]),
    ):
        paths = [f"https://bucketName.obs.eu-de.otc.t-systems.com/{name}" for name in names]
        bare.ok("POST", "/v2.0/{p}/resources", {"paths": paths, "kind": kind, "group": group}, status=201)
    golden("create", bare.ok("POST", JOBS, FOUNDING))
    golden("details_founding", bare.ok("GET", "/v1.0/{p}/streaming/jobs/1"))
    assert bare.run(1).status_code == 200
    assert bare.nudged == [1]


def test_defaults_are_the_live_services(stand: Stand, golden: Any) -> None:
    stand.create(name="bare")
    golden("details_defaults", stand.ok("GET", "/v1.0/{p}/streaming/jobs/1"))


def test_every_field_is_read_back(stand: Stand, golden: Any) -> None:
    stand.ok("PUT", "/headrace/v1/{p}/buckets/b2", status=201)
    for key in ("x/lib.jar", "x/lib2.jar"):
        stand.put_object("b", key, stand.jar("lib.Lib"))
    given = {
        "name": "Full_job-1",
        "desc": "line one\nline two, ü",
        "queue_name": "Q",
        "cu_number": 10,
        "manager_cu_number": 2,
        "parallel_number": 8,
        "tm_cus": 2,
        "tm_slot_num": 2,
        "checkpoint_enabled": True,
        "checkpoint_mode": 2,
        "checkpoint_interval": 60,
        "log_enabled": True,
        "obs_bucket": "b2",
        "smn_topic": "cs_job_exception",
        "main_class": "a.B",
        "entrypoint_args": "--path 'a b' -x 1",
        "restart_when_exception": True,
        "entrypoint": "obs://b/app.jar",
        "dependency_jars": ["obs://b/x/lib.jar", "obs://b/x/lib2.jar"],
        "dependency_files": ["obs://b/data.txt"],
        "execution_agency_urn": "agency",
        "resume_checkpoint": True,
        "resume_max_num": 5,
        "checkpoint_path": "obs://b/my/checkpoints/",
        "tags": [{"key": "team a", "value": "x:y@z"}, {"key": "k=1", "value": ""}],
        "runtime_config": '[{"key":"taskmanager.memory.managed.fraction","value":"0.2"}]',
        "resource_config_version": "v2",
        "resource_config": {
            "max_slot": 2,
            "parallel_number": 4,
            "jobmanager_resource_spec": {"cpu": 0.5, "memory": "2 GB"},
            "taskmanager_resource_spec": {"cpu": 2, "memory": "6144MB"},
        },
        "feature": "basic",
        "flink_version": "1.12",
        "flink_log_config": '{"root_logger_level":"WARN"}',
    }
    stand.ok("POST", JOBS, given)
    golden("details_full", stand.ok("GET", "/v1.0/{p}/streaming/jobs/1"))


def test_null_is_absence(stand: Stand) -> None:
    """Go's client sends ``"tags": null`` and ``"tm_slot_num": 0``."""
    everything: dict[str, Any] = dict.fromkeys(CreateJob.model_fields)
    job_id = stand.create(**{**everything, "name": "n", "entrypoint": "obs://b/app.jar", "tm_slot_num": 0})
    config = stand.show(job_id)["job_config"]
    assert (config["cu_number"], config["resume_max_num"], config["tm_slot_num"]) == (2, -1, 0)


def test_checkpoint_mode_in_words(stand: Stand) -> None:
    job_id = stand.create(checkpoint_mode="at_least_once")
    assert stand.show(job_id)["job_config"]["checkpoint_mode"] == "at_least_once"


def test_update_keeps_what_is_absent(stand: Stand, golden: Any) -> None:
    job_id = stand.create(desc="d", main_class="a.B", resume_max_num=3, resource_config={"max_slot": 3})
    stand.clock.ms += 5000
    path = f"{JOBS}/{job_id}"
    golden("update", stand.ok("PUT", path, {"job_type": "flink_jar_job", "main_class": "", "desc": None}))
    stand.ok("PUT", path, {"resource_config": {"taskmanager_resource_spec": {"memory": "8G"}}, "queue_name": ""})
    shown = stand.show(job_id)
    config = shown["job_config"]
    assert (shown["desc"], shown["main_class"], shown["queue_name"], config["resume_max_num"]) == ("d", "", "", 3)
    assert config["resource_config"]["max_slot"] == 3
    assert config["resource_config"]["taskmanager_resource_spec"] == {"cpu": 1.0, "memory": "8G"}
    assert shown["create_time"] + 5000 == shown["update_time"]


@pytest.mark.parametrize(
    "phase", [Phase.PREPARING, Phase.RUNNING, Phase.SAVEPOINTING, Phase.CLEARING, Phase.RESTARTING]
)
def test_an_active_job_takes_few_changes(stand: Stand, phase: Phase) -> None:
    stand.ok("PUT", "/headrace/v1/{p}/buckets/b2", status=201)
    job_id = stand.create(obs_bucket="b")
    stand.bring(job_id, phase)
    path = f"{JOBS}/{job_id}"
    allowed = {
        "smn_topic": "t",
        "restart_when_exception": True,
        "resume_checkpoint": True,
        "resume_max_num": 7,
        "checkpoint_path": "b/x",
        "obs_bucket": "b2",
        "desc": "new",
        "name": "renamed",
        "cu_number": 2,  # unchanged
    }
    stand.ok("PUT", path, allowed)
    assert stand.show(job_id)["job_config"]["obs_bucket"] == "b2"
    status, code, message = stand.refused("PUT", path, {"cu_number": 3, "desc": "lost"})
    assert (status, code) == (400, "DLI.0007")
    assert message.startswith("cu_number")
    assert stand.refused("PUT", path, {"obs_bucket": "none"})[:2] == (400, "DLI.11016")
    assert stand.show(job_id)["desc"] == "new"


def test_update_validates_as_create_does(stand: Stand) -> None:
    job_id = stand.create()
    other = stand.create(name="other")
    before = stand.job(job_id)
    for body, code in (
        ({"entrypoint": "obs://b/none.jar"}, "DLI.12002"),
        ({"entrypoint": "group/none.jar"}, "DLI.12002"),
        ({"queue_name": "none"}, "DLI.0002"),
        ({"obs_bucket": "none"}, "DLI.11016"),
        ({"name": "other"}, "DLI.0006"),
        ({"name": ""}, "DLI.0001"),
        ({"cu_number": "3"}, "DLI.0001"),
        ({"tags": []}, "DLI.0001"),
        ({"tm_cus": 2}, "DLI.0001"),
    ):
        assert stand.refused("PUT", f"{JOBS}/{job_id}", body)[:2] == (400, code), body
    assert stand.job(job_id) == before
    assert stand.refused("PUT", f"{JOBS}/99", {})[:2] == (400, "DLI.16001")
    assert other == 2


def test_list(stand: Stand, golden: Any) -> None:
    for number, (name, tags) in enumerate([("alpha", {"a": "1"}), ("beta", {"a": "1", "b=c": "2"}), ("Alphabet", {})]):
        stand.clock.ms += 1000
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        stand.create(name=name, tags=pairs, queue_name="q" if number else "")

    def names(query: str) -> tuple[int, list[str]]:
        listed = stand.ok("GET", f"/v1.0/{{p}}/streaming/jobs?{query}")["job_list"]
        return listed["total_count"], [job["name"] for job in listed["jobs"]]

    assert names("") == (3, ["Alphabet", "beta", "alpha"])
    assert names("order=asc") == (3, ["alpha", "beta", "Alphabet"])
    assert names("limit=1&offset=1") == (3, ["beta"])
    assert names("limit=0") == (3, [])
    assert names("name=ALPHA") == (2, ["Alphabet", "alpha"])
    assert names("tags=a=1") == (2, ["beta", "alpha"])
    assert names("tags=a%3D1,b=c=2") == (1, ["beta"])
    assert names("queue_name=Q") == (2, ["Alphabet", "beta"])
    assert names("user_name=tester") == (3, ["Alphabet", "beta", "alpha"])
    assert names("user_name=x") == (0, [])
    assert names("job_type=flink_jar_job&root_job_id=-1") == (3, ["Alphabet", "beta", "alpha"])
    assert names("job_type=flink_sql_job") == (0, [])
    assert names("status=job_init") == (3, ["Alphabet", "beta", "alpha"])
    stand.run(2)
    assert names("status=job_submitting") == (1, ["beta"])
    assert names("status=job_idle") == (0, [])
    golden("list", stand.ok("GET", "/v1.0/{p}/streaming/jobs?limit=2"))
    golden("list_details", stand.ok("GET", "/v1.0/{p}/streaming/jobs?limit=1&show_detail=true"))
    others = stand.ok("GET", "/v1.0/fedcba9876543210fedcba9876543210/streaming/jobs", ak="OTHER")
    assert others["job_list"] == {"total_count": 0, "jobs": []}


@pytest.mark.parametrize(
    "query",
    [
        "limit=101",
        "limit=-1",
        "limit=x",
        "offset=-1",
        "order=up",
        "status=running",
        "job_type=spark",
        "tags=a",
        "tags==1",
        "name=" + "x" * 58,
        "show_detail=maybe",
        "colour=red",
    ],
)
def test_a_bad_query(stand: Stand, query: str) -> None:
    status, code, message = stand.refused("GET", f"/v1.0/{{p}}/streaming/jobs?{query}")
    assert (status, code) == (400, "DLI.0001")
    assert query.partition("=")[0] in message


def test_times(stand: Stand) -> None:
    job_id = stand.create()
    shown = stand.show(job_id)
    assert (shown["start_time"], shown["duration"]) == (None, 0)
    assert stand.ok("GET", "/v1.0/{p}/streaming/jobs")["job_list"]["jobs"][0]["start_time"] == 0
    stand.bring(job_id, Phase.RUNNING)
    began = stand.clock.ms
    stand.clock.ms += 2000
    assert (stand.show(job_id)["start_time"], stand.show(job_id)["duration"]) == (began, 2000)
    stand.move(job_id, Phase.CLEARING, outcome=Phase.FINISHED)
    stand.move(job_id, Phase.FINISHED)
    stand.clock.ms += 2000
    assert (stand.show(job_id)["status"], stand.show(job_id)["duration"]) == ("job_finish", 2000)


def test_the_systems_checkpoint_path_shows_after_a_run(stand: Stand) -> None:
    job_id = stand.create(checkpoint_enabled=True, obs_bucket="b")
    assert stand.show(job_id)["job_config"]["checkpoint_path"] == ""
    stand.bring(job_id, Phase.RUNNING)
    assert stand.show(job_id)["job_config"]["checkpoint_path"] == f"b/jobs/checkpoint/{job_id}"


def test_status_words_are_frozen(golden: Any) -> None:
    ends = {f"clearing to {end}": status_word(Phase.CLEARING, end) for end in (Phase.FINISHED, Phase.FAILED)}
    table = {
        **{str(phase): status_word(phase) for phase in Phase},
        **ends,
        "clearing to submit_failed": status_word(Phase.CLEARING, Phase.SUBMIT_FAILED),
        "clearing to restarting": status_word(Phase.CLEARING, Phase.RESTARTING),
    }
    assert set(table.values()) <= set(STATUS_WORDS)
    golden("status_words", table)


def test_history(stand: Stand, golden: Any) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.RUNNING)
    stand.move(job_id, Phase.CLEARING, outcome=Phase.FAILED, note="it broke")
    golden("history", stand.ok("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/history"))


def test_a_deleted_job_is_gone(stand: Stand) -> None:
    job_id = stand.create()
    stand.bring(job_id, Phase.RUNNING)
    answer = stand.ok("DELETE", f"/v1.0/{{p}}/streaming/jobs/{job_id}")
    assert answer == {"is_success": "true", "message": "The job is successfully deleted."}
    for method, path, body in (
        ("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}", None),
        ("DELETE", f"/v1.0/{{p}}/streaming/jobs/{job_id}", None),
        ("PUT", f"{JOBS}/{job_id}", {"desc": "x"}),
        ("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}/execute-graph", None),
        ("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/history", None),
        ("GET", f"/headrace/v1/{{p}}/jobs/{job_id}/events", None),
        ("POST", "/v1.0/{p}/streaming/jobs/metrics", {"job_ids": [job_id]}),
        ("GET", f"/v1.0/{{p}}/streaming/jobs/{2**70}", None),
    ):
        assert stand.refused(method, path, body)[:2] == (400, "DLI.16001"), path
    assert stand.create() != job_id  # the name is free again, the number is not
