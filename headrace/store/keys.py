"""Access keys, with sealed secrets, and tokens, of which only hashes are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from headrace.domain.errors import IdentityConflict, IdentityNotFound, NotAuthenticated
from headrace.store.audit import Trace, record
from headrace.store.database import Database
from headrace.store.schema import access_keys, tokens, users, variables

MAX_KEYS = 10
"""Permanent keys of one user."""


@dataclass(frozen=True)
class AccessKey:
    """One key pair.

    Attributes:
        sealed_secret: what ``Vault.seal`` made of the secret key.
        published: its secret is told to the operating system's user who runs the server, in ``server.json``.
        expires_ms: of a temporary key; None = permanent.
        token_hash: of a temporary key, the hex SHA-256 of its X-Security-Token.
        project_id: the only project that it is good for; None = all of its user's.
    """

    access_key: str
    user_id: str
    sealed_secret: str
    description: str
    enabled: bool
    published: bool
    created_ms: int
    expires_ms: int | None = None
    token_hash: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class Token:
    """What is kept of an X-Auth-Token: the hex SHA-256, whose it is, and its scope (None = unscoped)."""

    token_hash: str
    user_id: str
    project_id: str | None
    issued_ms: int
    expires_ms: int


class KeyStore:
    """The only place that writes access keys and tokens."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, key: AccessKey, *, now_ms: int, parent: str | None = None, trace: Trace | None = None) -> None:
        """Purges what has expired.

        Args:
            key: what is stored.
            now_ms: the time.
            parent: hash of the token that the key is made from, if it is.
            trace: who got it.

        Raises:
            IdentityConflict: the user has enough of them.
            NotAuthenticated: the token has ended in between.
        """
        mine = (access_keys.c.user_id == key.user_id) & access_keys.c.expires_ms.is_(None)
        with self._db.write() as connection:
            _require_token(connection, parent)
            connection.execute(delete(access_keys).where(access_keys.c.expires_ms <= now_ms))
            count = connection.execute(select(func.count()).select_from(access_keys).where(mine)).scalar_one()
            if key.expires_ms is None and count >= MAX_KEYS:
                raise IdentityConflict(f"The user has {count} access keys already, the most there can be. Remove one.")
            connection.execute(insert(access_keys).values(asdict(key)))
            record(connection, trace.of("credential", key.access_key, key.description) if trace else None)

    def find(self, access_key: str) -> AccessKey | None:
        """The key, whether it may be used or not."""
        with self._db.read() as connection:
            row = (
                connection.execute(select(access_keys).where(access_keys.c.access_key == access_key)).mappings().first()
            )
        return None if row is None else AccessKey(**row)

    def permanent(self, user_id: str | None = None) -> list[AccessKey]:
        """All permanent keys, or the user's; the oldest first."""
        query = select(access_keys).where(access_keys.c.expires_ms.is_(None))
        if user_id is not None:
            query = query.where(access_keys.c.user_id == user_id)
        with self._db.read() as connection:
            rows = (
                connection.execute(query.order_by(access_keys.c.created_ms, access_keys.c.access_key)).mappings().all()
            )
        return [AccessKey(**row) for row in rows]

    def change(self, access_key: str, *, trace: Trace | None = None, **changes: str | bool) -> None:
        """Stores description or enabled: what is given; raises IdentityNotFound."""
        mine = access_keys.c.access_key == access_key
        with self._db.write() as connection:
            if not connection.execute(update(access_keys).where(mine).values(changes)).rowcount:
                raise IdentityNotFound.of("access key", access_key)
            record(connection, trace.of("credential", access_key) if trace else None)

    def remove(self, access_key: str, *, trace: Trace | None = None) -> None:
        """Raises IdentityNotFound."""
        with self._db.write() as connection:
            if not connection.execute(delete(access_keys).where(access_keys.c.access_key == access_key)).rowcount:
                raise IdentityNotFound.of("access key", access_key)
            record(connection, trace.of("credential", access_key) if trace else None)

    def add_token(
        self, token: Token, *, proof: str | None = None, parent: str | None = None, trace: Trace | None = None
    ) -> None:
        """Purges what has expired.

        Args:
            token: what is stored.
            proof: hash of the password that was right, if one was.
            parent: hash of the token that was right, if one was.
            trace: who got it.

        Raises:
            NotAuthenticated: the password was changed, or the other token has ended, in between.
        """
        with self._db.write() as connection:
            known = select(users.c.password_hash).where(users.c.id == token.user_id)
            if proof is not None and connection.execute(known).scalar_one_or_none() != proof:
                raise NotAuthenticated("The password was changed just now. Use the new one.")
            _require_token(connection, parent)
            connection.execute(delete(tokens).where(tokens.c.expires_ms <= token.issued_ms))
            connection.execute(insert(tokens).values(asdict(token)))
            record(connection, trace.of("token", token.user_id, trace.user_name) if trace else None)

    def find_token(self, token_hash: str, *, now_ms: int) -> Token | None:
        """The token, None if it has expired or never was."""
        query = select(tokens).where(tokens.c.token_hash == token_hash, tokens.c.expires_ms > now_ms)
        with self._db.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else Token(**row)

    def remove_token(self, token_hash: str, *, trace: Trace | None = None) -> None:
        """Revokes it; once revoked, nothing is left to do."""
        with self._db.write() as connection:
            if connection.execute(delete(tokens).where(tokens.c.token_hash == token_hash)).rowcount:
                record(connection, trace.of("token", "", "") if trace else None)

    def sealed(self) -> list[str]:
        """Every text of the database that only the key file opens."""
        keys = select(access_keys.c.sealed_secret)
        values = select(variables.c.value).where(variables.c.is_sensitive)
        with self._db.read() as connection:
            return [str(text) for text in connection.execute(keys.union_all(values)).scalars()]


def _require_token(connection: Connection, hashed: str | None) -> None:
    """What is made from a token is made while the token is there: a new password ends them all at once."""
    if hashed is not None and connection.execute(select(tokens).where(tokens.c.token_hash == hashed)).first() is None:
        raise NotAuthenticated("The token has ended just now. Sign in again.")
