"""Bodies of the answers about tags."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headrace.api.answers import Answer


class TagFields(Answer):
    """One tag."""

    key: Annotated[str, Field(description="The key", examples=["team"])]
    value: Annotated[str, Field(description="The value", examples=["payments"])]


class TagsAnswer(Answer):
    """Tags of one thing."""

    count: Annotated[int, Field(description="Number of all of them.")]
    tags: Annotated[list[TagFields], Field(description="The page")]


class KeyFields(Answer):
    """A key, and the values that it has."""

    key: Annotated[str, Field(description="The key", examples=["team"])]
    values: Annotated[
        list[str], Field(description="Each value that it has somewhere", examples=[["orders", "payments"]])
    ]


class ProjectTagsAnswer(Answer):
    """Tags of all things of a type, by key."""

    tags: Annotated[list[KeyFields], Field(description="By key")]
    count: Annotated[int, Field(description="Number of all keys.")]


class TaggedFields(Answer):
    """One thing."""

    resource_id: Annotated[str, Field(description="Its id, or group/name of a package", examples=["138"])]
    resource_name: Annotated[str, Field(description="Its name", examples=["orders"])]
    resource_detail: Annotated[None, Field(description="Always null.")]
    tags: Annotated[list[TagFields], Field(description="All of its tags")]


class FilterAnswer(Answer):
    """One page of the things that match, oldest first."""

    total_count: Annotated[int, Field(description="Number of all that match.")]
    resources: Annotated[list[TaggedFields], Field(description="The page")]


class CountAnswer(Answer):
    """How many match."""

    total_count: Annotated[int, Field(description="Number of all that match.")]
