"""The users of the API tests, in the store: the same that the stand's directory knows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

from argon2 import PasswordHasher

from headrace.identity.accounts import Accounts
from headrace.identity.directory import Directory, token_hash
from headrace.identity.founding import Identity
from headrace.identity.passwords import Passwords
from headrace.identity.vault import Vault
from headrace.settings import Settings
from headrace.store.database import Database
from headrace.store.identity import IdentityStore, Project, User
from headrace.store.keys import AccessKey, KeyStore, Token

PASSWORD = "correct horse battery"
PEOPLE = (
    # name, administers the server, role, projects' numbers
    ("boss", True, "", ()),
    ("tester", False, "admin", (0,)),
    ("stranger", False, "admin", (1,)),
    ("sub", False, "member", (0,)),
    ("sub2", False, "member", (0,)),
    ("both", False, "member", (0, 1)),
)
FAR = 4_000_000_000_000
"""When the tokens of these people expire, in epoch milliseconds."""
VAULT = Vault(b"k" * 32)


class QuickPasswords(Passwords):
    """Hashes with the least work. A hash tells what it takes to verify it, so signing in is quick too."""

    def __init__(self) -> None:
        super().__init__()
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@cache
def password_hash() -> str:
    return QuickPasswords().hash(PASSWORD)


def seed(database: Database, *projects: str) -> None:
    """Everybody, with PASSWORD, a key ``KEY-<name>`` and a token ``token of <name>``; projects ``one`` and ``two``."""
    users, keys = IdentityStore(database), KeyStore(database)
    for project_id, name in zip(projects, ("one", "two"), strict=True):
        users.add_project(Project(project_id, name, "", enabled=True, created_ms=1))
    for name, is_admin, role, numbers in PEOPLE:
        users.add_user(User(f"id-of-{name}", name, "", is_admin, enabled=True, created_ms=1), password_hash())
        for number in numbers:
            users.set_role(projects[number], f"id-of-{name}", role)
        key = f"KEY-{name}"
        sealed = VAULT.seal(f"secret of {key}", key)
        keys.add_token(
            Token(token_hash(f"token of {name}"), f"id-of-{name}", projects[0] if 0 in numbers else None, 1, FAR)
        )
        keys.add(AccessKey(key, f"id-of-{name}", sealed, "", enabled=True, published=False, created_ms=1), now_ms=1)


def identity_of(database: Database, now_ms: Callable[[], int]) -> Identity:
    """All that knows these people."""
    users, keys = IdentityStore(database), KeyStore(database)
    return Identity(users, keys, VAULT, Directory(users, keys, VAULT, now_ms), QuickPasswords())


def accounts_of(database: Database, settings: Settings, now_ms: Callable[[], int]) -> Accounts:
    """Where they sign in; no time passes on the watch to speak of."""
    ticks = itertools.count()
    return Accounts(identity_of(database, now_ms), settings, now_ms, lambda: float(next(ticks)) / 1000)
