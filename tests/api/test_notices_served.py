"""Notices of a real ``headrace serve``: it is killed, from outside and by itself; and jobs that never come to run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from headrace.cli.client import ApiClient, ApiError
from tests.support.hollow import KILLED, hollow_engine
from tests.support.promises import promise
from tests.support.receivers import HttpReceiver, SmtpReceiver, is_authentic
from tests.support.server import BUCKET, Jobs, ServerUnderTest, wait_until
from tests.support.told import TOPICS, notices, order_crash, server_that_tells, subscribe, until_killed, visit


@pytest.fixture
def server(tmp_path: Path, smtp: SmtpReceiver) -> Iterator[ServerUnderTest]:
    one = server_that_tells(tmp_path / "home", tmp_path / "engines", smtp)
    one.start()
    yield one
    one.terminate()


@pytest.fixture
def hollow(tmp_path: Path, smtp: SmtpReceiver) -> Iterator[ServerUnderTest]:
    """A server whose one engine has no Flink: each JVM is killed at once."""
    one = server_that_tells(tmp_path / "home", tmp_path / "engines", smtp)
    one.environment |= hollow_engine(tmp_path / "engines", KILLED)
    yield one
    one.terminate()  # what it started has ended by itself


def publish(client: ApiClient, urn: str, message: str) -> str:
    path = f"{TOPICS}/{quote(urn, safe='')}/publish"
    return str(client.call("POST", path, {"subject": "it failed", "message": message})["message_id"])


def all_delivered(client: ApiClient, count: int) -> bool:
    return [one["state"] for one in notices(client)] == ["delivered"] * count


@promise("A notice that was not yet delivered when Headrace was killed is delivered after the next start, once.")
def test_killed_while_a_receiver_refuses(server: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    urn = subscribe(server.client(), "alarms", http, smtp)
    http.answers.extend([500, 500])
    for _ in range(100):
        http.answers.append("hang")  # from the third try on it says nothing, until the kill
    message_id = publish(server.client(), urn, "the cause")
    wait_until("it was refused, and mailed", lambda: len(http.posts) > 2 and all_mailed(server.client()), 60)
    server.kill()
    posts = len(http.posts)
    http.answers.clear()
    client = server.start()
    wait_until("all is delivered", lambda: all_delivered(client, 2), 60)
    assert [post.body["message_id"] for post in http.posts] == [message_id] * (posts + 1)
    assert [mail["X-SMN-MESSAGE-ID"] for mail in smtp.mails] == [message_id]
    assert is_authentic(http.posts[-1].body, visit(http.posts[-1].body["signing_cert_url"]).decode())


def all_mailed(client: ApiClient) -> bool:
    return any((one["protocol"], one["state"]) == ("email", "delivered") for one in notices(client))


@promise("Killed between a receiver's yes and its own note, Headrace repeats the notice with the same id.")
@pytest.mark.parametrize(("step", "posts"), [("before deliver", 1), ("after deliver", 2)])
def test_killed_around_the_yes(
    server: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver, step: str, posts: int
) -> None:
    urn = subscribe(server.client(), "alarms", http, smtp)
    listed = server.client().call("GET", f"{TOPICS}/{quote(urn, safe='')}/subscriptions")["subscriptions"]
    mail = next(one["subscription_urn"] for one in listed if one["protocol"] == "email")
    server.client().call("DELETE", f"/v2/{{p}}/notifications/subscriptions/{quote(mail, safe='')}")
    order_crash(server, step)
    with suppress(ApiError):  # it may be killed before it has answered
        publish(server.client(), urn, "the cause")
    until_killed(server)
    client = server.start()
    wait_until("it is delivered", lambda: all_delivered(client, 1), 60)
    (message_id,) = {one["message_id"] for one in notices(client)}
    assert [post.body["message_id"] for post in http.posts] == [message_id] * posts
    assert len({tuple(sorted(post.body.items())) for post in http.posts}) <= posts


# -- jobs -------------------------------------------------------------------------------------------------------------


@promise("A submission that fails is told once, with its status_desc, though Headrace is killed before it finds out.")
def test_a_jar_that_is_none_when_it_is_staged(hollow: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    jobs = hollow.jobs()
    urn = subscribe(jobs.client, "alarms", http, smtp)
    job_id = jobs.create("orders", "failOnDemand.jar", smn_topic="alarms")
    order_crash(hollow, "before Prepare")
    with suppress(ApiError):  # it may be killed before it has answered
        jobs.run(job_id)
    until_killed(hollow)
    (hollow.home / "objects" / BUCKET / "failOnDemand.jar").write_text("no JAR")
    jobs = Jobs(hollow.start())
    said = jobs.until(job_id, "job_submit_fail")["status_desc"]
    assert "is not a JAR" in said
    wait_until("both are told", lambda: all_delivered(jobs.client, 2), 60)
    [post], [mail] = http.posts, smtp.mails
    assert (post.body["topic_urn"], post.body["subject"]) == (urn, "Flink job orders could not be started")
    lines = post.body["message"].splitlines()
    assert lines[:3] == ["The Flink job orders: It could not be started, and is not tried again.", "", said]
    assert lines[3:-1] == [
        "",
        "event: submit_failed",
        f"job_id: {job_id}",
        "job_name: orders",
        f"project_id: {jobs.client.project_id}",
        "attempt: 1",
    ]
    assert mail["Subject"] == post.body["subject"]
    assert said.split()[0] in mail.get_content()


@promise("A job that keeps failing is told once meanwhile, and once at its cap; each job's own topic is told.")
def test_three_restarts_in_vain_and_the_cap(hollow: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    jobs = hollow.jobs()
    alarms, told = (subscribe(jobs.client, topic, http, smtp) for topic in ("alarms", "told"))
    going_on: dict[str, Any] = {"restart_when_exception": True, "resume_max_num": 3}
    stubborn = jobs.create("stubborn", "failOnDemand.jar", smn_topic="alarms", **going_on)
    single = jobs.create("single", "failOnDemand.jar", smn_topic="told")
    jobs.run(stubborn)
    jobs.run(single)
    said = {job_id: jobs.until(job_id, "job_submit_fail")["status_desc"] for job_id in (single, stubborn)}
    assert "3 of 3 within an hour is all that resume_max_num allows" in said[stubborn]
    wait_until("all are told, by HTTP and by mail", lambda: all_delivered(jobs.client, 6), 60)
    assert len(smtp.mails) == 3
    heard = {(post.body["topic_urn"], post.body["subject"]): post.body["message"] for post in http.posts}
    assert len(http.posts) == len(heard), "no incident is told twice"
    assert set(heard) == {
        (told, "Flink job single could not be started"),
        (alarms, "Flink job stubborn keeps failing"),
        (alarms, "Flink job stubborn could not be started"),
    }
    meanwhile = heard[alarms, "Flink job stubborn keeps failing"]
    assert "It keeps failing: 3 restarts in a row have not mended it. It is tried on." in meanwhile
    assert "killed by SIGKILL" in meanwhile
    assert "event: failing" in meanwhile
    assert "attempt: 3" in meanwhile
    assert said[stubborn] in heard[alarms, "Flink job stubborn could not be started"]
    assert said[single] in heard[told, "Flink job single could not be started"]
