"""Another Headrace as the external SMN: its topics are found, and what is published there reaches its subscribers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.notify.base import Undelivered
from headrace.notify.external import ExternalSmn
from headrace.settings import load_settings
from tests.api.conftest import PROJECT, Stand
from tests.support.notices import SIGNER, deliver_all
from tests.support.receivers import HttpReceiver, is_authentic


def client(stand: Stand, url: str, home: Path, **settings: Any) -> ExternalSmn:
    values = {"smn_project_id": PROJECT, "smn_access_key": "AK", "smn_secret_key": "secret of AK", **settings}
    return ExternalSmn(load_settings(home, smn_endpoint=url, **values), stand.clock)


def test_a_topic_of_the_other_is_found_and_published_to(stand: Stand, url: str, tmp_path: Path) -> None:
    smn = client(stand, url, tmp_path)
    assert smn.topic_urn("elsewhere") is None
    made = stand.ok("POST", "/v2/{p}/notifications/topics", {"name": "elsewhere"}, status=201)
    assert smn.topic_urn("elsewhere") == made["topic_urn"]
    with HttpReceiver() as receiver:
        wanted = {"protocol": "http", "endpoint": receiver.url}
        stand.ok("POST", f"/v2/{{p}}/notifications/topics/{made['topic_urn']}/subscriptions", wanted, status=201)
        deliver_all(stand.courier)
        [confirmation] = receiver.posts
        path = confirmation.body["subscribe_url"].removeprefix("http://testserver")
        assert stand.client.get(path).status_code == 200
        smn.publish(made["topic_urn"], "Задание упало", "Причина: 内存不足 💥", "6f1c")
        deliver_all(stand.courier)
        bodies = [post.body for post in receiver.posts if post.body["type"] == "Notification"]
        assert [(body["subject"], body["message"]) for body in bodies] == [
            ("Задание упало", "Причина: 内存不足 💥\n\nmessage id: 6f1c")
        ]
        assert all(is_authentic(body, SIGNER.certificate_pem) for body in bodies)


def test_what_the_other_refuses_is_told(stand: Stand, url: str, tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match="status 401"):
        client(stand, url, tmp_path, smn_secret_key="wrong").topic_urn("elsewhere")
    with pytest.raises(Undelivered, match="status 404"):
        client(stand, url, tmp_path).publish(f"urn:smn:headrace:{PROJECT}:gone", "s", "m", "6f1c")
