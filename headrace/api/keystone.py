"""Tokens and the catalog: the part of Keystone's Identity API v3 that clients need before they can call DLI.

The SDK without a project id asks ``GET /v3/projects?name=<region>``; ``openstack`` and keystoneauth begin with
``GET /v3`` and ``POST /v3/auth/tokens`` (dli-contract §7). Bodies of requests may have more fields, as in Keystone.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from headrace.api.access import Access, needs
from headrace.api.fields import Text, Wire, up_to
from headrace.api.keystone_answers import (
    CatalogAnswer,
    DomainAnswer,
    DomainsAnswer,
    ProjectsAnswer,
    TokenAnswer,
    VersionAnswer,
    VersionsAnswer,
    keystone_answers,
)
from headrace.api.keystone_bodies import DOMAIN_ID, catalog, domain_body, links, project_body, token_body, version_body
from headrace.api.services import Parts, Services
from headrace.domain.errors import BadField, IdentityNotFound, NotAuthenticated, NotAuthorised
from headrace.domain.rights import Principal, Standing
from headrace.identity.accounts import Issued, Scope
from headrace.store.identity import Project
from headrace.store.keys import Token

router = APIRouter()

_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_SECRET = {"Cache-Control": "no-store", "Vary": "X-Auth-Token"}

Anybody = Annotated[Access, needs(Standing.PUBLIC)]
User = Annotated[Access, needs(Standing.USER)]
Name = Annotated[Text, up_to(255)]
DomainId = Annotated[Name | None, Field(description="`default`, as there is only one domain", examples=["default"])]
TokenText = Annotated[Text, up_to(8192)]
Subject = Annotated[str | None, Header(alias="X-Subject-Token", max_length=8192, description="The token to look at")]


class Tolerant(BaseModel):
    """A part of a request for a token: further fields are ignored, as Keystone does."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class DomainRef(Tolerant):
    """A domain, by id or name."""

    id: DomainId = None
    name: Annotated[Name | None, Field(description="The setting domain_name", examples=["Default"])] = None


class PasswordUser(Tolerant):
    """A user, by id or name, with the password."""

    id: Annotated[Name | None, Field(description="The user's id")] = None
    name: Annotated[Name | None, Field(description="Or their name", examples=["ada"])] = None
    domain: Annotated[DomainRef | None, Field(description="The name's domain; may be left out")] = None
    password: Annotated[Text, up_to(1024), Field(description="The user's password")]


class PasswordMethod(Tolerant):
    """``methods: ["password"]``."""

    user: Annotated[PasswordUser, Field(description="Who, with the password")]


class TokenMethod(Tolerant):
    """``methods: ["token"]``."""

    id: Annotated[TokenText, Field(description="A token, which the new one ends with")]


class IdentityFields(Tolerant):
    """Who one is."""

    methods: Annotated[
        list[Literal["password", "token"]],
        Field(min_length=1, max_length=1, description="How one proves it: one way", examples=[["password"]]),
    ]
    password: Annotated[PasswordMethod | None, Field(description="With the method password")] = None
    token: Annotated[TokenMethod | None, Field(description="With the method token")] = None


class ProjectRef(Tolerant):
    """A project, by id or name; the name's domain may be left out."""

    id: Annotated[Name | None, Field(description="The project's id")] = None
    name: Annotated[Name | None, Field(description="Or its name", examples=["eu-de"])] = None
    domain: Annotated[DomainRef | None, Field(description="The name's domain; may be left out")] = None


class ScopeFields(Wire):
    """What the token is for: one of these."""

    project: Annotated[ProjectRef | None, Field(description="A project that the user has a role in")] = None
    domain: Annotated[DomainRef | None, Field(description="Taken for unscoped: there is one domain")] = None
    unscoped: Annotated[
        dict[str, Any] | None, Field(max_length=0, description="For no project: the token opens no DLI route")
    ] = None


class AuthFields(Tolerant):
    """Who, and for what."""

    identity: Annotated[IdentityFields, Field(description="Who one is")]
    scope: Annotated[
        ScopeFields | Literal["unscoped"] | None,
        Field(description="What for; absent: the user's only project, none if there are several"),
    ] = None


class SignIn(Tolerant):
    """POST /v3/auth/tokens."""

    auth: Annotated[AuthFields, Field(description="Who, and for what")]


