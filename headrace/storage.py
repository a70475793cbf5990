"""Where the buckets are, by the settings: a folder, an S3 endpoint, or the embedded S3 server; and whose they are."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.errors import HomeUnusable, Unavailable
from headrace.flink.s3 import S3Plugins
from headrace.home import Home
from headrace.identity.founding import Identity
from headrace.objects import access
from headrace.objects.access import Keys
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.base import Objects
from headrace.objects.cache import StageCache, Staged, Told
from headrace.objects.folder import FolderObjects
from headrace.objects.s3 import S3Objects
from headrace.objects.turns import OF_API, OF_DRIVER, Turns
from headrace.runtimes import object_server
from headrace.runtimes.object_server import ObjectServer
from headrace.runtimes.s3 import S3Store
from headrace.runtimes.staging import Fetch
from headrace.settings import Settings
from headrace.store.buckets import BucketStore

log = logging.getLogger(__name__)

Owner = Callable[[str], str | None]
"""Bucket -> id of its project, None if it is nobody's."""


@dataclass(frozen=True)
class Storage:
    """The buckets of one server.

    Attributes:
        objects: for who has a thread of its own.
        asked: the same ones for the API, and only a few at a time where they are elsewhere.
        owner: whose a bucket is, by those who may ask for buckets; a bucket may have to be looked for.
        server: the embedded S3 server, if the buckets are in one.
    """

    objects: Objects
    asked: Objects
    owner: Callable[[Objects], Owner]
    server: ObjectServer | None


@contextmanager
def open_storage(
    settings: Settings,
    home: Home,
    identity: Identity,
    buckets: BucketStore,
    now_ms: Callable[[], int],
    *,
    ending: bool = False,
) -> Iterator[Storage]:
    """Connects to nothing, but starts the embedded server, or finds it; it stays when this ends.

    Args:
        settings, home, identity, buckets, now_ms: of the server.
        ending: only to end jobs, which needs no store: the embedded server is taken where the jobs know it, and started
            only if jobs run; that it does not come up is a warning.

    Raises:
        HomeUnusable: the embedded server is not installed or does not come up.
    """
    server = _server(settings, home, identity, ending=ending)
    try:
        if server is not None:
            _start(server, ending=ending)
        objects = _objects(settings, home, server)
        if not ending:
            _adopt(objects, buckets, identity, now_ms)
        asked = objects if objects.root is not None else Turns(objects, OF_API)
        yield Storage(objects, asked, lambda by: _owner(by, buckets, identity, now_ms), server)
    finally:
        if server is not None:
            server.close()


def fetcher(artifacts: ArtifactResolver, cache: StageCache) -> Fetch:
    """Puts what a job names where it is wanted, through the cache."""

    def fetch(project_id: str, reference: str, target: Path, told: Told) -> Staged:
        return cache.put(artifacts.locate(project_id, reference), target, told)

    return fetch


def flinks_way(settings: Settings, storage: Storage) -> S3Store | None:
    """How Flink reaches the buckets; None where they are folders."""
    if not isinstance(storage.objects, S3Objects):
        return None
    plugins = S3Plugins(settings.engine_store, settings.s3_plugin_folder)
    access, turns = storage.objects.access, Turns(storage.objects, OF_DRIVER)
    owner = storage.owner(turns)
    return S3Store(access, turns, plugins, lambda project_id, bucket: owner(bucket) == project_id)


def _start(server: ObjectServer, *, ending: bool) -> None:
    try:
        if server.wanted() or not ending:
            server.start()
    except (HomeUnusable, Unavailable, OSError) as error:
        if not ending:
            raise
        log.warning("%s Jobs are ended without it; their last logs stay on this machine.", error)


def _server(settings: Settings, home: Home, identity: Identity, *, ending: bool) -> ObjectServer | None:
    """The embedded S3 server. As in the cloud, the user's keys for Headrace open the buckets too."""
    if settings.object_store != "embedded":
        return None
    published = identity.published()
    others = [] if published is None else [Keys(published.access_key, published.secret_key)]
    known = None
    if ending:
        with suppress(Unavailable):  # its start comes to that as well, and tells it
            known = object_server.known_port(home.folder)
    return ObjectServer(home.folder, known or settings.embedded_s3_port, others)


def _objects(settings: Settings, home: Home, server: ObjectServer | None) -> Objects:
    if server is not None:
        return S3Objects(server.access)
    if settings.object_store == "s3":
        return S3Objects(access.of_settings(settings))
    return FolderObjects(home.folder / "objects")


def _adopt(objects: Objects, buckets: BucketStore, identity: Identity, now_ms: Callable[[], int]) -> None:
    """Buckets that nobody owns become the first project's: those of a folder, of before buckets had owners; those of
    an S3 endpoint only if the server has one user, as there is nobody then to keep them from.
    """
    if objects.root is None and identity.published() is None:
        return
    try:
        found = objects.buckets()
    except Unavailable as error:
        log.warning("the buckets cannot be listed now: %s", error)
        return
    for bucket in found:
        if buckets.owner(bucket) is None:
            buckets.claim(bucket, identity.first_project.id, now_ms=now_ms())


def _owner(objects: Objects, buckets: BucketStore, identity: Identity, now_ms: Callable[[], int]) -> Owner:
    """Whose a bucket is. On a server of one user all that there are are theirs, also those made meanwhile elsewhere."""

    def owner(bucket: str) -> str | None:
        found = buckets.owner(bucket)
        if found is None and objects.root is None and identity.published() is not None and objects.has_bucket(bucket):
            buckets.claim(bucket, identity.first_project.id, now_ms=now_ms())
            found = identity.first_project.id
        return found

    return owner
