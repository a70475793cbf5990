"""What is asked of Flink's REST, and what is made of answers that do not fit together: each is of its own moment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from headrace.domain.observation import FlinkState
from headrace.flink.rest import FlinkRest, FlinkSilent
from headrace.flink.watch import JobWatch

JOB = "a" * 32
TASKS = {"running": 0, "finished": 0, "scheduled": 0, "deploying": 0, "initializing": 0}
FAILURE = "java.lang.IllegalStateException: boom\n\tat com.acme.Job.map(Job.java:12)\n"
TOLD = {"root-exception": FAILURE, "exceptionHistory": {"entries": [{"stacktrace": FAILURE}]}}


class Answers(dict[str, Any]):
    """{path without query: document} of one JobManager."""

    def of(self, state: str, changed: int, exceptions: dict[str, Any]) -> None:
        """The job's documents."""
        self["/jobs/overview"] = {"jobs": [{"jid": JOB, "state": state, "last-modification": changed, "tasks": TASKS}]}
        self[f"/jobs/{JOB}/status"] = {"status": state}
        self[f"/jobs/{JOB}/exceptions"] = exceptions
        self[f"/jobs/{JOB}/checkpoints"] = {"latest": {}}
        self[f"/jobs/{JOB}"] = {"vertices": [{"start-time": 1}]}
        self[f"/jobs/{JOB}/config"] = {}


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def watch(answers: Answers) -> Iterator[JobWatch]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers[self.path.partition("?")[0]]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    rest = FlinkRest(server.server_port)
    yield JobWatch(rest)
    rest.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_job_that_has_failed_is_judged_when_flink_tells_why(watch: JobWatch, answers: Answers) -> None:
    """Its exceptions are shown from a cache, its state is not."""
    answers.of("RUNNING", 1, {})
    running = watch.look()
    assert running is not None
    assert (running.state, running.failure) == (FlinkState.RUNNING, "")
    answers.of("FAILED", 2, {})
    with pytest.raises(FlinkSilent, match="does not tell yet why"):
        watch.look()
    answers.of("FAILED", 2, TOLD)
    failed = watch.look()
    assert failed is not None
    assert (failed.state, failed.restarts) == (FlinkState.FAILED, 0)
    assert failed.failure == "java.lang.IllegalStateException: boom"
    assert failed.trace.thrown_at == "com.acme.Job.map(Job.java:12)"


def test_a_failure_between_two_questions_is_no_restart(watch: JobWatch, answers: Answers) -> None:
    """The overview is of before, the history of after."""
    answers.of("FAILED", 2, TOLD)
    answers["/jobs/overview"]["jobs"][0].update({"state": "RUNNING", "last-modification": 1})
    seen = watch.look()
    assert seen is not None
    assert seen.restarts == 0


def test_what_went_wrong_is_asked_for_once(watch: JobWatch, answers: Answers) -> None:
    answers.of("RUNNING", 2, TOLD)
    first = watch.look()
    del answers[f"/jobs/{JOB}/exceptions"]
    assert watch.look() == first
    assert first is not None
    assert first.restarts == 1
