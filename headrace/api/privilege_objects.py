"""The names that privileges are granted on, and what stands behind them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.api.access import Access
from headrace.api.services import Services
from headrace.domain import rights
from headrace.domain.errors import BadField, JobNotFound, PackageNotFound, QueueNotFound
from headrace.domain.rights import JobRight, PackageRight, QueueRight, Thing

ON_ALL_ONLY = frozenset({JobRight.CREATE, JobRight.LIST_ALL, QueueRight.CREATE_QUEUE})


@dataclass(frozen=True)
class Named:
    """An object of grants.

    Attributes:
        object: its full name in the store, such as ``jobs.flink.7``.
        kind: DLI's object_type.
        name: its name within the type.
        family: the rights that there are on it.
    """

    object: str
    kind: str
    name: str
    thing: Thing
    family: type[JobRight] | type[QueueRight] | type[PackageRight]

    def right(self, name: str) -> JobRight | QueueRight | PackageRight:
        """The right of this name on this object."""
        return self.family(name)

    def rights(self, names: Iterable[str]) -> frozenset[str]:
        """The rights that a request names; ALL is each of them.

        Raises:
            BadField: there is no such right on this object.
        """
        whole = self.name == "*"
        known = {str(right) for right in self.family if whole or right not in ON_ALL_ONLY}
        found: set[str] = set()
        for name in names:
            given = name.upper().replace("_GROUP", "_RESOURCE") if self.kind == "groups" else name.upper()
            if given not in known | {"ALL"}:
                raise BadField("privileges", name, f"is no privilege on {self.object}; there are {_list(known)}")
            found |= known if given == "ALL" else {given}
        return frozenset(found)


def resolve(access: Access, parts: Services, text: str) -> Named:
    """What an object's name means.

    Raises:
        BadField: it is no object's name.
        JobNotFound, QueueNotFound, PackageNotFound: there is none that the caller sees.
    """
    if text.startswith("jobs.flink."):
        return _job(access, parts, text.removeprefix("jobs.flink."))
    kind, _, name = text.partition(".")
    match kind:
        case "queues" if name:
            return _queue(access, parts, name)
        case "resources" if name:
            return _package(access, parts, name)
        case "groups" if name:
            return _group(access, parts, name)
        case _:
            raise BadField(
                "object",
                text,
                "must be jobs.flink.<id>, queues.<name>, resources.[<group>/]<name> or groups.<name>; there are no "
                "databases here",
            )


def _job(access: Access, parts: Services, name: str) -> Named:
    if name == "*":
        return Named("jobs.flink.*", "flink", "*", rights.ALL_JOBS, JobRight)
    if not (name.isascii() and name.isdecimal() and len(name) < 19):
        raise BadField("object", f"jobs.flink.{name}", "must end in the number of a job, or in *")
    job = parts.jobs.find(access.project_id, int(name))
    if not access.sees_job(job):
        raise JobNotFound.of(job.id)
    return Named(f"jobs.flink.{job.id}", "flink", str(job.id), rights.job_thing(job.id, job.user_name), JobRight)


def _queue(access: Access, parts: Services, name: str) -> Named:
    if name == "*":
        return Named("queues.*", "queues", "*", rights.ALL_QUEUES, QueueRight)
    queue = parts.queues.find(access.project_id, name)
    if not access.sees_queue(queue):
        raise QueueNotFound.of(name)
    thing = rights.queue_thing(queue.name, queue.owner)
    return Named(f"queues.{queue.name}", "queues", queue.name, thing, QueueRight)


def _package(access: Access, parts: Services, text: str) -> Named:
    group, _, name = text.rpartition("/")
    package = parts.packages.find(access.project_id, group, name)
    if not access.sees_package(package):
        raise PackageNotFound.of(group, name)
    thing = rights.package_thing(group, name, package.owner)
    return Named(thing.objects[0], "resources", text, thing, PackageRight)


def _group(access: Access, parts: Services, group: str) -> Named:
    """A group belongs to whoever owns all that is in it."""
    members = [package for package in parts.packages.of_project(access.project_id) if package.group == group]
    if not any(access.sees_package(package) for package in members):
        raise PackageNotFound.of(group, "*")
    owners = {package.owner for package in members}
    thing = Thing((f"groups.{group}",), owners.pop() if len(owners) == 1 else "")
    return Named(thing.objects[0], "groups", group, thing, PackageRight)


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