class Asked(BaseModel):
    """A query: what is not known is refused."""

    model_config = ConfigDict(extra="forbid")


class DomainQuery(Asked):
    """Which domains."""

    name: Annotated[Name | None, Field(description="Only the one of this name")] = None
    enabled: Annotated[bool | None, Field(description="Only those that are, or are not")] = None


@router.get("/", **keystone_answers(VersionsAnswer, status=300))
def versions(request: Request, access: Anybody, parts: Parts) -> dict[str, Any]:
    """The versions of the Identity API, with Keystone's status 300."""
    del access
    return {"versions": {"values": [version_body(base_url(request, parts))]}}


@router.get("/v3", **keystone_answers(VersionAnswer))
def version(request: Request, access: Anybody, parts: Parts) -> dict[str, Any]:
    """The version of the Identity API."""
    del access
    return {"version": version_body(base_url(request, parts))}


@router.get("/v3/", **keystone_answers(VersionAnswer))
def version_below(request: Request, access: Anybody, parts: Parts) -> dict[str, Any]:
    """The same, for clients whose URL ends with a slash."""
    return version(request, access, parts)


@router.post("/v3/auth/tokens", **keystone_answers(TokenAnswer, status=201))
def sign_in(
    body: SignIn,
    request: Request,
    access: Annotated[Access, needs(Standing.PUBLIC, trace="createTokenByPwd")],
    parts: Parts,
) -> Response:
    """A token for a password, or for another token; it is in the answer's header X-Subject-Token."""
    parts.accounts.require_local()
    scope = _scope(body.auth.scope, parts)
    identity = body.auth.identity
    issued: Issued
    if identity.methods == ["token"]:
        if identity.token is None:
            raise BadField("auth.identity.token", None, "is required with the method token")
        trace = replace(access.trace, trace_name="createTokenByToken")
        issued = parts.accounts.rescope(identity.token.id, scope, trace)
    else:
        if identity.password is None:
            raise BadField("auth.identity.password", None, "is required with the method password")
        user = identity.password.user
        if not user.id and not user.name:
            raise BadField("auth.identity.password.user.name", user.name, "give the user's name or id")
        _check_domain("auth.identity.password.user.domain", user.domain, parts)
        issued = parts.accounts.sign_in(
            name=user.name or "" if not user.id else "",
            user_id=user.id or "",
            password=user.password,
            address=access.trace.source_ip,
            scope=scope,
            trace=access.trace,
        )
    return _told(issued.stored, issued.principal, request, parts, status=201, text=issued.text)


@router.get("/v3/auth/tokens", **keystone_answers(TokenAnswer))
def show_token(request: Request, access: User, parts: Parts, subject: Subject = None) -> Response:
    """What a token says: one's own, or as an administrator of the server anybody's."""
    token, principal = _subject(access, parts, subject)
    return _told(token, principal, request, parts, status=200, text=subject or "")


@router.head("/v3/auth/tokens", **keystone_answers())
def check_token(access: User, parts: Parts, subject: Subject = None) -> Response:
    """Whether a token is valid."""
    _subject(access, parts, subject)
    return Response(status_code=200, headers=_SECRET)


@router.delete("/v3/auth/tokens", **keystone_answers(status=204))
def revoke_token(
    access: Annotated[Access, needs(Standing.USER, trace="logout")], parts: Parts, subject: Subject = None
) -> Response:
    """The token is valid no more."""
    token, _ = _subject(access, parts, subject)
    parts.accounts.keys.remove_token(token.token_hash, trace=access.trace)
    return Response(status_code=204)


