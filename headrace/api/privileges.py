"""Privileges (dli-contract §1.21): who may do what with a job, a queue, a package or a group.

Whoever holds GRANT_PRIVILEGE on a thing may grant what they hold themselves; REVOKE_PRIVILEGE takes away; "update",
which replaces, needs both. The creator and the administrators hold all, and nobody can take that from them.
``is_success`` is a boolean here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from headrace.api.access import Access, needs
from headrace.api.answers import Answer, answers
from headrace.api.privilege_objects import Named, resolve
from headrace.api.services import Parts, Services
from headrace.api.wire import Text, Wire
from headrace.domain.errors import BadField, NotSupported
from headrace.domain.rights import Standing

router = APIRouter()

Action = Literal["grant", "revoke", "update"]
UserName = Annotated[Text, Field(min_length=1, max_length=64, description="Name of a user of the project.")]
Privileges = Annotated[
    list[Annotated[Text, Field(max_length=64, examples=["GET", "START", "STOP"])]],
    Field(max_length=32, description="Names of privileges, or ALL; empty with update: everything is taken away."),
]
Changing = Annotated[Access, needs(Standing.MEMBER, trace="updateUserAuthorization")]
"""Which right it takes depends on the action and on the things that the body names."""


class Privilege(Wire):
    """Privileges on one thing."""

    object: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=300,
            description="jobs.flink.<id>, queues.<name>, resources.[<group>/]<name> or groups.<name>; jobs.flink.* and "
            "queues.* are all of the project.",
            examples=["jobs.flink.138"],
        ),
    ]
    privileges: Privileges


class Change(Wire):
    """PUT user-authorization."""

    user_name: UserName
    action: Annotated[Action, Field(description="grant adds, revoke takes away, update replaces.")]
    privileges: Annotated[list[Privilege], Field(description="What on which things.", min_length=1, max_length=100)]


class ChangeAnywhere(Wire):
    """PUT authorization: of a user, or (refused) of another project."""

    user_name: Annotated[UserName | None, Field(description="Whose privileges.")] = None
    projectId: Annotated[  # noqa: N815 - DLI's name
        Text | None, Field(max_length=64, description="Not supported: a project sees only itself.")
    ] = None
    action: Annotated[Action, Field(description="grant adds, revoke takes away, update replaces.")]
    privileges: Annotated[list[Privilege], Field(description="What on which things.", min_length=1, max_length=100)]


class ChangeOfQueue(Wire):
    """PUT queues/user-authorization."""

    queue_name: Annotated[Text, Field(min_length=1, max_length=128, description="Name of a queue of the project.")]
    user_name: UserName
    action: Annotated[Action, Field(description="grant adds, revoke takes away, update replaces.")]
    privileges: Privileges


class ChangedAnswer(Answer):
    """The privileges are changed."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty, as in DLI.")]


class Holder(Answer):
    """A user, and the privileges on the object."""

    user_name: Annotated[str, Field(description="Name of the user.", examples=["ann"])]
    is_admin: Annotated[bool, Field(description="Whether the user is an administrator of the project.")]
    privileges: Annotated[list[str], Field(description="Names of privileges; ALL for its creator.")]


class HolderOfObject(Holder):
    """A user, and the privileges on the object, with its name."""

    object: Annotated[str, Field(description="The object, as it was asked for.", examples=["jobs.flink.138"])]


