"""What is not well-formed is refused before a route sees it: one rule for every path, query and JSON body.

Text is UTF-8 without NUL and without halves of surrogate pairs; nothing is given twice; numbers fit into 64 bits; JSON
is nested no deeper than a person would. So each request means one thing, whoever reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from math import isinf
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from headrace.domain.errors import BadField, MalformedBody

BODY = "headrace.body"
"""Where the gate leaves the body's bytes in the scope; an upload that is still to come has none."""

MAX_DEPTH = 32
MAX_DIGITS = 19
_FEW_BYTES = 64 * 1024
"""Bodies up to this size are read at once, others in a thread, so that no other request waits for them."""

_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNFIT = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_MALFORMED = "The format of message is error: the body"


class Sound:
    """Pure ASGI middleware behind the gate."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets one request through, or raises BadField or MalformedBody."""
        if scope["type"] == "http":
            check_path(scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass"))
            check_query(scope["query_string"])
            body: bytes = scope.get(BODY) or b""
            if body and _is_json(scope):
                if len(body) <= _FEW_BYTES:
                    check_json(body)
                else:
                    await run_in_threadpool(check_json, body)
        await self.app(scope, receive, send)


def check_path(raw_path: bytes) -> None:
    """Refuses a path that is not UTF-8, or has control characters in it."""
    _text("path", unquote_to_bytes(raw_path))


def check_query(query: bytes) -> None:
    """Refuses a query that is not UTF-8, has control characters in it, or gives a parameter twice."""
    seen = set()
    for part in query.split(b"&"):
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            parameter = _text("query", unquote_to_bytes(name))
            shown = _text(parameter, unquote_to_bytes(value))
            if parameter in seen:
                raise BadField(parameter, shown, "is given twice in the query; keep one of them")
            seen.add(parameter)


def check_json(body: bytes) -> Any:
    """The value of a JSON body.

    Raises:
        MalformedBody: it is not JSON in UTF-8, is nested too deeply, or gives a field twice.
        BadField: a text or a number in it is none that can be kept.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"{_MALFORMED} is not UTF-8 at byte {error.start}.") from error
    if text.startswith("\ufeff"):
        raise MalformedBody(f"{_MALFORMED} begins with a byte order mark. Send UTF-8 without one.")
    huge: list[_Huge] = []

    def whole(digits: str) -> Any:
        if len(digits) <= MAX_DIGITS + 1 and -(2**63) <= int(digits) < 2**63:
            return int(digits)
        huge.append(_Huge(digits))
        return huge[-1]

    def finite(digits: str) -> Any:
        if not isinf(float(digits)):
            return float(digits)
        huge.append(_Huge(digits))
        return huge[-1]

    try:
        value = json.loads(
            text, object_pairs_hook=_no_field_twice, parse_int=whole, parse_float=finite, parse_constant=_no_constant
        )
    except json.JSONDecodeError as error:
        raise MalformedBody(f"{_MALFORMED} is not valid JSON near character {error.pos}.") from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_depth(value)
    if huge or _SUSPECT.search(text):
        _check_leaves(value)
    return value


class _Huge:
    """A number that no field takes, until its place is known."""

    def __init__(self, digits: str) -> None:
        self.digits = digits

    def __repr__(self) -> str:
        return self.digits if len(self.digits) <= 40 else f"{self.digits[:20]}… of {len(self.digits)} characters"


def _is_json(scope: Scope) -> bool:
    """Whether the routes will read the body as JSON; raises MalformedBody for a charset that JSON does not have."""
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    media, *parameters = given.decode("latin-1").lower().split(";")
    if re.fullmatch(r"application/(?:json|[^/]*\+json)", media.strip()) is None:
        return False
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise MalformedBody(f"Content-Type: charset={value.strip()[:40]}: JSON is sent as UTF-8.")
    return True


def _text(field: str, raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadField(field, raw.decode("utf-8", "replace"), "must be UTF-8, percent-encoded") from error
    if _CONTROL.search(text):
        raise BadField(field, text, "must not hold control characters")
    return text


def _no_field_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise MalformedBody(f"{_MALFORMED} gives the field {twice[:80]!r} twice. Keep one of them.")
    return fields


def _no_constant(name: str) -> Any:
    raise MalformedBody(f"{_MALFORMED} has {name}, which is no number of JSON.")


def _too_deep() -> MalformedBody:
    return MalformedBody(f"{_MALFORMED} is nested deeper than {MAX_DEPTH} levels.")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        if depth == MAX_DEPTH:
            raise _too_deep()
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        depth += 1


def _check_leaves(value: Any) -> None:
    for place, leaf in _leaves(value, ()):
        field = ".".join(place) or "body"
        if isinstance(leaf, _Huge):
            raise BadField(field, leaf, "is too large a number")
        if _UNFIT.search(leaf):
            raise BadField(field, leaf, "must not hold control characters or halves of surrogate pairs")


def _leaves(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str | _Huge]]:
    """Texts and huge numbers, each with its place; a field's name before what it holds."""
    match value:
        case str() | _Huge():
            yield place, value
        case dict():
            for name, child in value.items():
                yield place, name
                yield from _leaves(child, (*place, name))
        case list():
            for number, child in enumerate(value):
                yield from _leaves(child, (*place, str(number)))
        case _:
            pass
