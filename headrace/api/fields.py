"""Kinds of values in requests: each says what it takes twice, to who sends it and to the OpenAPI document.

Patterns in the document are those of ECMAScript with the ``u`` flag, as JSON Schema has them; ``\\p{L}`` and ``\\p{N}``
are the letters and digits of every script, Python's ``\\w`` without "_".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from headrace.domain.errors import BadField
from headrace.domain.places import SCHEMES, bare
from headrace.domain.sizing import memory_mb
from headrace.objects.paths import MAX_KEY_BYTES, parse_object

MAX_INT = 2**31 - 1
MAX_ID = 2**63 - 1
MAX_FILES = 1000
"""Files of one kind of a job; DLI tells no limit."""


class Wire(BaseModel):
    """A request's body: types are strict, and what is not known is refused rather than ignored."""

    model_config = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True, eq=False)
class Checked:
    """A check of a value, and how JSON Schema says it.

    Attributes:
        check: gives the value back, or raises ValueError with what is wrong.
        schema: what the document says besides the type.
        before: the value is checked as it was sent; then ``schema`` is all that the document says.
    """

    check: Callable[[Any], Any]
    schema: Mapping[str, Any] = field(default_factory=dict)
    before: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The check, before or after that of the type."""
        inner = handler(source)
        if self.before:
            return core_schema.no_info_before_validator_function(self.check, inner)
        return core_schema.no_info_after_validator_function(self.check, inner)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What the document says."""
        return dict(self.schema) if self.before else {**handler(schema), **self.schema}


def up_to(limit: int) -> Checked:
    """Text of at most so many characters."""

    def check(text: str) -> str:
        if len(text) > limit:
            raise ValueError(f"has {len(text)} characters; at most {limit} are allowed")
        return text

    return Checked(check, {"maxLength": limit})


def shaped(pattern: str, remedy: str) -> Checked:
    """Text that matches all of a pattern; ``pattern`` is ECMAScript's."""
    compiled = re.compile(pattern.replace(r"\p{L}\p{N}_", r"\w").replace(r"\p{Nd}", r"\d"))

    def check(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise ValueError(remedy)
        return text

    return Checked(check, {"pattern": f"^(?:{pattern})$"})


def one_of(values: Mapping[str | int, int], remedy: str) -> Checked:
    """One of a few values, of which each stands for a number; or null."""

    def check(value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, str | int) or value not in values:
            raise ValueError(remedy)
        return values[value]

    return Checked(check, {"enum": [*values, None]}, before=True)


def whole(least: int, most: int = MAX_INT) -> Any:
    """An integer of this range."""
    return Field(ge=least, le=most)


def no_more_than(most: int, what: str) -> Checked:
    """An array of at most so many."""

    def check(items: list[Any]) -> list[Any]:
        if len(items) > most:
            raise ValueError(f"at most {most} {what} are allowed")
        return items

    return Checked(check, {"maxItems": most})


def _clean(text: str) -> str:
    if any((ord(char) < 32 and char not in "\t\n\r") or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise ValueError("must not hold control characters or halves of surrogate pairs")
    return text


def _is_checkpoint_path(text: str) -> str:
    if text:
        try:
            parse_object("obs://" + bare(text).rstrip("/"), "checkpoint_path")
        except BadField as error:
            raise ValueError('must be "bucket/folder", with or without "obs://" before it') from error
    return text


def _is_resume_max_num(number: int) -> int:
    if number != -1 and not 0 < number <= MAX_INT:
        raise ValueError(f"must be -1 (no limit) or greater than 0, at most {MAX_INT}")
    return number


def _is_memory(text: str) -> str:
    try:
        size = memory_mb(text, "memory")
    except BadField as error:
        raise ValueError('must be a size such as "4 GB" or "4096 MB"') from error
    if size < 2048:
        raise ValueError("must be at least 2 GB")
    return text


Text = Annotated[str, Checked(_clean, {"pattern": r"^[^\u0000-\u0008\u000B\u000C\u000E-\u001F]*$"})]
Name = Annotated[
    Text, shaped(r"[\p{L}\p{N}_-]{1,57}", "must be 1 to 57 letters, digits, '-' and '_', and no other characters")
]
QueueName = Annotated[Text, shaped(r"[\p{L}\p{N}_]{0,128}", "must be at most 128 letters, digits and '_'")]
ClassName = Annotated[
    Text,
    shaped(
        r"(?:(?![\p{Nd}.])[\p{L}\p{N}_$]+(?:\.(?!\p{Nd})[\p{L}\p{N}_$]+)*)?",
        "must be a fully qualified class name such as a.b.Main",
    ),
]
Topic = Annotated[
    Text,
    shaped(
        r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,254})?",
        "must be the name of a topic, not its URN: at most 255 letters, digits, '-' and '_'",
    ),
]
BucketOrNone = Annotated[Text, Checked(str, {"pattern": "^(?:[A-Za-z0-9][A-Za-z0-9._-]{0,62})?$"})]
"""One of another form is refused like one that is missing."""
File = Annotated[Text, up_to(len("obs://") + 63 + 1 + MAX_KEY_BYTES)]
Files = Annotated[list[File], no_more_than(MAX_FILES, "files")]
CheckpointPath = Annotated[
    Text,
    Checked(_is_checkpoint_path, {"pattern": f"^(?:(?:{SCHEMES})?[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}/.+)?$"}),
    up_to(len("obs://") + 63 + 1 + MAX_KEY_BYTES),
]
ResumeMaxNum = Annotated[int, Checked(_is_resume_max_num, {"minimum": -1, "maximum": MAX_INT, "not": {"const": 0}})]
Memory = Annotated[
    Text,
    Checked(_is_memory, {"pattern": r"^\s*[0-9]{1,9}(?:\.[0-9]{1,6})?\s*(?:[gG][iI]?[bB]?|[mM][iI]?[bB]?)?\s*$"}),
]
TagKey = Annotated[
    Text,
    shaped(
        r"(?! )(?!_sys_)[\p{L}\p{N}_ .:=+@-]{1,128}(?<! )",
        "must be 1 to 128 letters, digits, spaces and _.:=+-@, with no space at either end and no _sys_ before it",
    ),
]
TagValue = Annotated[
    Text, shaped(r"[\p{L}\p{N}_ .:+@-]{0,255}", "must be at most 255 letters, digits, spaces and _.:+-@")
]
JobId = Annotated[int, whole(1, MAX_ID)]
JobIdList = Annotated[list[JobId], Field(min_length=1, max_length=100)]
