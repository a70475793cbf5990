"""Every route × who asks: made from the list of routes, so that none can be forgotten."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.routing import APIRoute

from headrace.api import savepoints
from headrace.api.access import Declared, declared
from headrace.api.app import ROUTERS
from headrace.api.exported import document
from headrace.domain import bundle
from headrace.domain.job import JobSpec, Phase
from headrace.domain.rights import Caller, JobRight, PackageRight, QueueRight, Standing
from headrace.store.notices import new_message
from headrace.store.packages import Package
from headrace.store.pools import ElasticPool
from headrace.store.queues import Queue
from headrace.store.topics import Wanted
from headrace.store.variables import Variable
from tests.api.conftest import MAIN, OTHER, PROJECT, Stand
from tests.api.matrix.recipes import RECIPES
from tests.api.matrix.recipes_base import Recipe, Things

ROUTES = {
    f"{method} {route.path}": route
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
}
READING_POSTS = {"metrics", "filter", "count"}
REFUSED = {"DLI.0016", "DLI.16001", "DLI.0002", "DLI.12002", "DLI.12004"}
HIDDEN = {"DELETE /v2.0/{project_id}/resources/{name:path}"}
"""Answers 404 without a body for what is not there, and so for what one must not see."""


def test_every_route_has_its_row() -> None:
    assert set(RECIPES) == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
def test_every_route_declares_what_it_needs(name: str) -> None:
    route = ROUTES[name]
    found = declared(route)
    changes = name.split(maxsplit=1)[0] not in ("GET", "HEAD") and name.rsplit("/", 1)[-1] not in READING_POSTS
    changes = changes and not RECIPES[name].refusal and name not in UNTRACED
    assert bool(found.trace) == changes, f"{name}: changes={changes}, trace={found.trace!r}"
    assert ("{project_id}" in route.path) != (found.right in (Standing.PUBLIC, Standing.USER, Standing.SYSTEM_ADMIN)), (
        f"{name} needs {found.right}"
    )


UNTRACED = {f"PUT {route}" for route in ("/headrace/v1/{project_id}/objects/{bucket}/{key:path}",)}
"""They change what no trail is kept of: objects have none in DLI either."""


class Set:
    """Makes sets of things on a stand."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand
        self.made = 0

    def __call__(self, owner: str, phase: Phase) -> Things:
        self.made += 1
        number, services = self.made, self.stand.services
        queue, group = f"queue{number}", f"group{number}"
        self.stand.put_object("b", "savepoint/_metadata", savepoints.MAGIC)
        services.queues.create(Queue(0, PROJECT, queue, "general", 16_000, owner=owner, created_ms=1, details={}))
        key = services.package_files.add("app.jar", iter([services.objects.read("b", "app.jar")]))
        services.packages.put([Package(PROJECT, group, "app.jar", "jar", key, owner, 1, 1, {})])
        spec = JobSpec(name=f"job-{number}", queue_name="q", entrypoint="obs://b/app.jar", main_class=MAIN)
        job = services.jobs.create(Caller(PROJECT, owner), spec, now_ms=1)
        self.stand.bring(job.id, phase)
        if phase is Phase.RUNNING:
            graph = {"jid": "0" * 32, "isStoppable": False, "start-time": 1, "end-time": -1, "vertices": [], "plan": {}}
            self.stand.runtime.graphs[f"job-{job.id}-1"] = graph
        else:
            services.jobs.respec(services.jobs.get(job.id), spec.evolve(queue_name=queue), now_ms=1)
        return Things(owner, job.id, spec.name, queue, group, "app.jar", names=self._more(owner, number))

    def _more(self, owner: str, number: int) -> dict[str, str]:
        services, variable, pool = self.stand.services, f"var{number}", f"pool{number}"
        services.variables.create(Variable(PROJECT, variable, "v", False, owner, f"id-of-{owner}", 1, 1))
        for name in (pool, f"empty_{pool}"):
            services.pools.create(ElasticPool(0, PROJECT, name, 16, 64, owner))
        pooled = Queue(0, PROJECT, f"pooled{number}", "general", 2000, owner=owner, created_ms=1, pool_name=pool)
        services.pools.create_queue(pooled)
        export = f"export{number}/jobs.zip"
        job = services.jobs.create(Caller(PROJECT, "tester"), JobSpec(name=f"exported-{number}"), now_ms=1)
        content = next(iter(bundle.pack([(job.id, json.dumps(document(job)).encode())])))
        self.stand.put_object("b", export, content)
        services.jobs.respec(job, JobSpec(name=f"still-here-{number}"), now_ms=1)
        return {
            "elastic_resource_pool_name": pool,
            "empty_pool": f"empty_{pool}",
            "pooled_queue": pooled.name,
            "var_name": variable,
            "export": f"b/{export}",
            **self._topic(owner, number),
            "plan_id": "1",
            "template_id": "1",
        }

    def _topic(self, owner: str, number: int) -> dict[str, str]:
        """A topic with a subscription, and a notice that nobody took."""
        services, name = self.stand.services, f"topic{number}"
        topic, _ = services.topics.create(PROJECT, name, "", owner, now_ms=1)
        uid, token = f"{number:032x}", f"token{number}"
        wanted = Wanted(uid, "http", "http://127.0.0.1:9/", "", owner, token, "", confirmed=True, give_up_ms=1)
        services.topics.subscribe(topic, wanted, now_ms=1)
        message = new_message(topic, "", "text", {})
        services.notices.publish(topic, message, now_ms=1, until_ms=2, trace=None)
        notice = services.notices.page(PROJECT, None, limit=1, offset=0)[1][0]
        urn = f"urn:smn:headrace:{PROJECT}:{name}"
        return {
            "topic_urn": urn,
            "subscription_urn": f"{urn}:{uid}",
            "attribute": "introduction",
            "notice_id": str(notice.id),
            "certificate_id": services.certificate_name,
            "token": token,
        }


