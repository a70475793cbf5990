"""The root cause, found in what Flink and the JVM wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.flink.stacktrace import last_error, root_cause

TRACE = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.Foo.bar(Foo.java:1)
Caused by: java.lang.RuntimeException: record 20
\tat headrace.examples.FailOnDemand.map(FailOnDemand.java:9)
Caused by: java.util.NoSuchElementException: None.get
\t... 3 more
"""

STARTED = "2026-11-22 13:00:00,000 INFO  org.apache.flink.runtime.Foo [] -     -XX:+ExitOnOutOfMemoryError\n"
ERROR = "2026-11-22 13:00:01,000 ERROR org.apache.flink.runtime.Foo [] - Fatal error occurred.\n"


def test_the_innermost_cause_counts() -> None:
    assert root_cause(TRACE) == "java.util.NoSuchElementException: None.get"


def test_what_is_no_trace_is_shown_as_it_is() -> None:
    assert root_cause("just words\nand more") == "just words"
    assert root_cause("") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (STARTED, ""),  # an option of the JVM is no error
        (STARTED + ERROR + TRACE, "java.util.NoSuchElementException: None.get"),
        (ERROR, "Fatal error occurred."),
        ("Terminating due to java.lang.OutOfMemoryError: Java heap space\n",) * 2,
        ("Error: Could not find or load main class x.Y\n",) * 2,
    ],
)
def test_the_last_error_of_a_log(tmp_path: Path, text: str, expected: str) -> None:
    log = tmp_path / "jobmanager.log"
    log.write_text(text)
    assert last_error(log) == expected.strip()


def test_no_log_no_error(tmp_path: Path) -> None:
    assert last_error(tmp_path / "missing.log") == ""
