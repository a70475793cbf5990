"""Every wrong input meets its DLI error, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from headrace.api.app import ROUTERS
from headrace.api.errors import TABLE, answer
from headrace.domain.errors import HeadraceError

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/flink-jobs"
GOOD = {"name": "job", "queue_name": "q", "entrypoint": "obs://b/app.jar"}

FIELDS: list[tuple[str, Any]] = [
    ("name", ""),
    ("name", None),
    ("name", "x" * 58),
    ("name", "a b"),
    ("name", "a/b"),
    ("name", 5),
    ("name", "a\n"),
    ("desc", "x" * 513),
    ("desc", "a\x00b"),
    ("desc", "\ud800"),
    ("queue_name", "x" * 129),
    ("queue_name", "a-b"),
    ("queue_name", "sqlqueue"),
    ("cu_number", 1),
    ("cu_number", 10001),
    ("cu_number", "2"),
    ("cu_number", 2.0),
    ("cu_number", True),
    ("cu_number", 10**30),
    ("manager_cu_number", 0),
    ("manager_cu_number", 2),
    ("parallel_number", 0),
    ("parallel_number", 2001),
    ("parallel_number", 5),
    ("tm_cus", 0),
    ("tm_cus", 2),
    ("tm_slot_num", -1),
    ("checkpoint_enabled", "true"),
    ("checkpoint_enabled", 1),
    ("checkpoint_mode", 0),
    ("checkpoint_mode", 3),
    ("checkpoint_mode", True),
    ("checkpoint_mode", "1"),
    ("checkpoint_mode", [1]),
    ("checkpoint_interval", 0),
    ("checkpoint_interval", 1000000),
    ("log_enabled", "yes"),
    ("smn_topic", "urn:smn:region:project:topic"),
    ("main_class", "no class"),
    ("main_class", "a..b"),
    ("main_class", "a.1b"),
    ("entrypoint_args", "--path 'open"),
    ("entrypoint_args", "a\x00b"),
    ("restart_when_exception", "false"),
    ("entrypoint", "s3n://b/app.jar"),
    ("entrypoint", "obs://b"),
    ("entrypoint", "obs://b/../app.jar"),
    ("entrypoint", "/etc/passwd"),
    ("entrypoint", 7),
    ("dependency_jars", "obs://b/app.jar"),
    ("dependency_jars", [1]),
    ("dependency_jars", [None]),
    ("dependency_jars", ["obs://b/app.jar"]),
    ("dependency_files", ["obs://b/data.txt", "obs://b/data.txt"]),
    ("dependency_files", ["https://b/data.txt"]),
    ("resume_checkpoint", 0),
    ("resume_max_num", 0),
    ("resume_max_num", -2),
    ("resume_max_num", 1.5),
    ("checkpoint_path", "bucket-only"),
    ("checkpoint_path", "b/../x"),
    ("checkpoint_path", "s3n://b/x"),
    ("runtime_config", {"key": "value"}),
    ("runtime_config", "no equals sign"),
    ("runtime_config", '[{"key":1,"value":"x"}]'),
    ("runtime_config", "rest.port=1"),
    ("runtime_config", "jobmanager.memory.process.size=1g"),
    ("resource_config_version", "v3"),
    ("resource_config", "x"),
    ("resource_config", {"max_slot": 0}),
    ("resource_config", {"parallel_number": 0}),
    ("resource_config", {"jobmanager_resource_spec": {"cpu": 0.4}}),
    ("resource_config", {"taskmanager_resource_spec": {"cpu": "1"}}),
    ("resource_config", {"taskmanager_resource_spec": {"memory": "2047MB"}}),
    ("resource_config", {"taskmanager_resource_spec": {"memory": 4}}),
    ("resource_config", {"taskmanager_resource_spec": {"memory": "4 TB"}}),
    ("resource_config", {"unknown": 1}),
    ("feature", "pro"),
    ("flink_version", "0.9"),
    ("flink_version", 1.2),
    ("flink_log_config", "{}x"),
    ("flink_log_config", '{"root_logger_level":"LOUD"}'),
    ("job_type", "flink_sql_job"),
    ("edge_group_ids", ["1"]),
    ("unheard_of", 1),
    ("tags", {"a": "b"}),
    ("tags", [{"key": "a"}]),
    ("tags", [{"key": "", "value": "v"}]),
    ("tags", [{"key": "x" * 129, "value": "v"}]),
    ("tags", [{"key": " a", "value": "v"}]),
    ("tags", [{"key": "a ", "value": "v"}]),
    ("tags", [{"key": "_sys_a", "value": "v"}]),
    ("tags", [{"key": "a*", "value": "v"}]),
    ("tags", [{"key": "a", "value": "x" * 256}]),
    ("tags", [{"key": "a", "value": "<"}]),
    ("tags", [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]),
    ("tags", [{"key": f"k{number}", "value": ""} for number in range(21)]),
]


@pytest.mark.parametrize(("field", "value"), FIELDS, ids=[f"{field}={value!r}"[:40] for field, value in FIELDS])
def test_a_bad_field_is_named_and_nothing_is_stored(stand: Stand, field: str, value: Any) -> None:
    stand.ok("POST", "/v1.0/{p}/queues", {"queue_name": "sqlqueue", "queue_type": "sql", "cu_count": 16})
    before = stand.rows()
    status, code, message = stand.refused("POST", JOBS, {**GOOD, field: value})
    assert (status, code) == (400, "DLI.0001")
    named = {"cu_number": "cu_number", "manager_cu_number": "cu_number"}.get(field, field)
    assert named in message
    assert len(message) < 600
    assert stand.rows() == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"obs_bucket": "none"}, "DLI.11016"),
        ({"obs_bucket": "not/a/bucket"}, "DLI.11016"),
        ({"log_enabled": True}, "DLI.0001"),
        ({"checkpoint_enabled": True}, "DLI.0001"),
        ({"entrypoint": "obs://none/app.jar"}, "DLI.11016"),
        ({"entrypoint": "obs://b/none.jar"}, "DLI.12002"),
        ({"entrypoint": "none.jar"}, "DLI.12002"),
        ({"entrypoint": "group/none.jar"}, "DLI.12002"),
        ({"dependency_jars": ["obs://b/none.jar"]}, "DLI.12002"),
        ({"dependency_files": ["group/none.txt"]}, "DLI.12002"),
        ({"entrypoint": "obs://b/data.txt"}, "DLI.0001"),
        ({"main_class": "no.such.Main"}, "DLI.0001"),
        ({"queue_name": "none"}, "DLI.0002"),
        ({"feature": "custom"}, "DLI.0007"),
        ({"image": "org/name:1"}, "DLI.0007"),
        ({"name": "taken"}, "DLI.0006"),
    ],
    ids=str,
)
def test_what_does_not_exist_or_is_taken(stand: Stand, changes: dict[str, Any], code: str) -> None:
    stand.create(name="taken")
    before = stand.rows()
    status, found, message = stand.refused("POST", JOBS, {**GOOD, **changes})
    assert (status, found) == (400, code)
    assert len(message) > 20
    assert stand.rows() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"\xff\xfe",
        b'{"name": }',
        b"[" * 30_000,
        b'{"cu_number": ' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("path", [JOBS, "/v1.0/{p}/streaming/jobs/run", "/v1.0/{p}/queues", "/v2.0/{p}/resources"])
def test_a_body_that_is_no_json_object(stand: Stand, path: str, content: bytes) -> None:
    before = stand.rows()
    assert stand.refused("POST", path, content=content)[:2] == (400, "DLI.0001")
    assert stand.rows() == before


def test_a_body_that_is_not_sent_as_json(stand: Stand) -> None:
    content = b'{"name": "job"}'
    assert stand.refused("POST", JOBS, content=content, content_type="text/plain")[:2] == (400, "DLI.0001")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1.0/{p}/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("GET", "/v1.0/{p}/streaming/jobs/", 404),
        ("PATCH", "/v1.0/{p}/streaming/jobs", 405),
        ("POST", "/healthz", 405),
        ("POST", "/v1.0/{p}/streaming/jobs/1", 405),
    ],
)
def test_an_unknown_route(stand: Stand, method: str, path: str, status: int) -> None:
    assert stand.refused(method, path)[:2] == (status, "DLI.0023")


def test_an_id_that_is_no_number(stand: Stand) -> None:
    status, code, message = stand.refused("GET", "/v1.0/{p}/streaming/jobs/abc")
    assert (status, code) == (400, "DLI.0001")
    assert message.startswith("job_id='abc'")


def test_whatever_breaks_is_told_without_its_cause(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: str) -> str:
        raise RuntimeError("secret detail")

    object.__setattr__(stand.services, "resolve_engine", broken)
    answer = stand.send("POST", JOBS, GOOD)
    assert (answer.status_code, answer.json()["error_code"]) == (500, "DLI.0999")
    assert "secret" not in answer.text
    assert answer.headers["X-Request-Id"] in caplog.text
    assert "secret detail" in caplog.text


def subclasses(root: type[HeadraceError]) -> Iterator[type[HeadraceError]]:
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_has_its_row() -> None:
    ours = {error for error in subclasses(HeadraceError) if error.__module__ == "headrace.domain.errors"}
    assert ours == set(TABLE)
    for error in ours:
        wait = ("why", 1)
        more = {"BadField": ("field", 1, "remedy"), "TooManyAttempts": wait, "AskedTooOften": wait}
        raised = error(*more.get(error.__name__, ("why",)))
        status, code = TABLE[error]
        assert (answer(raised).status_code, code[:4]) == (status, "DLI.")


def test_every_route_says_what_it_does() -> None:
    assert all(
        route.__doc__ for router in ROUTERS for route in (r.endpoint for r in router.routes if hasattr(r, "endpoint"))
    )
