"""What an S3 endpoint's refusals, and its silence, mean for people: an error of ours with the remedy.

The codes are those of S3 and of OBS's S3-compatible API. What the client (obstore) tells of a connection is only there
as text, the ``Debug`` form of its cause; what is not recognised is told as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

from headrace.domain.errors import (
    BadField,
    BucketForbidden,
    BucketNotFound,
    HeadraceError,
    ObjectNotFound,
    ObjectReplaced,
    StoreFull,
    StoreRefused,
    StoreSilent,
    Unavailable,
)
from headrace.objects.paths import ObjectRef

_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_STATUS = re.compile(r"status code: (\d{3})|status: (\d{3}),")
_URL = re.compile(r"https?://\S+")
_WRONG_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "InvalidToken"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "AccessDeniedRequestExpired"})
_FULL = frozenset(
    {
        "QuotaExceeded",
        "InsufficientStorageSpace",
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "QuotaTooSmall",
    }
)
_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "XMinioServerNotInitialized"})
_STRANGE = re.compile(r'\A[^"]*Encountered object with invalid path: Error parsing Path "([^"]*)"')
_NO_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName"})


@contextmanager
def told(endpoint: str, bucket: str, key: str = "", slow: str = "") -> Iterator[None]:
    """Turns what obstore raises about this object, or bucket, into our errors; ``slow``: see ``meaning``.

    Raises:
        BucketNotFound, ObjectNotFound, ObjectReplaced, FileExistsError, StoreSilent, StoreRefused, BucketForbidden,
        StoreFull, Unavailable.
    """
    try:
        yield
    except AlreadyExistsError as error:
        raise FileExistsError(str(ObjectRef(bucket, key))) from error
    except PreconditionError as error:
        raise ObjectReplaced(f"The object {ObjectRef(bucket, key)} was replaced while it was read.") from error
    except (BaseError, FileNotFoundError) as error:
        raise meaning(endpoint, bucket, key, str(error), slow) from error


def code_in(text: str) -> str:
    """The endpoint's code of an error, "" = it gave none (a HEAD has no body)."""
    found = _CODE.search(_answer(text))
    return (found[1] or found[2]) if found else ""


def _answer(text: str) -> str:
    """What the endpoint said, without the name of the object before it."""
    return text.partition("status code: ")[2] or text


def has_answered(text: str) -> bool:
    """Whether the endpoint said anything at all."""
    return _STATUS.search(text) is not None


def meaning(endpoint: str, bucket: str, key: str, text: str, slow: str = "") -> HeadraceError:
    """Our error for the endpoint's answer, or for what the client says of the connection. ``slow``: what it means that
    a request took too long, with "{}" for what it was about; "" = the endpoint was silent.
    """
    status = _STATUS.search(text)
    number = int(status[1] or status[2]) if status else 0
    code = code_in(text)
    where = f"The object storage at {endpoint}"
    named = str(ObjectRef(bucket, key)) if key else f"the bucket {bucket}" if bucket else "its buckets"
    if code in _WRONG_KEYS or number == 401:
        return StoreRefused(
            f"{where} does not take the keys for {named} ({code or number}). Correct s3_access_key and s3_secret_key, "
            "or the bucket's own in s3_bucket_keys_file, and s3_region; then start Headrace again."
        )
    if number == 407 or "ProxyAuthRequired" in _told_of_connection(text):
        return StoreRefused(
            f"{where} cannot be reached for {named}: the proxy does not take its login. Correct user and password in "
            "s3_proxy, http://user:password@host:port, percent-encoded; then start Headrace again."
        )
    if code in _SKEWED:
        return StoreRefused(
            f"{where} finds our clock wrong ({code}). Set this machine's clock (NTP), or the storage's."
        )
    if code in _FULL or number == 507:
        return StoreFull(f"{where} has no room for {named} ({code or number}). Delete objects, or raise its quota.")
    if code in _NO_BUCKET:
        return BucketNotFound.of(bucket)
    if (code == "AccessDenied" or number == 403) and not bucket:
        return BucketForbidden(
            f"{where} does not allow Headrace's keys to list its buckets ({code or number}). Keys for single buckets "
            "need not: name the buckets where they are wanted."
        )
    if code == "AccessDenied" or number == 403:
        return BucketForbidden(
            f"{where} does not allow Headrace's keys to use {named} ({code or number}). Give them read, write and list "
            f"rights on the bucket {bucket}, or name others for it in s3_bucket_keys_file."
        )
    if number == 404:
        return ObjectNotFound(f"The object {ObjectRef(bucket, key)} does not exist. Upload it first.")
    if code in _BUSY or number >= 500 or number == 429:
        return _busy(where, named, code, number, text)
    strange = _STRANGE.search(text)
    if strange is not None:
        return Unavailable(
            f"{where}: {named} cannot be listed: it holds an object with a name that Headrace cannot take "
            f"({strange[1]!r}: an empty part, or a control character). Rename or delete that object."
        )
    if number:
        return Unavailable(f"{where} refuses {named} ({code or number}): {_first_line(text)}")
    return _unreachable(where, named, text, slow)


def _told_of_connection(text: str) -> str:
    """What names the object is left out of what is searched: it may hold any word."""
    return _URL.sub("", text.rpartition("inner: ")[2])


def _busy(where: str, named: str, code: str, number: int, text: str) -> HeadraceError:
    lowered = _answer(text).lower()
    if "no space left" in lowered or "no free volumes" in lowered or "no writable volumes" in lowered:
        return StoreFull(
            f"{where} has no room for {named} ({code or number}). Delete objects, or give it a larger disk."
        )
    # SeaweedFS says no more than this when its disk is full.
    perhaps = " If that does not help: it may have no room left; its own log tells." if code == "InternalError" else ""
    return StoreSilent(f"{where} cannot serve {named} now ({code or number}). It is tried again.{perhaps}")


def _unreachable(where: str, named: str, text: str, slow: str) -> HeadraceError:
    """No answer at all."""
    lowered = _told_of_connection(text).lower()
    # A balancer with nothing behind it ends connections before the certificate: that passes.
    ended = "handshake eof" in lowered
    if not ended and any(word in lowered for word in ("certificate", "invaliddata", "tls", "invalidcontenttype")):
        return StoreRefused(
            f"{where} has no certificate that is trusted for its name, or speaks no TLS. Name its CA in s3_ca_file, or "
            "correct s3_endpoint."
        )
    if "kind: timeout" in lowered or "timedout" in lowered or "timed out" in lowered:
        what = slow if slow and "connect" not in lowered else "it was silent for s3_timeout_seconds over {}"
        return StoreSilent(f"{where} is too slow: {what.format(named)}. It is tried again.")
    if "dns error" in lowered:
        return StoreSilent(f"{where} cannot be found: its name is unknown here. Correct s3_endpoint, or the DNS.")
    if "kind: " in lowered or "http error" in lowered:
        return StoreSilent(f"{where} cannot be reached for {named}: {_cause(text)}. It is tried again.")
    return Unavailable(f"{where}: {named}: {_first_line(text)}")


def _cause(text: str) -> str:
    """In a few words, what the operating system said."""
    words = re.search(r'message: "([^"]{1,80})"', text)
    return words[1].lower() if words else "the connection failed or broke"


def _first_line(text: str) -> str:
    return text.splitlines()[0][:200] if text else "no reason given"


def bad_bucket_name(bucket: str) -> BadField:
    """The endpoint takes fewer names than Headrace."""
    return BadField(
        "bucket",
        bucket,
        "the object storage takes 3 to 63 lower-case letters, digits, '-' and '.' only; choose another",
    )
