"""Terraform's flows for topics and subscriptions, each answer decoded as strictly as Go decodes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from headrace.settings import Settings
from tests.support.clients import GoClient, ProviderError
from tests.support.terraform import recorded
from tests.support.terraform_smn import SUBSCRIPTIONS, TOPICS, SmnSubscription, SmnTopic, pages

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A server that could send mail: what is subscribed here is not delivered."""
    return Settings(home=tmp_path, smtp_host="127.0.0.1", smtp_from="headrace@example.com")


@pytest.fixture
def go(url: str) -> GoClient:
    return GoClient(url, PROJECT, "AK", "secret of AK")


def test_a_topic(go: GoClient) -> None:
    topic = SmnTopic(go)
    topic.create("alarms_of_iac", "The display name", "made by terraform")
    wanted = {"name": "alarms_of_iac", "display_name": "The display name", "introduction": "made by terraform"}
    computed = {"topic_urn": topic.urn, "push_policy": 0, "enterprise_project_id": "0"}
    same = {**wanted, **computed, "users_publish_allowed": ""}
    assert {key: topic.state[key] for key in same} == same, "a second plan would want a change"
    topic.update(display_name="Another", introduction="changed")
    assert (topic.state["display_name"], topic.state["introduction"]) == ("Another", "changed")
    topic.update(display_name="", introduction="")
    assert (topic.state["display_name"], topic.state["introduction"]) == ("", "")
    topic.forbid_users()
    topic.delete()
    assert not topic.read()
    recorded("smn_topic", go)


def test_subscriptions(stand: Stand, go: GoClient) -> None:
    topic = SmnTopic(go)
    topic.create("alarms_of_iac")
    go.sent.clear()
    hook, mail = SmnSubscription(go, topic.urn), SmnSubscription(go, topic.urn)
    hook.create("http", "http://127.0.0.1:9/hook", "O&M")
    mail.create("email", "ann@example.com")
    same = {"topic_urn": topic.urn, "protocol": "http", "endpoint": "http://127.0.0.1:9/hook", "remark": "O&M"}
    assert {key: hook.state[key] for key in same} == same, "a second plan would want a change"
    assert (hook.state["status"], hook.state["owner"]) == (0, PROJECT)
    assert (mail.state["protocol"], mail.state["remark"]) == ("email", "")
    hook.update("night shift")
    assert hook.state["remark"] == "night shift"
    hook.update("")
    assert hook.state["remark"] == ""
    hook.delete()
    assert not hook.read()
    imported = SmnSubscription(go, mail.urn.rpartition(":")[0], mail.urn)
    assert imported.read()
    assert imported.state == mail.state
    go.call("DELETE", f"{TOPICS}/{topic.urn}", ok=(200,))
    assert not mail.read(), "with its topic it is gone"
    with pytest.raises(ProviderError, match=r"404 .*SMN\.0014"):
        mail.delete()
    for request in go.sent:  # the end of a subscription's URN is drawn by lot
        for name, one in (("hook", hook), ("mail", mail)):
            request["request"] = request["request"].replace(one.urn, f"{topic.urn}:{name}")
    recorded("smn_subscription", go)


def test_more_than_a_page(stand: Stand, go: GoClient) -> None:
    names = {f"many-{number}" for number in range(101)}
    for name in names:
        stand.services.topics.create(PROJECT, name, "", "tester", now_ms=1)
    listed = pages(go, TOPICS, "SmnTopics", "topics")
    assert names <= {one["name"] for one in listed}
    assert len(listed) == len({one["topic_urn"] for one in listed})


def test_open_telekom_clouds_provider(go: GoClient) -> None:
    """opentelekomcloud_smn_{topic,subscription}_v2: lists have no query, and an update is read for a URN."""
    urn = go.call("POST", TOPICS, {"name": "otc", "display_name": "a"}, into="SmnTopic", ok=(200, 201))["topic_urn"]
    assert go.call("GET", f"{TOPICS}/{urn}", into="SmnTopicGet")["display_name"] == "a"
    go.call("PUT", f"{TOPICS}/{urn}", {"display_name": "b"}, into="SmnTopic", ok=(200,))
    [found] = [one for one in go.call("GET", TOPICS, into="SmnTopics", ok=(200,))["topics"] if one["name"] == "otc"]
    assert (found["topic_urn"], found["display_name"]) == (urn, "b")
    body = {"endpoint": "ann@example.com", "protocol": "email"}
    made = go.call("POST", f"{TOPICS}/{urn}/subscriptions", body, into="SmnSubscription", ok=(200, 201))
    listed = go.call("GET", SUBSCRIPTIONS, into="SmnSubscriptions", ok=(200,))["subscriptions"]
    assert [one["subscription_urn"] for one in listed] == [made["subscription_urn"]]
    go.call("DELETE", f"{SUBSCRIPTIONS}/{made['subscription_urn']}", ok=(200,))
    assert go.call("GET", SUBSCRIPTIONS, into="SmnSubscriptions", ok=(200,))["subscriptions"] == []
    go.call("DELETE", f"{TOPICS}/{urn}", ok=(200,))
    with pytest.raises(ProviderError, match="404"):
        go.call("GET", f"{TOPICS}/{urn}", into="SmnTopicGet")
