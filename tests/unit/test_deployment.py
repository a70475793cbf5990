"""What is read out of a job's fields, and the plan that is made of them."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.deployment import (
    DeploymentPlan,
    claim_size,
    parse_args,
    parse_log_config,
    parse_runtime_config,
    plan,
    savepoint_dir,
    triggered_savepoint_dir,
)
from headrace.domain.errors import BadField
from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.sizing import size

always = settings(max_examples=200, deadline=None, derandomize=True)

# -- entrypoint_args --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "args"),
    [
        ("", ()),
        ("  \t\n ", ()),
        ("-windowSize 2000 -rate 3", ("-windowSize", "2000", "-rate", "3")),  # the documented example
        ("-s -r -D -Dkey=value --help", ("-s", "-r", "-D", "-Dkey=value", "--help")),  # not Flink's, but main()'s
        ("  a   b  ", ("a", "b")),
        ("'a b' \"c d\" e\\ f", ("a b", "c d", "e f")),
        ("'' \"\"", ("", "")),
        ("--sql 'SELECT \"x\" FROM t'", ("--sql", 'SELECT "x" FROM t')),
        ("a'b'c", ("abc",)),
        (
            "'$HOME' $HOME `id` $(id) ~ * # no comment",
            ("$HOME", "$HOME", "`id`", "$(id)", "~", "*", "#", "no", "comment"),
        ),
        ("a;b && c | d > e", ("a;b", "&&", "c", "|", "d", ">", "e")),
        ("grün 漢字", ("grün", "漢字")),
        ("{{var}}", ("{{var}}",)),
        ("'one\ntwo'", ("one\ntwo",)),
    ],
)
def test_args(text: str, args: tuple[str, ...]) -> None:
    assert parse_args(text) == args


@pytest.mark.parametrize("text", ["'open", '"open', "it's", "back\\"])
def test_args_that_do_not_end(text: str) -> None:
    with pytest.raises(BadField, match="entrypoint_args") as refusal:
        parse_args(text)
    assert refusal.value.field == "entrypoint_args"


@always
@given(st.lists(st.text()))
def test_main_receives_what_was_quoted(args: list[str]) -> None:
    assert parse_args(shlex.join(args)) == tuple(args)


# -- runtime_config ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        (" \n ", {}),
        ('[{"key":"a.b","value":"c"}]', {"a.b": "c"}),
        (' [ {"key": " a ", "value": "c=d, e"} , {"key":"n","value":5}]', {"a": "c=d, e", "n": "5"}),
        (
            '[{"key":"a","value":true},{"key":"b","value":false},{"key":"c","value":0.2}]',
            {"a": "true", "b": "false", "c": "0.2"},
        ),
        ('[{"key":"a","value":""}]', {"a": ""}),
        ("[]", {}),
        ('{"a": "b", "c": 1}', {"a": "b", "c": "1"}),
        ("a.b=c", {"a.b": "c"}),
        ("a = b \r\n\r\n c=d=e\n", {"a": "b", "c": "d=e"}),
        ("a=", {"a": ""}),
        ("a=[1]", {"a": "[1]"}),
        ("a={b}", {"a": "{b}"}),
    ],
)
def test_runtime_config(text: str, options: dict[str, str]) -> None:
    assert parse_runtime_config(text) == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "key=value"),
        ("a=b\nnonsense", "'nonsense'"),
        ("=b", "a key has letters"),
        (" = b", "a key has letters"),
        ("a=1\na=2", "twice"),
        ("[", "JSON array"),
        ("{", "JSON array"),
        ("[" * 100_000, "JSON array"),
        ('["a"]', "JSON array"),
        ('[{"value":"b"}]', "JSON array"),
        ('[{"key":"a"}]', "JSON array"),
        ('[{"key":"a","value":"b","comment":"c"}]', "JSON array"),
        ('[{"key":1,"value":"b"}]', "JSON array"),
        ('[{"key":"a","value":null}]', "JSON array"),
        ('[{"key":"a","value":["b"]}]', "JSON array"),
        ('[{"key":"a","value":{}}]', "JSON array"),
        ('[{"key":"","value":"b"}]', "a key has letters"),
        ('[{"key":"a","value":"1"},{"key":" a","value":"2"}]', "twice"),
        ('{"a":"1","a":"2"}', "twice"),
        ('[{"key":"a","value":"b\\nevil: true"}]', "control characters"),
        ('[{"key":"a\\u0000","value":"b"}]', "a key has letters"),
        ('[{"key":"rest.port: 1 #","value":"b"}]', "a key has letters"),
        ('[{"key":"a","value":"\\ud800"}]', "surrogates"),
        ("a=b\x00c", "control characters"),
        ('[{"key":"a","value":NaN}]', "JSON array"),
        ('[{"key":"a","value":1e999}]', "JSON array"),
        ('[{"key":"a","value":' + "9" * 5000 + "}]", "JSON array"),
    ],
)
def test_a_wrong_runtime_config(text: str, message: str) -> None:
    with pytest.raises(BadField, match=message) as refusal:
        parse_runtime_config(text)
    assert refusal.value.field == "runtime_config"
    assert len(str(refusal.value)) < 400


keys = st.from_regex(r"[a-z][a-z.\-]{0,10}", fullmatch=True)
values = st.text(st.characters(min_codepoint=33, exclude_categories=["C", "Z"]), max_size=10)


@always
@given(st.dictionaries(keys, values))
def test_both_notations_say_the_same(options: dict[str, str]) -> None:
    array = json.dumps([{"key": key, "value": value} for key, value in options.items()])
    lines = "\n".join(f"{key}={value}" for key, value in options.items())
    assert parse_runtime_config(array) == parse_runtime_config(lines) == options


@always
@given(st.text() | st.text('[]{}":,=ab\n 01ey'))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for parse, field in (
        (parse_runtime_config, "runtime_config"),
        (parse_log_config, "flink_log_config"),
        (parse_args, "entrypoint_args"),
    ):
        try:
            parse(text)
        except BadField as refusal:
            assert refusal.field == field  # noqa: PT017


# -- flink_log_config -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ('{"root_logger_level":"DEBUG"}', {"": "DEBUG"}),
        (
            '{"root_logger_level":"INFO","loggers_level_of_class":{"org.apache.flink":"WARN","a.B$C":"TRACE"}}',
            {"": "INFO", "org.apache.flink": "WARN", "a.B$C": "TRACE"},
        ),
        ('{"loggers_level_of_class":{}}', {}),
    ],
)
def test_log_config(text: str, levels: dict[str, str]) -> None:
    assert parse_log_config(text) == levels


@pytest.mark.parametrize(
    "text",
    [
        "INFO",
        "[]",
        '"INFO"',
        '{"root_logger_level":"LOUD"}',
        '{"root_logger_level":"info"}',
        '{"root_logger_level":null}',
        '{"root_logger_level":["INFO"]}',
        '{"root_logger_level":{}}',
        '{"loggers_level_of_class":["a"]}',
        '{"loggers_level_of_class":{"a":1}}',
        '{"loggers_level_of_class":{"a b":"INFO"}}',
        '{"loggers_level_of_class":{"a\\nb=c":"INFO"}}',
        '{"loggers_level_of_class":{"a=b":"INFO"}}',
        '{"unknown":1}',
        '{"root_logger_level":"INFO","root_logger_level":"WARN"}',
        '{"loggers_level_of_class":{"a":"INFO","a":"WARN"}}',
        "[" * 100_000,
    ],
)
def test_a_wrong_log_config(text: str) -> None:
    with pytest.raises(BadField) as refusal:
        parse_log_config(text)
    assert refusal.value.field == "flink_log_config"


# -- the plan ---------------------------------------------------------------------------------------------------------

SPEC = JobSpec(
    "my job",
    cu_number=4,
    parallel_number=3,
    entrypoint="obs://b/a.jar",
    dependency_jars=("obs://b/c.jar",),
    dependency_files=("obs://b/d.csv",),
    main_class="a.Main",
    entrypoint_args="-n 'a b'",
    obs_bucket="bucket",
    runtime_config="a=b",
    flink_log_config='{"root_logger_level":"WARN"}',
    checkpoint_enabled=True,
    checkpoint_interval=30,
    checkpoint_mode=2,
    restart_when_exception=True,
    resume_checkpoint=True,
    resume_max_num=5,
)
RECORD = Record(Phase.STARTING, attempt=3, first_attempt=2, restore_path="obs://bucket/s")
JOB = Job(7, "p", SPEC, record=RECORD)


def test_the_plan_of_a_job() -> None:
    assert plan(JOB, "1.20.5", 1024, restarts_left=4) == DeploymentPlan(
        name="job-7-3",
        job_id=7,
        attempt=3,
        job_name="my job",
        engine="1.20.5",
        shape=size(SPEC, {}, 1024),
        entrypoint="obs://b/a.jar",
        dependency_jars=("obs://b/c.jar",),
        dependency_files=("obs://b/d.csv",),
        main_class="a.Main",
        args=("-n", "a b"),
        options={"a": "b"},
        checkpoint_interval_s=30,
        exactly_once=False,
        restarts_left=4,
        first_attempt=2,
        checkpoint_dir="obs://bucket/jobs/checkpoint/7",
        restore_path="obs://bucket/s",
        log_levels={"": "WARN"},
        project_id="p",
        buckets=("b", "bucket"),
    )


def test_the_buckets_of_a_job_are_those_that_its_definition_names() -> None:
    spec = SPEC.evolve(
        entrypoint="group/a.jar",
        dependency_jars=("obs://jars/c.jar",),
        entrypoint_args="--in s3a://in/x,s3://in-2/y --out 'obs://out.put' --plain other/x",
        runtime_config="state.checkpoints.dir=s3://states/x",
        checkpoint_path="checkpoints/x",
        dependency_files=(),
    )
    named = ("bucket", "checkpoints", "in", "in-2", "jars", "out.put", "states")
    assert plan(replace(JOB, spec=spec), "1.20.5", 1024).buckets == named


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"checkpoint_enabled": False}, "checkpoint_interval_s", None),
        ({"checkpoint_mode": 1}, "exactly_once", True),
        ({"resume_checkpoint": False}, "restarts_left", 0),  # each restart is a new, clean deployment
        ({"resume_checkpoint": True}, "restarts_left", 2),
        ({"checkpoint_path": "mine/of/code"}, "checkpoint_dir", "obs://mine/of/code"),
        ({"checkpoint_path": "obs://mine/of/code/"}, "checkpoint_dir", "obs://mine/of/code"),
        ({"obs_bucket": ""}, "checkpoint_dir", ""),
        ({"entrypoint_args": ""}, "args", ()),
    ],
)
def test_what_follows_from_a_field(changes: dict[str, object], field: str, value: object) -> None:
    job = replace(JOB, spec=SPEC.evolve(**changes))
    assert getattr(plan(job, "1.20.5", 4096, restarts_left=2), field) == value


@pytest.mark.parametrize("field", ["entrypoint_args", "runtime_config", "flink_log_config"])
def test_a_stored_field_that_cannot_be_honoured_is_named(field: str) -> None:
    with pytest.raises(BadField, match=field):
        plan(replace(JOB, spec=SPEC.evolve(**{field: "'"})), "1.20.5", 4096)


def test_the_claim_is_the_shape_of_the_plan() -> None:
    spec = SPEC.evolve(runtime_config="jobmanager.memory.process.size=8g")
    assert claim_size(spec, 1024) == plan(replace(JOB, spec=spec), "1.20.5", 1024).shape


def test_where_a_savepoint_goes() -> None:
    asked = replace(JOB, desired=Desired(Goal.STOP, 2, requested_ms=1_700_000_000_999))
    assert savepoint_dir(asked) == "obs://bucket/jobs/savepoint/7/2023-11-14_22-13-20"
    assert savepoint_dir(replace(asked, spec=SPEC.evolve(obs_bucket=""))) == ""


def test_a_savepoint_goes_where_it_was_asked_to_and_a_stop_does_not() -> None:
    asked = replace(JOB, desired=Desired(Goal.SAVEPOINT, 2, requested_ms=1_700_000_000_999))
    assert triggered_savepoint_dir(asked) == savepoint_dir(asked)
    there = replace(asked, desired=replace(asked.desired, savepoint_target="obs://b/there"))
    assert triggered_savepoint_dir(there) == "obs://b/there"
    assert savepoint_dir(there) == savepoint_dir(asked)
