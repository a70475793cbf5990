"""The object stores that keep the contract: a new one is a function and a line in ``STORES``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.objects.access import Keys, S3Access
from headrace.objects.base import Objects
from headrace.objects.folder import FolderObjects
from headrace.objects.s3 import S3Objects
from tests.support.proxies import Proxy
from tests.support.seaweed import DOMAIN, Seaweed


def access_to(server: Seaweed, **more: object) -> S3Access:
    """All rights on a server, unless ``more`` says otherwise."""
    given = {
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "path_style": True,
        "default": Keys(server.access_key, server.secret_key),
        "timeout_s": 20.0,
        **more,
    }
    return S3Access(**given)  # type: ignore[arg-type]


@contextmanager
def folder(tmp_path: Path, _server: Seaweed | None) -> Iterator[Objects]:
    yield FolderObjects(tmp_path / "objects")


@contextmanager
def s3(_tmp_path: Path, server: Seaweed | None) -> Iterator[Objects]:
    assert server is not None
    yield S3Objects(access_to(server))


@contextmanager
def virtual_hosts(_tmp_path: Path, server: Seaweed | None) -> Iterator[Objects]:
    """Buckets are names below ``DOMAIN``, which only a proxy knows, and that wants a login."""
    assert server is not None
    with Proxy({DOMAIN: server.address}, "us er:p@ss:ü") as proxy:
        yield S3Objects(access_to(server, endpoint=f"http://{DOMAIN}", path_style=False, proxy=proxy.url))
        assert all(host == DOMAIN or host.endswith(f".{DOMAIN}") for host in proxy.hosts)


STORES = {"folder": folder, "s3": s3, "s3-virtual-hosts": virtual_hosts}
