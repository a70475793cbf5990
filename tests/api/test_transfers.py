from __future__ import annotations

import io
import json
import threading
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from headrace.api.exported import document, read
from headrace.domain import bundle
from headrace.domain.decisions import Move, Wait
from headrace.domain.job import Goal, Job, JobSpec, Phase, ResourceConfig, ResourceSpec
from headrace.domain.lifecycle import decide
from headrace.domain.observation import Observation
from headrace.store.audit import AuditFilter
from tests.api.conftest import OTHER, PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand

EXPORT = "/v1.0/{p}/streaming/jobs/export"
IMPORT = "/v1.0/{p}/streaming/jobs/import"


def export(stand: Stand, *job_ids: int, to: str = "b/exports", **options: Any) -> list[str]:
    body = {"obs_dir": to, "is_selected": bool(job_ids), "job_selected": list(job_ids)}
    found: list[str] = stand.ok("POST", EXPORT, body, **options)["zip_file"]
    return found


def bring_in(stand: Stand, place: str, **options: Any) -> Any:
    cover = {"is_cover": options.pop("is_cover")} if "is_cover" in options else {}
    return stand.ok("POST", IMPORT, {"zip_file": place, **cover}, **options)["job_mapping"]


def objects(stand: Stand, bucket: str = "b") -> set[str]:
    return {info.key for info in stand.services.objects.listing(bucket)}


def put_jobs(stand: Stand, key: str, *jobs: dict[str, Any], bucket: str = "b") -> None:
    texts = [(job.get("job_id", 1), json.dumps({"job_type": "flink_jar_job", "job_id": 1, **job})) for job in jobs]
    (content,) = bundle.pack((number, text.encode()) for number, text in texts)
    stand.put_object(bucket, key, content)


def drop(stand: Stand, job_id: int) -> None:
    stand.ok("DELETE", f"/v1.0/{{p}}/streaming/jobs/{job_id}")


def grant(stand: Stand, thing: str, privilege: str) -> None:
    stand.services.privileges.change(PROJECT, "sub", [(thing, frozenset({privilege}))], action="grant", trace=None)


# -- export -----------------------------------------------------------------------------------------------------------


def test_what_a_file_holds(stand: Stand, golden: Any) -> None:
    job_id = stand.create(
        name="orders",
        desc="all orders",
        entrypoint_args="--topic {{topic}}",
        runtime_config="a=b",
        resource_config={"taskmanager_resource_spec": {"cpu": 1.5, "memory": "2500 MB"}},
        dependency_files=["obs://b/data.txt"],
        tags=[{"key": "team", "value": "a"}],
    )
    stand.ok("POST", "/v1.0/{p}/variables", {"var_name": "topic", "var_value": "orders-2"})
    stand.bring(job_id, Phase.RUNNING)
    body = {"obs_dir": "b/exports", "is_selected": True, "job_selected": [job_id]}
    golden("export", stand.ok("POST", EXPORT, body))
    content = stand.services.objects.read("b", "exports/aggregate_1790000000000.zip")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: json.loads(archive.read(name)) for name in archive.namelist()}
    assert list(entries) == ["export.json", f"job-{job_id}.json"]
    golden("exported_job", entries[f"job-{job_id}.json"])
    assert entries["export.json"] == {"format": "headrace.flink-jobs", "version": 1, "jobs": 1}


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("b", "b/aggregate_1790000000000.zip"),
        ("b/", "b/aggregate_1790000000000.zip"),
        ("obs://b/x/y/", "b/x/y/aggregate_1790000000000.zip"),
        ("b/x y", "b/x y/aggregate_1790000000000.zip"),
    ],
)
def test_where_a_file_goes(stand: Stand, given: str, written: str) -> None:
    assert export(stand, stand.create(), to=given) == [written]
    assert written.removeprefix("b/") in objects(stand)


