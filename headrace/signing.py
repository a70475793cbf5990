"""SDK-HMAC-SHA256, the signature of Huawei Cloud's API gateway: pure, for our own client and for our server.

::

    canonical request = METHOD \\n URI \\n query \\n headers \\n signed headers \\n hex(sha256(body))
    string to sign    = "SDK-HMAC-SHA256" \\n X-Sdk-Date \\n hex(sha256(canonical request))
    signature         = hex(hmac_sha256(secret key, string to sign))

Held to the vectors in ``tests/unit/signature-vectors.json`` and to the vendor's SDK. Known limits: there is no nonce,
so a signed request can be sent again within the skew window; only this algorithm, not V11-HMAC-SHA256, SM3 or ECDSA.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote, unquote_to_bytes

from headrace.domain.errors import NotAuthenticated

ALGORITHM = "SDK-HMAC-SHA256"
DATE = "x-sdk-date"
PAYLOAD = "x-sdk-content-sha256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_HASH = sha256(b"").hexdigest()
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_AUTHORIZATION = re.compile(
    rf"{ALGORITHM} +Access=([^,\s]+), *SignedHeaders=([A-Za-z0-9;!#$%&'*+.^_`|~-]+), *Signature=([0-9a-f]{{64}})"
)


@dataclass(frozen=True)
class SignedRequest:
    """What is signed of a request.

    Attributes:
        path: as on the wire, percent-encoded, without the query.
        query: as on the wire, without "?".
        headers: (lower-case name, value) in the order of the wire.
        body_hash: hex SHA-256 of the body; None if the body was not read, then it must be unsigned.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body_hash: str | None = EMPTY_HASH


@dataclass(frozen=True)
class Authorization:
    """The parts of an ``Authorization`` header; ``signed_headers`` in the client's own order."""

    access_key: str
    signed_headers: tuple[str, ...]
    signature: str


def sign(request: SignedRequest, access_key: str, secret_key: str) -> str:
    """The ``Authorization`` header of a request, over all its headers; it must have X-Sdk-Date."""
    names = tuple(sorted(name for name, _ in request.headers))
    headers = dict(request.headers)
    payload = headers.get(PAYLOAD) or request.body_hash or UNSIGNED
    signature = _signature(request, names, headers, payload, secret_key)
    return f"{ALGORITHM} Access={access_key}, SignedHeaders={';'.join(names)}, Signature={signature}"


def parse_authorization(text: str) -> Authorization:
    """The parts of an ``Authorization`` header.

    Raises:
        NotAuthenticated: it is not of this algorithm and form.
    """
    match = _AUTHORIZATION.fullmatch(text.strip())
    if match is None:
        raise NotAuthenticated(
            f"The Authorization header is not '{ALGORITHM} Access=..., SignedHeaders=..., Signature=...'. "
            "Sign the request with an access key and its secret key."
        )
    return Authorization(match[1], tuple(match[2].lower().split(";")), match[3])


def verify(
    request: SignedRequest, given: Authorization, secret_key: str, *, now: datetime, skew_seconds: float
) -> None:
    """Checks the signature.

    Raises:
        NotAuthenticated: it does not hold, or its time is too far from ``now``.
    """
    headers = _signed_values(request, given)
    _check_time(headers[DATE], now, skew_seconds)
    right = [
        _signature(request, given.signed_headers, headers, payload, secret_key)
        for payload in _payloads(request, given, headers)
    ]
    # All are compared, and in constant time, so that nothing is told of the right one.
    if not any([hmac.compare_digest(signature, given.signature) for signature in right]):  # noqa: C419
        raise NotAuthenticated(
            "The signature does not match the request. Check the secret key, and that nothing changes the request "
            "(path, query, signed headers, body) after it was signed."
        )


def timestamp(at: datetime) -> str:
    """``at`` as X-Sdk-Date has it."""
    return at.astimezone(UTC).strftime(_DATE_FORMAT)


def canonical_request(request: SignedRequest, names: Iterable[str], headers: Mapping[str, str], payload: str) -> str:
    """The text whose hash is signed."""
    listed = tuple(names)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in listed)
    parts = [request.method.upper(), _uri(request.path), _query(request.query), lines, ";".join(listed), payload]
    return "\n".join(parts)


def string_to_sign(canonical: str, date: str) -> str:
    """The text that is signed."""
    return f"{ALGORITHM}\n{date}\n{sha256(canonical.encode('utf-8', 'surrogateescape')).hexdigest()}"


def _signature(
    request: SignedRequest, names: Iterable[str], headers: Mapping[str, str], payload: str, secret_key: str
) -> str:
    text = string_to_sign(canonical_request(request, names, headers, payload), headers[DATE].strip())
    return hmac.new(secret_key.encode(), text.encode("utf-8", "surrogateescape"), sha256).hexdigest()


def _signed_values(request: SignedRequest, given: Authorization) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in request.headers:
        if name in values and name in given.signed_headers:
            raise NotAuthenticated(f"The signed header {name} is sent twice.")
        values[name] = value
    missing = [name for name in (*given.signed_headers, DATE) if name not in values]
    if missing or DATE not in given.signed_headers:
        name = missing[0] if missing else DATE
        raise NotAuthenticated(f"The header {name} must be sent and signed.")
    return values


def _check_time(date: str, now: datetime, skew_seconds: float) -> None:
    try:
        at = datetime.strptime(date.strip(), _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise NotAuthenticated(f"X-Sdk-Date={date[:40]!r}: must be a UTC time such as 20261122T110000Z.") from error
    if abs((now - at).total_seconds()) > skew_seconds:
        raise NotAuthenticated(
            f"X-Sdk-Date={date}: the server's clock says {timestamp(now)}, more than {skew_seconds:g} s apart. "
            "Sign the request anew, and set the clock right."
        )


def _payloads(request: SignedRequest, given: Authorization, headers: Mapping[str, str]) -> list[str]:
    """What may stand for the body in the signed text."""
    said = PAYLOAD in given.signed_headers and headers[PAYLOAD].strip() == UNSIGNED
    if said and not is_json(headers.get("content-type", "")):
        # The Python SDK signs the hash of nothing for an empty body, whatever the header says.
        return [UNSIGNED, EMPTY_HASH] if request.body_hash in (EMPTY_HASH, None) else [UNSIGNED]
    if request.body_hash is None:
        raise NotAuthenticated(f"Sign an upload with the header {PAYLOAD}: {UNSIGNED} and a content type, not JSON.")
    return [request.body_hash]


def is_json(content_type: str) -> bool:
    """Whether a body of this type is signed whatever a header says; nothing counts as JSON."""
    media = content_type.partition(";")[0].strip().lower()
    return not media or media.endswith(("/json", "+json", "/bson"))


def _uri(path: str) -> str:
    segments = unquote_to_bytes(path).split(b"/")
    uri = "/".join(quote(segment, safe="-._~") for segment in segments)
    return uri if uri.endswith("/") else uri + "/"


def _query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        if part:
            key, _, value = part.partition("=")
            pairs.append((_unquote(key), _unquote(value)))
    return "&".join(f"{quote(key, safe='-._~')}={quote(value, safe='-._~')}" for key, value in sorted(pairs))


def _unquote(text: str) -> bytes:
    """A bare "+" is a space, as Go's clients send it and as our own routes read it."""
    return unquote_to_bytes(text.replace("+", " "))
