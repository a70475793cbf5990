"""What went wrong, and where it was thrown, found in what Flink and the JVM wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.domain.observation import Trace
from headrace.flink import application
from headrace.flink.stacktrace import LONGEST, last_error, last_trouble, read, root_cause

TRACE = """\
org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy
\tat org.apache.flink.runtime.executiongraph.Foo.bar(Foo.java:1)
\tSuppressed: java.lang.Exception: beside the point
\t\tat com.acme.Other.close(Other.java:1)
\tCaused by: java.lang.Exception: beside the point too
Caused by: java.lang.RuntimeException: record 20
\tat headrace.examples.FailOnDemand.map(FailOnDemand.java:9)
Caused by: java.util.NoSuchElementException: None.get
\tat java.base/java.util.Optional.get(Unknown Source) ~[?:?]
\t... 3 more
"""
CAUSES = (
    "org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy",
    "java.lang.RuntimeException: record 20",
    "java.util.NoSuchElementException: None.get",
)
AT = "headrace.examples.FailOnDemand.map(FailOnDemand.java:9)"

STARTED = "2026-11-22 13:00:00,000 INFO  org.apache.flink.runtime.Foo [] -     -XX:+ExitOnOutOfMemoryError\n"
ASKED_TOO_EARLY = "2026-11-22 13:00:02,000 ERROR org.apache.flink.runtime.rest.handler.Foo [] - Unhandled exception.\n"
ERROR = "2026-11-22 13:00:01,000 ERROR org.apache.flink.runtime.Foo [] - Fatal error occurred.\n"
MODULES = "WARNING: Unknown module: jdk.compiler specified to --add-exports\n"
CRASH = """\
#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f, pid=7, tid=8
#
# JRE version: OpenJDK
"""


def test_the_causes_are_told_outermost_first_and_where_the_innermost_came_from() -> None:
    assert read(TRACE) == Trace(CAUSES, AT)
    assert root_cause(TRACE) == "java.util.NoSuchElementException: None.get"


@pytest.mark.parametrize(
    ("frame", "at"),
    [
        ("at com.acme.Job.lambda$main$0(Job.java:12) ~[app.jar:?]", "com.acme.Job.lambda$main$0(Job.java:12)"),
        ("at app//com.acme.Job.<init>(Job.java)", "com.acme.Job.<init>(Job.java)"),
        ("at java.base/java.lang.Class.forName(Unknown Source)", ""),
        ("at org.apache.flink.streaming.Map.process(Map.java:1)", ""),
        ("at org.apache.flinkish.Map.process(Map.java:1)", "org.apache.flinkish.Map.process(Map.java:1)"),
        ("at headrace.obs.ObsFileSystem.open(ObsFileSystem.java:1)", ""),
    ],
)
def test_neither_javas_frames_nor_flinks_are_where_it_was_thrown(frame: str, at: str) -> None:
    assert read(f"java.lang.Exception: x\n\t{frame}\n").thrown_at == at


def test_a_message_of_several_lines_is_one_cause() -> None:
    trace = "java.lang.Exception: first\n  second\n\nthird\n\tat java.base/x.Y.z(Unknown Source)\nand not this\n"
    assert read(trace).causes == ("java.lang.Exception: first second third",)


def test_nothing_grows_without_limit() -> None:
    long = "".join(f"Caused by: java.lang.Exception: {number} {'x' * 9999}\n" for number in range(100))
    found = read(f"java.lang.Exception: outermost\n{long}")
    assert len(found.causes) == 21
    assert found.causes[0] == "java.lang.Exception: outermost"
    assert found.root.startswith("java.lang.Exception: 99 ")
    assert {len(cause) for cause in found.causes[1:]} == {LONGEST}


def test_what_is_no_trace_is_shown_as_it_is() -> None:
    assert read("just words\nand more") == Trace(("just words",))
    assert root_cause("") == ""
    assert read(" \n") == Trace()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (STARTED, ""),  # an option of the JVM is no error
        (STARTED + ERROR + TRACE, "java.util.NoSuchElementException: None.get"),
        (ERROR + TRACE + STARTED + ERROR, "Fatal error occurred."),  # the last one
        (ERROR + TRACE + STARTED + ASKED_TOO_EARLY, "java.util.NoSuchElementException: None.get"),
        (ERROR + STARTED + TRACE, "Fatal error occurred."),  # the trace is of what is no error
        (ERROR, "Fatal error occurred."),
        (
            f"{MODULES}Error: of the job's own\nTerminating due to java.lang.OutOfMemoryError: Java heap space\n",
            "Termina",
        ),
        ("Error: Could not find or load main class x.Y\n", "Error: Could not find or load main class x.Y"),
        (f"{MODULES}the job's own words\n", ""),
        (CRASH, "A fatal error has been detected by the Java Runtime Environment: SIGSEGV (0xb) at pc=0x00007f"),
    ],
)
def test_the_last_error_of_a_log(tmp_path: Path, text: str, expected: str) -> None:
    log = tmp_path / "jobmanager.log"
    log.write_text(text)
    assert last_error(log)[: len(expected) or None] == expected


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (
            "Unrecognized VM option 'NoSuchFlag'\nError: Could not create the Java Virtual Machine.\n"
            "Error: A fatal exception has occurred. Program will exit.\n",
            "Unrecognized VM option 'NoSuchFlag'",
        ),
        (
            "\nThe Java thread stack size specified is too small. Specify at least 136k\n"
            "Error: Could not create the Java Virtual Machine.\n",
            "The Java thread stack size specified is too small. Specify at least 136k",
        ),
        ("Error occurred during initialization of VM\nToo small maximum heap\n", "Too small maximum heap"),
    ],
)
def test_why_a_jvm_does_not_start(tmp_path: Path, output: str, why: str) -> None:
    log = tmp_path / "jobmanager.out"
    log.write_text(MODULES + output)
    found = last_trouble(log)
    assert found.root == why
    assert found.causes[0].startswith("Error")


def test_no_log_no_error(tmp_path: Path) -> None:
    assert last_error(tmp_path / "missing.log") == ""


def test_of_a_huge_log_only_the_end_is_read(tmp_path: Path) -> None:
    log = tmp_path / "jobmanager.log"
    log.write_text(ERROR + STARTED * 10_000)
    assert last_error(log) == ""
    log.write_text(STARTED * 10_000 + ERROR)
    assert last_error(log) == "Fatal error occurred."


def archive(folder: Path, status: str, jobs: list[object], trace: str = "") -> None:
    """An application as Flink 2.3 archives it."""
    entries = [{"stacktrace": trace}] if trace else []
    documents = {
        "/applications/overview": {"applications": []},
        "/applications/f359": {"id": "f359", "status": status, "jobs": jobs},
        "/applications/f359/exceptions": {"exceptionHistory": {"entries": entries}},
    }
    path = folder / "0000" / "applications" / "f359" / "application-summary"
    path.parent.mkdir(parents=True)
    packed = [{"path": name, "json": json.dumps(document)} for name, document in documents.items()]
    path.write_text(json.dumps({"archive": packed}))


def test_flink_2_archives_how_main_ended(tmp_path: Path) -> None:
    archive(tmp_path, "FAILED", [], TRACE)
    assert application.trouble(tmp_path) == Trace(CAUSES, AT)


@pytest.mark.parametrize(("jobs", "causes"), [([], (application.FINISHED_WITHOUT_A_JOB,)), ([{"id": "1"}], ())])
def test_an_application_without_a_job_is_a_trouble(tmp_path: Path, jobs: list[object], causes: tuple[str, ...]) -> None:
    archive(tmp_path, "FINISHED", jobs)
    assert application.trouble(tmp_path).causes == causes


def test_without_an_archive_nothing_is_told(tmp_path: Path) -> None:
    assert application.trouble(tmp_path / "none") == Trace()
    (tmp_path / "application-summary").write_text('{"archive": [')
    assert application.trouble(tmp_path) == Trace()