def test_no_file_is_replaced(stand: Stand) -> None:
    job_id = stand.create()
    first = export(stand, job_id)
    assert export(stand, job_id) == ["b/exports/aggregate_1790000000001.zip"] != first
    threads = [threading.Thread(target=export, args=(stand, job_id)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([key for key in objects(stand) if key.startswith("exports/")]) == 8


def test_all_jobs(stand: Stand) -> None:
    ids = [stand.create(name=f"job-{number}") for number in range(3)]
    drop(stand, ids[1])
    (written,) = export(stand)
    content = stand.services.objects.read("b", written.removeprefix("b/"))
    assert [job_id for job_id, _ in bundle.unpack(content)] == [ids[0], ids[2]]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"obs_dir": ""}, "DLI.0001"),
        ({"obs_dir": "/x"}, "DLI.0001"),
        ({"obs_dir": "obs://"}, "DLI.0001"),
        ({"obs_dir": "s3n://b/x"}, "DLI.0001"),
        ({"obs_dir": "b/../x"}, "DLI.0001"),
        ({"obs_dir": "b//x"}, "DLI.0001"),
        ({"obs_dir": "b/x//"}, "DLI.0001"),
        ({"obs_dir": "b/" + "x" * 2000}, "DLI.0001"),
        ({"obs_dir": "b/" + "x/" * 500 + "x"}, "DLI.0001"),
        ({"obs_dir": "b/app.jar"}, "DLI.0001"),
        ({"obs_dir": "none"}, "DLI.11016"),
        ({"obs_dir": "theirs"}, "DLI.11016"),
        ({"obs_dir": None}, "DLI.0001"),
        ({"is_selected": None}, "DLI.0001"),
        ({"is_selected": "true"}, "DLI.0001"),
        ({"is_selected": False}, "DLI.0001"),  # job_selected would be ignored
        ({"job_selected": []}, "DLI.0001"),
        ({"job_selected": None}, "DLI.0001"),
        ({"job_selected": [0]}, "DLI.0001"),
        ({"job_selected": ["1"]}, "DLI.0001"),
        ({"job_selected": [1, 99]}, "DLI.16001"),
        ({"job_selected": list(range(1, 1002))}, "DLI.0001"),
        ({"more": 1}, "DLI.0001"),
    ],
)
def test_exports_that_are_refused(stand: Stand, changes: dict[str, Any], code: str) -> None:
    stand.create()
    stand.ok("PUT", f"/headrace/v1/{OTHER}/buckets/theirs", ak="OTHER", status=201)
    before = objects(stand)
    body = {"obs_dir": "b", "is_selected": True, "job_selected": [1], **changes}
    assert stand.refused("POST", EXPORT, body)[:2] == (400, code)
    assert objects(stand) == before
    assert objects(stand, "theirs") == set()


def test_nothing_to_export(stand: Stand) -> None:
    body = {"obs_dir": "b", "is_selected": False}
    assert stand.refused("POST", EXPORT, body)[:2] == (400, "DLI.0001")


def test_who_may_export(stand: Stand) -> None:
    first, second, third = (stand.create(name=f"job-{number}") for number in range(3))
    grant(stand, f"jobs.flink.{second}", "EXPORT")
    grant(stand, f"jobs.flink.{third}", "GET")

    def refused(*ids: int) -> tuple[int, str]:
        body = {"obs_dir": "b", "is_selected": bool(ids), "job_selected": list(ids)}
        status, code, _ = stand.refused("POST", EXPORT, body, ak="SUB")
        return status, code

    assert refused(second, first) == (400, "DLI.16001")
    assert refused(second, third) == (403, "DLI.0016")
    (written,) = export(stand, ak="SUB")
    content = stand.services.objects.read("b", written.removeprefix("b/"))
    assert [job_id for job_id, _ in bundle.unpack(content)] == [second]


# -- there and back ---------------------------------------------------------------------------------------------------


