"""The vendor's SMN SDK as client, over a real socket, to real receivers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-untyped]
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException  # type: ignore[import-untyped]
from huaweicloudsdksmn.v2 import SmnClient, model  # type: ignore[import-untyped]
from pydantic import SecretStr

from headrace.api.smn_errors import FIELDS
from headrace.domain.job import JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.notify.external import ExternalSmn
from headrace.settings import Settings
from headrace.store.audit import AuditFilter
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.notices import NoticeStore, State
from tests.support.notices import courier_of, deliver_all
from tests.support.receivers import HttpReceiver, is_authentic

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"
URN = f"urn:smn:headrace:{PROJECT}:cs_job_exception"


@pytest.fixture
def sdk(url: str) -> Any:
    credentials = BasicCredentials("AK", "secret of AK", PROJECT)
    return SmnClient.new_builder().with_credentials(credentials).with_endpoints([url]).build()


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as one:
        yield one


def refused(call: Any, request: Any) -> tuple[int, str]:
    with pytest.raises(ClientRequestException) as caught:
        call(request)
    assert caught.value.request_id
    assert caught.value.error_msg
    return caught.value.status_code, caught.value.error_code


def create(sdk: Any, name: str = "cs_job_exception", display: str = "Jobs") -> Any:
    body = model.CreateTopicRequestBody(name=name, display_name=display)
    return sdk.create_topic(model.CreateTopicRequest(body=body))


def subscribe(sdk: Any, endpoint: str, protocol: str = "http", urn: str = URN) -> str:
    body = model.AddSubscriptionRequestBody(protocol=protocol, endpoint=endpoint, remark="ops")
    return str(sdk.add_subscription(model.AddSubscriptionRequest(topic_urn=urn, body=body)).subscription_urn)


def test_the_life_of_a_topic(sdk: Any, stand: Stand) -> None:
    first = create(sdk)
    assert (first.topic_urn, first.status_code) == (URN, 201)
    again = create(sdk, display="Another")
    assert (again.topic_urn, again.status_code) == (URN, 200)
    listed = sdk.list_topics(model.ListTopicsRequest(limit=10, offset=0, name="cs_job_exception"))
    assert (listed.topic_count, listed.topics[0].topic_urn, listed.topics[0].display_name) == (1, URN, "Jobs")
    assert sdk.list_topics(model.ListTopicsRequest(limit=2, offset=1)).topic_count == 5
    update = model.UpdateTopicRequestBody(display_name="Alarms")
    sdk.update_topic(model.UpdateTopicRequest(topic_urn=URN, body=update))
    shown = sdk.list_topic_details(model.ListTopicDetailsRequest(topic_urn=URN))
    assert (shown.name, shown.display_name, shown.push_policy) == ("cs_job_exception", "Alarms", 0)
    value = model.UpdateTopicAttributeRequestBody(value="created by ops")
    sdk.update_topic_attribute(model.UpdateTopicAttributeRequest(topic_urn=URN, name="introduction", body=value))
    found = sdk.list_topic_attributes(model.ListTopicAttributesRequest(topic_urn=URN, name="introduction"))
    assert (found.attributes.introduction, found.attributes.access_policy) == ("created by ops", None)
    found = sdk.list_topic_attributes(model.ListTopicAttributesRequest(topic_urn=URN, name="access_policy"))
    assert (found.attributes.access_policy, found.attributes.introduction) == ("", None), "SMN's default"
    sdk.delete_topic_attribute_by_name(model.DeleteTopicAttributeByNameRequest(topic_urn=URN, name="introduction"))
    sdk.delete_topic_attributes(model.DeleteTopicAttributesRequest(topic_urn=URN))
    sdk.delete_topic(model.DeleteTopicRequest(topic_urn=URN))
    gone = model.ListTopicDetailsRequest(topic_urn=URN)
    assert refused(sdk.list_topic_details, gone) == (404, "SMN.0006")
    names = [trace.trace_name for trace in stand.services.audit.search(PROJECT, AuditFilter(), limit=9, offset=0)[1]]
    assert names[:5] == [
        "deleteTopic",
        "deleteTopicAttributes",
        "deleteTopicAttributeByName",
        "updateTopicAttribute",
        "updateTopic",
    ]


def test_the_life_of_a_subscription(sdk: Any, stand: Stand, receiver: HttpReceiver) -> None:
    create(sdk)
    urn = subscribe(sdk, f"{receiver.url}/hook")
    assert subscribe(sdk, f"{receiver.url}/hook") == urn
    assert status(sdk) == [0]
    assert deliver_all(stand.courier) == 1, "it is asked once"
    body = receiver.posts[0].body
    assert body["type"] == "SubscriptionConfirmation"
    token = parse_qs(urlsplit(body["subscribe_url"]).query)["token"][0]
    confirm = model.ConfirmSubscriptionRequest(topic_urn=URN, endpoint=f"{receiver.url}/hook", token=token)
    assert sdk.confirm_subscription(confirm).subscription_urn == urn
    assert status(sdk) == [1]
    changed = model.UpdateSubscriptionRequestBody(remark="night shift")
    sdk.update_subscription(model.UpdateSubscriptionRequest(topic_urn=URN, subscription_urn=urn, body=changed))
    of_topic = sdk.list_subscriptions_by_topic(
        model.ListSubscriptionsByTopicRequest(topic_urn=URN, offset=0, limit=10, fuzzy_remark="night")
    )
    assert (of_topic.subscription_count, of_topic.subscriptions[0].remark) == (1, "night shift")

    message = model.PublishMessageRequestBody(subject="Hello", message="作业 failed", time_to_live="60")
    published = sdk.publish_message(model.PublishMessageRequest(topic_urn=URN, body=message))
    assert deliver_all(stand.courier) == 1
    body = receiver.posts[1].body
    assert (body["message_id"], body["subject"], body["message"]) == (published.message_id, "Hello", "作业 failed")
    certificate_url = urlsplit(body["signing_cert_url"])
    certificate = stand.client.get(certificate_url.path)
    assert certificate.headers["Content-Type"].startswith("application/x-pem-file")
    assert is_authentic(body, certificate.text)
    assert not is_authentic({**body, "message": "all is well"}, certificate.text)

    unsubscribe = urlsplit(body["unsubscribe_url"])
    assert stand.client.get(f"{unsubscribe.path}?{unsubscribe.query}").json()["subscription_urn"] == urn
    assert status(sdk) == [3]
    sdk.publish_message(model.PublishMessageRequest(topic_urn=URN, body=message))
    deliver_all(stand.courier)
    assert [post.body["type"] for post in receiver.posts[2:]] == ["UnsubscribeConfirmation"]
    sdk.cancel_subscription(model.CancelSubscriptionRequest(subscription_urn=urn))
    assert status(sdk) == []
    assert refused(sdk.cancel_subscription, model.CancelSubscriptionRequest(subscription_urn=urn))[0] == 404


def status(sdk: Any) -> list[int]:
    return [
        one.status for one in sdk.list_subscriptions(model.ListSubscriptionsRequest(offset=0, limit=10)).subscriptions
    ]


def test_a_message_by_protocol(sdk: Any, stand: Stand, receiver: HttpReceiver) -> None:
    create(sdk)
    subscribe(sdk, receiver.url)
    deliver_all(stand.courier)
    stand.client.get(receiver.posts[0].body["subscribe_url"])
    texts = '{"default": "for all", "http": "for machines"}'
    body = model.PublishMessageRequestBody(message="for nobody", message_structure=texts)
    sdk.publish_message(model.PublishMessageRequest(topic_urn=URN, body=body))
    deliver_all(stand.courier)
    assert receiver.posts[-1].body["message"] == "for machines"


def test_a_message_that_came_too_late(sdk: Any, stand: Stand, receiver: HttpReceiver) -> None:
    create(sdk)
    subscribe(sdk, receiver.url)
    deliver_all(stand.courier)
    stand.client.get(receiver.posts[0].body["subscribe_url"])
    for seconds in ("3", None, "60"):
        body = model.PublishMessageRequestBody(message=f"within {seconds}", time_to_live=seconds)
        sdk.publish_message(model.PublishMessageRequest(topic_urn=URN, body=body))
    stand.clock.ms += 44_000
    assert deliver_all(stand.courier) == 2
    assert [post.body["message"] for post in receiver.posts[1:]] == ["within None", "within 60"]
    (dead,) = stand.ok("GET", "/headrace/v1/{p}/notices?state=dead")["notices"]
    assert (dead["attempts"], dead["error"]) == (0, "Its time to live is over.")


def test_a_message_before_anybody_has_confirmed(sdk: Any, stand: Stand, receiver: HttpReceiver) -> None:
    create(sdk)
    subscribe(sdk, receiver.url)
    body = model.PublishMessageRequestBody(message="early")
    published = sdk.publish_message(model.PublishMessageRequest(topic_urn=URN, body=body))
    deliver_all(stand.courier)
    (dead,) = stand.ok("GET", "/headrace/v1/{p}/notices?state=dead")["notices"]
    assert (dead["message_id"], dead["protocol"]) == (published.message_id, "")
    assert dead["error"] == "The topic cs_job_exception has no confirmed subscription."
    retry = f"/headrace/v1/{{p}}/notices/{dead['id']}/retry"
    assert "has no confirmed subscription" in stand.send("POST", retry).text
    stand.client.get(receiver.posts[0].body["subscribe_url"])
    stand.ok("POST", retry)
    deliver_all(stand.courier)
    body = receiver.posts[-1].body
    assert (body["message_id"], body["message"]) == (published.message_id, "early")


def test_subscribing_again_takes_the_remark_over(sdk: Any) -> None:
    create(sdk)
    for remark, shown in (("day", "day"), ("night", "night"), (None, "night"), ("", "")):
        body = model.AddSubscriptionRequestBody(protocol="http", endpoint="http://127.0.0.1:9/", remark=remark)
        sdk.add_subscription(model.AddSubscriptionRequest(topic_urn=URN, body=body))
        listed = sdk.list_subscriptions(model.ListSubscriptionsRequest(offset=0, limit=10)).subscriptions
        assert [one.remark for one in listed] == [shown]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "-x"}, FIELDS["name"]),
        ({"name": "x" * 256}, FIELDS["name"]),
        ({"name": "a.b"}, FIELDS["name"]),
        ({"name": "ok", "display_name": "语" * 65}, FIELDS["display_name"]),
    ],
)
def test_a_topic_that_is_refused(sdk: Any, fields: dict[str, str], code: str) -> None:
    body = model.CreateTopicRequestBody(**fields)
    assert refused(sdk.create_topic, model.CreateTopicRequest(body=body)) == (400, code)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"protocol": "sms", "endpoint": "+4917000"}, "SMN.0011"),
        ({"protocol": "http", "endpoint": "https://example.com/"}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://10.0.0.1/"}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://169.254.169.254/latest"}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://[::1]/"}, "SMN.0012"),
        ({"protocol": "email", "endpoint": "nobody"}, "SMN.0012"),
        ({"protocol": "http", "endpoint": "http://127.0.0.1:9/", "remark": "x" * 129}, "SMN.0017"),
    ],
)
def test_a_subscription_that_is_refused(sdk: Any, stand: Stand, fields: dict[str, str], code: str) -> None:
    create(sdk)
    body = model.AddSubscriptionRequestBody(**fields)
    before = stand.rows()
    request = model.AddSubscriptionRequest(topic_urn=URN, body=body)
    assert refused(sdk.add_subscription, request) == (400, code)
    assert stand.rows() == before


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "SMN.0400"),
        ({"message_structure": "no JSON"}, "SMN.0021"),
        ({"message": "a", "message_structure": '{"email": "b"}'}, "SMN.0021"),
        ({"message_structure": '{"default": "\\ud800"}'}, "SMN.0021"),
        ({"message_structure": '{"default": "a", "email": "\\u0000"}'}, "SMN.0021"),
        ({"message_structure": '{"default": "a", "http": "\\u001b[31m"}'}, "SMN.0021"),
        ({"message_structure": '{"default": "a", "\\udfff": "b"}'}, "SMN.0021"),
        ({"message": "a", "time_to_live": "0"}, "SMN.0400"),
        ({"message_template_name": "t", "tags": {"a": "b"}}, "SMN.0400"),
        ({"message": "a", "time_to_live": "86401"}, "SMN.0400"),
        ({"message": "a", "subject": "x" * 513}, "SMN.0400"),
    ],
)
def test_a_message_that_is_refused(sdk: Any, stand: Stand, fields: dict[str, Any], code: str) -> None:
    create(sdk)
    body = model.PublishMessageRequestBody(**fields)
    request = model.PublishMessageRequest(topic_urn=URN, body=body)
    assert refused(sdk.publish_message, request) == (400, code)
    assert stand.rows()["messages"] == 0


@pytest.mark.parametrize(
    ("urn", "expected"),
    [
        ("nonsense", (400, "SMN.0005")),
        (f"urn:smn:headrace:{PROJECT}:absent", (404, "SMN.0006")),
        (f"urn:smn:elsewhere:{PROJECT}:topic", (404, "SMN.0006")),
        ("urn:smn:headrace:fedcba9876543210fedcba9876543210:topic", (404, "SMN.0006")),
    ],
)
def test_a_topic_that_is_not_there(sdk: Any, urn: str, expected: tuple[int, str]) -> None:
    assert refused(sdk.list_topic_details, model.ListTopicDetailsRequest(topic_urn=urn)) == expected


def test_links_that_are_not_good(stand: Stand) -> None:
    for path in ("/smn/subscription/confirm", "/smn/subscription/unsubscribe"):
        answer = stand.client.get(f"{path}?token=wrong")
        assert (answer.status_code, answer.json()["code"]) == (404, "SMN.0014")
        assert "wrong" not in answer.text
    assert stand.client.get("/smn/SMN_other.pem").status_code == 404


def test_a_link_is_good_for_two_days(sdk: Any, stand: Stand, receiver: HttpReceiver) -> None:
    create(sdk)
    subscribe(sdk, receiver.url)
    deliver_all(stand.courier)
    link = receiver.posts[0].body["subscribe_url"]
    stand.clock.ms += 48 * 3_600_000 + 1
    assert stand.client.get(link).status_code == 404
    stand.clock.ms -= 1
    assert stand.client.get(link).status_code == 200


def test_urns_raw_and_encoded(stand: Stand) -> None:
    for urn in (f"urn:smn:headrace:{PROJECT}:topic", f"urn%3Asmn%3Aheadrace%3A{PROJECT}%3Atopic"):
        shown = stand.ok("GET", f"/v2/{{p}}/notifications/topics/{urn}")
        assert shown["name"] == "topic"


def test_a_job_whose_topic_does_not_exist_is_not_run(stand: Stand) -> None:
    job_id = stand.create(smn_topic="nobody")
    answer = stand.run(job_id)
    assert (answer.status_code, answer.json()[0]["error_code"]) == (400, "DLI.0002")
    assert "headrace topics create nobody" in answer.json()[0]["error_msg"]
    stand.ok("POST", "/v2/{p}/notifications/topics", {"name": "nobody"}, status=201)
    assert stand.run(job_id).status_code == 200


def test_notices_of_jobs_go_to_another_headrace(
    sdk: Any, stand: Stand, url: str, receiver: HttpReceiver, tmp_path: Path
) -> None:
    """The external SMN is this server; the job is of another one, which has a store of its own."""
    create(sdk)
    subscribe(sdk, receiver.url)
    deliver_all(stand.courier)
    stand.client.get(receiver.posts[0].body["subscribe_url"])
    settings = Settings(
        home=tmp_path / "other",
        smn_endpoint=url,
        smn_project_id=PROJECT,
        smn_access_key="AK",
        smn_secret_key=SecretStr("secret of AK"),
    )
    with closing(Database(tmp_path / "other.sqlite")) as database:
        notices, jobs = NoticeStore(database), JobStore(database)
        courier = courier_of(settings, notices, stand.clock)
        courier.elsewhere, courier.elsewhere_url = ExternalSmn(settings, stand.clock), url
        for name in ("cs_job_exception", "absent"):
            job = jobs.create(Caller("p", "ann"), JobSpec(name, smn_topic=name), now_ms=1)
            job = jobs.move(job, Record(Phase.PREPARING, 1, first_attempt=1), now_ms=1)
            jobs.move(job, job.record.evolve(phase=Phase.FAILED, note="out of memory"), now_ms=stand.clock())
        assert deliver_all(courier) == 2
        told, lost = reversed(notices.page("p", None, limit=9, offset=0)[1])
    assert (told.state, told.protocol, told.endpoint) == (State.DELIVERED, "smn", url)
    assert (lost.state, lost.error) == (State.DEAD, f"The topic absent does not exist at {url}.")
    deliver_all(stand.courier)
    body = receiver.posts[-1].body
    assert body["subject"] == "Flink job cs_job_exception has failed"
    assert body["message"].endswith(f"message id: {told.message_id}")


def test_with_an_external_smn_no_topics_are_made_here(stand: Stand) -> None:
    settings = stand.services.settings.model_copy(update={"smn_endpoint": "https://smn.example.com"})
    stand.app.state.services = replace(stand.services, settings=settings)
    answer = stand.send("POST", "/v2/{p}/notifications/topics", {"name": "new"})
    assert (answer.status_code, answer.json()["code"]) == (400, "SMN.0400")
    assert "https://smn.example.com" in answer.json()["message"]


def test_notices_are_for_administrators(stand: Stand) -> None:
    stand.ok("GET", "/headrace/v1/{p}/notices?state=dead")
    assert stand.send("GET", "/headrace/v1/{p}/notices", ak="SUB").status_code == 403
    assert stand.send("POST", "/headrace/v1/{p}/notices/7/retry").status_code == 404
