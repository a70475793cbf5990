"""Projects and the roles that users have in them: the Identity API v3, for administrators of the server."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from headrace.api.access import Access, needs
from headrace.api.answers import Answer
from headrace.api.fields import Text, Wire, shaped, up_to
from headrace.api.keystone import Asked, DomainId, Name, base_url, check_domain_id
from headrace.api.keystone_answers import (
    Named,
    ProjectAnswer,
    ProjectsAnswer,
    RoleAnswer,
    RolesAnswer,
    keystone_answers,
)
from headrace.api.keystone_bodies import links, project_body, role_body
from headrace.api.services import Parts
from headrace.domain.errors import IdentityNotFound, NotAuthorised
from headrace.domain.rights import Standing
from headrace.store.identity import ROLES

router = APIRouter()

User = Annotated[Access, needs(Standing.USER)]
Admin = Annotated[Access, needs(Standing.SYSTEM_ADMIN)]
ProjectName = Annotated[Text, shaped("[A-Za-z0-9_-]{1,64}", "must be 1 to 64 letters, digits, - and _")]
Words = Annotated[Text, up_to(255)]
Description = Annotated[Words, Field(description="Words for others to read")]


class NewProjectFields(Wire):
    """A project to make."""

    name: Annotated[ProjectName, Field(description="No other project may have it", examples=["eu-de_orders"])]
    description: Description = ""
    enabled: Annotated[bool, Field(description="false: nobody gets in")] = True
    domain_id: DomainId = None
    parent_id: DomainId = None
    is_domain: Annotated[Literal[False] | None, Field(description="A project is no domain")] = None


class NewProject(Wire):
    """POST /v3/projects."""

    project: Annotated[NewProjectFields, Field(description="The project")]


class ProjectChangeFields(Wire):
    """What is to change; absent: stays."""

    name: Annotated[ProjectName | None, Field(description="No other project may have it")] = None
    description: Annotated[Words | None, Field(description="Words for others to read")] = None
    enabled: Annotated[bool | None, Field(description="false: nobody gets in; its jobs run on")] = None
    domain_id: DomainId = None


class ProjectChange(Wire):
    """PATCH /v3/projects/{tenant_id}."""

    project: Annotated[ProjectChangeFields, Field(description="What is to change")]


class ProjectQuery(Asked):
    """Which projects."""

    name: Annotated[Name | None, Field(description="Only the one of this name", examples=["eu-de"])] = None
    enabled: Annotated[bool | None, Field(description="Only those that are, or are not")] = None
    domain_id: DomainId = None
    parent_id: DomainId = None
    is_domain: Annotated[bool | None, Field(description="true finds none: a project is no domain")] = None


class RoleQuery(Asked):
    """Which roles."""

    name: Annotated[Name | None, Field(description="Only the one of this name", examples=["member"])] = None
    domain_id: Annotated[Name | None, Field(description="Finds none: roles are in no domain")] = None


class AssignmentScope(Answer):
    """Where the role is held."""

    project: Annotated[Named, Field(description="The project")]


class Assignment(Answer):
    """A user's role in a project."""

    role: Annotated[Named, Field(description="admin or member")]
    user: Annotated[Named, Field(description="Who")]
    scope: Annotated[AssignmentScope, Field(description="Where")]


class AssignmentsAnswer(Answer):
    """The members of projects."""

    role_assignments: Annotated[list[Assignment], Field(description="By project and name of the user")]


class AssignmentQuery(Asked):
    """Of which project or user; names are always told."""

    project_id: Annotated[Name | None, Field(alias="scope.project.id", description="Only in this project")] = None
    user_id: Annotated[Name | None, Field(alias="user.id", description="Only of this user")] = None
    include_names: Annotated[bool | None, Field(description="No effect: names are always told")] = None


@router.get("/v3/projects", **keystone_answers(ProjectsAnswer))
def list_projects(
    query: Annotated[ProjectQuery, Query()], request: Request, access: User, parts: Parts
) -> dict[str, Any]:
    """The caller's projects; for an administrator of the server, all. The SDK asks with the region's name."""
    base = base_url(request, parts)
    found = [
        project_body(project, base)
        for project in parts.accounts.users.projects(name=query.name)
        if (access.principal.is_system_admin or access.principal.role_in(project.id) is not None)
        and query.enabled in (None, project.enabled)
    ]
    elsewhere = query.is_domain or any(given not in (None, "default") for given in (query.domain_id, query.parent_id))
    return {"projects": [] if elsewhere else found, "links": links(f"{base}/v3/projects")}


