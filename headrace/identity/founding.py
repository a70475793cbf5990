"""The first start of a home: one project, one administrator, one key pair; and the keys of older homes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from headrace.domain.errors import BadField, HomeUnusable
from headrace.home import Credentials, Home
from headrace.identity.directory import Directory, TokenSource
from headrace.identity.generated import new_access_key, new_id, new_password, new_secret_key
from headrace.identity.passwords import Passwords
from headrace.identity.vault import Vault, open_vault
from headrace.settings import Settings
from headrace.store.database import Database
from headrace.store.identity import IdentityStore, Project, User
from headrace.store.keys import AccessKey, KeyStore

USER_NAME = "[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
ADMINISTRATOR = "admin"
"""Name of a laptop's only user."""


@dataclass(frozen=True)
class Founded:
    """What ``--init-admin`` tells once; only the project's id and the access key are stored in clear."""

    user_name: str
    project_id: str
    access_key: str
    secret_key: str
    password: str


@dataclass(frozen=True)
class Identity:
    """All that knows who is who; ``founded``: the administrator who was just made for a shared installation."""

    users: IdentityStore
    keys: KeyStore
    vault: Vault
    directory: Directory
    passwords: Passwords
    founded: Founded | None = None

    @property
    def first_project(self) -> Project:
        """The oldest project: that of the first start."""
        return min(self.users.projects(), key=lambda project: project.created_ms)

    def published(self) -> Credentials | None:
        """The key pair for ``server.json``; None if this home tells nobody its keys."""
        for key in self.keys.permanent():
            if key.published:
                known = self.directory.key(key.access_key)
                if known is not None:
                    project_id, user_name = self.first_project.id, known.principal.user_name
                    return Credentials(project_id, key.access_key, known.secret_key, user_name)
        return None


def open_identity(
    database: Database,
    home: Home,
    settings: Settings,
    now_ms: Callable[[], int],
    *,
    init_admin: str | None = None,
    external: TokenSource | None = None,
) -> Identity:
    """Opens what the home knows of users; at the first start, makes an administrator.

    Args:
        database: of the home, which is held.
        home: may hold the ``credentials.json`` of an older version, which is taken over and removed.
        settings: ``region`` names the first project.
        now_ms: the clock, in epoch milliseconds.
        init_admin: name of the administrator of a shared installation, whose keys are told once.
        external: see Directory.

    Raises:
        HomeUnusable: the key file is not that of the database; or ``init_admin`` was given and there are users.
        BadField: ``init_admin`` is no name of a user.
    """
    users, keys = IdentityStore(database), KeyStore(database)
    vault = open_vault(settings.key_file or home.key_file, keys.sealed())
    passwords = Passwords()
    directory = Directory(users, keys, vault, now_ms, external)
    identity = Identity(users, keys, vault, directory, passwords)
    if init_admin is not None and re.fullmatch(USER_NAME, init_admin) is None:
        raise BadField("--init-admin", init_admin, "must be 1 to 64 letters, digits and . _ @ -")
    older = home.old_credentials()
    if init_admin is not None and (older is not None or not users.is_empty):
        raise HomeUnusable(
            f"--init-admin {init_admin}: this home has users already. Make another administrator with "
            "headrace users add --admin, or start without --init-admin."
        )
    founded = None
    if users.is_empty:
        password = new_password() if init_admin else ""
        pair = older or Credentials(new_id(), new_access_key(), new_secret_key(), init_admin or ADMINISTRATOR)
        _found(identity, pair, settings.region, password, now_ms())
        if init_admin:
            founded = Founded(pair.user_name, pair.project_id, pair.access_key, pair.secret_key, password)
    home.forget_old_credentials()
    return replace(identity, founded=founded)


def _found(identity: Identity, pair: Credentials, project_name: str, password: str, now_ms: int) -> None:
    project = Project(pair.project_id, project_name, "", enabled=True, created_ms=now_ms)
    user = User(new_id(), pair.user_name, "", is_admin=True, enabled=True, created_ms=now_ms)
    key = AccessKey(
        pair.access_key,
        user.id,
        identity.vault.seal(pair.secret_key, pair.access_key),
        description="",
        enabled=True,
        published=not password,
        created_ms=now_ms,
    )
    identity.users.found(project, user, identity.passwords.hash(password) if password else "", key)
