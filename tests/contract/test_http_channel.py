"""Redirects, rebinding and TLS: what only the HTTP channel has. 127.0.0.1 may be reached, 127.0.0.2 may not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.errors import BadField
from headrace.notify.addresses import SPECIAL, AddressGuard, system_resolver
from headrace.notify.base import Delivery, MessageKind, Undelivered
from headrace.notify.connection import Deadline, connect
from headrace.notify.http import HttpChannel
from headrace.notify.signing import Signer, open_signer
from headrace.settings import load_settings
from tests.support.certificates import Authority
from tests.support.receivers import HttpReceiver

ALLOWED = ["127.0.0.1/32", "127.0.0.3/32"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return open_signer(tmp_path_factory.mktemp("home") / "notice-key.pem", datetime.now(UTC))


@pytest.fixture
def channel(tmp_path: Path, signer: Signer, authority: Authority) -> Callable[..., HttpChannel]:
    def make(resolve: Any = system_resolver, special: Any = SPECIAL, **settings: Any) -> HttpChannel:
        values = {"notice_ca_file": authority.file, **settings}
        guard = AddressGuard(ALLOWED, resolve, special)
        return HttpChannel(
            load_settings(tmp_path, **values), signer, guard, lambda: "https://headrace.example.com/c.pem"
        )

    return make


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as one:
        yield one


@pytest.fixture
def inside() -> Iterator[HttpReceiver]:
    """A server that no subscription may reach."""
    with HttpReceiver(host="127.0.0.2") as one:
        yield one
    assert one.posts == []


def notice(endpoint: str) -> Delivery:
    return Delivery(
        *("6f1c", MessageKind.NOTIFICATION, "urn:smn:headrace:p:t", "subject", "message", 1_795_859_100_000),
        *("http", endpoint),
        subscription_urn="urn:smn:headrace:p:t:s",
    )


def failure(channel: HttpChannel, endpoint: str) -> Undelivered:
    with pytest.raises(Undelivered) as caught:
        channel.deliver(notice(endpoint))
    return caught.value


def test_the_request_as_it_comes(channel: Callable[..., HttpChannel], receiver: HttpReceiver) -> None:
    channel().deliver(notice(f"{receiver.url}/hook?token=x"))
    [post] = receiver.posts
    assert post.path == "/hook?token=x"
    assert post.headers["Host"] == receiver.authority
    assert post.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert post.headers["X-SMN-SUBSCRIPTION-URN"] == "urn:smn:headrace:p:t:s"
    assert {name: value for name, value in post.body.items() if name != "signature"} == {
        "topic_urn": "urn:smn:headrace:p:t",
        "message_id": "6f1c",
        "signature_version": "v1",
        "type": "Notification",
        "message": "message",
        "subject": "subject",
        "unsubscribe_url": "",
        "signing_cert_url": "https://headrace.example.com/c.pem",
        "timestamp": "2026-11-28T09:45:00Z",
    }


def test_proxies_of_the_environment_are_not_asked(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, inside: HttpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, inside.url)
    channel().deliver(notice(receiver.url))
    assert len(receiver.posts) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_yes(channel: Callable[..., HttpChannel], receiver: HttpReceiver, status: int) -> None:
    receiver.answers.append(status)
    channel().deliver(notice(receiver.url))


def test_a_status_line_is_a_yes_whatever_comes_after(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver
) -> None:
    receiver.answers.append("half")
    channel().deliver(notice(receiver.url))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_yes_whose_body_comes_to_no_end_is_not_waited_for(
    channel: Callable[..., HttpChannel], authority: Authority, scheme: str
) -> None:
    with HttpReceiver(authority.context("127.0.0.1") if scheme == "https" else None) as receiver:
        receiver.answers.append("endless")
        one = channel(notice_timeout_seconds=120)
        delivering = threading.Thread(target=one.deliver, args=[notice(receiver.url)], daemon=True)
        delivering.start()
        delivering.join(60)
        assert not delivering.is_alive(), "it waits for the body"


@pytest.mark.parametrize("status", [303, 304, 400, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504])
def test_any_other_may_be_a_yes_later(channel: Callable[..., HttpChannel], receiver: HttpReceiver, status: int) -> None:
    receiver.answers.append(status)
    caught = failure(channel(), receiver.url)
    assert str(status) in caught.reason
    assert not caught.final


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_followed_with_the_same_post(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, status: int
) -> None:
    receiver.answers.extend([(status, "there?x=y"), (status, f"{receiver.url}/whole")])
    channel().deliver(notice(f"{receiver.url}/a/b"))
    assert [post.path for post in receiver.posts] == ["/a/b", "/a/there?x=y", "/whole"]
    assert len({post.body["signature"] for post in receiver.posts}) == 1


def test_redirects_come_to_an_end(channel: Callable[..., HttpChannel], receiver: HttpReceiver) -> None:
    receiver.answers.extend([(302, "/again")] * 10)
    assert "more than 3 redirects" in failure(channel(), receiver.url).reason
    assert len(receiver.posts) == 4


@pytest.mark.parametrize(
    "location",
    [
        "{inside}",
        "//{inside_authority}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::1]/",
        "http://inside.example/",
    ],
)
def test_a_redirect_is_judged_like_the_endpoint(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, inside: HttpReceiver, location: str
) -> None:
    receiver.answers.append((307, location.format(inside=inside.url, inside_authority=inside.authority)))
    caught = failure(channel(lambda *_: ["127.0.0.2"]), receiver.url)
    assert "not a public address" in caught.reason
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    "location",
    [
        *("http://2130706433/", "file:///etc/passwd", "http://u:p@127.0.0.1/", "gopher://x/"),
        *("http://[::1", "//[", "http://[bad]/", "http://127.0.0.1:x/", "http://127.0.0.1:99999/", "http://%zz/"),
        *("http://\xff/", "http://a b/", "//[::1%25lo]/", "http://[v1.x]/", "//]"),
    ],
)
def test_a_redirect_to_what_is_no_receiver(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, location: str
) -> None:
    receiver.answers.append((307, location))
    caught = failure(channel(), f"{receiver.url}/?token=sesame")
    assert "redirects to what cannot be posted to" in caught.reason
    assert "sesame" not in caught.reason
    assert not caught.final
    assert len(receiver.posts) == 1


def test_a_redirect_from_https_to_http_is_not_followed(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, authority: Authority
) -> None:
    with HttpReceiver(authority.context("127.0.0.1")) as secure:
        secure.answers.append((307, receiver.url))
        assert "from https to http" in failure(channel(), secure.url).reason
    assert receiver.posts == []


class Rebinding:
    """A name server of somebody who means ill: each question has another answer."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int, seconds: float) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0)


