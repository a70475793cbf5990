"""Rules match only what Flink, the JVM or the kernel say: never words of a job's own, ours least of all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headrace.domain.diagnosis import RULES
from headrace.domain.evidence import Rule
from tests.corpus.cases import CASES, UNKNOWN

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("examples", "tests/corpus/src", "headrace/faults", "flink-plugins")
SOURCES = {path: path.read_text("utf-8") for folder in FOLDERS for path in (REPOSITORY / folder).rglob("*.java")}
THROWN = (
    "java.lang.IllegalStateException",
    "java.lang.IllegalArgumentException",
    "java.io.IOException",
    "a.b.Exception",
)
SPEAKING = [rule for rule in RULES if rule.pattern]


@pytest.mark.parametrize("rule", SPEAKING, ids=lambda rule: str(rule.name))
def test_no_source_of_ours_has_the_words_of_a_rule(rule: Rule) -> None:
    anywhere = re.compile(rule.pattern.replace("^", ""))
    assert len(SOURCES) > 10
    for path, text in SOURCES.items():
        found = anywhere.search(text)
        assert found is None, f"{path.relative_to(REPOSITORY)}: {found}"


@pytest.mark.parametrize("rule", SPEAKING, ids=lambda rule: str(rule.name))
def test_no_rule_matches_what_our_jobs_can_throw(rule: Rule) -> None:
    for path, text in SOURCES.items():
        for said in re.findall(r'"((?:[^"\\]|\\.)*)"', text):
            for line in (said, *(f"{kind}: {said}" for kind in THROWN)):
                assert re.search(rule.pattern, line, re.M) is None, f"{path.relative_to(REPOSITORY)}: {line}"


def test_every_rule_of_words_has_a_seeded_failure() -> None:
    """But for what no test can do to the machine: the rest has examples in tests/unit/test_diagnosis.py."""
    seeded = {rule for case in CASES for rule in case.rules} - {"", UNKNOWN}
    names = {rule.name for rule in RULES}
    assert seeded <= names
    assert names - seeded == {
        "killed for want of memory",  # the kernel's OOM killer would choose whom it likes
        "machine was started anew",
        "JobManager is silent",  # tests/flink/test_lost_parts.py, where its deadline is short
        "deployment has vanished",
        "finished, but not in order",
        "cancelled through Flink",
        "TaskManager was silent",
    }


def test_there_are_more_than_enough_cases_and_each_says_something() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 28
    assert all(case.rule or case.says or case.status == "job_finish" for case in CASES)
    assert all(case.cure or case.cure_args or case.healed or case.mend for case in CASES)
