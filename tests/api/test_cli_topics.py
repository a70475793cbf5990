"""``headrace topics`` and ``headrace notices`` against the API, over a real socket, to a real receiver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from headrace.cli import topics
from headrace.cli.client import ApiClient, ApiError
from tests.support.notices import deliver_all
from tests.support.receivers import HttpReceiver

if TYPE_CHECKING:
    from tests.api.conftest import Stand

PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def cli(stand: Stand, url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    client = ApiClient(url, PROJECT, "AK", "secret of AK")
    monkeypatch.setattr(topics, "_client", lambda _home: client)

    def call(app: Any, *arguments: str, said: str = "") -> str:
        return CliRunner().invoke(app, arguments, input=said, catch_exceptions=False).output

    return call


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as one:
        yield one


def test_a_topic_and_what_is_published(cli: Any, stand: Stand, receiver: HttpReceiver) -> None:
    urn = f"urn:smn:headrace:{PROJECT}:ops"
    assert cli(topics.topics, "create", "ops", "--display", "Operators") == f"{urn}\n"
    assert cli(topics.topics, "create", "ops") == f"{urn}\n"
    assert cli(topics.topics, "ls").splitlines()[-1].split() == ["ops", "Operators", urn]
    made = cli(topics.topics, "subscribe", "ops", receiver.url, "--remark", "hook")
    assert made.startswith(f"{urn}:")
    assert made.endswith("(to be confirmed)\n")
    deliver_all(stand.courier)
    stand.client.get(receiver.posts[0].body["subscribe_url"])
    assert cli(topics.topics, "subscribe", "ops", receiver.url).endswith("(confirmed)\n")
    assert "confirmed" in cli(topics.topics, "subscriptions", "ops").splitlines()[1]
    receiver.answers.extend([410, 200])
    message_id = cli(topics.topics, "publish", "ops", "--subject", "Hello", said="from standard input").strip()
    deliver_all(stand.courier)
    assert receiver.posts[-1].body["message"] == "from standard input"
    assert receiver.posts[-1].body["message_id"] == message_id
    dead = cli(topics.notices, "list", "--state", "dead").splitlines()
    assert "410" in dead[1]
    number = dead[1].split()[0]
    cli(topics.notices, "retry", number)
    assert "waiting" in cli(topics.notices).splitlines()[1]
    deliver_all(stand.courier)
    assert "delivered" in cli(topics.notices, "list", "--limit", "1").splitlines()[1]
    assert cli(topics.notices, "list", "--limit", "1").splitlines()[-1] == "1 older ones: headrace notices list --limit"
    cli(topics.topics, "unsubscribe", made.split()[0])
    assert len(cli(topics.topics, "subscriptions", "ops").splitlines()) == 1
    cli(topics.topics, "rm", "ops")
    with pytest.raises(ApiError, match="headrace topics create ops"):
        cli(topics.topics, "rm", "ops")


def test_what_others_wrote_steers_no_terminal(cli: Any, stand: Stand) -> None:
    subject = "ok\r\x9b31mFAKE\nline2\u2028\u202e 作业\u3000ü\t."
    urn = f"urn:smn:headrace:{PROJECT}:topic"
    stand.ok("POST", f"{topics.TOPICS}/{urn}/publish", {"subject": subject, "message": "m"})
    with stand.database.write() as connection:
        connection.exec_driver_sql("UPDATE deliveries SET error = ''")
    head, line = cli(topics.notices).split("\n")[:-1]
    assert line.endswith("  ok\\r\\x9b31mFAKE\\nline2\\u2028\\u202e 作业\u3000ü\\t.")
    assert line.index("ok") == head.index("subject or error"), "columns are in line"


def test_what_is_wrong_is_told(cli: Any, stand: Stand) -> None:
    with pytest.raises(ApiError, match=r"SMN\.0012: .*not a public address"):
        cli(topics.topics, "subscribe", "topic", "http://192.168.0.1/")
    with pytest.raises(ApiError, match=r"SMN\.0011"):
        cli(topics.topics, "subscribe", "topic", "ftp://example.com/")
    with pytest.raises(ApiError, match=r"DLI\.0002"):
        cli(topics.notices, "retry", "77")
