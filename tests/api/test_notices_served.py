"""Notices of a real ``headrace serve`` that is killed: from outside, and by itself at a step of the courier."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from headrace.cli.client import ApiClient, ApiError
from tests.support.promises import promise
from tests.support.receivers import HttpReceiver, SmtpReceiver, is_authentic
from tests.support.server import ServerUnderTest, wait_until
from tests.support.told import TOPICS, notices, order_crash, server_that_tells, subscribe, until_killed, visit


@pytest.fixture
def server(tmp_path: Path, smtp: SmtpReceiver) -> Iterator[ServerUnderTest]:
    one = server_that_tells(tmp_path / "home", tmp_path / "engines", smtp)
    one.start()
    yield one
    one.terminate()


def publish(client: ApiClient, urn: str, message: str) -> str:
    path = f"{TOPICS}/{quote(urn, safe='')}/publish"
    return str(client.call("POST", path, {"subject": "it failed", "message": message})["message_id"])


def all_delivered(client: ApiClient, count: int) -> bool:
    return [one["state"] for one in notices(client)] == ["delivered"] * count


@promise("A notice that was not yet delivered when Headrace was killed is delivered after the next start, once.")
def test_killed_while_a_receiver_refuses(server: ServerUnderTest, http: HttpReceiver, smtp: SmtpReceiver) -> None:
    urn = subscribe(server.client(), "alarms", http, smtp)
    http.answers.extend([500, 500, 500])
    message_id = publish(server.client(), urn, "the cause")
    wait_until("it was refused, and mailed", lambda: http.posts and all_mailed(server.client()), 60)
    server.kill()
    client = server.start()
    wait_until("all is delivered", lambda: all_delivered(client, 2), 60)
    assert [post.body["message_id"] for post in http.posts] == [message_id] * 4
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
