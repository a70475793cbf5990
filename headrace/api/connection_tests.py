"""Connection tests of queues (dli-contract §1.16): does this machine, where the jobs run, reach an address?

A test tells nothing that a job could not find out. So it takes what it takes to run one there: SUBMIT_JOB on the queue,
and CREATE on jobs. Results are kept until the server stops, the last ones only.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from headrace.api.access import Access, needs
from headrace.api.answers import answers, link
from headrace.api.fields import Text, Wire, shaped
from headrace.api.language import told
from headrace.api.queue_answers import TestAnswer, TestResultAnswer
from headrace.api.queues import QueueInPath
from headrace.api.services import Parts
from headrace.domain.errors import BadField, TaskNotFound, WrongState
from headrace.domain.rights import ALL_JOBS, JobRight, QueueRight
from headrace.runtimes.reach import ADDRESS, Address

router = APIRouter()

MAX_KEPT = 1000
MAX_AT_ONCE = 4
MAX_TASK_ID = 2**31 - 1


@dataclass
class Results:
    """The results of the last tests, by number; numbers say nothing of how many there were."""

    _kept: OrderedDict[int, tuple[str, str, bool]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    turns: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(MAX_AT_ONCE))

    def add(self, project_id: str, queue: str, *, reachable: bool) -> int:
        """Keeps a result; its number."""
        with self._lock:
            task_id = secrets.randbelow(MAX_TASK_ID) + 1
            while task_id in self._kept:
                task_id = secrets.randbelow(MAX_TASK_ID) + 1
            self._kept[task_id] = (project_id, queue, reachable)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return task_id

    def find(self, project_id: str, queue: str, task_id: int) -> bool:
        """The result of a test of this queue; raises TaskNotFound."""
        with self._lock:
            found = self._kept.get(task_id)
        if found is None or found[:2] != (project_id, queue):
            raise TaskNotFound(
                f"There is no connection test {task_id} of the queue {queue}. Results are kept until the server stops."
            )
        return found[2]


_RESULTS = Results()
"""Of this process; a number is found only by the queue and project that it was made for."""


class TestConnection(Wire):
    """POST connection-test."""

    address: Annotated[
        Text,
        shaped(ADDRESS, "must be host:port, the host a name, an IPv4 address, or an IPv6 address in brackets"),
        Field(description="host:port.", examples=["kafka.example.com:9092"]),
    ]


@router.post(
    "/v1.0/{project_id}/queues/{queue_name}/connection-test",
    **answers(
        TestAnswer,
        links={
            "result": link(
                "connection_tests_show",
                {"queue_name": "$request.path.queue_name", "task_id": "$response.body#/task_id"},
            )
        },
    ),
)
def create(
    queue_name: QueueInPath,
    body: TestConnection,
    access: Annotated[Access, needs(QueueRight.SUBMIT_JOB, trace="createConnectivityTask")],
    parts: Parts,
) -> dict[str, Any]:
    """Tries to connect, now; nothing is sent. It takes CREATE on jobs, too."""
    queue = access.queue(queue_name)
    access.demand(JobRight.CREATE, ALL_JOBS)
    address = Address.parse(body.address)
    if address is None:
        raise BadField("address", body.address, "has no port from 1 to 65535")
    if not _RESULTS.turns.acquire(blocking=False):
        raise WrongState(f"{MAX_AT_ONCE} connection tests are under way. Try again in some seconds.")
    try:
        reachable = address.is_reachable()
    finally:
        _RESULTS.turns.release()
    parts.audit.note(access.trace.of("queue", queue.name, body.address))
    task_id = _RESULTS.add(access.project_id, queue.name, reachable=reachable)
    sentence = "check connectivity to address:{0} with port: {1} successfully"
    return {"is_success": True, "message": told(sentence, address.host, address.port), "task_id": task_id}


@router.get(
    "/v1.0/{project_id}/queues/{queue_name}/connection-test/{task_id}",
    **answers(TestResultAnswer),
)
def show(
    queue_name: QueueInPath,
    task_id: Annotated[int, Path(ge=0, le=MAX_TASK_ID, description="As it was answered.", examples=[9])],
    access: Annotated[Access, needs(QueueRight.SUBMIT_JOB)],
) -> dict[str, Any]:
    """The result of a test."""
    reachable = _RESULTS.find(access.project_id, access.queue(queue_name).name, task_id)
    return {
        "is_success": True,
        "message": told("Get node connectivity status successfully for addressId:{0}", task_id),
        "connectivity": "REACHABLE" if reachable else "UNREACHABLE",
    }