def test_the_file_has_all_of_a_definition() -> None:
    """A field that is added to JobSpec must come back too."""
    spec = JobSpec(
        "job",
        desc="é",
        queue_name="q",
        cu_number=8,
        manager_cu_number=2,
        parallel_number=3,
        tm_cus=2,
        tm_slot_num=4,
        checkpoint_enabled=True,
        checkpoint_mode=2,
        checkpoint_interval=7,
        log_enabled=True,
        obs_bucket="b",
        smn_topic="t",
        main_class="a.B",
        entrypoint_args="--a 'b c' {{d}}",
        restart_when_exception=True,
        entrypoint="obs://b/app.jar",
        dependency_jars=("obs://b/x.jar", "g/y.jar"),
        dependency_files=("obs://b/data.txt",),
        execution_agency_urn="agency",
        resume_checkpoint=True,
        resume_max_num=5,
        checkpoint_path="b/checkpoints",
        runtime_config="a=b\nc=d",
        resource_config_version="v2",
        resource_config=ResourceConfig(2, 4, ResourceSpec(0.5, 2048), ResourceSpec(1.5, 2500)),
        feature="custom",
        flink_version="1.17",
        image="org/name:1",
        flink_log_config='{"root_logger_level":"INFO"}',
    )
    plain = JobSpec("job")
    same = [name for name in JobSpec.__dataclass_fields__ if getattr(spec, name) == getattr(plain, name)]
    assert same == ["name"]
    for definition in (spec, plain):
        job = Job(7, "p", definition, tags=(("k", "v"), ("l", "")))
        found = read("file", 7, json.dumps(document(job)).encode())
        assert (found.spec, found.tags) == (definition, job.tags)


def test_a_job_is_made_anew(stand: Stand, golden: Any) -> None:
    job_id = stand.create(desc="d", entrypoint_args="{{later}}", tags=[{"key": "a", "value": "1"}])
    before = stand.job(job_id)
    (written,) = export(stand, job_id)
    drop(stand, job_id)
    stand.clock.ms += 1000
    golden("import", stand.ok("POST", IMPORT, {"zip_file": written}, ak="AK"))
    after = stand.job(job_id + 1)
    assert (after.spec, after.tags) == (before.spec, before.tags)
    assert (after.record.phase, after.created_ms, after.user_name) == (Phase.DRAFT, stand.clock.ms, "tester")
    assert [entry.phase for entry in stand.services.jobs.history(after.id)] == [Phase.DRAFT]


def test_into_another_project(stand: Stand) -> None:
    """A file can be carried over; what the job names must be there too."""
    (written,) = export(stand, stand.create(queue_name="", entrypoint=""))
    content = stand.services.objects.read("b", written.removeprefix("b/"))
    stand.ok("PUT", f"/headrace/v1/{OTHER}/buckets/theirs", ak="OTHER", status=201)
    path = f"/headrace/v1/{OTHER}/objects/theirs/x.zip"
    stand.ok("PUT", path, content=content, content_type="application/octet-stream", status=201, ak="OTHER")
    target = f"/v1.0/{OTHER}/streaming/jobs/import"
    (mapping,) = stand.ok("POST", target, {"zip_file": "theirs/x.zip"}, ak="OTHER")["job_mapping"]
    made = stand.job(mapping["new_job_id"])
    assert (made.project_id, made.user_name) == (OTHER, "stranger")
    assert stand.refused("POST", target, {"zip_file": written}, ak="OTHER")[:2] == (400, "DLI.11016")


# -- jobs whose name is taken -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cover", [{}, {"is_cover": False}])
def test_a_name_that_is_taken(stand: Stand, cover: dict[str, bool]) -> None:
    first, second = stand.create(name="first"), stand.create(name="second")
    (written,) = export(stand, first, second)
    drop(stand, first)
    before = stand.job(second)
    assert bring_in(stand, written, **cover) == [
        {"old_job_id": first, "new_job_id": second + 1, "remark": "Job successfully created"},
        {"old_job_id": second, "new_job_id": -1, "remark": "The job name already exists."},
    ]
    assert stand.job(second) == before


