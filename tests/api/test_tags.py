from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from headrace.domain.job import Phase
from headrace.store.audit import AuditFilter
from headrace.store.schema import pools
from headrace.store.tags import Kind, merged
from tests.api.conftest import OTHER, PROJECT

if TYPE_CHECKING:
    from tests.api.conftest import Stand

Pairs = dict[str, str]


def pairs(tags: Pairs) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def add(stand: Stand, name: str, tags: Pairs, **options: Any) -> None:
    answer = stand.send("POST", f"/v3/{{p}}/{name}/tags/create", {"tags": pairs(tags)}, **options)
    assert (answer.status_code, answer.content) == (204, b""), answer.text


def take(stand: Stand, name: str, *tags: Any, **options: Any) -> None:
    answer = stand.send("POST", f"/v3/{{p}}/{name}/tags/delete", {"tags": list(tags)}, **options)
    assert (answer.status_code, answer.content) == (204, b""), answer.text


def tags_of(stand: Stand, name: str, **options: Any) -> Pairs:
    body = stand.ok("GET", f"/v3/{{p}}/{name}/tags", **options)
    assert body["count"] == len(body["tags"])
    return {tag["key"]: tag["value"] for tag in body["tags"]}


def resources(stand: Stand, kind: str, **body: Any) -> Any:
    found = stand.ok("POST", f"/v3/{{p}}/{kind}/resource-instances/filter", body)
    counted = stand.ok("POST", f"/v3/{{p}}/{kind}/resource-instances/count", body)
    assert counted == {"total_count": found["total_count"]}
    return found


def found(stand: Stand, kind: str = "dli_flink_job", **body: Any) -> str:
    return " ".join(thing["resource_name"] for thing in resources(stand, kind, **body)["resources"])


@pytest.fixture
def things(stand: Stand) -> dict[str, str]:
    """One of each type, as in the path."""
    job_id = stand.create(name="orders")
    for group in ("", "libs"):
        stand.ok("POST", "/v2.0/{p}/resources", {"paths": ["obs://b/app.jar"], "kind": "jar", "group": group}, 201)
    with stand.database.write() as connection:
        row = {"project_id": PROJECT, "description": "", "min_cu": 16, "max_cu": 64, "created_ms": 1}
        connection.execute(insert(pools).values(**row, name="pool", owner="tester", details={"label": {}}))
    queue = stand.services.queues.find(PROJECT, "q")
    return {
        "job": f"dli_flink_job/{job_id}",
        "queue": f"dli_queue/{queue.id}",
        "queue's name": "dli_queue/Q",
        "package": "dli_package_resource/app.jar",
        "package of a group": "dli_package_resource/libs/app.jar",
        "package of a group, encoded": "dli_package_resource/libs%2Fapp.jar",
        "pool": "dli_elastic_resource_pool/1",
        "pool's name": "dli_elastic_resource_pool/pool",
    }


EACH = [
    "job",
    "queue",
    "queue's name",
    "package",
    "package of a group",
    "package of a group, encoded",
    "pool",
    "pool's name",
]


# -- of one thing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EACH)
def test_create_show_and_delete(stand: Stand, things: dict[str, str], kind: str) -> None:
    name = things[kind]
    add(stand, name, {"a": "1", "b": ""})
    add(stand, name, {"b": "2", "c d": "é 中+@"})
    assert tags_of(stand, name) == {"a": "1", "b": "2", "c d": "é 中+@"}
    take(stand, name, {"key": "a"}, {"key": "b", "value": "other"}, {"key": "c d", "value": "é 中+@"}, {"key": "none"})
    assert tags_of(stand, name) == {"b": "2"}
    take(stand, name, {"key": "b", "value": "2"})
    take(stand, name, {"key": "b"})
    assert tags_of(stand, name) == {}


