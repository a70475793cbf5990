"""What is told of packages (dli-contract §1.18). Only the change of an owner has ``is_success``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer
from headrace.store.packages import Package

Millis = Annotated[int, Field(description="Epoch milliseconds.", examples=[1790000000000])]
Ready = Annotated[str, Field(description="READY: the content is here before the answer is.", examples=["READY"])]
Owner = Annotated[str, Field(description="Name of the user whose it is.", examples=["ann"])]
Kind = Annotated[str, Field(description="jar, pyFile, file or modelFile.", examples=["jar"])]


class PackageFields(Answer):
    """One package."""

    create_time: Millis
    update_time: Millis
    resource_type: Kind
    resource_name: Annotated[str, Field(description="File name.", examples=["app.jar"])]
    status: Ready
    underlying_name: Annotated[str, Field(description="Unique name of the content.")]
    owner: Owner
    is_async: Annotated[bool, Field(description="False.")]
    group_name: Annotated[str, Field(description="Empty outside any group.", examples=["etl"])]


class GroupFields(Answer):
    """Packages of one group."""

    group_name: Annotated[str, Field(description="Empty outside any group.", examples=["etl"])]
    status: Ready
    resources: Annotated[list[str], Field(description="Names of the packages.")]
    resource_names: Annotated[list[str], Field(description="The same; Terraform's name.")]
    details: Annotated[list[PackageFields], Field(description="Each package")]
    create_time: Annotated[int, Field(description="Of the oldest, epoch milliseconds.")]
    update_time: Annotated[int, Field(description="Of the latest change, epoch milliseconds.")]
    is_async: Annotated[bool, Field(description="False.")]
    owner: Annotated[str, Field(description="Whose the first package is.", examples=["ann"])]


class ModuleFields(GroupFields):
    """Packages of one kind, which were uploaded together."""

    description: Annotated[str, Field(description="Empty.")]
    module_name: Annotated[str, Field(description="The group.", examples=["etl"])]
    module_type: Kind


class ListAnswer(Answer):
    """Packages, by themselves and by group."""

    resources: Annotated[list[PackageFields], Field(description="Packages that the caller may see")]
    modules: Annotated[list[Any], Field(description="None are built in.", max_length=0)]
    groups: Annotated[list[GroupFields], Field(description="The same, by group")]
    total: Annotated[int, Field(ge=0, description="Number of the packages.")]


class OwnerAnswer(Answer):
    """It has another owner."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty.")]


class AuthorizedAnswer(Answer):
    """The buckets exist, and are the project's."""

    is_success: Annotated[str, Field(description='The text "true".', examples=["true"])]
    message: Annotated[str, Field(description="A sentence that names the buckets")]


def shown(package: Package) -> dict[str, Any]:
    """The fields of one package."""
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


def group(name: str, members: list[Package]) -> dict[str, Any]:
    """The fields of packages of one group."""
    return {
        "group_name": name,
        "status": "READY",
        "resources": [package.name for package in members],
        "resource_names": [package.name for package in members],
        "details": [shown(package) for package in members],
        "create_time": min(package.created_ms for package in members),
        "update_time": max(package.updated_ms for package in members),
        "is_async": False,
        "owner": members[0].owner,
    }


def module(name: str, members: list[Package]) -> dict[str, Any]:
    """The same, uploaded as one kind."""
    return {**group(name, members), "description": "", "module_name": name, "module_type": members[0].kind}