def test_a_job_that_is_replaced_is_a_draft_again(stand: Stand) -> None:
    job_id = stand.create(desc="old", tags=[{"key": "a", "value": "1"}])
    (written,) = export(stand, job_id)
    stand.bring(job_id, Phase.RUNNING)
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", {"desc": "new"})
    stand.move(job_id, Phase.CANCELING, Phase.STOPPED, savepoint_path="obs://b/savepoint", note="n")
    stand.ok("POST", f"/v3/{{p}}/dli_flink_job/{job_id}/tags/delete", {"tags": [{"key": "a"}]}, status=204)
    old = stand.job(job_id)
    stand.clock.ms += 1000
    assert bring_in(stand, written, is_cover=True) == [
        {"old_job_id": job_id, "new_job_id": job_id, "remark": "Job successfully overwritten"}
    ]
    new = stand.job(job_id)
    assert (new.spec.desc, new.tags, new.updated_ms) == ("old", (("a", "1"),), stand.clock.ms)
    assert (new.created_ms, new.user_name) == (old.created_ms, old.user_name)
    shown = stand.show(job_id)
    assert (shown["status"], shown["status_desc"], shown["start_time"]) == ("job_init", "", None)
    assert (shown["has_savepoint"], shown["savepoint_path"]) == (True, "obs://b/savepoint")
    assert stand.services.jobs.history(job_id)[-1].note == "Overwritten by an import."


def test_a_replaced_job_runs_under_a_name_of_its_own(stand: Stand) -> None:
    """The reconciler leaves it at rest, and a run begins the attempt after the last."""
    job_id = stand.create()
    (written,) = export(stand, job_id)
    stand.bring(job_id, Phase.FINISHED)
    assert stand.job(job_id).desired.goal is Goal.RUN
    bring_in(stand, written, is_cover=True)
    job = stand.job(job_id)
    assert decide(job, Observation()) == Wait()
    assert job_id not in stand.services.jobs.unsettled()
    assert stand.run(job_id).status_code == 200
    decision = decide(stand.job(job_id), Observation())
    assert isinstance(decision, Move)
    assert (decision.record.phase, decision.record.attempt) == (Phase.PREPARING, 2)
    stand.services.jobs.move(stand.job(job_id), decision.record, now_ms=1)
    assert stand.job(job_id).deployment == f"job-{job_id}-2"


@pytest.mark.parametrize("phase", [Phase.PREPARING, Phase.RUNNING, Phase.CANCELING, Phase.CLEARING])
def test_an_active_job_is_left_alone(stand: Stand, phase: Phase) -> None:
    job_id = stand.create(desc="old")
    (written,) = export(stand, job_id)
    stand.bring(job_id, phase)
    before = stand.job(job_id)
    ((status, remark),) = [
        (mapping["new_job_id"], mapping["remark"]) for mapping in bring_in(stand, written, is_cover=True)
    ]
    assert status == -1
    assert stand.show(job_id)["status"] in remark
    assert stand.job(job_id) == before


def test_a_job_that_is_just_asked_to_run_is_active(stand: Stand) -> None:
    job_id = stand.create()
    (written,) = export(stand, job_id)
    assert stand.run(job_id).status_code == 200
    (mapping,) = bring_in(stand, written, is_cover=True)
    assert (mapping["new_job_id"], "job_submitting" in mapping["remark"]) == (-1, True)


