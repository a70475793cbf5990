"""Buckets of an S3 endpoint: made, listed, looked for. obstore has no calls for that, but it signs their URLs.

A URL is signed for a minute and names the access key, not the secret one; it is neither logged nor told.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Literal
from xml.etree import ElementTree

import obstore
import urllib3
from obstore.store import S3Store

from headrace.domain.errors import BucketNotFound, HeadraceError, NameTaken, Unavailable
from headrace.objects.access import S3Access
from headrace.objects.s3_client import client_options, root_client
from headrace.objects.s3_errors import bad_bucket_name, code_in, meaning

_MINUTE = timedelta(minutes=1)
_OWN_REGION = "us-east-1"
"""A bucket in this region must not name it."""
MAX_LISTING = 8 << 20
HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""The connection ended before the certificate came; which of the two is raised depends on how Python was built."""
MOST_KEPT = 64
"""Connections to one host that are kept for the next request; more than threads ask at once."""


class Buckets:
    """The buckets that the keys reach."""

    def __init__(self, access: S3Access, store: Callable[[str], S3Store]) -> None:
        """``store``: bucket -> the client that signs for it."""
        self._access = access
        self._store = store
        self._root = root_client(access, client_options(access))
        self._http = _http(access)

    def create(self, bucket: str) -> None:
        """Raises BadField (the endpoint does not take the name), NameTaken, Unavailable."""
        region = self._access.region
        body = b""
        if region not in ("", _OWN_REGION):
            place = f"<LocationConstraint>{region}</LocationConstraint>"
            body = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode()
        status, text = self._ask("PUT", obstore.sign(self._store(bucket), "PUT", "", _MINUTE), bucket, body)
        match code_in(text):
            case _ if status == 200:
                return
            case "BucketAlreadyOwnedByYou" | "BucketAlreadyExists":
                raise NameTaken(f"bucket={bucket!r}: the bucket exists already.")
            case "InvalidBucketName":
                raise bad_bucket_name(bucket)
            case _:
                raise self._meaning(bucket, status, text)

    def exists(self, bucket: str) -> bool:
        """Raises BucketForbidden, and what else hinders an answer."""
        status, text = self._ask("HEAD", obstore.sign(self._store(bucket), "HEAD", "", _MINUTE), bucket)
        if status == 404:
            return False
        if status != 200:  # what refuses a HEAD has no body, and so no reason
            status, text = self._ask("GET", obstore.sign(self._store(bucket), "GET", "", _MINUTE), bucket)
        if status == 200:
            return True
        error = self._meaning(bucket, status, text)
        if isinstance(error, BucketNotFound):
            return False
        raise error

    def names(self) -> list[str]:
        """Sorted; of the default keys those that they list, and those with keys of their own that exist."""
        listed = set(self._listed()) if self._access.default.access_key else set()
        own = (bucket for bucket in self._access.keys if bucket not in listed and self.exists(bucket))
        return sorted({*listed, *own})

    def _listed(self) -> list[str]:
        status, text = self._ask("GET", obstore.sign(self._root, "GET", "", _MINUTE), "")
        if status != 200:
            raise self._meaning("", status, text)
        try:
            tree = ElementTree.fromstring(text)  # noqa: S314 - expat of today bounds entities; the endpoint is the operator's
        except ElementTree.ParseError as error:
            raise Unavailable(f"{self._access.named} answers with what is no list of buckets: {error}.") from error
        return [name.text or "" for name in tree.findall(".//{*}Bucket/{*}Name")]

    def _meaning(self, bucket: str, status: int, text: str) -> HeadraceError:
        return meaning(self._access.named, bucket, "", f"status code: {status} {text}")

    def _ask(self, method: Literal["GET", "HEAD", "PUT"], url: str, bucket: str, body: bytes = b"") -> tuple[int, str]:
        """(status, body); raises StoreSilent, StoreRefused."""
        try:
            answer = self._http.request(method, url, body=body or None, preload_content=False)
            try:
                return answer.status, answer.read(MAX_LISTING).decode(errors="replace")
            finally:
                answer.release_conn()
        except urllib3.exceptions.HTTPError as error:
            raise self._hindered(error, bucket) from error

    def _hindered(self, error: Exception, bucket: str) -> HeadraceError:
        """The error's own text would show the signed URL."""
        match error:
            case urllib3.exceptions.SSLError() if not isinstance(error.args[0], HUNG_UP):
                told = "invalid certificate"
            case urllib3.exceptions.ProxyError() if " 407 " in str(error.original_error):
                told = "kind: Connect ProxyAuthRequired"
            case urllib3.exceptions.NameResolutionError():
                told = "dns error"
            case urllib3.exceptions.TimeoutError() if not isinstance(error, urllib3.exceptions.NewConnectionError):
                told = "kind: Timeout"
            case _:
                told = "kind: Connect"
        return meaning(self._access.named, bucket, "", told)


def _http(access: S3Access) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=access.timeout_s, read=access.timeout_s)
    trusted = ssl.create_default_context()
    if access.ca_file is not None:
        trusted.load_verify_locations(access.ca_file)
    if access.proxy:
        # urllib3 takes no login out of a proxy's URL.
        login = access.proxy_login
        headers = {"Proxy-Authorization": f"Basic {b64encode(login.encode()).decode()}"} if login else None
        return urllib3.ProxyManager(
            access.proxy,
            proxy_headers=headers,
            maxsize=MOST_KEPT,
            retries=False,
            timeout=timeout,
            ssl_context=trusted,
        )
    return urllib3.PoolManager(maxsize=MOST_KEPT, retries=False, timeout=timeout, ssl_context=trusted)