def test_what_else_is_kept_of_a_thing_stays(stand: Stand, things: dict[str, str]) -> None:
    before = stand.ok("GET", "/v1.0/{p}/queues/q")
    add(stand, things["queue"], {"a": "1"})
    assert stand.ok("GET", "/v1.0/{p}/queues/q") == {**before, "tags": [{"key": "a", "value": "1"}]}
    assert [queue["queue_name"] for queue in stand.ok("GET", "/v1.0/{p}/queues?queue_type=all&tags=a=1")["queues"]] == [
        "q"
    ]
    add(stand, things["package of a group"], {"a": "1"})
    assert stand.ok("GET", "/v2.0/{p}/resources?tags=a=1")["total"] == 1
    job_id = int(things["job"].rpartition("/")[2])
    shown = stand.show(job_id)
    add(stand, things["job"], {"a": "1"})
    assert stand.show(job_id) == shown
    assert stand.ok("GET", "/v1.0/{p}/streaming/jobs?tags=a=1")["job_list"]["total_count"] == 1


def test_tags_of_create_are_the_same_tags(stand: Stand) -> None:
    job_id = stand.create(tags=[{"key": "a", "value": "1"}])
    assert tags_of(stand, f"dli_flink_job/{job_id}") == {"a": "1"}


@pytest.mark.parametrize("action", ["create", "delete"])
def test_the_form_of_older_clients(stand: Stand, things: dict[str, str], action: str) -> None:
    """Terraform sends it right after its create."""
    body = {"action": action, "tags": [{"key": "foo", "value": "bar"}]}
    answer = stand.send("POST", f"/v3/{{p}}/{things['job']}/tags/{action}", body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert tags_of(stand, things["job"]) == ({"foo": "bar"} if action == "create" else {})
    other = {"create": "delete", "delete": "create"}[action]
    path = f"/v3/{{p}}/{things['job']}/tags/{action}"
    assert stand.refused("POST", path, {**body, "action": other})[:2] == (400, "DLI.0001")


def test_tags_of_a_running_job(stand: Stand, things: dict[str, str]) -> None:
    job_id = int(things["job"].rpartition("/")[2])
    stand.bring(job_id, Phase.RUNNING)
    add(stand, things["job"], {"a": "1"})
    stand.move(job_id, Phase.CLEARING, Phase.FINISHED)
    assert tags_of(stand, things["job"]) == {"a": "1"}


def test_twenty_are_the_most(stand: Stand, things: dict[str, str]) -> None:
    name = things["job"]
    add(stand, name, {f"k{n}": "" for n in range(20)})
    add(stand, name, {"k3": "new"})
    for more in ({"k20": ""}, {"k3": "newer", "k20": ""}):
        status, code, message = stand.refused("POST", f"/v3/{{p}}/{name}/tags/create", {"tags": pairs(more)})
        assert (status, code) == (400, "DLI.0001")
        assert "21 tags" in message
    assert tags_of(stand, name) == {f"k{n}": "new" if n == 3 else "" for n in range(20)}


def test_nothing_is_lost_when_two_come_at_once(stand: Stand, things: dict[str, str]) -> None:
    thing = stand.services.tags.of_project(Kind.JOB, PROJECT)[0]
    started = threading.Barrier(8)

    def one(number: int) -> None:
        started.wait()
        stand.services.tags.change(thing, lambda tags: merged(tags, ((f"k{number}", ""),)))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(tags_of(stand, things["job"])) == {f"k{number}" for number in range(8)}


@pytest.mark.parametrize(
    "tags",
    [
        None,
        [],
        {},
        [{"key": "a"}],
        [{"key": "a", "value": None}],
        [{"key": "", "value": ""}],
        [{"key": " a", "value": ""}],
        [{"key": "a ", "value": ""}],
        [{"key": "_sys_a", "value": ""}],
        [{"key": "a*", "value": ""}],
        [{"key": "a", "value": "b="}],
        [{"key": "x" * 129, "value": ""}],
        [{"key": "a", "value": "x" * 256}],
        [{"key": "a", "value": ""}, {"key": "a", "value": "b"}],
        [{"key": f"k{n}", "value": ""} for n in range(21)],
        [{"key": "a", "value": "", "more": 1}],
        [{"key": 1, "value": ""}],
    ],
)
def test_wrong_tags(stand: Stand, things: dict[str, str], tags: Any) -> None:
    status, code, message = stand.refused("POST", f"/v3/{{p}}/{things['job']}/tags/create", {"tags": tags})
    assert (status, code) == (400, "DLI.0001")
    assert "tags" in message
    assert tags_of(stand, things["job"]) == {}


@pytest.mark.parametrize(
    "tags", [None, [], [{}], [{"key": ""}], [{"value": "a"}], [{"key": f"k{n}"} for n in range(21)]]
)
def test_wrong_deletions(stand: Stand, things: dict[str, str], tags: Any) -> None:
    add(stand, things["job"], {"a": "1"})
    path = f"/v3/{{p}}/{things['job']}/tags/delete"
    assert stand.refused("POST", path, {"tags": tags})[:2] == (400, "DLI.0001")
    take(stand, things["job"], {"key": "*|=", "value": "x" * 999})
    assert tags_of(stand, things["job"]) == {"a": "1"}


def test_pages_of_tags(stand: Stand, things: dict[str, str]) -> None:
    add(stand, things["job"], {f"k{n}": "" for n in range(5)})
    body = stand.ok("GET", f"/v3/{{p}}/{things['job']}/tags?limit=2&offset=1")
    assert body == {"count": 5, "tags": pairs({"k1": "", "k2": ""})}
    for query in ("limit=0", "limit=1001", "offset=-1", "page=1"):
        assert stand.refused("GET", f"/v3/{{p}}/{things['job']}/tags?{query}")[:2] == (400, "DLI.0001")


# -- what there is not ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("dli_flink_job/99999", "DLI.16001"),
        ("dli_flink_job/orders", "DLI.16001"),
        ("dli_flink_job/" + "9" * 500, "DLI.16001"),
        ("dli_queue/99999", "DLI.0002"),
        ("dli_queue/none", "DLI.0002"),
        ("dli_package_resource/none.jar", "DLI.12002"),
        ("dli_package_resource/none/app.jar", "DLI.12002"),
        ("dli_package_resource/libs/..%2Fapp.jar", "DLI.12002"),
        ("dli_elastic_resource_pool/none", "DLI.0002"),
        ("dli_database/orders", "DLI.0007"),
        ("dli_enhanced_datasource/1", "DLI.0007"),
        ("dli_jobs/1", "DLI.0001"),
        ("dli_flink_job/" + "x" * 1001, "DLI.0001"),
    ],
)
def test_what_there_is_not(stand: Stand, things: dict[str, str], name: str, code: str) -> None:
    assert things
    assert stand.refused("GET", f"/v3/{{p}}/{name}/tags")[:2] == (400, code)
    for action in ("create", "delete"):
        body = {"tags": pairs({"a": "1"})}
        assert stand.refused("POST", f"/v3/{{p}}/{name}/tags/{action}", body)[:2] == (400, code)
    kind = name.partition("/")[0]
    if code in ("DLI.0007", "DLI.0001") and kind != "dli_flink_job":
        assert stand.refused("GET", f"/v3/{{p}}/{kind}/tags")[:2] == (400, code)
        for what in ("filter", "count"):
            path = f"/v3/{{p}}/{kind}/resource-instances/{what}"
            assert stand.refused("POST", path, {})[:2] == (400, code)