def test_a_run_that_comes_first_wins(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = stand.create(desc="old")
    (written,) = export(stand, job_id)
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", {"desc": "new"})
    jobs, named = stand.services.jobs, stand.services.jobs.named

    def run_meanwhile(project_id: str, names: list[str]) -> dict[str, Job]:
        found = named(project_id, names)
        if not stand.job(job_id).request_pending:
            job = stand.job(job_id)
            jobs.request(job, replace(job.desired, goal=Goal.RUN, request_no=job.desired.request_no + 1))
        return found

    monkeypatch.setattr(jobs, "named", run_meanwhile)
    (mapping,) = bring_in(stand, written, is_cover=True)
    assert mapping["new_job_id"] == -1
    assert stand.job(job_id).spec.desc == "new"


def test_a_name_that_is_taken_meanwhile(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    put_jobs(stand, "x.zip", {"job_id": 1, "name": "first"}, {"job_id": 2, "name": "second"})
    jobs, named = stand.services.jobs, stand.services.jobs.named
    made: list[int] = []

    def create_meanwhile(project_id: str, names: list[str]) -> dict[str, Job]:
        found = named(project_id, names)
        if not made:
            made.append(stand.create(name="second"))
        return found

    monkeypatch.setattr(jobs, "named", create_meanwhile)
    first, second = bring_in(stand, "b/x.zip")
    assert first["new_job_id"] > made[0]
    assert (second["new_job_id"], second["remark"]) == (-1, "The job name already exists.")
    assert stand.rows()["jobs"] == 2


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["b/in", "b/in/", "obs://b/in/"])
def test_a_folder_of_files(stand: Stand, place: str) -> None:
    put_jobs(stand, "in/2.zip", {"job_id": 5, "name": "c"})
    put_jobs(stand, "in/1.zip", {"job_id": 9, "name": "b"}, {"job_id": 7, "name": "a"})
    put_jobs(stand, "inner/1.zip", {"name": "other"})
    assert [mapping["old_job_id"] for mapping in bring_in(stand, place)] == [9, 7, 5]


def test_two_exports_of_one_job_in_a_folder(stand: Stand) -> None:
    """As in DLI, whatever is_cover says."""
    job_id = stand.create()
    export(stand, job_id)
    export(stand, job_id)
    before = stand.job(job_id)
    for cover in (False, True):
        status, code, message = stand.refused("POST", IMPORT, {"zip_file": "b/exports", "is_cover": cover})
        assert (status, code) == (400, "DLI.0006")
        assert message.startswith("The job name already exists")
    assert stand.job(job_id) == before


def test_all_of_a_bucket(stand: Stand) -> None:
    stand.ok("PUT", "/headrace/v1/{p}/buckets/jobs", status=201)
    put_jobs(stand, "1.zip", {"name": "a"}, bucket="jobs")
    assert len(bring_in(stand, "jobs")) == 1


@pytest.mark.parametrize(
    ("place", "code", "told"),
    [
        ("", "DLI.0001", "zip_file"),
        ("b/none.zip", "DLI.12002", "no such file"),
        ("b/none", "DLI.12002", "no such file"),
        ("b/good.zip/", "DLI.12002", "no such file"),
        ("b/app.jar", "DLI.0001", "no .zip"),
        ("b", "DLI.0001", "folder of its own"),
        ("b/mixed", "DLI.0001", "notes.txt is no .zip"),
        ("b/nested", "DLI.0001", "folder of its own"),
        ("b/../b/good.zip", "DLI.0001", "zip_file"),
        ("b/x/../../good.zip", "DLI.0001", "zip_file"),
        ("/etc/passwd", "DLI.0001", "zip_file"),
        ("file:///etc/passwd", "DLI.0001", "zip_file"),
        ("b/good.zip\n", "DLI.0001", "zip_file"),
        ("none/good.zip", "DLI.11016", "none"),
        ("theirs/good.zip", "DLI.11016", "theirs"),
        ("b/" + "x" * 3000, "DLI.0001", "zip_file"),
        ("b/many", "DLI.0001", "more than 100"),
    ],
)
def test_places_that_are_refused(stand: Stand, place: str, code: str, told: str) -> None:
    stand.ok("PUT", f"/headrace/v1/{OTHER}/buckets/theirs", ak="OTHER", status=201)
    for key in ("good.zip", "mixed/good.zip", "nested/more/good.zip"):
        put_jobs(stand, key, {"name": "a"})
    stand.put_object("b", "mixed/notes.txt", b"notes")
    if place == "b/many":
        for number in range(101):
            stand.services.objects.put_new("b", f"many/{number}.zip", b"")
    status, refused, message = stand.refused("POST", IMPORT, {"zip_file": place})
    assert (status, refused) == (400, code)
    assert told in message
    assert stand.rows()["jobs"] == 0


def test_a_link_out_of_the_bucket_is_not_followed(stand: Stand) -> None:
    put_jobs(stand, "good.zip", {"name": "a"})
    (stand.home / "outside.zip").write_bytes(stand.services.objects.read("b", "good.zip"))
    (stand.home / "objects" / "b" / "link.zip").symlink_to(stand.home / "outside.zip")
    assert stand.refused("POST", IMPORT, {"zip_file": "b/link.zip"})[:2] == (400, "DLI.12002")
    assert stand.rows()["jobs"] == 0


# -- files that are refused -------------------------------------------------------------------------------------------

NOTHING = {"name": "a"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ("NaN", "JSON"),
        ('{"name": "a", "job_type": "flink_jar_job"}', "job_id"),
        ('{"job_id": 1, "name": "a"}', "job_type"),
        ('{"job_id": 2, "name": "a", "job_type": "flink_jar_job"}', "job_id=2"),
        ('{"job_id": 1, "name": "a", "name": "b", "job_type": "flink_jar_job"}', "twice"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_sql_job"}', "job_type"),
        ('{"job_id": 1, "name": "a b", "job_type": "flink_jar_job"}', "name"),
        ('{"job_id": 1, "name": "", "job_type": "flink_jar_job"}', "name"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "status": "job_running"}', "status"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "attempt": 7}', "attempt"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "desc": "\\u0000"}', "control"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "desc": "\\ud800"}', "surrogate"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "cu_number": 1e400}', "large"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "cu_number": ' + "9" * 5000 + "}", "too large"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "cu_number": 1}', "cu_number"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "cu_number": "4"}', "cu_number"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "tags": ' + "[" * 5000 + "]" * 5000 + "}", "nested"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "tags": [{"key": "*", "value": ""}]}', "tags"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "entrypoint_args": "\'"}', "entrypoint_args"),
        ('{"job_id": 1, "name": "a", "job_type": "flink_jar_job", "runtime_config": "rest.port=1"}', "rest.port"),
    ],
)
def test_jobs_that_are_refused(stand: Stand, text: str, told: str) -> None:
    """None of the jobs is made, whichever is wrong."""
    sound = json.dumps({"job_id": 7, "name": "sound", "job_type": "flink_jar_job"})
    (content,) = bundle.pack([(7, sound.encode()), (1, text.encode())])
    stand.put_object("b", "x.zip", content)
    status, code, message = stand.refused("POST", IMPORT, {"zip_file": "b/x.zip"})
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith("b/x.zip, job-1.json: ")
    assert told in message
    assert stand.rows()["jobs"] == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"queue_name": "none"}, "DLI.0002"),
        ({"entrypoint": "obs://b/none.jar"}, "DLI.12002"),
        ({"entrypoint": "obs://theirs/app.jar"}, "DLI.11016"),
        ({"entrypoint": "none.jar"}, "DLI.12002"),
        ({"entrypoint": "obs://b/data.txt"}, "DLI.0001"),
        ({"obs_bucket": "theirs"}, "DLI.11016"),
        ({"flink_version": "0.1"}, "DLI.0001"),
        ({"feature": "custom"}, "DLI.0007"),
        ({"parallel_number": 2000}, "DLI.0001"),
    ],
)
def test_jobs_that_could_not_be_created(stand: Stand, fields: dict[str, Any], code: str) -> None:
    stand.ok("PUT", f"/headrace/v1/{OTHER}/buckets/theirs", ak="OTHER", status=201)
    put_jobs(stand, "x.zip", {"job_id": 7, "name": "sound"}, {"job_id": 1, "name": "a", **fields})
    status, refused, message = stand.refused("POST", IMPORT, {"zip_file": "b/x.zip", "is_cover": True})
    assert (status, refused) == (400, code)
    assert message.startswith("b/x.zip, job-1.json: ")
    assert stand.rows()["jobs"] == 0