class PrivilegesAnswer(Answer):
    """Who holds what on one object."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty, as in DLI.")]
    object_name: Annotated[str, Field(description="Name of the object within its type.", examples=["138"])]
    object_type: Annotated[str, Field(description="flink, queues, resources or groups.", examples=["flink"])]
    count: Annotated[int, Field(description="Number of users.")]
    privileges: Annotated[list[HolderOfObject], Field(description="The creator first, then the others by name.")]


class QueueUsersAnswer(Answer):
    """Who holds what on one queue."""

    is_success: Annotated[bool, Field(description="Always true; an error has another body.")]
    message: Annotated[str, Field(description="Empty, as in DLI.")]
    queue_name: Annotated[str, Field(description="Name of the queue.")]
    privileges: Annotated[list[Holder], Field(description="The creator first, then the others by name.")]


@router.get("/v1.0/{project_id}/authorization/privileges", **answers(PrivilegesAnswer))
def show(
    access: Annotated[Access, needs(Standing.MEMBER)],
    parts: Parts,
    name: Annotated[str, Query(alias="object", max_length=300, description="Such as jobs.flink.138.")],
) -> dict[str, Any]:
    """Who holds what on the object; needs SHOW_PRIVILEGES on it."""
    thing = resolve(access, parts, name)
    access.demand(thing.right("SHOW_PRIVILEGES"), thing.thing)
    holders = [{"object": name, **holder} for holder in _holders(parts, access, thing)]
    return {
        "is_success": True,
        "message": "",
        "object_name": thing.name,
        "object_type": thing.kind,
        "count": len(holders),
        "privileges": holders,
    }


@router.put("/v1.0/{project_id}/user-authorization", **answers(ChangedAnswer))
def change(body: Change, access: Changing, parts: Parts) -> dict[str, Any]:
    """Grants, revokes or replaces privileges of one user, on all objects or on none."""
    return _change(parts, access, body.user_name, body.action, body.privileges)


@router.put("/v1.0/{project_id}/authorization", **answers(ChangedAnswer))
def change_anywhere(body: ChangeAnywhere, access: Changing, parts: Parts) -> dict[str, Any]:
    """The same, at its newer address."""
    if body.projectId is not None:
        raise NotSupported(
            f"projectId={body.projectId!r}: nothing is shared between projects here. Name a user_name of this project."
        )
    if body.user_name is None:
        raise BadField("user_name", None, "is required")
    return _change(parts, access, body.user_name, body.action, body.privileges)


@router.put("/v1.0/{project_id}/queues/user-authorization", **answers(ChangedAnswer))
def change_queue(body: ChangeOfQueue, access: Changing, parts: Parts) -> dict[str, Any]:
    """The same, on one queue."""
    wanted = [Privilege(object=f"queues.{body.queue_name}", privileges=body.privileges)]
    return _change(parts, access, body.user_name, body.action, wanted)


@router.get("/v1.0/{project_id}/queues/{queue_name}/users", **answers(QueueUsersAnswer))
def queue_users(queue_name: str, access: Annotated[Access, needs(Standing.SEES)], parts: Parts) -> dict[str, Any]:
    """Who holds what on the queue; needs SHOW_PRIVILEGES on it."""
    thing = resolve(access, parts, f"queues.{queue_name}")
    access.demand(thing.right("SHOW_PRIVILEGES"), thing.thing)
    return {"is_success": True, "message": "", "queue_name": thing.name, "privileges": _holders(parts, access, thing)}


def _change(parts: Services, access: Access, user_name: str, action: Action, wanted: list[Privilege]) -> dict[str, Any]:
    names = [privilege.object for privilege in wanted]
    for name in names:
        if names.count(name) > 1:
            raise BadField("privileges", name, "is given twice; name each object once")
    changes = []
    for privilege in wanted:
        named = resolve(access, parts, privilege.object)
        asked = named.rights(privilege.privileges)
        _demand(access, named, action, asked)
        changes.append((named.object, asked))
    if not parts.user_exists(access.project_id, user_name):  # told only to who may grant
        raise BadField("user_name", user_name, "is no user of the project; see its name, or make it a member first")
    parts.privileges.change(access.project_id, user_name, changes, action=action, trace=access.trace)
    return {"is_success": True, "message": ""}


def _demand(access: Access, named: Named, action: Action, asked: frozenset[str]) -> None:
    """What the caller must hold: the right to change, and what they give away."""
    if action != "revoke":
        access.demand(named.right("GRANT_PRIVILEGE"), named.thing)
        for right in sorted(asked):
            access.demand(named.right(right), named.thing)
    if action != "grant":
        access.demand(named.right("REVOKE_PRIVILEGE"), named.thing)


def _holders(parts: Services, access: Access, named: Named) -> list[dict[str, Any]]:
    held = {
        user: sorted(rights) for user, rights in parts.privileges.on_object(access.project_id, named.object).items()
    }
    if named.thing.owner:
        held = {named.thing.owner: ["ALL"], **{user: held[user] for user in held if user != named.thing.owner}}
    return [
        {
            "user_name": user,
            "is_admin": parts.directory.role(access.project_id, user) == "admin",
            "privileges": rights,
        }
        for user, rights in held.items()
    ]
