"""A savepoint that was asked of Flink is found by whoever comes next, whichever answer was lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.errors import Unavailable
from headrace.domain.observation import SavepointState, SavepointView
from headrace.flink.rest import FlinkRefused, FlinkRest, FlinkSilent
from headrace.runtimes.places import Places
from headrace.runtimes.savepoints import SavepointRequest, Savepoints
from tests.support.promises import promise

JOB = "0123456789abcdef0123456789abcdef"
NONE, IN_PROGRESS = SavepointView(), SavepointView(SavepointState.IN_PROGRESS)


class Flink:
    """The part of a JobManager's REST that makes savepoints, with trigger ids as since 1.15."""

    def __init__(self) -> None:
        self.state = "RUNNING"
        self.asked: list[tuple[str, str]] = []
        """(path, trigger) of every request, repeated ones too."""
        self.operations: dict[str, dict[str, Any]] = {}
        self.refuses: tuple[int, str] | None = None
        self.lose_answer = False
        flink = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/jobs/overview":
                    self.answer(200, {"jobs": [{"jid": JOB, "state": flink.state}]})
                    return
                operation = flink.operations.get(self.path.rsplit("/", 1)[-1])
                if flink.refuses is not None or operation is None:
                    status, said = flink.refuses or (404, "Operation not found under key")
                    self.answer(status, {"errors": [said]})
                else:
                    done = "operation" in operation
                    self.answer(200, {"status": {"id": "COMPLETED" if done else "IN_PROGRESS"}, **operation})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                flink.asked.append((self.path, body["triggerId"]))
                if flink.refuses is not None:
                    self.answer(flink.refuses[0], {"errors": [flink.refuses[1]]})
                    return
                directory = body.get("targetDirectory") or body["target-directory"]
                flink.operations.setdefault(body["triggerId"], {"directory": directory})
                if flink.lose_answer:
                    self.close_connection = True
                    return
                self.answer(202, {"request-id": body["triggerId"]})

            def answer(self, status: int, body: object) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.rest = FlinkRest(self.server.server_address[1])

    def complete(self, name: str = "1", *, stopped: bool = True) -> str:
        """Writes the one savepoint under way; returns its location. Unless the job ``stopped`` with it, Flink tells of
        a failure.
        """
        (operation,) = [each for each in self.operations.values() if "operation" not in each]
        folder = Path(operation["directory"].removeprefix("file://")) / f"savepoint-{JOB[:6]}-{name}"
        folder.mkdir(parents=True)
        (folder / "_metadata").touch()
        failure = {"failure-cause": {"stack-trace": "java.util.concurrent.CompletionException: a task has failed"}}
        operation["operation"] = {"location": f"file:{folder}"} if stopped else failure
        return f"file://{folder}"

    def fail(self) -> None:
        for operation in self.operations.values():
            operation["operation"] = {"failure-cause": {"stack-trace": "java.io.IOException: no space left"}}


@pytest.fixture
def flink() -> Iterator[Flink]:
    made = Flink()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.rest.close()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def target(tmp_path: Path) -> str:
    return f"file://{tmp_path}/savepoints"


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[[int], SavepointRequest]:
    """The request of this number; made anew each time, as if Headrace had been killed in between."""
    folder = tmp_path / "job-1-1"
    folder.mkdir()
    return lambda number: SavepointRequest(folder, number, Places(tmp_path / "objects"))


Requests = Callable[[int], SavepointRequest]


@pytest.mark.parametrize(("stop", "path"), [(True, "stop"), (False, "savepoints")])
def test_made_as_asked(flink: Flink, request_of: Requests, target: str, stop: bool, path: str) -> None:
    assert request_of(3).look(flink.rest) == NONE
    request_of(3).ask(flink.rest, target, stop=stop)
    assert request_of(3).look(flink.rest) == IN_PROGRESS
    made = SavepointView(SavepointState.DONE, flink.complete())
    assert request_of(3).look(flink.rest) == made
    request_of(3).ask(flink.rest, target, stop=stop)
    assert [asked for asked, _ in flink.asked] == [f"/jobs/{JOB}/{path}"]
    assert request_of(3).recorded() == request_of(3).find() == made
    assert request_of(4).recorded() == NONE


def test_a_lost_answer_finds_the_same_savepoint(flink: Flink, request_of: Requests, target: str) -> None:
    flink.lose_answer = True
    with pytest.raises(FlinkSilent):
        request_of(3).ask(flink.rest, target, stop=False)
    assert request_of(3).look(flink.rest) == IN_PROGRESS
    flink.lose_answer = False
    request_of(3).ask(flink.rest, target, stop=False)
    assert len(flink.operations) == 1
    assert request_of(3).look(flink.rest) == IN_PROGRESS
    assert len({trigger for _, trigger in flink.asked}) == 1


def test_what_was_never_asked_is_asked_again(flink: Flink, request_of: Requests, target: str) -> None:
    flink.lose_answer = True
    with pytest.raises(FlinkSilent):
        request_of(3).ask(flink.rest, target, stop=False)
    flink.operations.clear()  # it was the question that was lost
    assert request_of(3).look(flink.rest) == NONE


@pytest.mark.parametrize("answered", [True, False])
def test_what_flink_has_forgotten_is_found_in_its_folder(
    flink: Flink, request_of: Requests, target: str, answered: bool
) -> None:
    """Headrace was down for longer than Flink remembers; the folder holds older savepoints, and other jobs'."""
    for other in (f"savepoint-{JOB[:6]}-0", "savepoint-ffffff-0"):
        (Path(target.removeprefix("file://")) / other).mkdir(parents=True)
        (Path(target.removeprefix("file://")) / other / "_metadata").touch()
    flink.lose_answer = not answered
    try:
        request_of(3).ask(flink.rest, target, stop=False)
    except FlinkSilent:
        assert not answered
    made = SavepointView(SavepointState.DONE, flink.complete())
    flink.operations.clear()
    assert request_of(3).look(flink.rest) == made
    assert request_of(3).recorded() == made