def test_a_deleted_job_has_no_tags(stand: Stand, things: dict[str, str]) -> None:
    add(stand, things["job"], {"a": "1"})
    thing = stand.services.tags.of_project(Kind.JOB, PROJECT)[0]
    stand.ok("DELETE", f"/v1.0/{{p}}/streaming/jobs/{thing.id}")
    assert stand.refused("GET", f"/v3/{{p}}/{things['job']}/tags")[:2] == (400, "DLI.16001")
    assert stand.ok("GET", "/v3/{p}/dli_flink_job/tags") == {"tags": [], "count": 0}
    assert not stand.services.tags.change(thing, lambda tags: tags)


# -- of all things ----------------------------------------------------------------------------------------------------


@pytest.fixture
def tagged(stand: Stand) -> None:
    """Jobs with tags."""
    for name, tags in {
        "plain": {},
        "one": {"team": "a"},
        "two": {"team": "b", "stage": "test"},
        "Three-One": {"team": "a", "stage": "live"},
        "four": {"stage": ""},
    }.items():
        stand.create(name=name, tags=pairs(tags))


def test_bodies(stand: Stand, tagged: None, golden: Any) -> None:
    assert tagged is None
    golden("tags", stand.ok("GET", "/v3/{p}/dli_flink_job/3/tags"))
    golden("tags_of_project", stand.ok("GET", "/v3/{p}/dli_flink_job/tags"))
    golden("tags_filter", resources(stand, "dli_flink_job", tags=[{"key": "team", "values": ["b"]}]))


