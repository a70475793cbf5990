"""What the Identity API answers, in Keystone's own JSON shapes: models, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from headrace.api.answers import Answer, answers

Time = Annotated[str, Field(description="UTC.", examples=["2026-11-22T11:00:00.000000Z"])]
Id = Annotated[str, Field(description="32 hex digits.", examples=["0123456789abcdef0123456789abcdef"])]


class Named(Answer):
    """A thing that is only named."""

    id: str
    name: str


class InDomain(Named):
    """A user or project that is only named."""

    domain: Named


class OfUser(InDomain):
    """The user of a token."""

    password_expires_at: Annotated[None, Field(description="Passwords do not expire.")]


class Endpoint(Answer):
    """Where a service is."""

    id: str
    interface: Annotated[str, Field(description="public, internal or admin: all the same here.")]
    region: str
    region_id: str
    url: str


class Service(Answer):
    """A service of the catalog."""

    id: str
    type: Annotated[str, Field(examples=["dli"])]
    name: str
    endpoints: list[Endpoint]


class TokenFields(Answer):
    """What a token says."""

    methods: list[str]
    user: OfUser
    audit_ids: list[str]
    expires_at: Time
    issued_at: Time
    project: InDomain | None = None
    is_domain: bool | None = None
    roles: list[Named] | None = None
    catalog: list[Service] | None = None


class TokenAnswer(Answer):
    """A token; its text is in the header X-Subject-Token. Without a project: no project, roles and catalog."""

    token: TokenFields


class Links(Answer):
    """Where a list goes on: nowhere, as all of it is here."""

    self: str
    previous: None
    next: None


class SelfLink(Answer):
    """Where a thing is."""

    self: str


class CatalogAnswer(Answer):
    """The catalog."""

    catalog: list[Service]
    links: Links


class ProjectFields(Answer):
    """A project."""

    id: Id
    name: str
    description: str
    domain_id: str
    enabled: bool
    is_domain: bool
    parent_id: str
    tags: list[str]
    options: dict[str, Any]
    links: SelfLink


class ProjectAnswer(Answer):
    """One project."""

    project: ProjectFields


class ProjectsAnswer(Answer):
    """Projects, by name."""

    projects: list[ProjectFields]
    links: Links


class DomainFields(Answer):
    """The one domain."""

    id: str
    name: str
    description: str
    enabled: bool
    options: dict[str, Any]
    tags: list[str]
    links: SelfLink


class DomainAnswer(Answer):
    """The domain."""

    domain: DomainFields


class DomainsAnswer(Answer):
    """The one domain, as a list."""

    domains: list[DomainFields]
    links: Links


class UserFields(Answer):
    """A user."""

    id: Id
    name: str
    description: str
    domain_id: str
    enabled: bool
    is_system_admin: Annotated[bool, Field(description="Ours: an administrator of the whole server.")]
    password_expires_at: None
    options: dict[str, Any]
    links: SelfLink


class UserAnswer(Answer):
    """One user."""

    user: UserFields


class UsersAnswer(Answer):
    """Users, by name."""

    users: list[UserFields]
    links: Links


class RoleFields(Answer):
    """A role; its id is its name."""

    id: str
    name: str
    domain_id: None
    description: str
    options: dict[str, Any]
    links: SelfLink


class RoleAnswer(Answer):
    """One role."""

    role: RoleFields


class RolesAnswer(Answer):
    """Roles."""

    roles: list[RoleFields]
    links: Links


class VersionLink(Answer):
    """Where the API is."""

    rel: str
    href: str


class MediaType(Answer):
    """What the API speaks."""

    base: str
    type: str


class Version(Answer):
    """The version of the Identity API."""

    id: str
    status: str
    updated: str
    links: list[VersionLink]
    media_types: Annotated[list[MediaType], Field(alias="media-types")]


class VersionAnswer(Answer):
    """The version that is at this path."""

    version: Version


class VersionList(Answer):
    """Its versions."""

    values: list[Version]


class VersionsAnswer(Answer):
    """All versions of the Identity API."""

    versions: VersionList


class KeystoneError(Answer):
    """What Keystone says of an error."""

    code: Annotated[int, Field(description="The HTTP status.")]
    message: str
    title: str


class IdentityError(Answer):
    """An error in Keystone's shape and in DLI's: each client reads its own."""

    error: KeystoneError
    error_code: str
    error_msg: str


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
