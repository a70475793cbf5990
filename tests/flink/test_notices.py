"""Jobs of real Flink that fail, and who is told: a real HTTP receiver and a real mail server."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.flink.engines import EngineStore
from tests.support.promises import promise
from tests.support.receivers import HttpReceiver, SmtpReceiver, is_authentic
from tests.support.server import Jobs, ServerUnderTest, is_jvm, processes_of, wait_until
from tests.support.told import notices, order_crash, server_that_tells, subscribe, until_killed, visit

pytestmark = pytest.mark.flink


@pytest.fixture
def server(tmp_path: Path, engine_store: EngineStore, smtp: SmtpReceiver) -> Iterator[ServerUnderTest]:
    engine_store.install("1.20.5")
    one = server_that_tells(tmp_path / "home", engine_store.root, smtp)
    yield one
    one.down()
    wait_until("no process is left", lambda: not processes_of(tmp_path), 30)


def all_delivered(jobs: Jobs, count: int) -> bool:
    return [one["state"] for one in notices(jobs.client)] == ["delivered"] * count


@promise("A failure is told by HTTP, after three refusals, and by mail, once each, though Headrace is killed before.")
def test_a_failure_is_told_once_though_headrace_is_killed(
    server: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver
) -> None:
    jobs = server.jobs()
    urn = subscribe(jobs.client, "alarms", http, smtp)
    http.answers.extend([500, 503, 404])
    args = "--when record --after 100 --rate 50"
    job_id = jobs.create("failing", "failOnDemand.jar", args, smn_topic="alarms")
    order_crash(server, "before deliver")
    jobs.run(job_id)
    until_killed(server)
    assert (http.posts, smtp.mails) == ([], [])
    jobs = Jobs(server.start())
    said = jobs.until(job_id, "job_running_exception")["status_desc"]
    wait_until("both are told", lambda: all_delivered(jobs, 2), 60)
    assert (len(http.posts), len(smtp.mails)) == (4, 1)
    body = http.posts[-1].body
    assert {post.body["message_id"] for post in http.posts} == {body["message_id"]}
    assert (body["topic_urn"], body["type"]) == (urn, "Notification")
    assert said in body["message"]
    assert "Exception" in body["message"]
    assert is_authentic(body, visit(body["signing_cert_url"]).decode())
    mail = smtp.mails[0]
    assert mail["X-SMN-MESSAGE-ID"] == body["message_id"]
    assert "failing has failed" in mail["Subject"]
    assert said.split()[0] in mail.get_content()


@promise(
    "A job that failed and runs again is told once, with the cause; one that keeps failing too, while it is tried on."
)
def test_a_recovery_and_what_goes_on_are_told(server: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    jobs = server.jobs()
    alarms, loops = (subscribe(jobs.client, topic, http, smtp) for topic in ("alarms", "loops"))
    going_on: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True}
    looping = jobs.create(
        "looping", "failOnDemand.jar", "--when record --after 100 --rate 50", smn_topic="loops", **going_on
    )
    jobs.run(looping)
    job_id = jobs.counter(smn_topic="alarms", **going_on)
    jobs.run(job_id)
    jobs.until(job_id, "job_running")
    for pid in processes_of(server.home / "deployments" / f"job-{job_id}-1"):
        if is_jvm(pid):
            os.kill(pid, signal.SIGKILL)
    wait_until("all are told", lambda: all_delivered(jobs, 4))
    heard = {post.body["topic_urn"]: post.body for post in http.posts}
    assert heard[alarms]["subject"] == "Flink job counter runs again"
    assert "event: recovered" in heard[alarms]["message"]
    assert "SIGKILL" in heard[alarms]["message"]
    assert heard[loops]["subject"] == "Flink job looping keeps failing"
    assert re.search(r"in place: restart [3-9] without limit", heard[loops]["message"])
    wait_until("it goes on failing", lambda: jobs.detail(looping)["restart_times"] > 3)
    for one in (job_id, looping):
        jobs.stop(one)
        jobs.until(one, "job_cancel_success")
    assert (len(http.posts), len(smtp.mails)) == (2, 2), "a stop is told to nobody, nor is the same incident again"
