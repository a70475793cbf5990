"""The one rule of rights, held against its laws."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.rights import (
    ALL_JOBS,
    Caller,
    JobRight,
    PackageRight,
    Principal,
    QueueRight,
    Standing,
    Thing,
    job_thing,
    may,
    package_thing,
    queue_thing,
    sees,
)

THINGS = [
    ALL_JOBS,
    job_thing(1, "ann"),
    job_thing(2, "bob"),
    queue_thing("q", "ann"),
    package_thing("g", "a.jar", "bob"),
    package_thing("", "a.jar", "ann"),
]
RIGHTS = [*JobRight, *QueueRight, *PackageRight]
OBJECTS = sorted({name for thing in THINGS for name in thing.objects})

Held = dict[str, frozenset[str]]

grants = st.dictionaries(st.sampled_from(OBJECTS), st.frozensets(st.sampled_from([str(right) for right in RIGHTS])))
members = st.sampled_from([Caller("p", name, is_admin=False) for name in ("ann", "bob", "eve", "")])
things = st.sampled_from(THINGS)
rights = st.sampled_from(RIGHTS)


@given(members, rights, things, grants)
def test_administrators_and_creators_hold_all(caller: Caller, right: JobRight, thing: Thing, given_: Held) -> None:
    assert may(replace(caller, is_admin=True), right, thing, given_)
    if thing.owner:
        assert may(replace(caller, user_name=thing.owner), right, thing, given_)


@given(members, rights, things, grants)
def test_nobody_else_holds_what_was_not_granted(caller: Caller, right: JobRight, thing: Thing, given_: Held) -> None:
    owns = bool(thing.owner) and thing.owner == caller.user_name
    granted = any(str(right) in given_.get(name, frozenset()) for name in thing.objects)
    assert may(caller, right, thing, given_) == (owns or granted)


@given(members, rights, things, grants, st.sampled_from(OBJECTS))
def test_more_grants_take_nothing_away(caller: Caller, right: JobRight, thing: Thing, given_: Held, name: str) -> None:
    more = {**given_, name: given_.get(name, frozenset()) | {str(right)}}
    assert may(caller, right, thing, more) >= may(caller, right, thing, given_)
    assert sees(caller, thing, more) >= sees(caller, thing, given_)


@given(members, rights, things, grants)
def test_what_one_may_touch_one_sees(caller: Caller, right: JobRight, thing: Thing, given_: Held) -> None:
    if may(caller, right, thing, given_) and right not in (JobRight.CREATE, QueueRight.CREATE_QUEUE):
        assert sees(caller, thing, given_)
    assert may(caller, Standing.SEES, thing, given_) == sees(caller, thing, given_)


def test_to_create_shows_nothing() -> None:
    caller = Caller("p", "eve", is_admin=False)
    assert not sees(caller, job_thing(1, "ann"), {"jobs.flink.*": frozenset({"CREATE"})})
    assert sees(caller, job_thing(1, "ann"), {"jobs.flink.*": frozenset({"LIST_ALL"})})


def test_a_thing_of_nobody_is_not_everybodys() -> None:
    assert not may(Caller("p", "", is_admin=False), JobRight.GET, ALL_JOBS, {})


def test_a_group_stands_for_its_packages() -> None:
    caller, right = Caller("p", "eve", is_admin=False), PackageRight.USE_RESOURCE
    held = {"groups.g": frozenset({"USE_RESOURCE"})}
    assert may(caller, right, package_thing("g", "a.jar", "bob"), held)
    assert not may(caller, right, package_thing("h", "a.jar", "bob"), held)
    assert not may(caller, right, package_thing("", "a.jar", "bob"), held)


def test_a_credential_of_one_project_opens_no_other() -> None:
    anywhere = Principal("id", "ann", roles={"p": "member", "q": "admin"})
    assert (anywhere.role_in("p"), anywhere.role_in("q"), anywhere.role_in("r")) == ("member", "admin", None)
    scoped = replace(anywhere, project_id="p")
    assert (scoped.role_in("p"), scoped.role_in("q")) == ("member", None)
