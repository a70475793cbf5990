"""DLI packages (dli-contract §1.18) and the authorisation of buckets (§1.13)."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from headrace.api.access import Access, needs
from headrace.api.language import told
from headrace.api.services import Parts, Services
from headrace.api.wire import Tag, Text, Wire
from headrace.domain.errors import BadField, PackageNotFound
from headrace.domain.rights import PackageRight, Standing, package_thing
from headrace.objects.paths import ObjectRef, check_bucket, check_group, check_key, check_package, parse_object
from headrace.store.packages import Package

router = APIRouter()

Kind = Literal["jar", "pyFile", "file", "modelFile"]

Uploading = Annotated[Access, needs(Standing.MEMBER, trace="uploadResources")]
"""Any user may upload; what is somebody else's already is replaced only by who may update it."""


class Upload(Wire):
    """POST resources/jars, /files, /pyfiles."""

    paths: Annotated[list[Text], Field(min_length=1, max_length=100)]
    group: Text | None = None


class UploadKind(Upload):
    """POST resources. ``is_async`` has no effect: the answer comes when the content is there."""

    kind: Kind
    is_async: bool | None = None
    tags: Annotated[list[Tag], Field(max_length=20)] | None = None


@router.post("/v2.0/{project_id}/resources", status_code=201)
def upload(body: UploadKind, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies objects into a group of packages."""
    tags = [{"key": tag.key, "value": tag.value} for tag in body.tags or ()]
    return _group(body.group or "", _add(parts, access, body, body.kind, {"tags": tags}))


@router.post("/v2.0/{project_id}/resources/jars", status_code=201)
def upload_jars(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies JARs into a group."""
    return _module(body.group or "", _add(parts, access, body, "jar", {}))


@router.post("/v2.0/{project_id}/resources/files", status_code=201)
def upload_files(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies files into a group."""
    return _module(body.group or "", _add(parts, access, body, "file", {}))


@router.post("/v2.0/{project_id}/resources/pyfiles", status_code=201)
def upload_pyfiles(body: Upload, access: Uploading, parts: Parts) -> dict[str, Any]:
    """Copies Python files into a group."""
    return _module(body.group or "", _add(parts, access, body, "pyFile", {}))


class ListQuery(BaseModel):
    """Query of the list."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    tags: str = ""


@router.get("/v2.0/{project_id}/resources")
def list_packages(
    query: Annotated[ListQuery, Query()], access: Annotated[Access, needs(Standing.MEMBER)], parts: Parts
) -> dict[str, Any]:
    """All packages that the caller may see, and once more by group; there are no built-in modules."""
    wanted = set(query.tags.split(",")) if query.tags else set()
    found = [
        package
        for package in parts.packages.of_project(access.project_id)
        if access.sees_package(package)
        and query.kind in (None, package.kind)
        and wanted <= {f"{tag['key']}={tag['value']}" for tag in package.details.get("tags", [])}
    ]
    groups = [
        _group(name, list(members)) for name, members in groupby(found, key=lambda package: package.group) if name
    ]
    return {"resources": [_shown(package) for package in found], "modules": [], "groups": groups, "total": len(found)}


@router.get("/v2.0/{project_id}/resources/{name:path}")
def show(name: str, access: Annotated[Access, needs(PackageRight.GET_RESOURCE)], group: str = "") -> dict[str, Any]:
    """One package; its group is in the query, or before a "/" in its name."""
    return _shown(access.package(*_split(name, group)))


@router.delete("/v2.0/{project_id}/resources/{name:path}")
def delete(
    name: str,
    access: Annotated[Access, needs(PackageRight.DELETE_RESOURCE, trace="deleteResource")],
    parts: Parts,
    group: str = "",
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

    obs_buckets: Annotated[list[Text], Field(min_length=1, max_length=100)]


@router.post("/v1.0/{project_id}/dli/obs-authorize")
def authorize(
    body: Authorize,
    access: Annotated[Access, needs(Standing.MEMBER, trace="authorizeObsBucketsForStream")],
    parts: Parts,
) -> dict[str, Any]:
    """A project's jobs may use its buckets already; so this only says whether they exist."""
    for bucket in body.obs_buckets:
        access.bucket(bucket)
    for bucket in body.obs_buckets:
        parts.audit.note(access.trace.of("bucket", bucket, bucket))
    named = ", ".join(body.obs_buckets)
    return {"is_success": "true", "message": told("The following OBS bucket is authorized successfully, {0}.", named)}


def _add(parts: Services, access: Access, body: Upload, kind: str, details: dict[str, Any]) -> list[Package]:
    """Copies all objects in; either all of them become packages, or none."""
    group = check_group(body.group or "")
    sources = [_object(path) for path in body.paths]
    names = [check_package(source.name, "paths") for source in sources]
    for path, name in zip(body.paths, names, strict=True):
        if names.count(name) > 1:
            raise BadField("paths", path, f"two of the paths end in {name}; rename one of them")
    for source in sources:
        access.bucket(source.bucket)
    files = [parts.objects.local_path(source.bucket, source.key) for source in sources]
    _check_replaceable(parts, access, group, names)
    keys: list[str] = []
    try:
        keys.extend(parts.package_files.add(name, file) for name, file in zip(names, files, strict=True))
        now = parts.now_ms()
        added = [
            Package(access.project_id, group, name, kind, key, access.caller.user_name, now, now, details)
            for name, key in zip(names, keys, strict=True)
        ]
        replaced = parts.packages.put(added, trace=access.trace)
    except BaseException:
        for key in keys:
            parts.package_files.drop(key)
        raise
    for key in replaced:
        parts.package_files.drop(key)
    return [parts.packages.find(access.project_id, group, name) for name in names]


def _check_replaceable(parts: Services, access: Access, group: str, names: list[str]) -> None:
    for package in parts.packages.of_project(access.project_id):
        if package.group == group and package.name in names:
            access.demand(PackageRight.UPDATE_RESOURCE, package_thing(group, package.name, package.owner))


def _object(path: str) -> ObjectRef:
    """``obs://bucket/key``, or DLI's ``https://bucket.obs.region.example/key``."""
    if path.startswith("obs://"):
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


def _shown(package: Package) -> dict[str, Any]:
    return {
        "create_time": package.created_ms,
        "update_time": package.updated_ms,
        "resource_type": package.kind,
        "resource_name": package.name,
        "status": "READY",
        "underlying_name": package.object_key,
        "owner": package.owner,
        "is_async": False,
        "group_name": package.group,
    }


def _group(name: str, members: list[Package]) -> dict[str, Any]:
    return {
        "group_name": name,
        "status": "READY",
        "resources": [package.name for package in members],
        "resource_names": [package.name for package in members],
        "details": [_shown(package) for package in members],
        "create_time": min(package.created_ms for package in members),
        "update_time": max(package.updated_ms for package in members),
        "is_async": False,
        "owner": members[0].owner,
    }


def _module(name: str, members: list[Package]) -> dict[str, Any]:
    return {**_group(name, members), "description": "", "module_name": name, "module_type": members[0].kind}
