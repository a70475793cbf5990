"""What each route needs of its caller, declared where the route is and checked here, nowhere else.

::

    @router.get("/v1.0/{project_id}/streaming/jobs/{job_id}", **answers(DetailAnswer))
    def show(job_id: int, access: Annotated[Access, needs(JobRight.GET)], parts: Parts) -> dict[str, Any]:
        job = access.job(job_id)

The declaration is all: ``access.job()``, ``access.queue()`` and ``access.package()`` demand the declared right of the
thing that they find. A thing in the path is looked at before the route begins. What a caller cannot even see in a list
is not there for them (the error of a missing thing); what they see but may not touch is ``NotAuthorised``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from headrace.api.edge import REQUEST_ID
from headrace.api.services import Parts, Services
from headrace.domain import rights
from headrace.domain.errors import JobNotFound, NotAuthenticated, NotAuthorised, PackageNotFound, QueueNotFound
from headrace.domain.job import Job
from headrace.domain.rights import Caller, Grants, JobRight, Principal, QueueRight, Right, Standing, Thing
from headrace.store.audit import Trace
from headrace.store.packages import Package
from headrace.store.queues import Queue

MAX_DIGITS = 20
"""Of an id that is looked for: so many are nobody's already, and int() refuses texts that are far too long."""
PRINCIPAL = "headrace.principal"
NOBODY = Principal("", "")


@dataclass(frozen=True)
class Declared:
    """What a route declares: the right it needs, and the name under which the audit trail knows it ("" = it changes
    nothing).
    """

    right: Right
    trace: str = ""


class Access:
    """The caller of one request, as far as the route's declaration lets them."""

    def __init__(self, declared: Declared, principal: Principal, project_id: str, request: Request) -> None:
        role = principal.role_in(project_id) if project_id else None
        if project_id and role is None:
            raise NotAuthorised(
                f"project_id={project_id[:64]!r}: the credentials are of another project, or of none of this name."
            )
        self.declared = declared
        self.principal = principal
        self.caller = Caller(
            project_id,
            principal.user_name,
            principal.user_id,
            principal.is_system_admin if role is None else role == "admin",
        )
        self._request = request
        self._parts: Services = request.app.state.services

    @property
    def project_id(self) -> str:
        """The path's project."""
        return self.caller.project_id

    @cached_property
    def grants(self) -> Grants:
        """What was granted to the caller in this project."""
        return self._parts.privileges.of_user(self.project_id, self.caller.user_name)

    @property
    def trace(self) -> Trace:
        """The line of the audit trail that what is done writes; ``of`` says to what."""
        client = self._request.client
        return Trace(
            at_ms=self._parts.now_ms(),
            project_id=self.project_id,
            user_name=self.caller.user_name,
            trace_name=self.declared.trace,
            request_id=self.request_id,
            source_ip=client.host if client else "",
        )

    @property
    def request_id(self) -> str:
        """Of this request, as X-Request-Id tells it."""
        return str(self._request.scope.get(REQUEST_ID, ""))

    def may(self, right: Right, thing: Thing) -> bool:
        """Whether the caller holds this right, besides the declared one."""
        return rights.may(self.caller, right, thing, self.grants)

    def demand(self, right: Right, thing: Thing) -> None:
        """Raises NotAuthorised unless the caller holds the right."""
        if not self.may(right, thing):
            raise NotAuthorised(
                f"The user {self.caller.user_name} lacks the right {right} on {thing.objects[0]}. Ask its creator or "
                "an administrator of the project to grant it."
            )

    def sees_job(self, job: Job) -> bool:
        """Whether the job is in the caller's lists."""
        return self._sees(rights.job_thing(job.id, job.user_name))

    def sees_queue(self, queue: Queue) -> bool:
        """Whether the queue is in the caller's lists."""
        return self._sees(rights.queue_thing(queue.name, queue.owner))

    def sees_package(self, package: Package) -> bool:
        """Whether the package is in the caller's lists."""
        return self._sees(rights.package_thing(package.group, package.name, package.owner))

    def job(self, job_id: int) -> Job:
        """The job, if the caller holds the declared right on it; raises JobNotFound, NotAuthorised."""
        job = self._parts.jobs.find(self.project_id, job_id)
        thing = rights.job_thing(job.id, job.user_name)
        if not self._sees(thing) and not self._cancels(job):
            raise JobNotFound.of(job_id)
        if not self._cancels(job):
            self.demand(self.declared.right, thing)
        return job

    def queue(self, name: str) -> Queue:
        """The queue, if the caller holds the declared right on it; raises QueueNotFound, NotAuthorised."""
        queue = self._parts.queues.find(self.project_id, name)
        thing = rights.queue_thing(queue.name, queue.owner)
        if not self._sees(thing):
            raise QueueNotFound.of(name)
        self.demand(self.declared.right, thing)
        return queue

    def package(self, group: str, name: str) -> Package:
        """The package, if the caller holds the declared right on it; raises PackageNotFound, NotAuthorised."""
        package = self._parts.packages.find(self.project_id, group, name)
        thing = rights.package_thing(package.group, package.name, package.owner)
        if not self._sees(thing):
            raise PackageNotFound.of(group, name)
        self.demand(self.declared.right, thing)
        return package

    def bucket(self, name: str) -> str:
        """The bucket's name, if it is the project's; raises BucketNotFound."""
        self._parts.require_bucket(self.project_id, name)
        return name

    def _sees(self, thing: Thing) -> bool:
        return rights.sees(self.caller, thing, self.grants)

    def _cancels(self, job: Job) -> bool:
        """Whoever may cancel jobs of a queue may stop every job of it."""
        if self.declared.right is not JobRight.STOP or not job.spec.queue_name:
            return False
        queues = self._parts.queues.of_project(self.project_id)
        owner = next((queue.owner for queue in queues if queue.name == job.spec.queue_name), "")
        return self.may(QueueRight.CANCEL_JOB, rights.queue_thing(job.spec.queue_name, owner))


