"""The bodies of the Identity API: Keystone's own JSON shapes (v3), and Huawei Cloud IAM's of access keys."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from headrace.domain.rights import Principal
from headrace.settings import Settings
from headrace.store.identity import Project, User
from headrace.store.keys import AccessKey, Token

DOMAIN_ID = "default"
SERVICES = (
    ("keystone", "identity", "/v3"),
    ("dli", "dli", "/v1.0/{project_id}"),
    ("dliv2", "dliv2", "/v2.0/{project_id}"),
    ("smn", "smn", "/v2/{project_id}"),
)
"""(name, type, path) of what the catalog lists."""


def time_text(at_ms: int) -> str:
    """Keystone's and IAM's form of a time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def links(url: str) -> dict[str, Any]:
    """Of a list."""
    return {"self": url, "previous": None, "next": None}


def catalog(base: str, region: str, project_id: str) -> list[dict[str, Any]]:
    """Where the services of a project are."""
    return [
        {
            "id": sha256(kind.encode()).hexdigest()[:32],
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": sha256(f"{kind} {interface}".encode()).hexdigest()[:32],
                    "interface": interface,
                    "region": region,
                    "region_id": region,
                    "url": base + path.format(project_id=project_id),
                }
                for interface in ("public", "internal", "admin")
            ],
        }
        for name, kind, path in SERVICES
    ]


def token_body(
    token: Token, principal: Principal, project: Project | None, settings: Settings, base: str
) -> dict[str, Any]:
    """What a token says; with a project: that, the role in it and the catalog."""
    domain = {"id": DOMAIN_ID, "name": settings.domain_name}
    body: dict[str, Any] = {
        "methods": ["password"],
        "user": {
            "domain": domain,
            "id": principal.user_id,
            "name": principal.user_name,
            "password_expires_at": None,
        },
        "audit_ids": [sha256(token.token_hash.encode()).hexdigest()[:22]],
        "expires_at": time_text(token.expires_ms),
        "issued_at": time_text(token.issued_ms),
    }
    if project is not None:
        role = principal.role_in(project.id) or "member"
        body |= {
            "project": {"domain": domain, "id": project.id, "name": project.name},
            "is_domain": False,
            "roles": [{"id": role, "name": role}],
            "catalog": catalog(base, settings.region, project.id),
        }
    return {"token": body}


def project_body(project: Project, base: str) -> dict[str, Any]:
    """A project, as Keystone has it."""
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "domain_id": DOMAIN_ID,
        "enabled": project.enabled,
        "is_domain": False,
        "parent_id": DOMAIN_ID,
        "tags": [],
        "options": {},
        "links": {"self": f"{base}/v3/projects/{project.id}"},
    }


def domain_body(settings: Settings, base: str) -> dict[str, Any]:
    """The one domain."""
    return {
        "id": DOMAIN_ID,
        "name": settings.domain_name,
        "description": "",
        "enabled": True,
        "options": {},
        "tags": [],
        "links": {"self": f"{base}/v3/domains/{DOMAIN_ID}"},
    }


def user_body(user: User, base: str) -> dict[str, Any]:
    """A user, as Keystone has it."""
    return {
        "id": user.id,
        "name": user.name,
        "description": user.description,
        "domain_id": DOMAIN_ID,
        "enabled": user.enabled,
        "is_system_admin": user.is_admin,
        "password_expires_at": None,
        "options": {},
        "links": {"self": f"{base}/v3/users/{user.id}"},
    }


ROLE_TEXTS = {
    "admin": "Holds all rights in a project; as a system role, manages users and projects.",
    "member": "Has what was granted, and all rights on what they made.",
}


def role_body(role: str, base: str) -> dict[str, Any]:
    """A role, as Keystone has it."""
    return {
        "id": role,
        "name": role,
        "domain_id": None,
        "description": ROLE_TEXTS[role],
        "options": {},
        "links": {"self": f"{base}/v3/roles/{role}"},
    }


def version_body(base: str) -> dict[str, Any]:
    """The one version of the Identity API."""
    return {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": f"{base}/v3/"}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    }


def key_body(key: AccessKey) -> dict[str, Any]:
    """An access key, as IAM lists it: without its secret."""
    return {
        "access": key.access_key,
        "create_time": time_text(key.created_ms),
        "description": key.description,
        "status": "active" if key.enabled else "inactive",
        "user_id": key.user_id,
    }