def test_what_flink_has_forgotten_and_nobody_finds_has_failed(flink: Flink, request_of: Requests, target: str) -> None:
    request_of(3).ask(flink.rest, target, stop=False)
    flink.operations.clear()
    lost = request_of(3).look(flink.rest)
    assert lost.state is SavepointState.FAILED
    assert "Operation not found" in lost.reason


def test_a_flink_that_cannot_tell_now_is_asked_again(flink: Flink, request_of: Requests, target: str) -> None:
    request_of(3).ask(flink.rest, target, stop=False)
    flink.refuses = (503, "leader election")
    with pytest.raises(FlinkRefused, match="leader election"):
        request_of(3).look(flink.rest)
    assert request_of(3).recorded() == NONE
    flink.refuses = None
    assert request_of(3).look(flink.rest) == IN_PROGRESS


def test_a_failure_tells_its_cause(flink: Flink, request_of: Requests, target: str) -> None:
    request_of(3).ask(flink.rest, target, stop=False)
    flink.fail()
    failed = SavepointView(SavepointState.FAILED, reason="java.io.IOException: no space left")
    assert request_of(3).look(flink.rest) == failed
    assert request_of(3).find() == failed


def test_a_refusal_is_a_failure(flink: Flink, request_of: Requests, target: str) -> None:
    flink.refuses = (400, "no such folder")
    request_of(3).ask(flink.rest, target, stop=False)
    assert request_of(3).recorded() == SavepointView(SavepointState.FAILED, reason="no such folder")


def test_a_job_that_does_not_run_is_asked_later(flink: Flink, request_of: Requests, target: str) -> None:
    flink.state = "RESTARTING"
    with pytest.raises(Unavailable, match="no running job"):
        request_of(3).ask(flink.rest, target, stop=False)
    assert flink.asked == []
    flink.state = "RUNNING"
    request_of(3).ask(flink.rest, target, stop=False)
    assert len(flink.asked) == 1


def test_of_two_that_may_be_it_none_is(flink: Flink, request_of: Requests, target: str) -> None:
    request_of(3).ask(flink.rest, target, stop=False)
    flink.complete("1")
    request_of(4).ask(flink.rest, target, stop=False)
    flink.complete("2")
    assert request_of(3).find() == NONE
    assert request_of(4).find().path.endswith("-2")


@promise("A savepoint that succeeded although the stop failed is used.")
def test_complete_though_the_stop_failed(flink: Flink, request_of: Requests, target: str) -> None:
    """FLINK-33522: the job was not stopped, but the savepoint is whole."""
    request_of(3).ask(flink.rest, target, stop=True)
    made = SavepointView(SavepointState.DONE, flink.complete(stopped=False))
    assert request_of(3).look(flink.rest) == made
    assert request_of(3).recorded() == made


@promise("Headrace killed between the request of a savepoint and its answer finds the savepoint again.")
def test_a_savepoint_whose_jobmanager_died_is_found(flink: Flink, request_of: Requests, target: str) -> None:
    flink.lose_answer = True
    with pytest.raises(FlinkSilent):
        request_of(3).ask(flink.rest, target, stop=True)
    assert request_of(3).find() == NONE
    made = flink.complete()
    assert request_of(3).find() == SavepointView(SavepointState.DONE, made)  # though nobody can be asked any more


# -- all of a deployment ----------------------------------------------------------------------------------------------


@pytest.fixture
def savepoints(tmp_path: Path, request_of: Requests) -> Callable[[], Savepoints]:
    """Made anew each time; in the same folder as ``request_of``."""
    assert request_of(0).recorded() == NONE
    return lambda: Savepoints(tmp_path / "job-1-1", Places(tmp_path / "objects"))


def test_all_that_were_made(
    flink: Flink, request_of: Requests, savepoints: Callable[[], Savepoints], target: str
) -> None:
    assert savepoints().made() == []
    paths = []
    for number in (2, 10, 9):
        request_of(number).ask(flink.rest, f"{target}/{number}", stop=False)
        paths.append(flink.complete())
    request_of(11).ask(flink.rest, f"{target}/11", stop=True)
    assert savepoints().made() == [paths[0], paths[2], paths[1]]  # heard of by nobody; the last one is not made yet
    flink.complete()
    assert len(savepoints().made()) == 4


def test_a_stop_that_was_given_up_but_carried_out_answers_the_next_request(
    flink: Flink, request_of: Requests, savepoints: Callable[[], Savepoints], target: str
) -> None:
    request_of(3).ask(flink.rest, f"{target}/3", stop=True)
    assert savepoints().look(4, flink.rest) == NONE
    made = SavepointView(SavepointState.DONE, flink.complete())
    assert savepoints().look(4, flink.rest) == made
    assert savepoints().find(4) == savepoints().recorded(4) == made
    assert savepoints().recorded(2) == NONE


def test_one_that_was_only_triggered_answers_no_other_request(
    flink: Flink, request_of: Requests, savepoints: Callable[[], Savepoints], target: str
) -> None:
    request_of(3).ask(flink.rest, f"{target}/3", stop=False)
    flink.complete()
    assert savepoints().look(4, flink.rest) == savepoints().find(4) == NONE
    assert savepoints().find(3).state is SavepointState.DONE
