"""Secrets are sealed with a key that lies in a file outside the database, so that a stolen database opens nothing."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.domain.errors import HomeUnusable
from headrace.home import write_private_text

KEY_BYTES = 32
_NONCE_BYTES = 12
_FOREIGN = 0o027
"""Permission bits that a key file must not have: all of others', and writing of the group's."""


class Vault:
    """AES-256-GCM. A sealed text is ``v1.<mark of the key>.<nonce and text>`` and opens in its own context only."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._prefix = f"v1.{sha256(b'headrace vault ' + key).hexdigest()[:8]}."

    def seal(self, text: str, context: str) -> str:
        """``text``, unreadable without the key; ``context`` names what it belongs to, so that it fits nowhere else."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())
        return self._prefix + base64.urlsafe_b64encode(sealed).decode()

    def open(self, sealed: str, context: str) -> str:
        """The text that was sealed in this context.

        Raises:
            HomeUnusable: it was sealed with another key or in another context, or was changed.
        """
        if not self.fits(sealed):
            raise HomeUnusable("A secret of the database was sealed with another key file. Restore that key file.")
        try:
            raw = base64.urlsafe_b64decode(sealed.removeprefix(self._prefix))
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise HomeUnusable("A secret of the database was changed. Restore the database from a copy.") from error

    def fits(self, sealed: str) -> bool:
        """Whether this key has sealed it, as far as its mark tells."""
        return sealed.startswith(self._prefix)


def open_vault(path: Path, sealed: Iterable[str]) -> Vault:
    """The vault of the key file at ``path``, which is made only if nothing was sealed yet.

    Args:
        path: of the key file.
        sealed: what the database holds of sealed texts.

    Raises:
        HomeUnusable: the key file is missing, unreadable, open to others, or not that of this database.
    """
    known = list(sealed)
    if not path.exists():
        if known:
            raise HomeUnusable(
                f"The key file {path} is missing, and the database has secrets that only it opens. Restore it from "
                "your copy (setting key_file says where it lies); a new one would not open them."
            )
        _make(path)
    vault = Vault(_read(path))
    if not all(vault.fits(text) for text in known):
        raise HomeUnusable(f"The key file {path} is not that of this database. Restore the right one.")
    return vault


def _make(path: Path) -> None:
    try:
        write_private_text(path, base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode() + "\n")
    except OSError as error:
        raise HomeUnusable(
            f"The key file {path} cannot be made: {error.strerror}. See the setting key_file."
        ) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1024)
    except OSError as error:
        raise HomeUnusable(f"The key file {path} cannot be read: {error.strerror}.") from error
    if mode & _FOREIGN:
        raise HomeUnusable(f"The key file {path} is open to other users (mode {mode & 0o777:03o}). chmod 600 it.")
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY_BYTES:
        raise HomeUnusable(f"The key file {path} is damaged: it holds no key. Restore it from your copy.")
    return key
