"""Tags of jobs, queues, packages and pools (dli-contract §1.19), as Tag Management Service and Terraform call them.

Whoever sees a thing in a list reads its tags; whoever may change the thing changes them, a running job's too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from headrace.api.access import Access, needs
from headrace.api.answers import answers
from headrace.api.fields import Text, Wire
from headrace.api.services import Parts, Services
from headrace.api.tags_answers import CountAnswer, FilterAnswer, ProjectTagsAnswer, TagsAnswer
from headrace.api.wire import Tags
from headrace.domain.errors import (
    BadField,
    JobNotFound,
    NotSupported,
    PackageNotFound,
    PoolNotFound,
    QueueNotFound,
    Refused,
)
from headrace.domain.rights import (
    JobRight,
    PackageRight,
    QueueRight,
    Right,
    Standing,
    Thing,
    job_thing,
    package_thing,
    queue_thing,
)
from headrace.store.tags import MAX_TAGS, Kind, Tagged, merged, without

router = APIRouter()


class Type(NamedTuple):
    """One of DLI's resource types.

    Attributes:
        kind: what the store calls it.
        right: needed to change its tags.
        thing: what that right is about.
    """

    kind: Kind
    right: Right
    thing: Callable[[Tagged], Thing]


TYPES: Mapping[str, Type] = {
    "dli_flink_job": Type(Kind.JOB, JobRight.UPDATE, lambda found: job_thing(found.id, found.owner)),
    "dli_queue": Type(Kind.QUEUE, QueueRight.SCALE_QUEUE, lambda found: queue_thing(found.name, found.owner)),
    "dli_package_resource": Type(
        Kind.PACKAGE, PackageRight.UPDATE_RESOURCE, lambda found: package_thing(found.group, found.name, found.owner)
    ),
    "dli_elastic_resource_pool": Type(
        Kind.POOL, Standing.ADMIN, lambda found: Thing((f"elastic_resource_pools.{found.name}",))
    ),
}
ABSENT = ("dli_enhanced_datasource", "dli_database")
"""DLI has them; here are none."""

TypeName = Annotated[
    str,
    Path(description=f"One of {', '.join(TYPES)}.", examples=["dli_flink_job"], json_schema_extra={"enum": [*TYPES]}),
]
Id = Annotated[
    str,
    Path(
        max_length=1000,
        description="A job's number; a queue's or pool's id or name; a package's `group/name`, `group#name` or `name`.",
        examples=["138"],
    ),
]


class CreateTags(Wire):
    """POST tags/create; ``action`` is sent by older clients."""

    action: Annotated[Literal["create"] | None, Field(description="create; nothing else.")] = None
    tags: Annotated[Tags, Field(min_length=1, description="A key that is there already takes the new value.")]


class GoneTag(Wire):
    """A tag that shall go; no set of characters is asked for, as in DLI."""

    key: Annotated[Text, Field(min_length=1, description="Its key.", examples=["team"])]
    value: Annotated[Text | None, Field(description="Given: it goes only if this is its value.")] = None


class DeleteTags(Wire):
    """POST tags/delete; a tag that is not there counts as deleted."""

    action: Annotated[Literal["delete"] | None, Field(description="delete; nothing else.")] = None
    tags: Annotated[
        list[GoneTag], Field(description="Keys, with or without their values.", min_length=1, max_length=MAX_TAGS)
    ]


class Page(BaseModel):
    """Query of lists."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000, description="Most elements in one answer.")] = 1000
    offset: Annotated[int, Field(ge=0, le=2**31 - 1, description="Elements to leave out, from the first.")] = 0


class WantedTag(Wire):
    """Things that have a tag of this key; ``values``: with one of these values, [] = with any."""

    key: Annotated[Text, Field(description="The key.", min_length=1, max_length=128, examples=["team"])]
    values: Annotated[
        list[Annotated[Text, Field(description="One of these; of none, any value.", max_length=255)]],
        Field(max_length=MAX_TAGS, description="One of these; none: any.", examples=[["a", "b"]]),
    ]


class Match(Wire):
    """Things whose name holds this text, whatever the case; an empty text is a name that nothing has."""

    key: Annotated[Literal["resource_name"], Field(description="What is matched.")]
    value: Annotated[Text, Field(description="A part of the name.", max_length=255, examples=["orders"])]


class Filter(Wire):
    """POST resource-instances/filter and /count; what is absent is not looked at."""

    without_any_tag: Annotated[
        bool | None, Field(description="true: only things without tags, and `tags` is not looked at.")
    ] = None
    tags: Annotated[list[WantedTag] | None, Field(max_length=MAX_TAGS, description="All of these must be there.")] = (
        None
    )
    matches: Annotated[list[Match] | None, Field(description="What the name must hold.", max_length=1)] = None


@router.post("/v3/{project_id}/{resource_type}/{resource_id:path}/tags/create", **answers(status=204))
def create(
    resource_type: TypeName,
    resource_id: Id,
    body: CreateTags,
    access: Annotated[Access, needs(Standing.MEMBER, trace="batchCreateResourceTags")],
    parts: Parts,
) -> Response:
    """Adds tags to a thing; 20 are the most that it can have."""
    more = tuple((tag.key, tag.value) for tag in body.tags)
    _change(parts, access, resource_type, resource_id, lambda tags: merged(tags, more))
    return Response(status_code=204)