@pytest.mark.usefixtures("tagged")
@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, "plain one two Three-One four"),
        ({"tags": [], "matches": []}, "plain one two Three-One four"),
        ({"tags": None, "matches": None, "without_any_tag": None}, "plain one two Three-One four"),
        ({"tags": [{"key": "team", "values": []}]}, "one two Three-One"),
        ({"tags": [{"key": "team", "values": ["a"]}]}, "one Three-One"),
        ({"tags": [{"key": "team", "values": ["a", "b"]}]}, "one two Three-One"),
        ({"tags": [{"key": "team", "values": ["a"]}, {"key": "stage", "values": []}]}, "Three-One"),
        ({"tags": [{"key": "stage", "values": [""]}]}, "four"),
        ({"tags": [{"key": "Team", "values": []}]}, ""),
        ({"without_any_tag": False}, "plain one two Three-One four"),
        ({"without_any_tag": True}, "plain"),
        ({"without_any_tag": True, "tags": [{"key": "team", "values": []}]}, "plain"),
        ({"matches": [{"key": "resource_name", "value": "ONE"}]}, "one Three-One"),
        ({"matches": [{"key": "resource_name", "value": ""}]}, ""),
        (
            {
                "tags": [{"key": "stage", "values": ["live"]}],
                "matches": [{"key": "resource_name", "value": "o"}],
            },
            "Three-One",
        ),
    ],
)
def test_filter(stand: Stand, wanted: dict[str, Any], names: str) -> None:
    assert found(stand, **wanted) == names


@pytest.mark.usefixtures("tagged")
def test_pages_of_things(stand: Stand) -> None:
    path = "/v3/{p}/dli_flink_job/resource-instances/filter?limit=2&offset=1"
    body = stand.ok("POST", path, {})
    assert body["total_count"] == 5
    assert [thing["resource_name"] for thing in body["resources"]] == ["one", "two"]
    body = stand.ok("GET", "/v3/{p}/dli_flink_job/tags?limit=1&offset=1")
    assert body == {"tags": [{"key": "team", "values": ["a", "b"]}], "count": 2}


@pytest.mark.parametrize(
    "body",
    [
        {"tags": [{"key": "a"}]},
        {"tags": [{"key": "", "values": []}]},
        {"tags": [{"key": "a", "values": "b"}]},
        {"tags": [{"key": "a", "values": [str(n) for n in range(21)]}]},
        {"tags": [{"key": str(n), "values": []} for n in range(21)]},
        {"matches": [{"key": "owner", "value": "a"}]},
        {"matches": [{"key": "resource_name", "value": "a"}] * 2},
        {"without_any_tag": "true"},
        {"not_tags": []},
        [],
    ],
)
def test_wrong_filters(stand: Stand, body: Any) -> None:
    for what in ("filter", "count"):
        path = f"/v3/{{p}}/dli_flink_job/resource-instances/{what}"
        assert stand.refused("POST", path, body)[:2] == (400, "DLI.0001")


def test_every_type_is_listed(stand: Stand, things: dict[str, str]) -> None:
    for name in ("job", "queue", "package of a group", "pool"):
        add(stand, things[name], {"kind": name})
        kind, _, resource_id = things[name].partition("/")
        assert [
            (thing["resource_id"], thing["tags"])
            for thing in resources(stand, kind, tags=[{"key": "kind", "values": []}])["resources"]
        ] == [(resource_id, pairs({"kind": name}))]
        assert stand.ok("GET", f"/v3/{{p}}/{kind}/tags") == {"tags": [{"key": "kind", "values": [name]}], "count": 1}
    assert found(stand, "dli_package_resource") == "app.jar app.jar"


