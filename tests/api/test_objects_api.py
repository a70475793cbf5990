from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from headrace.domain.errors import StoreSilent
from headrace.objects.folder import FolderObjects
from headrace.objects.turns import Turns
from headrace.settings import Settings
from tests.api.conftest import standing

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


def test_a_bucket_that_was_not_asked_for_is_not_claimed(tmp_path: Path, settings: Settings) -> None:
    class Busy(Turns):
        """Others come after the first question, and stay until ``leave``."""

        def has_bucket(self, bucket: str) -> bool:
            found = super().has_bucket(bucket)
            self._places.acquire()
            return found

        def leave(self) -> None:
            self._places.release()

    store = Busy(FolderObjects(tmp_path / "objects"), at_once=1, wait_s=0)
    with standing(tmp_path, settings, store) as stand:
        status, code, message = stand.refused("PUT", f"{OURS}/buckets/wanted")
        assert (status, code) == (503, "DLI.0999")
        assert "Ask again later" in message
        assert stand.ok("GET", f"{OURS}/buckets") == {"buckets": []}
        store.leave()
        stand.services.objects.create_bucket("wanted")  # elsewhere, by somebody else
        assert "no project has it" in stand.refused("PUT", f"{OURS}/buckets/wanted")[2]


def test_a_bucket_that_may_have_been_made_stays_claimed(tmp_path: Path, settings: Settings) -> None:
    class Silent(FolderObjects):
        def create_bucket(self, bucket: str) -> None:
            super().create_bucket(bucket)
            raise StoreSilent("no answer")

    with standing(tmp_path, settings, Silent(tmp_path / "objects")) as stand:
        assert stand.refused("PUT", f"{OURS}/buckets/wanted")[:2] == (503, "DLI.0999")
        assert stand.ok("GET", f"{OURS}/buckets") == {"buckets": ["wanted"]}
