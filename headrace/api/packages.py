"""DLI packages (dli-contract §1.18) and the authorisation of buckets (§1.13)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from headrace.api import package_answers as told_of
from headrace.api.access import Access, needs
from headrace.api.answers import answers, link
from headrace.api.fields import Text, Wire, shaped, up_to
from headrace.api.language import told
from headrace.api.package_answers import AuthorizedAnswer, GroupFields, ListAnswer, ModuleFields, OwnerAnswer
from headrace.api.package_answers import PackageFields as PackageAnswer
from headrace.api.queues import pairs
from headrace.api.services import Parts, Services
from headrace.api.wire import Tags
from headrace.domain.errors import (
    BadField,
    BucketNotFound,
    IdentityNotFound,
    NotAuthorised,
    PackageAbsent,
    PackageInUse,
    PackageNotFound,
)
from headrace.domain.places import is_object
from headrace.domain.rights import PackageRight, Standing, Thing, package_thing
from headrace.objects.paths import ObjectRef, check_bucket, check_group, check_key, check_package, parse_object
from headrace.store.jobs import JobFilter
from headrace.store.packages import Package, shown_name

router = APIRouter()

Kind = Literal["jar", "pyFile", "file", "modelFile"]

Uploading = Annotated[Access, needs(Standing.MEMBER, trace="uploadResources")]
"""Any user may upload; what is somebody else's already is replaced only by who may update it."""

GroupName = Annotated[
    Text,
    shaped(r"(?:(?!\.+$)[A-Za-z0-9._-]{1,64})?", "must be 1 to 64 letters, digits, '.', '_' and '-'"),
    Field(examples=["etl"]),
]
GroupInQuery = Annotated[
    str, Query(max_length=64, description="The package's group, if it is in one.", examples=["etl"])
]
NameInPath = Annotated[
    str, Path(description="The package's name, or its group, `/` and its name.", examples=["app.jar", "etl/app.jar"])
]
LINKS = {
    name: link(f"packages_{name}", {"name": "$response.body#/resources/0", "group": "$response.body#/group_name"})
    for name in ("show", "delete")
}


class Upload(Wire):
    """POST resources/jars, /files, /pyfiles."""

    paths: Annotated[
        list[Annotated[Text, up_to(2048)]],
        Field(
            min_length=1,
            max_length=100,
            description="Objects: obs://bucket/key, or https://bucket.obs.… of OBS. Their base names must differ.",
            examples=[["obs://bucket/app.jar"]],
        ),
    ]
    group: Annotated[GroupName | None, Field(description="Group to put them into; none if absent or empty.")] = None


class UploadKind(Upload):
    """POST resources."""

    kind: Annotated[Kind, Field(description="Nothing runs Python or models; they are kept as files.")]
    is_async: Annotated[
        bool | None, Field(description="Without effect: the answer comes when the content is there.")
    ] = None
    tags: Annotated[Tags | None, Field(description="Tags of each of the packages.")] = None