def test_a_bad_file_among_good_ones(stand: Stand) -> None:
    put_jobs(stand, "in/1.zip", {"name": "a"})
    stand.put_object("b", "in/2.zip", b"no zip")
    status, code, message = stand.refused("POST", IMPORT, {"zip_file": "b/in"})
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith("b/in/2.zip: ")
    assert stand.rows()["jobs"] == 0


def test_files_have_a_limit_together(stand: Stand) -> None:
    for part in range(2):
        jobs = [{"job_id": number, "name": f"j{part}-{number}"} for number in range(1, 502)]
        put_jobs(stand, f"in/{part}.zip", *jobs)
    status, code, message = stand.refused("POST", IMPORT, {"zip_file": "b/in"})
    assert (status, code) == (400, "DLI.0001")
    assert "1002 jobs" in message
    assert stand.rows()["jobs"] == 0


def test_a_large_file_is_not_read_whole(stand: Stand) -> None:
    with (stand.home / "objects" / "b" / "x.zip").open("wb") as file:
        file.truncate(2**40)  # a hole
    message = stand.refused("POST", IMPORT, {"zip_file": "b/x.zip"})[2]
    assert f"at most {bundle.MAX_BYTES}" in message


@pytest.mark.parametrize("body", [{}, {"zip_file": None}, {"zip_file": 1}, {"zip_file": "b", "is_cover": 1}, {"x": 1}])
def test_wrong_bodies(stand: Stand, body: dict[str, Any]) -> None:
    assert stand.refused("POST", IMPORT, body)[:2] == (400, "DLI.0001")