@pytest.fixture
def make(stand: Stand) -> Set:
    return Set(stand)


def call(stand: Stand, name: str, recipe: Recipe, things: Things, **options: Any) -> Any:
    """The answer to the recipe's call on these things."""
    method, template = name.split(" ")
    values = {
        "project_id": PROJECT,
        "job_id": str(things.job_id),
        "queue_name": things.queue,
        "name": things.package,
        "bucket": things.bucket,
        "key": "data.txt",
        "resource_id": str(things.job_id),
        "resource_type": "dli_flink_job",
        **things.names,
        **recipe.params(things),
    }
    path = re.sub(r"{(\w+)(?::path)?}", lambda match: quote(values[match[1]], safe=""), template)
    body = recipe.body(things) if recipe.body else None
    if recipe.query:
        path += f"?{recipe.query(things)}"
    options = {"more": recipe.headers(things), **options}
    if isinstance(body, bytes):
        return stand.send(method, path, content=body, content_type="application/octet-stream", **options)
    return stand.send(method, path, body, **options)


def codes(answer: Any) -> set[str]:
    """All error codes of an answer; one to HEAD has no body, only its status."""
    if answer.request.method == "HEAD":
        return {{401: "DLI.0013", 403: "DLI.0016"}.get(answer.status_code, str(answer.status_code))}
    body = answer.json() if answer.content else {}
    parts = body if isinstance(body, list) else [body]
    return {SMN.get(str(part.get("code")), str(part.get("error_code", part.get("code")))) for part in parts}


SMN = {"SMN.0401": "DLI.0013", "SMN.0403": "DLI.0016", "SMN.0400": "DLI.0007"}
"""SMN's words for the same."""


def assert_refused(name: str, answer: Any) -> None:
    if name in HIDDEN and answer.status_code == 404:
        assert not answer.content
        return
    assert answer.status_code in (400, 403, 404), answer.text
    assert codes(answer) <= REFUSED, answer.text


def assert_served(answer: Any, recipe: Recipe) -> None:
    assert answer.status_code == recipe.ok, answer.text
    if recipe.refusal:
        assert codes(answer) == {recipe.refusal}


def member_is_served(found: Declared, recipe: Recipe) -> bool:
    """Whether a member of the project may call this without any grant."""
    if recipe.member:
        return recipe.member == "served"
    return found.right in (Standing.PUBLIC, Standing.USER, Standing.MEMBER)


def needed(found: Declared, recipe: Recipe, things: Things) -> list[tuple[str, str]]:
    """What a member must be granted."""
    extra = recipe.grants(things)
    match found.right:
        case JobRight.CREATE:
            return [("jobs.flink.*", "CREATE"), *extra]
        case QueueRight.CREATE_QUEUE:
            return [("queues.*", "CREATE_QUEUE"), *extra]
        case JobRight():
            return [(f"jobs.flink.{things.job_id}", found.right), *extra]
        case QueueRight():
            return [(f"queues.{things.queue}", found.right), *extra]
        case PackageRight():
            return [(f"resources.{things.group}/{things.package}", found.right), *extra]
        case _:
            return extra


def change(stand: Stand, action: str, wanted: list[tuple[str, str]]) -> None:
    """Grants to the member, or revokes."""
    for name, privilege in wanted:
        stand.services.privileges.change(PROJECT, "sub", [(name, frozenset({privilege}))], action=action, trace=None)


