"""Logs by the API and by ``headrace jobs logs``: which there are, parts of them, and what comes while one looks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from headrace.cli import logs as cli
from headrace.runtimes.logfiles import LogFile, Logged
from tests.api.conftest import OTHER

if TYPE_CHECKING:
    from tests.api.conftest import Stand

JOBS = "/v1.0/{p}/streaming/flink-jobs"


class Said:
    """A job whose TaskManager has said something."""

    def __init__(self, stand: Stand, folder: Path) -> None:
        self.stand = stand
        self.job_id = int(stand.ok("POST", JOBS, {"name": "talks"})["job"]["job_id"])
        self.file = LogFile("taskmanager-1", "taskmanager.log", folder / "t.log", folder / "spool.json")
        self.file.path.write_text("one\ntwo\nthree\n")
        self.over(False)

    def over(self, over: bool) -> None:
        empty = LogFile("taskmanager-1", "taskmanager.out", self.file.path.with_name("t.out"), self.file.record)
        logged = Logged(f"job-{self.job_id}-1", self.file.path.parent, (self.file, empty), over)
        self.stand.runtime.logged[self.job_id] = (logged,)

    @property
    def url(self) -> str:
        return f"/headrace/v1/{{p}}/jobs/{self.job_id}/logs"

    def part(self, query: str = "") -> dict[str, Any]:
        return dict(
            self.stand.ok("GET", f"{self.url}/content?attempt=1&role=taskmanager-1&name=taskmanager.log{query}")
        )

    def call(self, method: str, path: str, *, query: dict[str, Any] | None = None) -> dict[str, Any]:
        """As the command's client does it."""
        asked = "&".join(f"{key}={value}" for key, value in (query or {}).items())
        return dict(self.stand.ok(method, f"{path}?{asked}" if asked else path))


@pytest.fixture
def said(stand: Stand, tmp_path: Path) -> Said:
    return Said(stand, tmp_path)


def test_those_that_say_something_are_listed(said: Said) -> None:
    entry = {"attempt": 1, "role": "taskmanager-1", "name": "taskmanager.log", "size": 14, "gone": 0}
    assert said.stand.ok("GET", said.url) == {"job_id": said.job_id, "logs": [entry]}


def test_parts_end_with_whole_lines(said: Said) -> None:
    assert said.part("&offset=0&limit=10") == {
        "job_id": said.job_id,
        "offset": 0,
        "next_offset": 8,
        "text": "one\ntwo\n",
        "over": False,
    }
    assert said.part("&offset=8")["text"] == "three\n"
    assert said.part("&limit=6")["text"] == "three\n", "without an offset it is the end"
    assert said.part("&offset=14") == {
        "job_id": said.job_id,
        "offset": 14,
        "next_offset": 14,
        "text": "",
        "over": False,
    }


def test_a_character_is_given_when_it_is_whole(said: Said) -> None:
    word = "Größe".encode()
    said.file.path.write_bytes(word[:3])
    first = said.part("&offset=0")
    assert (first["text"], first["next_offset"], first["over"]) == ("Gr", 2, False)
    assert said.part("&offset=2")["text"] == ""
    said.file.path.write_bytes(word)
    assert said.part("&offset=2")["text"] == "öße"


def test_at_the_end_half_a_character_is_given_too(said: Said) -> None:
    said.file.path.write_bytes("Grö".encode()[:3])
    said.over(True)
    part = said.part("&offset=0")
    assert (part["text"], part["over"]) == ("Gr\ufffd", True)


def test_a_long_line_is_cut_between_characters(said: Said) -> None:
    said.file.path.write_text("ößä")
    assert said.part("&offset=0&limit=3")["text"] == "ö"
    assert said.part("&offset=0&limit=1")["next_offset"] == 1, "it goes on, whatever is asked for"


def test_what_is_no_utf_8_is_replaced(said: Said) -> None:
    said.file.path.write_bytes(b"Gr\xf6\xdfe\n")
    assert said.part("&offset=0")["text"] == "Gr\ufffd\ufffde\n"


def test_what_is_gone_is_passed_over(said: Said) -> None:
    said.file.record.write_text(json.dumps({str(said.file.path): 4}))
    assert said.part("&offset=0")["text"] == "two\nthree\n"


def test_what_goes_while_it_is_read_is_passed_over_too(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def keeper_first(file: LogFile, begin: int, end: int) -> bytes:
        """It notes what it frees, frees it, and does so for a second time when the log is read again."""
        freed = {0: 4, 4: 8, 8: 8}[begin]
        file.record.write_text(json.dumps({str(file.path): freed}))
        file.path.write_bytes(bytes(freed) + file.path.read_bytes()[freed:])
        return read(file, begin, end)

    read = LogFile.read
    monkeypatch.setattr(LogFile, "read", keeper_first)
    part = said.part("&offset=0")
    assert (part["offset"], part["text"], part["next_offset"]) == (8, "three\n", 14)
    assert said.part("&limit=14")["offset"] == 8


def test_all_of_it_may_go_while_it_is_read(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def keeper_first(file: LogFile, begin: int, end: int) -> bytes:
        file.record.write_text(json.dumps({str(file.path): 14}))
        return bytes(end - begin)[:14]

    monkeypatch.setattr(LogFile, "read", keeper_first)
    part = said.part("&offset=0")
    assert (part["offset"], part["text"], part["next_offset"]) == (14, "", 14)


def test_it_is_over_when_nothing_can_follow(said: Said) -> None:
    said.over(True)
    assert said.part("&offset=0&limit=8")["over"] is False
    assert said.part("&offset=8")["over"] is True


def test_a_log_that_there_is_not_is_named(said: Said) -> None:
    path = f"{said.url}/content?attempt=2&role=jobmanager&name=jobmanager.log"
    status, code, message = said.stand.refused("GET", path)
    assert (status, code) == (400, "DLI.12002")
    assert "attempt=2" in message
    assert "jobmanager.log" in message


def test_another_project_sees_nothing(said: Said) -> None:
    path = said.url.replace("{p}", OTHER)
    assert said.stand.refused("GET", path, ak="OTHER")[:2] == (400, "DLI.16001")


def test_the_command_follows_until_it_is_over(said: Said) -> None:
    (log,) = cli.listed(said, said.job_id)  # type: ignore[arg-type]
    assert cli.short(log) == "taskmanager-1.log"
    assert cli.chosen([log], None, "taskmanager-1.log") == log
    assert cli.chosen([log], None, "jobmanager.log") is None

    def goes_on() -> None:
        with said.file.path.open("a") as file:
            file.write("four\n")
        said.over(True)

    parts = cli.text(said, said.job_id, log, 10)  # type: ignore[arg-type]
    assert "".join(cli.shown(parts, follow=True, wait=goes_on)) == "two\nthree\nfour\n"


@pytest.mark.parametrize(("before", "after"), [("three\n", "three\n"), ("thr", "thr\n")])
def test_the_command_tells_what_went_meanwhile(said: Said, before: str, after: str) -> None:
    said.file.path.write_text(before)
    (log,) = cli.listed(said, said.job_id)  # type: ignore[arg-type]

    def goes_on() -> None:
        with said.file.path.open("a") as file:
            file.write("four\nfive\n")
        said.file.record.write_text(json.dumps({str(said.file.path): len(before) + 5}))
        said.over(True)

    parts = cli.text(said, said.job_id, log, 1024)  # type: ignore[arg-type]
    shown = "".join(cli.shown(parts, follow=True, wait=goes_on))
    assert shown == f"{after}{cli.GONE.format(lost=5)}five\n"
