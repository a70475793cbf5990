"""Who may do what: the one rule, and the names of all rights (dli-contract §1.21, §7).

The creator of a thing and the administrators of its project hold all rights on it and cannot lose them. Everybody else
in the project holds what was granted to them, on the thing itself or on ``*``, and nothing besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class JobRight(StrEnum):
    """Rights on jobs; CREATE and LIST_ALL are granted on ``jobs.flink.*`` only."""

    GET = "GET"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    START = "START"
    STOP = "STOP"
    EXPORT = "EXPORT"
    GRANT_PRIVILEGE = "GRANT_PRIVILEGE"
    REVOKE_PRIVILEGE = "REVOKE_PRIVILEGE"
    SHOW_PRIVILEGES = "SHOW_PRIVILEGES"
    CREATE = "CREATE"
    LIST_ALL = "LIST_ALL"


class QueueRight(StrEnum):
    """Rights on queues; CREATE_QUEUE is granted on ``queues.*`` only."""

    SUBMIT_JOB = "SUBMIT_JOB"
    CANCEL_JOB = "CANCEL_JOB"
    DROP_QUEUE = "DROP_QUEUE"
    SCALE_QUEUE = "SCALE_QUEUE"
    RESTART = "RESTART"
    GRANT_PRIVILEGE = "GRANT_PRIVILEGE"
    REVOKE_PRIVILEGE = "REVOKE_PRIVILEGE"
    SHOW_PRIVILEGES = "SHOW_PRIVILEGES"
    CREATE_QUEUE = "CREATE_QUEUE"


class PackageRight(StrEnum):
    """Rights on packages, or on all of a group."""

    USE_RESOURCE = "USE_RESOURCE"
    UPDATE_RESOURCE = "UPDATE_RESOURCE"
    GET_RESOURCE = "GET_RESOURCE"
    DELETE_RESOURCE = "DELETE_RESOURCE"
    GRANT_PRIVILEGE = "GRANT_PRIVILEGE"
    REVOKE_PRIVILEGE = "REVOKE_PRIVILEGE"
    SHOW_PRIVILEGES = "SHOW_PRIVILEGES"


class Standing(StrEnum):
    """What one must be; granted by no privilege.

    PUBLIC: anybody, without credentials. USER: any user, no project. SYSTEM_ADMIN: an administrator of the server.
    MEMBER: any user of the path's project. ADMIN: an administrator of it. SEES: whoever sees the thing in a list.
    """

    PUBLIC = "PUBLIC"
    USER = "USER"
    SYSTEM_ADMIN = "SYSTEM_ADMIN"
    MEMBER = "MEMBER"
    ADMIN = "ADMIN"
    SEES = "SEES"


Right = JobRight | QueueRight | PackageRight | Standing


@dataclass(frozen=True)
class Principal:
    """Somebody who has proven who they are.

    Attributes:
        is_system_admin: may manage users and projects.
        roles: project id -> "admin" or "member"; a system administrator is "admin" in every project.
        project_id: the only project that the credential is good for; "" = each of ``roles``.
    """

    user_id: str
    user_name: str
    is_system_admin: bool = False
    roles: Mapping[str, str] | None = None
    project_id: str = ""

    def role_in(self, project_id: str) -> str | None:
        """The role that this credential gives in the project, None if none."""
        if self.project_id and self.project_id != project_id:
            return None
        return (self.roles or {}).get(project_id)


@dataclass(frozen=True)
class SignedKey:
    """One access key: its secret, and whom it speaks for.

    Attributes:
        token_hash: of a temporary key, the hex SHA-256 of the X-Security-Token that must come with it.
    """

    access_key: str
    secret_key: str
    principal: Principal
    token_hash: str = ""


@dataclass(frozen=True)
class Caller:
    """A principal at work in one project."""

    project_id: str
    user_name: str
    user_id: str = ""
    is_admin: bool = True


@dataclass(frozen=True)
class Thing:
    """What a right is about.

    Attributes:
        objects: its names in grants, such as ``jobs.flink.7`` and ``jobs.flink.*``.
        owner: its creator's user name; "" = nobody's.
    """

    objects: tuple[str, ...]
    owner: str = ""


Grants = Mapping[str, frozenset[str]]
"""Object -> privileges, of one user in one project."""

ALL_JOBS = Thing(("jobs.flink.*",))
ALL_QUEUES = Thing(("queues.*",))


def job_thing(job_id: int, owner: str) -> Thing:
    """A job."""
    return Thing((f"jobs.flink.{job_id}", *ALL_JOBS.objects), owner)


def queue_thing(name: str, owner: str) -> Thing:
    """A queue."""
    return Thing((f"queues.{name}", *ALL_QUEUES.objects), owner)


def package_thing(group: str, name: str, owner: str) -> Thing:
    """A package, by itself and through its group."""
    if not group:
        return Thing((f"resources.{name}",), owner)
    return Thing((f"resources.{group}/{name}", f"groups.{group}"), owner)


def may(caller: Caller, right: Right, thing: Thing, grants: Grants) -> bool:
    """The rule."""
    if caller.is_admin or (thing.owner and thing.owner == caller.user_name):
        return True
    if right is Standing.SEES:
        return sees(caller, thing, grants)
    return any(right in grants.get(name, ()) for name in thing.objects)


def sees(caller: Caller, thing: Thing, grants: Grants) -> bool:
    """Whether the thing is in the caller's lists: any right on it will do (CREATE is a right on none)."""
    if caller.is_admin or (thing.owner and thing.owner == caller.user_name):
        return True
    creating = {JobRight.CREATE, QueueRight.CREATE_QUEUE}
    return any(grants.get(name, frozenset()) - creating for name in thing.objects)
