from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from tests.api.conftest import Stand

OURS = "/headrace/v1/{p}"


@pytest.mark.parametrize("key", ["a.txt", "x/y z.txt", "ü/日本+%#&?=.jar"])
def test_put_list_get(stand: Stand, key: str) -> None:
    content = bytes(range(256)) * 4000
    stand.put_object("b", quote(key), content)
    answer = stand.send("GET", f"{OURS}/objects/b/{quote(key)}")
    assert (answer.status_code, answer.content == content) == (200, True)
    assert answer.headers["content-length"] == str(len(content))
    listed = stand.ok("GET", f"{OURS}/objects/b?prefix={quote(key[:2])}")
    assert [(found["key"], found["size"]) for found in listed["objects"]] == [(key, len(content))]


def test_list_in_pages(stand: Stand) -> None:
    for number in range(5):
        stand.put_object("b", f"n/{number}", b"")
    page = stand.ok("GET", f"{OURS}/objects/b?prefix=n/&limit=2&after=n/1")
    assert ([found["key"] for found in page["objects"]], page["more"]) == (["n/2", "n/3"], True)
    page = stand.ok("GET", f"{OURS}/objects/b?prefix=n/&limit=2&after=n/3")
    assert ([found["key"] for found in page["objects"]], page["more"]) == (["n/4"], False)


def test_buckets(stand: Stand) -> None:
    assert stand.ok("GET", f"{OURS}/buckets") == {"buckets": ["b"]}
    assert stand.refused("PUT", f"{OURS}/buckets/b")[:2] == (400, "DLI.0006")
    assert stand.refused("PUT", f"{OURS}/buckets/a..b")[:2] == (400, "DLI.0001")
    assert stand.refused("GET", f"{OURS}/objects/none")[:2] == (400, "DLI.11016")
    assert stand.refused("GET", f"{OURS}/objects/b/none")[:2] == (400, "DLI.12002")


@pytest.mark.parametrize("key", ["%2e%2e/x", "a/%2E%2E/%2E%2E/x", "a//b", "a%00b", "x%231", "%2Fetc/x"])
def test_no_way_out_of_a_bucket(stand: Stand, key: str) -> None:
    def stored() -> set[str]:
        return {str(path) for path in stand.home.rglob("*") if path.is_file() and "db.sqlite" not in path.name}

    before = stored()
    answer = stand.send("PUT", f"{OURS}/objects/b/{key}", content=b"x", content_type="application/octet-stream")
    assert answer.status_code == 400, answer.text
    assert stand.send("GET", f"{OURS}/objects/b/{key}").status_code == 400
    assert stored() == before


def test_an_object_over_the_limit(stand: Stand) -> None:
    content = b"x" * (2 * 1024 * 1024 + 1)
    path = f"{OURS}/objects/b/large"
    status, code, _ = stand.refused("PUT", path, content=content, content_type="application/octet-stream")
    assert (status, code) == (413, "DLI.0009")
    stand.put_object("b", "large", content[1:])


def test_an_upload_must_be_signed_as_such(stand: Stand) -> None:
    path = f"{OURS}/objects/b/k"
    status, code, message = stand.refused("PUT", path, {"a": 1})
    assert (status, code) == (401, "DLI.0013")
    assert "UNSIGNED-PAYLOAD" in message
