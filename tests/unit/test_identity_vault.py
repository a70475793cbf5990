"""Sealed secrets, and the file with their key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import HomeUnusable
from headrace.identity.vault import Vault, open_vault

VAULT = Vault(b"k" * 32)


@given(st.text(), st.text())
def test_what_was_sealed_opens_in_its_context(text: str, context: str) -> None:
    sealed = VAULT.seal(text, context)
    assert VAULT.open(sealed, context) == text
    assert sealed != VAULT.seal(text, context)
    with pytest.raises(HomeUnusable, match="changed"):
        VAULT.open(sealed, context + "x")


@given(st.binary(min_size=1, max_size=4), st.integers(0, 60))
def test_what_was_changed_does_not_open(change: bytes, at: int) -> None:
    sealed = VAULT.seal("secret of somebody", "AK")
    changed = sealed[:at] + change.hex() + sealed[at + 2 * len(change) :]
    if changed != sealed:
        with pytest.raises(HomeUnusable):
            VAULT.open(changed, "AK")


@pytest.mark.parametrize("sealed", ["", "v1.", "secret", "v2.00000000.AAAA", VAULT.seal("", "")[:12], "v1.é"])
def test_what_is_no_sealed_text(sealed: str) -> None:
    with pytest.raises(HomeUnusable):
        VAULT.open(sealed, "AK")


def test_another_key_opens_nothing() -> None:
    other = Vault(b"x" * 32)
    with pytest.raises(HomeUnusable, match="another key file"):
        other.open(VAULT.seal("secret", "AK"), "AK")


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    sealed = open_vault(path, []).seal("secret", "AK")
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_vault(path, [sealed]).open(sealed, "AK") == "secret"


def test_a_database_without_its_key_file_is_refused_and_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "secrets.key"
    with pytest.raises(HomeUnusable, match="missing"):
        open_vault(path, [VAULT.seal("secret", "AK")])
    assert not path.exists()
    open_vault(path, [])
    with pytest.raises(HomeUnusable, match="not that of this database"):
        open_vault(path, [VAULT.seal("secret", "AK")])


@pytest.mark.parametrize("content", [b"", b"short", b"=" * 44, b"\xff" * 44, b"A" * 2000])
def test_a_damaged_key_file_is_told_of(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secrets.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(HomeUnusable, match="damaged"):
        open_vault(path, [])
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("mode", "fits"), [(0o400, True), (0o640, True), (0o644, False), (0o660, False), (0o604, False)]
)
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int, *, fits: bool) -> None:
    path = tmp_path / "secrets.key"
    open_vault(path, [])
    path.chmod(mode)
    if fits:
        open_vault(path, [])
    else:
        with pytest.raises(HomeUnusable, match="chmod 600"):
            open_vault(path, [])


def test_a_place_where_no_key_can_be_made_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="key_file"):
        open_vault(tmp_path / "missing" / "secrets.key", [])
    (tmp_path / "folder").mkdir()
    with pytest.raises(HomeUnusable, match="cannot be read"):
        open_vault(tmp_path / "folder", [])