@router.post("/v3/{project_id}/{resource_type}/{resource_id:path}/tags/delete", **answers(status=204))
def delete(
    resource_type: TypeName,
    resource_id: Id,
    body: DeleteTags,
    access: Annotated[Access, needs(Standing.MEMBER, trace="batchDeleteResourceTags")],
    parts: Parts,
) -> Response:
    """Takes tags from a thing."""
    gone = tuple((tag.key, tag.value) for tag in body.tags)
    _change(parts, access, resource_type, resource_id, lambda tags: without(tags, gone))
    return Response(status_code=204)


@router.get("/v3/{project_id}/{resource_type}/{resource_id:path}/tags", **answers(TagsAnswer))
def show(
    resource_type: TypeName,
    resource_id: Id,
    page: Annotated[Page, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """The tags of a thing."""
    tags = _shown(_find(parts, access, resource_type, resource_id).tags)
    return {"count": len(tags), "tags": _page(tags, page)}


@router.get("/v3/{project_id}/{resource_type}/tags", **answers(ProjectTagsAnswer))
def of_project(
    resource_type: TypeName,
    page: Annotated[Page, Query()],
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """All tags of the things of a type that the caller sees."""
    values: dict[str, set[str]] = {}
    for found in _visible(parts, access, resource_type):
        for key, value in found.tags:
            values.setdefault(key, set()).add(value)
    keys = [{"key": key, "values": sorted(values[key])} for key in sorted(values)]
    return {"tags": _page(keys, page), "count": len(keys)}


@router.post("/v3/{project_id}/{resource_type}/resource-instances/filter", **answers(FilterAnswer))
def filtered(
    resource_type: TypeName,
    page: Annotated[Page, Query()],
    body: Filter,
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
) -> dict[str, Any]:
    """The things of a type that the caller sees and that match."""
    found = [
        {
            "resource_id": _id(thing),
            "resource_name": thing.name,
            "resource_detail": None,
            "tags": _shown(thing.tags),
        }
        for thing in _visible(parts, access, resource_type)
        if _matches(thing, body)
    ]
    return {"total_count": len(found), "resources": _page(found, page)}


@router.post("/v3/{project_id}/{resource_type}/resource-instances/count", **answers(CountAnswer))
def count(
    resource_type: TypeName, body: Filter, access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """How many things of a type the caller sees that match."""
    return {"total_count": sum(_matches(thing, body) for thing in _visible(parts, access, resource_type))}


def _change(
    parts: Services,
    access: Access,
    type_name: str,
    resource_id: str,
    to: Callable[[tuple[tuple[str, str], ...]], tuple[tuple[str, str], ...]],
) -> None:
    found = _find(parts, access, type_name, resource_id)
    access.demand(TYPES[type_name].right, TYPES[type_name].thing(found))
    if not parts.tags.change(found, to, trace=access.trace):
        raise _missing(found.kind, resource_id)


def _type(name: str) -> Type:
    if name in ABSENT:
        raise NotSupported(f"resource_type={name}: there are none here. Only {', '.join(TYPES)} have tags.")
    if name not in TYPES:
        raise BadField("resource_type", name, f"must be one of {', '.join(TYPES)}")
    return TYPES[name]


def _visible(parts: Services, access: Access, type_name: str) -> Iterable[Tagged]:
    """All things of the type that are in the caller's lists; pools are in everybody's."""
    kind, _, thing = _type(type_name)
    for found in parts.tags.of_project(kind, access.project_id):
        if kind is Kind.POOL or access.may(Standing.SEES, thing(found)):
            yield found


def _find(parts: Services, access: Access, type_name: str, resource_id: str) -> Tagged:
    """The thing, if it is in the caller's lists; names of queues and pools are never numbers, so both will do.

    Raises:
        JobNotFound, QueueNotFound, PackageNotFound, PoolNotFound: it is not.
        NotSupported, BadField: there is no such type.
    """
    kind = _type(type_name).kind
    for found in _visible(parts, access, type_name):
        named = kind in (Kind.QUEUE, Kind.POOL) and found.name == resource_id.lower()
        as_terraform = kind is Kind.PACKAGE and f"{found.group}#{found.name}" == resource_id
        if _id(found) == resource_id or named or as_terraform:
            return found
    raise _missing(kind, resource_id)


def _missing(kind: Kind, resource_id: str) -> Refused:
    match kind:
        case Kind.JOB:
            return JobNotFound.of(resource_id[:80])
        case Kind.QUEUE:
            return QueueNotFound(f"There is no queue with the id or name {resource_id[:128]}. Check it.")
        case Kind.PACKAGE:
            group, _, name = resource_id.rpartition("/")
            return PackageNotFound.of(group, name)
        case Kind.POOL:
            return PoolNotFound.of(resource_id)


def _id(thing: Tagged) -> str:
    return f"{thing.group}/{thing.name}".removeprefix("/") if thing.kind is Kind.PACKAGE else str(thing.id)


def _matches(thing: Tagged, wanted: Filter) -> bool:
    if any(not match.value or match.value.lower() not in thing.name.lower() for match in wanted.matches or ()):
        return False
    if wanted.without_any_tag:
        return not thing.tags
    tags = dict(thing.tags)
    return all(tag.key in tags and (not tag.values or tags[tag.key] in tag.values) for tag in wanted.tags or ())


def _shown(tags: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags]


def _page(items: list[Any], page: Page) -> list[Any]:
    return items[page.offset : page.offset + page.limit]
