"""Where states of jobs lie, it is looked alike: in folders of this machine, and in buckets behind a real S3 server."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.domain.errors import Unavailable
from headrace.domain.observation import StateView
from headrace.flink.command import Layout
from headrace.flink.metadata import MAGIC
from headrace.flink.watch import Completed
from headrace.objects.base import Objects
from headrace.objects.folder import FolderObjects
from headrace.objects.s3 import S3Objects
from headrace.runtimes.places import Places
from headrace.runtimes.states import States
from tests.support.seaweed import Seaweed, seaweed
from tests.support.stores import access_to

BUCKET = "states"
ONE, TWO = "1" * 32, "2" * 32
SPELLINGS = ("obs", "s3", "s3a")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("seaweed")) as running:
        running.create_bucket(BUCKET)
        yield running


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A store with the bucket; tests have folders of their own in it."""
    if request.param == "folder":
        store: Objects = FolderObjects(tmp_path / "objects")
        store.create_bucket(BUCKET)
        return store
    return S3Objects(access_to(request.getfixturevalue("server")))


@pytest.fixture
def places(objects: Objects, tmp_path: Path) -> Places:
    return Places(tmp_path / "objects", objects if objects.root is None else None)


def checkpoint(objects: Objects, folder: str, number: int) -> str:
    """Flink has completed it; its path."""
    objects.put(BUCKET, f"{folder}/_metadata", struct.pack(">IiQ", MAGIC, 4, number) + b"state")
    objects.put(BUCKET, f"{folder}/data", b"data")
    return f"obs://{BUCKET}/{folder}"


@pytest.mark.parametrize("scheme", SPELLINGS)
def test_one_place_has_three_names(objects: Objects, places: Places, scheme: str) -> None:
    checkpoint(objects, f"{scheme}/{ONE}/chk-7", 7)
    checkpoint(objects, f"{scheme}/{ONE}/chk-12", 12)
    objects.put(BUCKET, f"{scheme}/file", b"no folder")
    place = f"{scheme}://{BUCKET}/{scheme}"
    assert places.visible(place)
    assert places.folders(f"{place}/") == [ONE]
    assert places.folders(f"{place}/{ONE}") == ["chk-12", "chk-7"]
    assert places.checkpoint_id(f"{place}/{ONE}/chk-12") == 12
    assert places.complete(f"{place}/{ONE}/chk-7")
    assert not places.complete(f"{place}/{ONE}")
    places.delete(f"{place}/{ONE}")
    # Some servers keep empty folders for a while (SeaweedFS): what counts is what is in them.
    assert places.checkpoint_id(f"{place}/{ONE}/chk-7") is None
    assert [info.key for info in objects.listing(BUCKET, f"{scheme}/")] == [f"{scheme}/file"]


@pytest.mark.parametrize(
    "place", ["obs://no-bucket/x", f"obs://{BUCKET}/nothing", f"obs://{BUCKET}/../x", "hdfs://h/x"]
)
def test_where_nothing_is_nothing_is_found(places: Places, place: str) -> None:
    assert places.folders(place) == []
    assert places.checkpoint_id(place) is None


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 40])
def test_a_damaged_metadata_is_no_state(objects: Objects, places: Places, content: bytes) -> None:
    objects.put(BUCKET, "damaged/_metadata", content)
    assert places.checkpoint_id(f"obs://{BUCKET}/damaged") is None


def test_states_go_on_from_the_newest_and_forget_what_is_not_needed(
    objects: Objects, places: Places, tmp_path: Path
) -> None:
    """Also of checkpoints that the code put elsewhere, by another name of the store."""
    layout = Layout(tmp_path / "deployments" / "job-1-1")
    layout.log.mkdir(parents=True)
    states = States(layout, tmp_path / "state" / "job-1", places)
    checkpoint(objects, f"jobs/{TWO}/chk-9", 9)  # of another job, before
    states.begin(f"obs://{BUCKET}/jobs")
    checkpoint(objects, f"jobs/{ONE}/chk-1", 1)
    newest = checkpoint(objects, f"elsewhere/{ONE}/chk-2", 2)
    states.hear({ONE: Completed(ONE, 2, newest.replace("obs://", "s3a://"))})
    assert states.newest("", ()) == StateView(newest, 2)
    assert states.forget([newest.replace("obs://", "s3://")]) is False
    assert objects.exists(BUCKET, f"elsewhere/{ONE}/chk-2/_metadata")
    assert not objects.exists(BUCKET, f"jobs/{ONE}/chk-1/_metadata")
    assert states.forget(()) is True
    assert not objects.exists(BUCKET, f"elsewhere/{ONE}/chk-2/_metadata")
    assert objects.exists(BUCKET, f"jobs/{TWO}/chk-9/_metadata")


def test_what_cannot_be_reached_is_never_taken_for_gone(tmp_path: Path) -> None:
    with seaweed(tmp_path / "seaweed") as store:
        access = access_to(store)
        store.kill()
    places = Places(tmp_path / "objects", S3Objects(access))
    layout = Layout(tmp_path / "deployments" / "job-1-1")
    layout.log.mkdir(parents=True)
    states = States(layout, tmp_path / "state" / "job-1", places)
    with pytest.raises(Unavailable):
        states.begin(f"obs://{BUCKET}/jobs")
    states.hear({ONE: Completed(ONE, 2, f"obs://{BUCKET}/jobs/{ONE}/chk-2")})
    with pytest.raises(Unavailable):
        states.newest("", ())
    assert states.forget(()) is False, "what could not be deleted has to be known later"
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(Unavailable):
        states.newest(f"obs://{BUCKET}/jobs/{ONE}/chk-2", ())
