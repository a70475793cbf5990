"""Bodies of the answers about tags."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.api.answers import Answer


class TagFields(Answer):
    """One tag."""

    key: Annotated[str, Field(examples=["team"])]
    value: Annotated[str, Field(examples=["payments"])]


class TagsAnswer(Answer):
    """Tags of one thing."""

    count: Annotated[int, Field(description="Number of all of them.")]
    tags: list[TagFields]


class KeyFields(Answer):
    """A key, and the values that it has."""

    key: Annotated[str, Field(examples=["team"])]
    values: Annotated[list[str], Field(examples=[["orders", "payments"]])]


class ProjectTagsAnswer(Answer):
    """Tags of all things of a type, by key."""

    tags: list[KeyFields]
    count: Annotated[int, Field(description="Number of all keys.")]


class TaggedFields(Answer):
    """One thing."""

    resource_id: Annotated[str, Field(examples=["138"])]
    resource_name: Annotated[str, Field(examples=["orders"])]
    resource_detail: Annotated[None, Field(description="Always null.")]
    tags: list[TagFields]


class FilterAnswer(Answer):
    """One page of the things that match, oldest first."""

    total_count: Annotated[int, Field(description="Number of all that match.")]
    resources: list[TaggedFields]


class CountAnswer(Answer):
    """How many match."""

    total_count: int