@pytest.mark.parametrize("name", sorted(ROUTES))
def test_who_may(stand: Stand, make: Set, name: str) -> None:
    """One route, asked by all eight."""
    recipe, found = RECIPES[name], declared(ROUTES[name])
    without_credentials(stand, make, name)
    if "{project_id}" in name:
        from_another_project(stand, make, name)
    if isinstance(found.right, JobRight) and found.right is not JobRight.CREATE:
        a_member_with_another_right_only(stand, make, name)
    if not recipe.once:
        for served in SERVED:
            served(stand, make, name)


@pytest.mark.parametrize("name", sorted(name for name, recipe in RECIPES.items() if recipe.once))
@pytest.mark.parametrize("served", range(3))
def test_who_may_do_what_can_be_done_once(stand: Stand, make: Set, name: str, served: int) -> None:
    SERVED[served](stand, make, name)


def without_credentials(stand: Stand, make: Set, name: str) -> None:
    things = make("tester", Phase.DRAFT)
    before = stand.rows()
    public = declared(ROUTES[name]).right is Standing.PUBLIC
    for options in ({"unsigned": True}, {"secret": "wrong"}, {"at_ms": stand.clock.ms - 901_000}, {"ak": "NOBODY"}):
        answer = call(stand, name, RECIPES[name], things, **options)
        if public:
            assert answer.status_code != 401
        else:
            assert (answer.status_code, codes(answer)) == (401, {"DLI.0013"}), options
            assert stand.rows() == before


def from_another_project(stand: Stand, make: Set, name: str) -> None:
    things = make("tester", Phase.DRAFT)
    before = stand.rows()
    answer = call(stand, name, RECIPES[name], things, ak="OTHER")
    assert (answer.status_code, codes(answer)) == (403, {"DLI.0016"})
    assert stand.rows() == before
    recipe = RECIPES[name]
    if "job_id" in ROUTES[name].path or (recipe.body and "job_ids" in str(recipe.body(things))):
        method, template = name.split(" ")
        path = template.replace("{project_id}", OTHER).replace("{job_id}", str(things.job_id))
        answer = stand.send(method, path, recipe.body(things) if recipe.body else None, ak="OTHER")
        assert answer.status_code == 400, "the thing of a project must not be reached through another one's path"
        assert stand.rows() == before


def a_member_without_and_with_the_right(stand: Stand, make: Set, name: str) -> None:
    recipe, found = RECIPES[name], declared(ROUTES[name])
    things = make("tester", recipe.phase)
    if not member_is_served(found, recipe):
        before = stand.rows()
        assert_refused(name, call(stand, name, recipe, things, ak="SUB"))
        assert stand.rows() == before
        if found.right in (Standing.ADMIN, Standing.SYSTEM_ADMIN):
            return  # no privilege gives that
        if recipe.only_owner:
            return
    change(stand, "grant", needed(found, recipe, things))
    answer = call(stand, name, recipe, things, ak="SUB")
    assert_served(answer, recipe)
    change(stand, "revoke", needed(found, recipe, things))


def a_member_with_another_right_only(stand: Stand, make: Set, name: str) -> None:
    recipe, found = RECIPES[name], declared(ROUTES[name])
    things = make("tester", recipe.phase)
    others = {str(other) for other in JobRight} - {str(found.right), "CREATE", "LIST_ALL"}
    change(stand, "grant", [(f"jobs.flink.{things.job_id}", other) for other in others])
    before = stand.rows()
    assert codes(call(stand, name, recipe, things, ak="SUB")) == {"DLI.0016"}
    assert stand.rows() == before


def the_owner(stand: Stand, make: Set, name: str) -> None:
    recipe, found = RECIPES[name], declared(ROUTES[name])
    things = make("sub", recipe.phase)
    if found.right in (Standing.ADMIN, Standing.SYSTEM_ADMIN):
        assert_refused(name, call(stand, name, recipe, things, ak="SUB"))
        return
    if found.right in (JobRight.CREATE, QueueRight.CREATE_QUEUE) or recipe.owner_needs_grants:
        change(stand, "grant", needed(found, recipe, things))
    answer = call(stand, name, recipe, things, ak="SUB")
    assert_served(answer, recipe)


def an_administrator(stand: Stand, make: Set, name: str) -> None:
    recipe = RECIPES[name]
    assert_served(call(stand, name, recipe, make("sub", recipe.phase), ak="ADMIN"), recipe)


SERVED = (a_member_without_and_with_the_right, the_owner, an_administrator)