@router.get("/v3/auth/catalog", **keystone_answers(CatalogAnswer))
def show_catalog(request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """Where the services are, for the project of the token or key, or the caller's only one."""
    base, mine = base_url(request, parts), _projects(access.principal, parts)
    if len(mine) != 1:
        raise NotAuthorised("The credentials are for no project, or for several. Get a token with the scope of one.")
    return {
        "catalog": catalog(base, parts.settings.region, mine[0].id),
        "links": links(f"{base}/v3/auth/catalog"),
    }


@router.get("/v3/auth/projects", **keystone_answers(ProjectsAnswer))
def list_own_projects(request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """The projects that the caller can get a token for."""
    base = base_url(request, parts)
    principal = parts.accounts.users.principal(access.principal.user_id) or access.principal
    mine = [project_body(project, base) for project in _projects(principal, parts)]
    return {"projects": mine, "links": links(f"{base}/v3/auth/projects")}


@router.get("/v3/auth/domains", **keystone_answers(DomainsAnswer))
def list_own_domains(request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """The one domain."""
    del access
    base = base_url(request, parts)
    return {"domains": [domain_body(parts.settings, base)], "links": links(f"{base}/v3/auth/domains")}


@router.get("/v3/domains", **keystone_answers(DomainsAnswer))
def list_domains(
    query: Annotated[DomainQuery, Query()], request: Request, access: User, parts: Parts
) -> dict[str, Any]:
    """The one domain, if it is asked for."""
    del access
    base, asked = base_url(request, parts), query.name in (None, parts.settings.domain_name)
    found = [domain_body(parts.settings, base)] if asked and query.enabled is not False else []
    return {"domains": found, "links": links(f"{base}/v3/domains")}


@router.get("/v3/domains/{domain_id}", **keystone_answers(DomainAnswer))
def show_domain(domain_id: str, request: Request, access: User, parts: Parts) -> dict[str, Any]:
    """The one domain."""
    del access
    if domain_id != DOMAIN_ID:
        raise IdentityNotFound.of("domain", domain_id)
    return {"domain": domain_body(parts.settings, base_url(request, parts))}


def base_url(request: Request, parts: Services) -> str:
    """How the client reaches this server, without a path; what is no host in its Host header is not repeated."""
    if parts.settings.public_url:
        return parts.settings.public_url.rstrip("/")
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        host = f"{parts.settings.host}:{parts.settings.port}"
    return f"{request.url.scheme}://{host}"


def check_domain_id(domain_id: str | None) -> None:
    """Raises BadField: there is only one."""
    if domain_id not in (None, DOMAIN_ID):
        raise BadField("domain_id", domain_id, f"there is only one domain here, {DOMAIN_ID}")


def _check_domain(field: str, domain: DomainRef | None, parts: Services) -> None:
    wrong = domain is not None and (
        domain.id not in (None, DOMAIN_ID) or domain.name not in (None, parts.settings.domain_name)
    )
    if wrong:
        assert domain is not None
        raise NotAuthenticated(
            f"{field}={(domain.name or domain.id or '')[:80]!r}: there is only one domain here, "
            f"{parts.settings.domain_name} (setting domain_name), with the id {DOMAIN_ID}."
        )


def _scope(given: ScopeFields | str | None, parts: Services) -> Scope:
    if given is None:
        return Scope()
    if isinstance(given, str):
        return Scope(unscoped=True)
    chosen = [name for name in ("project", "domain", "unscoped") if getattr(given, name) is not None]
    if len(chosen) != 1:
        raise BadField("auth.scope", chosen, "must be exactly one of project, domain and unscoped")
    if given.project is None:
        _check_domain("auth.scope.domain", given.domain, parts)
        return Scope(unscoped=True)
    if not given.project.id and not given.project.name:
        raise BadField("auth.scope.project.name", given.project.name, "give the project's name or id")
    _check_domain("auth.scope.project.domain", given.project.domain, parts)
    return Scope(given.project.id or "", "" if given.project.id else given.project.name or "")


def _subject(access: Access, parts: Services, subject: str | None) -> tuple[Token, Principal]:
    parts.accounts.require_local()
    if not subject:
        raise BadField("X-Subject-Token", subject, "is required: the token to look at")
    token = parts.accounts.directory.issued(subject)
    principal = parts.accounts.directory.principal(token) if token is not None else None
    mine = token is not None and (token.user_id == access.principal.user_id or access.principal.is_system_admin)
    if token is None or principal is None or not mine:
        raise IdentityNotFound("The token in X-Subject-Token is wrong or has expired.")
    return token, principal


def _told(token: Token, principal: Principal, request: Request, parts: Services, *, status: int, text: str) -> Response:
    project = parts.accounts.users.project(token.project_id) if token.project_id else None
    body = token_body(token, principal, project, parts.settings, base_url(request, parts))
    return JSONResponse(body, status, {**_SECRET, "X-Subject-Token": text})


def _projects(principal: Principal, parts: Services) -> list[Project]:
    return [project for project in parts.accounts.users.projects() if principal.role_in(project.id) is not None]
