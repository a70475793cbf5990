"""What the Identity API answers, in Keystone's own JSON shapes: models, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer, answers

Time = Annotated[str, Field(description="UTC", examples=["2026-11-22T11:00:00.000000Z"])]
Words = Annotated[str, Field(description="Words for others to read")]
Domain = Annotated[str, Field(description="default", examples=["default"])]
Enabled = Annotated[bool, Field(description="false: good for nothing")]
Options = Annotated[dict[str, Any], Field(max_length=0, description="None")]
Id = Annotated[str, Field(description="32 hex digits", examples=["0123456789abcdef0123456789abcdef"])]


class Named(Answer):
    """A thing that is only named."""

    id: Annotated[str, Field(description="Its id")]
    name: Annotated[str, Field(description="Its name")]


class InDomain(Named):
    """A user or project that is only named."""

    domain: Annotated[Named, Field(description="The one domain")]


class OfUser(InDomain):
    """The user of a token."""

    password_expires_at: Annotated[None, Field(description="Passwords do not expire")]


class Endpoint(Answer):
    """Where a service is."""

    id: Annotated[str, Field(description="Always the same")]
    interface: Annotated[str, Field(description="public, internal or admin: all the same here")]
    region: Annotated[str, Field(description="The setting region", examples=["headrace"])]
    region_id: Annotated[str, Field(description="The same")]
    url: Annotated[str, Field(description="With the project's id", examples=["http://127.0.0.1:7373/v3"])]


class Service(Answer):
    """A service of the catalog."""

    id: Annotated[str, Field(description="Always the same")]
    type: Annotated[str, Field(description="What it is", examples=["dli"])]
    name: Annotated[str, Field(description="Its name", examples=["dli"])]
    endpoints: Annotated[list[Endpoint], Field(description="One for each interface")]


class TokenFields(Answer):
    """What a token says."""

    methods: Annotated[list[str], Field(description="How the user was proven", examples=[["password"]])]
    user: Annotated[OfUser, Field(description="Whose it is")]
    audit_ids: Annotated[list[str], Field(description="Names the token without telling it")]
    expires_at: Time
    issued_at: Time
    project: Annotated[InDomain | None, Field(description="What it is for; absent: for none")] = None
    is_domain: Annotated[bool | None, Field(description="false, with a project")] = None
    roles: Annotated[list[Named] | None, Field(description="The user's role in the project")] = None
    catalog: Annotated[list[Service] | None, Field(description="Where the services are, with a project")] = None


class TokenAnswer(Answer):
    """A token; its text is in the header X-Subject-Token. Without a project: no project, roles and catalog."""

    token: Annotated[TokenFields, Field(description="The token, but for its text")]


class Links(Answer):
    """Where a list goes on: nowhere, as all of it is here."""

    self: Annotated[str, Field(description="The URL of the list")]
    previous: Annotated[None, Field(description="All of the list is here")]
    next: Annotated[None, Field(description="All of the list is here")]


class SelfLink(Answer):
    """Where a thing is."""

    self: Annotated[str, Field(description="Its URL")]


class CatalogAnswer(Answer):
    """The catalog."""

    catalog: Annotated[list[Service], Field(description="The services")]
    links: Annotated[Links, Field(description="Where the list is")]


Link = Annotated[SelfLink, Field(description="Where it is")]


class ProjectFields(Answer):
    """A project."""

    id: Id
    name: Annotated[str, Field(description="Its name", examples=["eu-de"])]
    description: Words
    domain_id: Domain
    enabled: Enabled
    is_domain: Annotated[bool, Field(description="false")]
    parent_id: Domain
    tags: Annotated[list[str], Field(max_length=0, description="None")]
    options: Options
    links: Link


class ProjectAnswer(Answer):
    """One project."""

    project: Annotated[ProjectFields, Field(description="The project")]


class ProjectsAnswer(Answer):
    """Projects, by name."""

    projects: Annotated[list[ProjectFields], Field(description="By name")]
    links: Annotated[Links, Field(description="Where the list is")]


class DomainFields(Answer):
    """The one domain."""

    id: Domain
    name: Annotated[str, Field(description="The setting domain_name", examples=["Default"])]
    description: Words
    enabled: Enabled
    options: Options
    tags: Annotated[list[str], Field(max_length=0, description="None")]
    links: Link


class DomainAnswer(Answer):
    """The domain."""

    domain: Annotated[DomainFields, Field(description="The domain")]


class DomainsAnswer(Answer):
    """The one domain, as a list."""

    domains: Annotated[list[DomainFields], Field(description="At most one")]
    links: Annotated[Links, Field(description="Where the list is")]


class UserFields(Answer):
    """A user."""

    id: Id
    name: Annotated[str, Field(description="Their name", examples=["ada"])]
    description: Words
    domain_id: Domain
    enabled: Enabled
    is_system_admin: Annotated[bool, Field(description="Ours: an administrator of the whole server")]
    password_expires_at: Annotated[None, Field(description="Passwords do not expire")]
    options: Options
    links: Link


class UserAnswer(Answer):
    """One user."""

    user: Annotated[UserFields, Field(description="The user")]


class UsersAnswer(Answer):
    """Users, by name."""

    users: Annotated[list[UserFields], Field(description="By name")]
    links: Annotated[Links, Field(description="Where the list is")]


class RoleFields(Answer):
    """A role; its id is its name."""

    id: Annotated[str, Field(description="admin or member", examples=["member"])]
    name: Annotated[str, Field(description="The same", examples=["member"])]
    domain_id: Annotated[None, Field(description="Roles are in no domain")]
    description: Words
    options: Options
    links: Link


class RoleAnswer(Answer):
    """One role."""

    role: Annotated[RoleFields, Field(description="The role")]


class RolesAnswer(Answer):
    """Roles."""

    roles: Annotated[list[RoleFields], Field(description="The roles")]
    links: Annotated[Links, Field(description="Where the list is")]


class VersionLink(Answer):
    """Where the API is."""

    rel: Annotated[str, Field(description="self")]
    href: Annotated[str, Field(description="Its URL")]


class MediaType(Answer):
    """What the API speaks."""

    base: Annotated[str, Field(description="JSON")]
    type: Annotated[str, Field(description="Keystone's name for it")]


class Version(Answer):
    """The version of the Identity API."""

    id: Annotated[str, Field(description="v3 and what of it", examples=["v3.14"])]
    status: Annotated[str, Field(description="stable")]
    updated: Annotated[str, Field(description="When this version was made, in UTC")]
    links: Annotated[list[VersionLink], Field(description="Where it is")]
    media_types: Annotated[list[MediaType], Field(alias="media-types", description="What it speaks")]


class VersionAnswer(Answer):
    """The version that is at this path."""

    version: Annotated[Version, Field(description="The version")]


class VersionList(Answer):
    """Its versions."""

    values: Annotated[list[Version], Field(description="One")]


class VersionsAnswer(Answer):
    """All versions of the Identity API."""

    versions: Annotated[VersionList, Field(description="All")]


class KeystoneError(Answer):
    """What Keystone says of an error."""

    code: Annotated[int, Field(description="The HTTP status", examples=[401])]
    message: Annotated[str, Field(description="What was wrong, and what to do")]
    title: Annotated[str, Field(description="The name of the status", examples=["Unauthorized"])]


class IdentityError(Answer):
    """An error in Keystone's shape and in DLI's: each client reads its own."""

    error: Annotated[KeystoneError, Field(description="Keystone's shape of it")]
    error_code: Annotated[str, Field(pattern=r"^DLI\.[0-9]{4,5}$", description="DLI's code", examples=["DLI.0013"])]
    error_msg: Annotated[str, Field(description="The same message")]


def keystone_answers(model: Any = None, *, status: int = 200) -> dict[str, Any]:
    """``answers`` for a route of the Identity API."""
    refusals = {
        code: {"model": IdentityError, "description": text}
        for code, text in {
            400: "The request is wrong; nothing was changed",
            401: "No valid signature or token, or a wrong password",
            403: "The caller may not do this",
            404: "No such user, project, role or key",
            405: "The path does not have this method",
            408: "The request came too slowly",
            409: "The name is taken, or it is the last administrator",
            413: "The body is too large",
            429: "Too many wrong passwords; Retry-After says how long to wait",
            500: "An unexpected error; the server's log tells it under X-Request-Id",
            503: "A part that is needed does not answer now",
        }.items()
    }
    return answers(model, status=status, also=refusals)
