"""X-Language: sentences of success in the language that was asked for, and the kind of an error in Chinese."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import headrace.api
from headrace.api.errors import TABLE
from headrace.api.language import CHINESE, KINDS, SENTENCES, told

if TYPE_CHECKING:
    from tests.api.conftest import Stand

STREAMING = "/v1.0/{p}/streaming"
HAN = re.compile(r"[\u4e00-\u9fff]")


def calls_of(name: str) -> list[ast.Call]:
    found: list[ast.Call] = []
    for file in sorted(Path(str(headrace.api.__file__)).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=called)) if called == name:
                    found.append(node)
                case _:
                    pass
    return found


def literals() -> set[str]:
    """Every text in the sources of the API, but those of the table itself."""
    folder = Path(str(headrace.api.__file__)).parent
    return {
        node.value
        for file in sorted(folder.glob("*.py"))
        if file.name != "language.py"
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_sentence_that_is_told_is_in_the_table() -> None:
    told_directly = [
        argument.value
        for call in calls_of("told")
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]
    assert len(told_directly) >= 10
    assert [sentence for sentence in told_directly if sentence not in SENTENCES] == []


def test_every_sentence_of_the_table_is_told() -> None:
    assert sorted(set(SENTENCES) - literals()) == []


def test_every_sentence_is_translated_with_its_values() -> None:
    for english, chinese in SENTENCES.items():
        assert HAN.search(chinese), chinese
        assert sorted(re.findall(r"{\d}", english)) == sorted(re.findall(r"{\d}", chinese)), english


def test_every_code_of_an_error_has_its_kind() -> None:
    assert set(KINDS) == {code for _, code in TABLE.values()}
    assert all(HAN.search(kind) for kind in KINDS.values())


def test_the_language_belongs_to_the_request() -> None:
    assert not CHINESE.get()
    assert told("Jobs are successfully listed.") == "Jobs are successfully listed."


def answers(stand: Stand, language: str | None) -> dict[str, Any]:
    """One of each kind: a success, a refusal, batches, a path and a method that are none, no credentials."""
    more = {} if language is None else {"X-Language": language}
    create = {"name": "job", "queue_name": "q"}
    asked: dict[str, tuple[str, str, Any]] = {
        "list": ("GET", f"{STREAMING}/jobs?name=nothing", None),
        "missing job": ("GET", f"{STREAMING}/jobs/99", None),
        "bad field": ("POST", f"{STREAMING}/flink-jobs", {**create, "cu_number": 1}),
        "unknown field": ("POST", f"{STREAMING}/flink-jobs", {**create, "x": 1}),
        "no JSON": ("POST", f"{STREAMING}/flink-jobs", None),
        "queue": ("POST", f"{STREAMING}/flink-jobs", {**create, "queue_name": "none"}),
        "bucket": ("POST", f"{STREAMING}/flink-jobs", {**create, "obs_bucket": "none"}),
        "object": ("POST", f"{STREAMING}/flink-jobs", {**create, "entrypoint": "obs://b/none.jar"}),
        "batch": ("POST", f"{STREAMING}/jobs/run", {"job_ids": [98, 99]}),
        "mixed batch": ("POST", f"{STREAMING}/jobs/delete", {"job_ids": [stand.create(**create), 99]}),
        "path": ("GET", "/nothing", None),
        "method": ("PATCH", f"{STREAMING}/jobs", None),
        "authorize": ("POST", "/v1.0/{p}/dli/obs-authorize", {"obs_buckets": ["b"]}),
        "project": ("GET", "/v1.0/other/streaming/jobs", None),
    }
    found = {name: stand.send(*request, more=more).json() for name, request in asked.items()}
    found["nobody"] = stand.send("GET", f"{STREAMING}/jobs", unsigned=True, more=more).json()
    return found


def test_chinese(stand: Stand, golden: Any) -> None:
    golden("zh_cn", answers(stand, "zh-cn"))


def test_english(stand: Stand, golden: Any) -> None:
    golden("en_us", answers(stand, "en-us"))


@pytest.mark.parametrize("language", ["zh-cn", "ZH-CN", " zh-CN "])
def test_the_name_of_the_language_in_any_case(stand: Stand, language: str) -> None:
    answer = stand.send("GET", f"{STREAMING}/jobs", more={"X-Language": language})
    assert answer.json()["message"] == "查询作业列表成功。"


@pytest.mark.parametrize("language", [None, "", "en-us", "zh", "zh-tw", "de-de", "zh-cn,en", "x" * 1000])
def test_anything_else_is_english(stand: Stand, language: str | None) -> None:
    more = {} if language is None else {"X-Language": language}
    answer = stand.send("GET", f"{STREAMING}/jobs/99", more=more)
    assert answer.json()["error_msg"] == "The job 99 does not exist. Check the job ID."


def test_an_unexpected_error_has_its_kind_too(stand: Stand) -> None:
    def broken(_: str) -> str:
        raise RuntimeError("secret detail")

    object.__setattr__(stand.services, "resolve_engine", broken)
    body = {"name": "job", "queue_name": "q", "entrypoint": "obs://b/app.jar"}
    answer = stand.send("POST", f"{STREAMING}/flink-jobs", body, more={"X-Language": "zh-cn"})
    assert answer.status_code == 500
    assert answer.json()["error_msg"].startswith("服务端错误:")
    assert "secret" not in answer.text


def test_one_request_after_another(stand: Stand) -> None:
    for _ in range(2):
        for language, sentence in (("zh-cn", "作业不存在:The job 9"), ("en-us", "The job 9")):
            answer = stand.send("GET", f"{STREAMING}/jobs/9", more={"X-Language": language})
            assert answer.json()["error_msg"].startswith(sentence)
