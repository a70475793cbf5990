"""Users: the Identity API v3. Administrators of the server manage them; everybody may see and change themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from headrace.api.access import Access, needs
from headrace.api.fields import Checked, Text, Wire, shaped, up_to
from headrace.api.keystone import Asked, DomainId, Name, base_url, check_domain_id
from headrace.api.keystone_answers import ProjectsAnswer, RolesAnswer, UserAnswer, UsersAnswer, keystone_answers
from headrace.api.keystone_bodies import links, project_body, role_body, user_body
from headrace.api.keystone_projects import Admin, Description, Words
from headrace.api.keystone_projects import User as Anyone
from headrace.api.services import Parts, Services
from headrace.domain.errors import BadField, IdentityNotFound, NotAuthorised
from headrace.domain.rights import Standing
from headrace.identity.founding import USER_NAME
from headrace.identity.passwords import LEAST, MOST, check_length, check_password
from headrace.store.identity import User

router = APIRouter()

Password = Annotated[Text, Checked(check_length, {"minLength": LEAST, "maxLength": MOST})]
UserName = Annotated[Text, shaped(USER_NAME, "must be 1 to 64 letters, digits and . _ @ -, the first no sign")]


class NewUserFields(Wire):
    """A user to make."""

    name: Annotated[
        UserName, Field(description="Never used twice, not even after a deletion, whatever the case", examples=["ada"])
    ]
    password: Annotated[Password | None, Field(description="Absent: none is right, only keys let in")] = None
    description: Description = ""
    enabled: Annotated[bool, Field(description="false: keys and tokens are good for nothing")] = True
    domain_id: DomainId = None


class NewUser(Wire):
    """POST /v3/users."""

    user: Annotated[NewUserFields, Field(description="The user")]


class UserChangeFields(Wire):
    """What is to change; absent: stays."""

    name: Annotated[UserName | None, Field(description="As it is: names never change, as jobs name their owner")] = None
    password: Annotated[Password | None, Field(description="Ends all tokens and temporary keys")] = None
    description: Annotated[Words | None, Field(description="Words for others to read")] = None
    enabled: Annotated[bool | None, Field(description="false: keys and tokens are good for nothing")] = None
    domain_id: DomainId = None


class UserChange(Wire):
    """PATCH /v3/users/{user_id}."""

    user: Annotated[UserChangeFields, Field(description="What is to change")]


class PasswordChangeFields(Wire):
    """The password so far, and the new one."""

    original_password: Annotated[Text, up_to(1024), Field(description="The password so far")]
    password: Annotated[Password, Field(description="The new one")]


class PasswordChange(Wire):
    """POST /v3/users/{user_id}/password."""

    user: Annotated[PasswordChangeFields, Field(description="Both passwords")]


class UserQuery(Asked):
    """Which users."""

    name: Annotated[Name | None, Field(description="Only the one of this name", examples=["ada"])] = None
    enabled: Annotated[bool | None, Field(description="Only those that are, or are not")] = None
    domain_id: DomainId = None


@router.get("/v3/users", **keystone_answers(UsersAnswer))
def list_users(query: Annotated[UserQuery, Query()], request: Request, access: Anyone, parts: Parts) -> dict[str, Any]:
    """All users; for who is no administrator of the server, only themselves."""
    base = base_url(request, parts)
    found = [
        user_body(user, base)
        for user in parts.accounts.users.users(name=query.name)
        if (access.principal.is_system_admin or user.id == access.principal.user_id)
        and query.enabled in (None, user.enabled)
    ]
    here = query.domain_id in (None, "default")
    return {"users": found if here else [], "links": links(f"{base}/v3/users")}


@router.get("/v3/users/{user_id}", **keystone_answers(UserAnswer))
def show_user(user_id: str, request: Request, access: Anyone, parts: Parts) -> dict[str, Any]:
    """A user: oneself, or for an administrator of the server anybody."""
    return {"user": user_body(visible_user(user_id, access, parts), base_url(request, parts))}


@router.get("/v3/users/{user_id}/projects", **keystone_answers(ProjectsAnswer))
def list_projects_of_user(user_id: str, request: Request, access: Anyone, parts: Parts) -> dict[str, Any]:
    """The projects that the user has a role in."""
    user, base = visible_user(user_id, access, parts), base_url(request, parts)
    principal = parts.accounts.users.principal(user.id)
    found = [
        project_body(project, base)
        for project in parts.accounts.users.projects()
        if principal is not None and principal.role_in(project.id) is not None
    ]
    return {"projects": found, "links": links(f"{base}/v3/users/{user_id}/projects")}


@router.post("/v3/users", **keystone_answers(UserAnswer, status=201))
def create_user(
    body: NewUser,
    request: Request,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="createUser")],
    parts: Parts,
) -> dict[str, Any]:
    """Makes a user, who belongs to no project yet."""
    wanted = body.user
    check_domain_id(wanted.domain_id)
    made = parts.accounts.add_user(
        wanted.name, wanted.password, wanted.description, enabled=wanted.enabled, trace=access.trace
    )
    return {"user": user_body(made, base_url(request, parts))}


@router.patch("/v3/users/{user_id}", **keystone_answers(UserAnswer))
def change_user(
    user_id: str,
    body: UserChange,
    request: Request,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="updateUser")],
    parts: Parts,
) -> dict[str, Any]:
    """Changes description, enabled or the password, which ends all tokens and temporary keys of the user."""
    wanted, user = body.user, parts.accounts.users.user(user_id)
    check_domain_id(wanted.domain_id)
    if wanted.name not in (None, user.name):
        raise BadField("name", wanted.name, "names of users never change, as jobs name their owner by it")
    if wanted.password is not None:
        check_password(wanted.password, user.name)
    changes = wanted.model_dump(exclude_none=True, include={"description", "enabled"})
    changed = replace(user, **changes)
    if changes:
        parts.accounts.users.change_user(user_id, trace=access.trace, **changes)
    if wanted.password is not None:
        parts.accounts.set_password(changed, wanted.password, trace=access.trace)
    return {"user": user_body(changed, base_url(request, parts))}


@router.delete("/v3/users/{user_id}", **keystone_answers(status=204))
def delete_user(
    user_id: str, access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="deleteUser")], parts: Parts
) -> Response:
    """Keys, tokens, roles and rights of the user are gone; the jobs stay, and the name is not used again."""
    parts.accounts.users.delete_user(user_id, trace=access.trace)
    return Response(status_code=204)


@router.post("/v3/users/{user_id}/password", **keystone_answers(status=204))
def change_password(
    user_id: str,
    body: PasswordChange,
    request: Request,
    access: Annotated[Access, needs(Standing.USER, trace="updateUserPwd")],
    parts: Parts,
) -> Response:
    """A new password for whoever knows the one so far; ends all tokens and temporary keys of the user."""
    refuse_temporary_key(request)
    given, address = body.user, access.trace.source_ip
    parts.accounts.change_password(
        user_id, given.original_password, given.password, address=address, trace=access.trace
    )
    return Response(status_code=204)


@router.get("/v3/system/users/{user_id}/roles", **keystone_answers(RolesAnswer))
def list_system_roles(user_id: str, request: Request, access: Admin, parts: Parts) -> dict[str, Any]:
    """The role admin, if the user is an administrator of the server."""
    del access
    base = base_url(request, parts)
    found = [role_body("admin", base)] if parts.accounts.users.user(user_id).is_admin else []
    return {"roles": found, "links": links(f"{base}/v3/system/users/{user_id}/roles")}


@router.put("/v3/system/users/{user_id}/roles/{role_id}", **keystone_answers(status=204))
def give_system_role(
    user_id: str,
    role_id: str,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="assignRoleToUserOnSystem")],
    parts: Parts,
) -> Response:
    """The user administers the server."""
    return _set_admin(user_id, role_id, access, parts, is_admin=True)


@router.delete("/v3/system/users/{user_id}/roles/{role_id}", **keystone_answers(status=204))
def take_system_role(
    user_id: str,
    role_id: str,
    access: Annotated[Access, needs(Standing.SYSTEM_ADMIN, trace="unassignRoleToUserOnSystem")],
    parts: Parts,
) -> Response:
    """The user administers the server no more; the last one stays."""
    return _set_admin(user_id, role_id, access, parts, is_admin=False)


def visible_user(user_id: str, access: Access, parts: Services) -> User:
    """The user, if the caller may see them; raises IdentityNotFound."""
    if not access.principal.is_system_admin and user_id != access.principal.user_id:
        raise IdentityNotFound.of("user", user_id)
    return parts.accounts.users.user(user_id)


def refuse_temporary_key(request: Request) -> None:
    """Raises NotAuthorised: a temporary key must not lead to what lasts longer."""
    if "x-security-token" in request.headers:
        raise NotAuthorised("A temporary access key may not do this. Use a permanent key or a token.")


def _set_admin(user_id: str, role_id: str, access: Access, parts: Services, *, is_admin: bool) -> Response:
    if role_id != "admin":
        raise IdentityNotFound.of("system role", role_id)
    users = parts.accounts.users
    if is_admin and users.is_external(user_id):
        raise NotAuthorised("A user of the external Keystone cannot administer this server. Make a user of its own.")
    users.change_user(user_id, trace=access.trace, is_admin=is_admin)
    return Response(status_code=204)
