"""A real server whose notices reach receivers of this machine, and who has subscribed to a topic of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

from headrace.cli.client import ApiClient
from tests.support.receivers import HttpReceiver, SmtpReceiver
from tests.support.server import ServerUnderTest, wait_until

TOPICS = "/v2/{p}/notifications/topics"


def server_that_tells(home: Path, engine_store: Path, smtp: SmtpReceiver) -> ServerUnderTest:
    """It kills itself as ordered, and tries again soon."""
    environment = {
        "HEADRACE_NOTICE_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "HEADRACE_NOTICE_RETRY_SECONDS": "0.2",
        "HEADRACE_SMTP_HOST": "127.0.0.1",
        "HEADRACE_SMTP_PORT": str(smtp.port),
        "HEADRACE_SMTP_SECURITY": "none",
        "HEADRACE_SMTP_FROM": "headrace@example.com",
    }
    return ServerUnderTest(home, engine_store, environment, seamed=True)


def subscribe(client: ApiClient, topic: str, http: HttpReceiver, smtp: SmtpReceiver) -> str:
    """Both subscribe to the topic, which is made, and confirm by the links that they get; the topic's URN."""
    urn = str(client.call("POST", TOPICS, {"name": topic})["topic_urn"])
    path = f"{TOPICS}/{quote(urn, safe='')}/subscriptions"
    client.call("POST", path, {"protocol": "http", "endpoint": f"{http.url}/hook"})
    client.call("POST", path, {"protocol": "email", "endpoint": "ann@example.com"})
    wait_until("both are asked to confirm", lambda: bool(http.posts) and bool(smtp.mails), 60)
    visit(http.posts[0].body["subscribe_url"])
    visit(next(word for word in smtp.mails[0].get_content().split() if word.startswith("http")))
    listed = client.call("GET", path)["subscriptions"]
    assert [one["status"] for one in listed] == [1, 1]
    http.posts.clear()
    smtp.mails.clear()
    return urn


def visit(url: str) -> bytes:
    """What is there; without credentials."""
    assert urlsplit(url).hostname == "127.0.0.1"
    with urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def order_crash(server: ServerUnderTest, *steps: str) -> None:
    """The server ends itself by SIGKILL at the next of these steps."""
    (server.orders / "crash").write_text(json.dumps({"steps": steps, "skip": 0}))


def until_killed(server: ServerUnderTest) -> None:
    process = server.process
    assert process is not None
    wait_until("it has killed itself", lambda: process.poll() is not None, 120)


def notices(client: ApiClient) -> Sequence[dict[str, Any]]:
    """What became of the notifications, oldest first."""
    listed = client.call("GET", "/headrace/v1/{p}/notices")["notices"]
    return [one for one in reversed(listed) if one["kind"] == "Notification"]