@router.get("/v3/projects/{tenant_id}", **keystone_answers(ProjectAnswer))
def show_project(tenant_id: str, request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """One of the caller's projects; for an administrator of the server, any."""
    if not access.principal.is_system_admin and access.principal.role_in(tenant_id) is None:
        raise IdentityNotFound.of("project", tenant_id)
    return {"project": project_body(parts.accounts.users.project(tenant_id), base_url(request, parts))}


@router.post("/v3/projects", **keystone_answers(ProjectAnswer, status=201))
def create_project(
    body: NewProject,
    request: Request,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="createProject")],
    parts: Parts,
) -> dict[str, Any]:
    """Makes a project. It cannot be deleted, as jobs belong to it; it can be disabled."""
    wanted = body.project
    check_domain_id(wanted.domain_id)
    check_domain_id(wanted.parent_id)
    made = parts.accounts.add_project(wanted.name, wanted.description, enabled=wanted.enabled, trace=access.trace)
    return {"project": project_body(made, base_url(request, parts))}


@router.patch("/v3/projects/{tenant_id}", **keystone_answers(ProjectAnswer))
def change_project(
    tenant_id: str,
    body: ProjectChange,
    request: Request,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="updateProject")],
    parts: Parts,
) -> dict[str, Any]:
    """Changes name, description or enabled."""
    check_domain_id(body.project.domain_id)
    changes = body.project.model_dump(exclude_none=True, exclude={"domain_id"})
    changed = replace(parts.accounts.users.project(tenant_id), **changes)
    parts.accounts.users.change_project(changed, trace=access.trace)
    return {"project": project_body(changed, base_url(request, parts))}


@router.get("/v3/roles", **keystone_answers(RolesAnswer))
def list_roles(query: Annotated[RoleQuery, Query()], request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """The two roles."""
    del access
    base = base_url(request, parts)
    found = [role_body(role, base) for role in ROLES if query.name in (None, role) and query.domain_id is None]
    return {"roles": found, "links": links(f"{base}/v3/roles")}


@router.get("/v3/roles/{role_id}", **keystone_answers(RoleAnswer))
def show_role(role_id: str, request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """One role."""
    del access
    return {"role": role_body(_role(role_id), base_url(request, parts))}


@router.get("/v3/role_assignments", **keystone_answers(AssignmentsAnswer))
def list_assignments(query: Annotated[AssignmentQuery, Query()], access: Admin, parts: Parts) -> dict[str, Any]:
    """Who has which role in which project."""
    del access
    found = [
        {
            "role": {"id": role, "name": role},
            "user": {"id": user.id, "name": user.name},
            "scope": {"project": {"id": project.id, "name": project.name}},
        }
        for project in parts.accounts.users.projects()
        if query.project_id in (None, project.id)
        for user, role in parts.accounts.users.members(project.id)
        if query.user_id in (None, user.id)
    ]
    return {"role_assignments": found}


@router.get("/v3/projects/{tenant_id}/users/{user_id}/roles", **keystone_answers(RolesAnswer))
def list_roles_of_user(tenant_id: str, user_id: str, request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """The role that was given to a user in a project: one, or none; one's own, or for an administrator anybody's."""
    if not access.principal.is_system_admin and access.principal.user_id != user_id:
        raise NotAuthorised("Only an administrator of the server sees the roles of others.")
    users, base = parts.accounts.users, base_url(request, parts)
    role = users.role(users.project(tenant_id).id, users.user(user_id).id)
    found = [role_body(role, base)] if role else []
    return {"roles": found, "links": links(f"{base}/v3/projects/{tenant_id}/users/{user_id}/roles")}


@router.put("/v3/projects/{tenant_id}/users/{user_id}/roles/{role_id}", **keystone_answers(status=204))
def give_role(
    tenant_id: str,
    user_id: str,
    role_id: str,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="assignRoleToUserOnProject")],
    parts: Parts,
) -> Response:
    """The user has this one role in the project; another one that they had is replaced."""
    parts.accounts.users.set_role(tenant_id, user_id, _role(role_id), trace=access.trace)
    return Response(status_code=204)


@router.head("/v3/projects/{tenant_id}/users/{user_id}/roles/{role_id}", **keystone_answers(status=204))
def has_role(tenant_id: str, user_id: str, role_id: str, access: Admin, parts: Parts) -> Response:
    """204 if the user has just this role in the project, else 404."""
    del access
    if parts.accounts.users.role(tenant_id, user_id) != role_id:
        raise IdentityNotFound.of("role", role_id)
    return Response(status_code=204)


@router.delete("/v3/projects/{tenant_id}/users/{user_id}/roles/{role_id}", **keystone_answers(status=204))
def take_role(
    tenant_id: str,
    user_id: str,
    role_id: str,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="unassignRoleToUserOnProject")],
    parts: Parts,
) -> Response:
    """The user has left the project: what was granted to them there is gone, their jobs stay."""
    parts.accounts.users.remove_role(tenant_id, user_id, _role(role_id), trace=access.trace)
    return Response(status_code=204)


def _role(role_id: str) -> str:
    if role_id not in ROLES:
        raise IdentityNotFound.of("role", role_id)
    return role_id