def test_a_name_that_changes_its_meaning_after_it_was_subscribed(
    channel: Callable[..., HttpChannel], inside: HttpReceiver
) -> None:
    one = channel(Rebinding(["8.8.8.8"], ["127.0.0.2"]))
    endpoint = f"http://rebinding.example:{inside.port}/"
    one.check(endpoint)
    assert "not a public address" in failure(one, endpoint).reason


def test_what_was_judged_is_what_is_connected_to(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, inside: HttpReceiver
) -> None:
    names = Rebinding(["127.0.0.2", "127.0.0.1"])
    channel(names).deliver(notice(f"http://rebinding.example:{receiver.port}/"))
    assert names.asked == 1
    assert receiver.posts[0].headers["Host"] == f"rebinding.example:{receiver.port}"


def test_a_dead_address_gives_way_to_the_next(channel: Callable[..., HttpChannel], receiver: HttpReceiver) -> None:
    names = Rebinding(["127.0.0.3", "127.0.0.1"])  # nobody listens at the first
    channel(names).deliver(notice(f"http://twice.example:{receiver.port}/"))
    assert len(receiver.posts) == 1


@pytest.mark.parametrize(
    ("found", "tried"),
    [
        ([f"127.0.1.{n}" for n in range(1, 50)], [f"127.0.1.{n}" for n in range(1, 5)]),
        (["::1", "127.0.1.1"], ["::1", "127.0.1.1"]),
        (["2001:db8::1"] * 6 + ["127.0.1.1"], ["2001:db8::1"] * 3 + ["127.0.1.1"]),
        ([], []),
    ],
)
def test_few_of_the_addresses_of_a_name_are_tried(
    monkeypatch: pytest.MonkeyPatch, found: list[str], tried: list[str]
) -> None:
    asked: list[str] = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    with pytest.raises(OSError):  # noqa: PT011
        connect(found, 1, Deadline(60))
    assert asked == tried


def test_a_name_that_means_what_is_inside_cannot_be_subscribed(channel: Callable[..., HttpChannel]) -> None:
    with pytest.raises(BadField, match=r"endpoint='http://inside\.example/': .* not a public address"):
        channel(Rebinding(["127.0.0.2"])).check("http://inside.example/")


def test_a_name_that_cannot_be_resolved_now_may_be_subscribed(channel: Callable[..., HttpChannel]) -> None:
    def silent(host: str, port: int, seconds: float) -> Sequence[str]:
        raise OSError("no name server")

    one = channel(silent)
    one.check("http://later.example/")
    assert not failure(one, "http://later.example/").final


def test_the_certificate_must_be_the_names(
    channel: Callable[..., HttpChannel], authority: Authority, receiver: HttpReceiver
) -> None:
    with HttpReceiver(authority.context("right.example")) as secure:
        one = channel(lambda *_: ["127.0.0.1"])
        one.deliver(notice(f"https://right.example:{secure.port}/"))
        assert "certificate" in failure(one, f"https://wrong.example:{secure.port}/").reason
        assert "certificate" in failure(one, secure.url).reason
        assert "certificate" in failure(channel(notice_ca_file=None), secure.url).reason
        assert len(secure.posts) == 1
    assert not failure(channel(), f"https://{receiver.authority}/").final


def test_a_public_address_of_this_machine_is_not_connected_to(
    channel: Callable[..., HttpChannel], receiver: HttpReceiver, inside: HttpReceiver
) -> None:
    """127.0.0.2 counts as public here, and is this machine's: it is refused at each place all the same."""
    one = channel(lambda *_: ["127.0.0.2"], special=())
    with pytest.raises(BadField, match="of another machine"):
        one.check(inside.url)
    confirmation = replace(notice(inside.url), kind=MessageKind.SUBSCRIPTION_CONFIRMATION)
    for delivery in (confirmation, notice(inside.url), notice(f"http://own.example:{inside.port}/")):
        with pytest.raises(Undelivered, match="of another machine"):
            one.deliver(delivery)
    receiver.answers.append((307, inside.url))
    assert "of another machine" in failure(one, receiver.url).reason


def test_an_endpoint_that_was_never_checked_is_judged_all_the_same(
    channel: Callable[..., HttpChannel], inside: HttpReceiver
) -> None:
    assert "not a public address" in failure(channel(), inside.url).reason
    assert failure(channel(), "ftp://127.0.0.1/").final