# -- who --------------------------------------------------------------------------------------------------------------


RIGHTS = {
    "job": ("jobs.flink.{id}", "UPDATE", "GET"),
    "queue": ("queues.q", "SCALE_QUEUE", "SUBMIT_JOB"),
    "package of a group": ("resources.libs/app.jar", "UPDATE_RESOURCE", "USE_RESOURCE"),
}


@pytest.mark.parametrize("kind", RIGHTS)
def test_what_one_must_hold(stand: Stand, things: dict[str, str], kind: str) -> None:
    name, (thing, changes, sees) = things[kind], RIGHTS[kind]
    add(stand, name, {"a": "1"})
    kind_name, _, resource_id = name.partition("/")
    thing = thing.format(id=resource_id)
    missing = stand.refused("GET", f"/v3/{{p}}/{kind_name}/99999/tags", ak="SUB")[:2]
    body = {"tags": pairs({"a": "2"})}

    def grant(privilege: str) -> None:
        rights = [(thing, frozenset({privilege}))]
        stand.services.privileges.change(PROJECT, "sub", rights, action="grant", trace=None)

    assert stand.refused("GET", f"/v3/{{p}}/{name}/tags", ak="SUB")[:2] == missing
    assert stand.refused("POST", f"/v3/{{p}}/{name}/tags/create", body, ak="SUB")[:2] == missing
    assert stand.ok("GET", f"/v3/{{p}}/{kind_name}/tags", ak="SUB")["count"] == 0
    path = f"/v3/{{p}}/{kind_name}/resource-instances/count"
    assert stand.ok("POST", path, {}, ak="SUB") == {"total_count": 0}
    grant(sees)
    assert tags_of(stand, name, ak="SUB") == {"a": "1"}
    assert stand.ok("POST", path, {}, ak="SUB") == {"total_count": 1}
    for action in ("create", "delete"):
        refusal = stand.refused("POST", f"/v3/{{p}}/{name}/tags/{action}", body, ak="SUB")
        assert refusal[:2] == (403, "DLI.0016")
    assert tags_of(stand, name) == {"a": "1"}
    grant(changes)
    add(stand, name, {"a": "2"}, ak="SUB")
    take(stand, name, {"key": "a"}, ak="SUB")


def test_of_another_project(stand: Stand, things: dict[str, str]) -> None:
    for name in things.values():
        add(stand, name, {"a": "1"})
        kind = name.partition("/")[0]
        assert stand.send("GET", f"/v3/{OTHER}/{name}/tags", ak="OTHER").status_code == 400
        body = {"tags": pairs({"a": "2"})}
        assert stand.send("POST", f"/v3/{OTHER}/{name}/tags/create", body, ak="OTHER").status_code == 400
        assert stand.ok("GET", f"/v3/{OTHER}/{kind}/tags", ak="OTHER") == {"tags": [], "count": 0}
        path = f"/v3/{OTHER}/{kind}/resource-instances/filter"
        assert stand.ok("POST", path, {}, ak="OTHER") == {"total_count": 0, "resources": []}
        assert tags_of(stand, name) == {"a": "1"}


def test_who_did_it(stand: Stand, things: dict[str, str]) -> None:
    for name in ("job", "package of a group"):
        add(stand, things[name], {"a": "1"})
        take(stand, things[name], {"key": "a"})
    lines = [
        line
        for kind in ("job", "package")
        for line in reversed(
            stand.services.audit.search(PROJECT, AuditFilter(resource_type=kind), limit=9, offset=0)[1]
        )
        if "ResourceTags" in line.trace_name
    ]
    job_id = things["job"].rpartition("/")[2]
    assert [(line.trace_name, line.resource_id, line.resource_name) for line in lines] == [
        ("batchCreateResourceTags", job_id, "orders"),
        ("batchDeleteResourceTags", job_id, "orders"),
        ("batchCreateResourceTags", "libs/app.jar", "app.jar"),
        ("batchDeleteResourceTags", "libs/app.jar", "app.jar"),
    ]
