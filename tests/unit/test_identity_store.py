"""Projects, users, members, keys and tokens over a real SQLite file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from headrace.domain.errors import IdentityConflict, IdentityNotFound, NotAuthenticated
from headrace.store.audit import AuditFilter, AuditStore, Trace
from headrace.store.database import Database
from headrace.store.identity import IdentityStore, Project, User
from headrace.store.keys import MAX_KEYS, AccessKey, KeyStore, Token
from headrace.store.privileges import PrivilegeStore

P1, P2 = "1" * 32, "2" * 32
ROOT, BOB = "a" * 32, "b" * 32
TRACE = Trace(1, "", "root", "did", "r" * 32, "127.0.0.1")


def project(project_id: str, name: str) -> Project:
    return Project(project_id, name, "", enabled=True, created_ms=1)


def user(user_id: str, name: str, *, is_admin: bool = False) -> User:
    return User(user_id, name, "", is_admin, enabled=True, created_ms=1)


def key(name: str, user_id: str = BOB, **more: object) -> AccessKey:
    made = AccessKey(name, user_id, "v1.sealed", "", enabled=True, published=False, created_ms=1)
    return replace(made, **more)  # type: ignore[arg-type]


class Stores:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.users = IdentityStore(database)
        self.keys = KeyStore(database)

    def traces(self) -> list[tuple[str, str, str]]:
        _, found = AuditStore(self.database).search("", AuditFilter(), limit=10, offset=0)
        return [(one.resource_type, one.resource_id, one.resource_name) for one in found]


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    """Administrator root; projects one and two; bob, a member of one."""
    database = Database(tmp_path / "db.sqlite")
    stores = Stores(database)
    assert stores.users.is_empty
    stores.users.found(project(P1, "one"), user(ROOT, "root", is_admin=True), "hash", key("FIRST", ROOT))
    stores.users.add_project(project(P2, "two"))
    stores.users.add_user(user(BOB, "bob"), "")
    stores.users.set_role(P1, BOB, "member")
    yield stores
    database.close()


def test_what_was_stored_is_read_back(stores: Stores) -> None:
    assert not stores.users.is_empty
    assert stores.users.projects() == [project(P1, "one"), project(P2, "two")]
    assert stores.users.projects(name="two") == [stores.users.project(P2)]
    assert stores.users.users() == [user(BOB, "bob"), user(ROOT, "root", is_admin=True)]
    assert stores.users.users(name="bob") == [stores.users.user(BOB)]
    assert stores.users.members(P1) == [(user(BOB, "bob"), "member")]
    assert (stores.users.password_hash(ROOT), stores.users.password_hash(BOB)) == ("hash", "")
    assert stores.keys.find("FIRST") == key("FIRST", ROOT)


def test_principals(stores: Stores) -> None:
    root, bob = stores.users.principal(ROOT), stores.users.principal(BOB, P1)
    assert root is not None
    assert (root.is_system_admin, root.roles) == (True, {P1: "admin", P2: "admin"})
    assert bob is not None
    assert (bob.user_name, bob.roles, bob.project_id, bob.is_system_admin) == ("bob", {P1: "member"}, P1, False)
    stores.users.change_project(replace(project(P1, "one"), enabled=False))
    assert stores.users.principal(BOB) == replace(bob, roles={}, project_id="")
    stores.users.change_user(BOB, enabled=False)
    assert stores.users.principal(BOB) is None
    assert stores.users.principal("nobody") is None


def test_a_name_of_a_user_is_never_used_twice(stores: Stores) -> None:
    stores.users.delete_user(BOB)
    for name in ("bob", "Bob", "root"):
        with pytest.raises(IdentityConflict, match=name):
            stores.users.add_user(user("c" * 32, name), "")
    with pytest.raises(IdentityConflict, match="one"):
        stores.users.add_project(project("3" * 32, "one"))
    with pytest.raises(IdentityConflict, match="two"):
        stores.users.change_project(project(P1, "two"))
    assert len(stores.users.users()) == 1


def test_of_a_deleted_user_nothing_is_left_but_the_name(stores: Stores) -> None:
    grants = PrivilegeStore(stores.database)
    grants.change(P1, "bob", [("jobs.flink.1", frozenset({"GET"}))], action="grant", trace=None)
    stores.keys.add(key("BOBS"), now_ms=1)
    stores.keys.add_token(Token("h", BOB, None, 1, 100))
    stores.users.delete_user(BOB, trace=TRACE)
    assert stores.keys.find("BOBS") is None
    assert stores.keys.find_token("h", now_ms=2) is None
    assert stores.users.members(P1) == []
    assert stores.users.principal(BOB) is None
    assert grants.of_user(P1, "bob") == {}
    assert stores.traces() == [("user", BOB, "bob")]
    for act in (
        lambda: stores.users.user(BOB),
        lambda: stores.users.delete_user(BOB),
        lambda: stores.users.change_user(BOB, enabled=True),
        lambda: stores.users.set_password(BOB, "x"),
        lambda: stores.users.set_role(P1, BOB, "admin"),
    ):
        with pytest.raises(IdentityNotFound, match=BOB):
            act()


@pytest.mark.parametrize("how", ["disabled", "demoted", "deleted"])
def test_the_last_administrator_stays(stores: Stores, how: str) -> None:
    def leave() -> None:
        root = stores.users.user(ROOT)
        if how == "deleted":
            stores.users.delete_user(ROOT)
        elif how == "disabled":
            stores.users.change_user(root.id, enabled=False)
        else:
            stores.users.change_user(root.id, is_admin=False)

    with pytest.raises(IdentityConflict, match="last administrator"):
        leave()
    assert stores.users.user(ROOT) == user(ROOT, "root", is_admin=True)
    assert stores.keys.find("FIRST") is not None
    stores.users.change_user(BOB, is_admin=True)
    leave()


def test_roles(stores: Stores) -> None:
    stores.users.set_role(P1, BOB, "admin", trace=TRACE)
    assert stores.users.role(P1, BOB) == "admin"
    with pytest.raises(IdentityNotFound, match="member"):
        stores.users.remove_role(P1, BOB, "member")
    grants = PrivilegeStore(stores.database)
    grants.change(P1, "bob", [("queues.q", frozenset({"SUBMIT_JOB"}))], action="grant", trace=None)
    stores.users.remove_role(P1, BOB, "admin", trace=TRACE)
    assert stores.users.role(P1, BOB) is None
    assert grants.of_user(P1, "bob") == {}
    with pytest.raises(IdentityNotFound):
        stores.users.set_role("3" * 32, BOB, "member")
    assert stores.traces() == [("project", P1, "bob")] * 2


def test_a_new_password_ends_tokens_and_temporary_keys_but_not_others(stores: Stores) -> None:
    stores.keys.add(key("STAYS"), now_ms=1)
    stores.keys.add(key("GOES", expires_ms=1000, token_hash="t"), now_ms=1)
    stores.keys.add_token(Token("h", BOB, None, 1, 100))
    stores.users.set_password(BOB, "new", trace=TRACE)
    assert stores.users.password_hash(BOB) == "new"
    assert (stores.keys.find("STAYS"), stores.keys.find("GOES")) == (key("STAYS"), None)
    assert stores.keys.find_token("h", now_ms=2) is None


def test_a_disabled_user_has_no_tokens_when_enabled_again(stores: Stores) -> None:
    stores.keys.add_token(Token("h", BOB, None, 1, 100))
    stores.users.change_user(BOB, enabled=False)
    stores.users.change_user(BOB, enabled=True, description="back")
    assert stores.keys.find_token("h", now_ms=2) is None


def test_a_token_of_a_password_that_was_changed_meanwhile_is_not_stored(stores: Stores) -> None:
    with pytest.raises(NotAuthenticated, match="changed"):
        stores.keys.add_token(Token("h", ROOT, None, 1, 100), proof="older hash")
    stores.keys.add_token(Token("h", ROOT, None, 1, 100), proof="hash")
    assert stores.keys.find_token("h", now_ms=2) is not None


def test_tokens_expire_are_revoked_and_purged(stores: Stores) -> None:
    stores.keys.add_token(Token("short", BOB, P1, 1, 100), trace=TRACE)
    stores.keys.add_token(Token("long", BOB, None, 1, 1000))
    assert stores.keys.find_token("short", now_ms=99) == Token("short", BOB, P1, 1, 100)
    assert stores.keys.find_token("short", now_ms=100) is None
    stores.keys.add_token(Token("next", BOB, None, 100, 1000))
    assert _count(stores.database, "tokens") == 2
    stores.keys.remove_token("long", trace=TRACE)
    stores.keys.remove_token("long", trace=TRACE)
    assert stores.keys.find_token("long", now_ms=2) is None
    assert len(stores.traces()) == 2


def test_keys_are_limited_listed_removed_and_purged(stores: Stores) -> None:
    for number in range(MAX_KEYS):
        stores.keys.add(key(f"K{number}"), now_ms=1, trace=TRACE if not number else None)
    with pytest.raises(IdentityConflict, match="10"):
        stores.keys.add(key("ONE TOO MANY"), now_ms=1)
    stores.keys.add(key("T", expires_ms=50, token_hash="t"), now_ms=1)
    assert [one.access_key for one in stores.keys.permanent(BOB)] == [f"K{number}" for number in range(MAX_KEYS)]
    assert len(stores.keys.permanent()) == MAX_KEYS + 1
    stores.keys.remove("K0", trace=TRACE)
    with pytest.raises(IdentityNotFound, match="K0"):
        stores.keys.remove("K0", trace=TRACE)
    stores.keys.add(key("U", expires_ms=99, token_hash="t"), now_ms=50)
    assert stores.keys.find("T") is None
    assert stores.traces() == [("credential", "K0", "")] * 2
    assert stores.keys.sealed() == ["v1.sealed"] * (MAX_KEYS + 1)


def _count(database: Database, table: str) -> int:
    with database.read() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def test_what_is_made_from_a_token_is_made_while_it_is_there(stores: Stores) -> None:
    """A new password ends all tokens, also those that are being made from one of them."""
    stores.keys.add_token(Token("h1", BOB, P1, issued_ms=1, expires_ms=10))
    stores.keys.add_token(Token("h2", BOB, P1, issued_ms=1, expires_ms=10), parent="h1")
    stores.keys.add(key("TEMPORARY", expires_ms=10, token_hash="t"), now_ms=1, parent="h2")
    stores.users.set_password(BOB, "new")
    with pytest.raises(NotAuthenticated, match="ended"):
        stores.keys.add_token(Token("h3", BOB, P1, issued_ms=1, expires_ms=10), parent="h1")
    with pytest.raises(NotAuthenticated, match="ended"):
        stores.keys.add(key("LATE", expires_ms=10, token_hash="t"), now_ms=1, parent="h2")
    assert [stores.keys.find(name) for name in ("TEMPORARY", "LATE")] == [None, None]
    assert stores.keys.find_token("h3", now_ms=2) is None