# -- who --------------------------------------------------------------------------------------------------------------


def test_who_may_import_new_jobs(stand: Stand) -> None:
    put_jobs(stand, "x.zip", {"name": "a"})
    assert stand.refused("POST", IMPORT, {"zip_file": "b/x.zip"}, ak="SUB")[:2] == (403, "DLI.0016")
    assert stand.rows()["jobs"] == 0
    grant(stand, "jobs.flink.*", "CREATE")
    (mapping,) = bring_in(stand, "b/x.zip", ak="SUB")
    assert stand.job(mapping["new_job_id"]).user_name == "sub"


def test_who_may_replace_jobs(stand: Stand) -> None:
    job_id = stand.create(desc="old")
    (written,) = export(stand, job_id)
    stand.ok("PUT", f"/v1.0/{{p}}/streaming/flink-jobs/{job_id}", {"desc": "new"})
    body = {"zip_file": written, "is_cover": True}
    assert stand.refused("POST", IMPORT, body, ak="SUB")[:2] == (400, "DLI.0002")  # the queue is not there for them
    grant(stand, "queues.q", "SUBMIT_JOB")
    (mapping,) = bring_in(stand, written, is_cover=True, ak="SUB")
    assert (mapping["new_job_id"], mapping["remark"]) == (-1, "The job name already exists.")
    grant(stand, f"jobs.flink.{job_id}", "GET")
    assert stand.refused("POST", IMPORT, body, ak="SUB")[:2] == (403, "DLI.0016")
    assert stand.job(job_id).spec.desc == "new"
    grant(stand, f"jobs.flink.{job_id}", "UPDATE")
    (mapping,) = bring_in(stand, written, is_cover=True, ak="SUB")
    assert mapping["new_job_id"] == job_id
    job = stand.job(job_id)
    assert (job.spec.desc, job.user_name) == ("old", "tester")


def test_packages_must_be_the_callers_to_use(stand: Stand) -> None:
    stand.ok("POST", "/v2.0/{p}/resources", {"paths": ["obs://b/app.jar"], "kind": "jar"}, 201)
    put_jobs(stand, "x.zip", {"name": "a", "entrypoint": "app.jar"})
    grant(stand, "jobs.flink.*", "CREATE")
    unseen = stand.refused("POST", IMPORT, {"zip_file": "b/x.zip"}, ak="SUB")
    assert unseen[:2] == (400, "DLI.12002")  # as if there were none
    grant(stand, "resources.app.jar", "GET_RESOURCE")
    assert stand.refused("POST", IMPORT, {"zip_file": "b/x.zip"}, ak="SUB")[:2] == (403, "DLI.0016")
    assert stand.rows()["jobs"] == 0
    grant(stand, "resources.app.jar", "USE_RESOURCE")
    assert bring_in(stand, "b/x.zip", ak="SUB")[0]["new_job_id"] > 0


def test_each_job_leaves_a_line(stand: Stand) -> None:
    first, second = stand.create(name="first"), stand.create(name="second")
    (written,) = export(stand, first, second)
    drop(stand, first)
    bring_in(stand, written, is_cover=True)
    bring_in(stand, written)
    _, lines = stand.services.audit.search(PROJECT, AuditFilter(resource_type="job"), limit=99, offset=0)
    told = [(line.trace_name, line.resource_id, line.resource_name) for line in reversed(lines)]
    assert [line for line in told if "Stream" in line[0] and "port" in line[0]] == [
        ("exportStreamJobs", str(first), "first"),
        ("exportStreamJobs", str(second), "second"),
        ("importStreamJobs", str(second + 1), "first"),
        ("importStreamJobs", str(second), "second"),
    ]
