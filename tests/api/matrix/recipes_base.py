"""What a row of the matrix is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headrace.domain.job import Phase


@dataclass(frozen=True)
class Things:
    """One set of things of one owner."""

    owner: str
    job_id: int
    job_name: str
    queue: str
    group: str
    package: str
    bucket: str = "b"
    names: dict[str, str] = field(default_factory=dict)


Make = Callable[[Things], Any]
Grants = Callable[[Things], list[tuple[str, str]]]


@dataclass(frozen=True)
class Recipe:
    """A call that succeeds.

    Attributes:
        body: JSON; bytes are sent as they are.
        query: without "?".
        ok: status of success.
        phase: where the job stands.
        grants: (object, privilege) that a member needs besides, or instead where the declaration names no privilege.
        refusal: where success is an error (of what is not supported), its code.
        owner_needs_grants: the creator of the things needs the grants too: for they are on other things.
        only_owner: no grant makes a member who is not the owner able to do it.
        once: it uses up what there is one of.
        member: what a member without any grant gets: "refused", "served", or "" = follows from the declaration.
    """

    body: Make | None = None
    query: Make | None = None
    ok: int = 200
    phase: Phase = Phase.DRAFT
    grants: Grants = lambda _: []
    member: str = ""
    refusal: str = ""
    owner_needs_grants: bool = False
    only_owner: bool = False
    once: bool = False
    params: Make = lambda _: {}
    headers: Make = lambda _: {}


def package_rights(*privileges: str) -> Grants:
    return lambda things: [(f"resources.{things.group}/{things.package}", name) for name in privileges]


def job_rights(*privileges: str) -> Grants:
    return lambda things: [(f"jobs.flink.{things.job_id}", name) for name in privileges]


def queue_rights(*privileges: str) -> Grants:
    return lambda things: [(f"queues.{things.queue}", name) for name in privileges]