def needs(right: Right, trace: str = "") -> Any:
    """The declaration of a route, as a dependency that gives its :class:`Access`."""
    declaration = Declared(right, trace)

    def access(request: Request, parts: Parts) -> Access:
        del parts
        principal: Principal = request.scope.get(PRINCIPAL, NOBODY)
        if right is not Standing.PUBLIC and principal is NOBODY:
            raise NotAuthenticated("The request carries no credentials.")  # the Gate has said so already; two look
        found = Access(declaration, principal, str(request.path_params.get("project_id", "")), request)
        _check_standing(found)
        _look_at_path(found, request.path_params)
        return found

    _DECLARED[access] = declaration
    return Depends(access)


_DECLARED: dict[Callable[..., Any], Declared] = {}


def declared(route: APIRoute) -> Declared:
    """The one declaration of a route.

    Raises:
        LookupError: it has none, or several.
    """
    found = [
        _DECLARED[dependency.call]
        for dependency in route.dependant.dependencies
        if dependency.call is not None and dependency.call in _DECLARED
    ]
    if len(found) != 1:
        raise LookupError(f"{route.path} has {len(found)} declarations of what it needs; it must have one")
    return found[0]


def _check_standing(access: Access) -> None:
    match access.declared.right:
        case Standing.SYSTEM_ADMIN if not access.principal.is_system_admin:
            raise NotAuthorised(f"The user {access.caller.user_name} is no administrator of the server.")
        case Standing.ADMIN if not access.caller.is_admin:
            raise NotAuthorised(f"The user {access.caller.user_name} is no administrator of the project.")
        case JobRight.CREATE:
            access.demand(JobRight.CREATE, rights.ALL_JOBS)
        case QueueRight.CREATE_QUEUE:
            access.demand(QueueRight.CREATE_QUEUE, rights.ALL_QUEUES)
        case _:
            pass


def _look_at_path(access: Access, params: dict[str, Any]) -> None:
    """A thing of the path is judged before the body is; an id that is no number is the route's to refuse. So is a
    package, whose group may be in the query.
    """
    right = access.declared.right
    if isinstance(right, JobRight) and "job_id" in params:
        digits = str(params["job_id"])
        if digits.isascii() and digits.isdecimal():
            access.job(int(digits[:MAX_DIGITS]))
    elif isinstance(right, QueueRight | Standing) and "queue_name" in params:
        access.queue(str(params["queue_name"]))