@router.post("/v2.0/{project_id}/resources", **answers(GroupFields, status=201, links=LINKS))
def upload(body: UploadKind, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies objects into a group of packages; what else is in the group stays."""
    tags = [{"key": tag.key, "value": tag.value} for tag in body.tags or ()]
    return told_of.group(body.group or "", _add(parts, access, body, body.kind, {"tags": tags}))


@router.post("/v2.0/{project_id}/resources/jars", **answers(ModuleFields, status=201, links=LINKS))
def upload_jars(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies JARs: they become all of the group."""
    return _overwrite(parts, access, body, "jar")


@router.post("/v2.0/{project_id}/resources/files", **answers(ModuleFields, status=201, links=LINKS))
def upload_files(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies files: they become all of the group."""
    return _overwrite(parts, access, body, "file")


@router.post("/v2.0/{project_id}/resources/pyfiles", **answers(ModuleFields, status=201, links=LINKS))
def upload_pyfiles(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies Python files: they become all of the group."""
    return _overwrite(parts, access, body, "pyFile")


class ListQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    kind: Annotated[Kind | None, Field(description="Of this kind only.")] = None
    tags: Annotated[
        str, Field(max_length=10_000, description="key=value,… : all must match.", examples=["a=1,b=2"])
    ] = ""


@router.get("/v2.0/{project_id}/resources", **answers(ListAnswer))
def list_packages(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """All packages that the caller may see, and once more by group; there are no built-in modules."""
    wanted = pairs(query.tags)
    found = [
        package
        for package in parts.packages.of_project(access.project_id)
        if access.sees_package(package)
        and query.kind in (None, package.kind)
        and wanted <= {f"{tag['key']}={tag['value']}" for tag in package.details.get("tags", [])}
    ]
    by_group = groupby(found, key=lambda package: package.group)
    return {
        "resources": [told_of.shown(package) for package in found],
        "modules": [],
        "groups": [told_of.group(name, list(members)) for name, members in by_group if name],
        "total": len(found),
    }


class ChangeOwner(Wire):
    """PUT resources/owner: of a package, of a package in a group, or of all of a group."""

    new_owner: Annotated[
        Annotated[Text, up_to(64)], Field(min_length=1, description="A user of the project.", examples=["ann"])
    ]
    group_name: Annotated[GroupName | None, Field(description="The group, or that of the package.")] = None
    resource_name: Annotated[
        Annotated[Text, up_to(200)] | None, Field(description="The package; absent: all of the group.")
    ] = None


@router.put("/v2.0/{project_id}/resources/owner", **answers(OwnerAnswer))
def change_owner(
    body: ChangeOwner, access: Annotated[Access, needs(Standing.MEMBER, trace="updateResourceOwner")], parts: Parts
) -> dict[str, Any]:
    """Gives packages to another user; only whose they are, and administrators of the project, may do so."""
    group, name = _split(body.resource_name or "", body.group_name or "")
    if not group and not name:
        raise BadField("resource_name", body.resource_name, "name a package, a group, or a package and its group")

    def giving(package: Package) -> None:
        if not access.sees_package(package):
            raise PackageNotFound.of(package.group, package.name)
        thing = package_thing(package.group, package.name, package.owner)
        if not access.may(Standing.ADMIN, thing):  # nobody can be granted that
            raise NotAuthorised(
                f"The package {shown_name(package.group, package.name)} is {package.owner}'s. Only they and "
                "administrators of the project may give it away."
            )

    try:
        if not parts.user_exists(access.project_id, body.new_owner):
            raise IdentityNotFound(f"No such user. userName:{body.new_owner}.")
        parts.packages.give(access.project_id, group, name or None, body.new_owner, giving=giving, trace=access.trace)
    except PackageNotFound as error:
        raise PackageAbsent(str(error)) from error
    return {"is_success": True, "message": ""}


@router.get("/v2.0/{project_id}/resources/{name:path}", **answers(PackageAnswer))
def show(
    name: NameInPath, access: Annotated[Access, needs(PackageRight.GET_RESOURCE)], group: GroupInQuery = ""
) -> dict[str, Any]:
    """One package; its group is in the query, or before a "/" in its name."""
    try:
        return told_of.shown(access.package(*_split(name, group)))
    except PackageNotFound as error:
        raise PackageAbsent(str(error)) from error


@router.delete(
    "/v2.0/{project_id}/resources/{name:path}",
    response_class=Response,
    **answers(also={404: {"description": "There is no such package (no body)"}}),
)
def delete(
    name: NameInPath,
    access: Annotated[Access, needs(PackageRight.DELETE_RESOURCE, trace="deleteResource")],
    parts: Parts,
    group: GroupInQuery = "",
) -> Response:
    """Deletes one package; 404 with an empty body if it is not there, as in DLI."""
    try:
        found = access.package(*_split(name, group))
        key = parts.packages.delete(access.project_id, found.group, found.name, trace=access.trace)
    except PackageNotFound:
        return Response(status_code=404)
    parts.package_files.drop(key)
    return Response(status_code=200)


class Authorize(Wire):
    """POST dli/obs-authorize."""

    obs_buckets: Annotated[
        list[Annotated[Text, up_to(255)]],
        Field(min_length=1, max_length=100, description="Buckets of the project.", examples=[["bucket"]]),
    ]


@router.post("/v1.0/{project_id}/dli/obs-authorize", **answers(AuthorizedAnswer))
def authorize(
    body: Authorize,
    access: Annotated[Access, needs(Standing.MEMBER, trace="authorizeObsBucketsForStream")],
    parts: Parts,
) -> dict[str, Any]:
    """A project's jobs may use its buckets already. A bucket of the object storage that is nobody's becomes the
    project's, if the caller is its administrator.
    """
    unowned = [bucket for bucket in body.obs_buckets if parts.bucket_owner(bucket) is None]
    for bucket in body.obs_buckets:
        if bucket not in unowned:
            access.bucket(bucket)
        elif not access.caller.is_admin:
            raise BucketNotFound.of(bucket)
        else:
            parts.objects.require_bucket(bucket)
    for bucket in unowned:
        parts.buckets.claim(bucket, access.project_id, now_ms=parts.now_ms())
    for bucket in body.obs_buckets:
        parts.audit.note(access.trace.of("bucket", bucket, bucket))
    named = ", ".join(body.obs_buckets)
    return {"is_success": "true", "message": told("The following OBS bucket is authorized successfully, {0}.", named)}


def _overwrite(parts: Services, access: Access, body: Upload, kind: str) -> dict[str, Any]:
    """The objects become all of their group, as in DLI; but nothing is dropped that a job names or the caller may not
    delete.
    """

    def dropping(package: Package) -> None:
        access.demand(PackageRight.DELETE_RESOURCE, package_thing(package.group, package.name, package.owner))
        reference = shown_name(package.group, package.name)
        users = JobFilter(
            matches=lambda job: (
                reference in {job.spec.entrypoint, *job.spec.dependency_jars, *job.spec.dependency_files}
            )
        )
        count, found = parts.jobs.search(access.project_id, users, limit=1, offset=0)
        if count:
            raise PackageInUse(
                f"This upload would replace the whole group {package.group}, and drop {reference}, which the job "
                f"{found[0].id} names. Upload it too, or add to the group by POST …/resources."
            )

    return told_of.module(body.group or "", _add(parts, access, body, kind, {}, dropping))


def _add(
    parts: Services,
    access: Access,
    body: Upload,
    kind: str,
    details: dict[str, Any],
    dropping: Callable[[Package], None] | None = None,
) -> list[Package]:
    """Copies all objects in; either all of them become packages, or none."""
    group = check_group(body.group or "")
    sources = [_object(path) for path in body.paths]
    names = [check_package(source.name, "paths") for source in sources]
    for path, name in zip(body.paths, names, strict=True):
        if names.count(name) > 1:
            raise BadField("paths", path, f"two of the paths end in {name}; rename one of them")
    for source in sources:
        access.bucket(source.bucket)
    versions = [parts.objects.head(source.bucket, source.key).version for source in sources]  # all of them are there

    def replacing(package: Package) -> None:
        access.demand(PackageRight.UPDATE_RESOURCE, package_thing(package.group, package.name, package.owner))

    mates = [package for package in parts.packages.of_project(access.project_id) if package.group == group]
    _check_group(access, group, mates, names)
    for package in mates:
        if package.name in names:
            replacing(package)  # before gigabytes are copied; and again in the end, as another may be faster
    keys: list[str] = []
    try:
        with parts.objects.copying():
            for source, version in zip(sources, versions, strict=True):
                _, content = parts.objects.get_stream(source.bucket, source.key, 0, version)
                keys.append(parts.package_files.add(source.name, content))
        now = parts.now_ms()
        added = [
            Package(access.project_id, group, name, kind, key, access.caller.user_name, now, now, details)
            for name, key in zip(names, keys, strict=True)
        ]
        limits, trace = parts.settings.quotas, access.trace
        gone = parts.packages.put(added, replacing=replacing, dropping=dropping, limits=limits, trace=trace)
    except BaseException:
        for key in keys:
            parts.package_files.drop(key)
        raise
    for key in gone:
        parts.package_files.drop(key)
    return [parts.packages.find(access.project_id, group, name) for name in names]


def _check_group(access: Access, group: str, mates: list[Package], names: list[str]) -> None:
    """Whoever may change a group could change what another one adds to it: so nobody adds to a group of others."""
    new = set(names) - {package.name for package in mates}
    if group and new and any(package.owner != access.caller.user_name for package in mates):
        access.demand(PackageRight.UPDATE_RESOURCE, Thing((f"groups.{group}",)))


def _object(path: str) -> ObjectRef:
    """``obs://bucket/key``, or DLI's ``https://bucket.obs.region.example/key``."""
    if is_object(path):
        return parse_object(path, "paths")
    try:
        parts = urlsplit(path)
    except ValueError as error:
        raise BadField("paths", path, f"is not a URL: {error}") from error
    bucket, _, rest = parts.netloc.partition(".")  # .hostname would lose the case of a bucket's letters
    if parts.scheme not in ("http", "https") or not rest.startswith("obs.") or parts.query:
        raise BadField("paths", path, "must be obs://bucket/path/file or https://bucket.obs.example.com/path/file")
    return ObjectRef(check_bucket(bucket, "paths"), check_key(unquote(parts.path.removeprefix("/")), "paths"))


def _split(name: str, group: str) -> tuple[str, str]:
    before, _, base = name.rpartition("/")
    return group or before, base
