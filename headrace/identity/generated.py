"""Ids, keys and passwords, from the system's source of randomness."""

from __future__ import annotations

import secrets
import string


def new_id() -> str:
    """Of a project or user: 32 hex digits."""
    return secrets.token_hex(16)


def new_access_key() -> str:
    """20 characters, as Huawei Cloud's are."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(20))


def new_secret_key() -> str:
    """40 characters, 238 random bits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(40))


def new_password() -> str:
    """20 characters, 119 random bits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(20))
