"""The first start, homes of older versions, and what a stolen database is worth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from sqlalchemy import select

from headrace.domain.errors import HomeUnusable
from headrace.home import Credentials, Home
from headrace.identity.directory import token_hash
from headrace.identity.founding import Founded, Identity, open_identity
from headrace.settings import Settings
from headrace.store.database import Database
from headrace.store.keys import Token
from headrace.store.schema import metadata

NOW = 1_790_000_000_000


@contextmanager
def opened(folder: Path, init_admin: str | None = None, **settings: object) -> Iterator[Identity]:
    folder.mkdir(exist_ok=True)
    home = Home(folder)
    with closing(Database(home.database)) as database:
        wanted = Settings(home=folder, **settings)  # type: ignore[arg-type]
        yield open_identity(database, home, wanted, lambda: NOW, init_admin=init_admin)


def test_a_laptop_has_one_project_one_administrator_and_keys_to_tell(tmp_path: Path) -> None:
    with opened(tmp_path) as identity:
        keys = identity.published()
        assert identity.founded is None
        assert keys is not None
        assert identity.first_project.name == "headrace"
        assert identity.first_project.id == keys.project_id
        known = identity.directory.key(keys.access_key)
        assert known is not None
        assert known.secret_key == keys.secret_key
        assert known.principal.user_name == "admin"
        assert known.principal.is_system_admin
        assert known.principal.roles == {keys.project_id: "admin"}
        assert (len(keys.access_key), len(keys.secret_key), len(keys.project_id)) == (20, 40, 32)
    with opened(tmp_path, region="eu-de") as again:
        assert again.published() == keys
        assert [project.name for project in again.users.projects()] == ["headrace"]


def test_a_shared_installation_tells_its_keys_once(tmp_path: Path) -> None:
    with opened(tmp_path, "ada", region="eu-de") as identity:
        told = identity.founded
        assert isinstance(told, Founded)
        assert (told.user_name, identity.first_project.name) == ("ada", "eu-de")
        assert identity.published() is None
        key = identity.directory.key(told.access_key)
        assert key is not None
        assert key.secret_key == told.secret_key
        [ada] = identity.users.users()
        assert identity.passwords.verify(identity.users.password_hash(ada.id), told.password)
    with opened(tmp_path) as again:
        assert (again.founded, again.published()) == (None, None)
    with pytest.raises(HomeUnusable, match="has users already"), opened(tmp_path, "eve"):
        pytest.fail("opened")


def test_an_older_homes_keys_are_taken_over_once(tmp_path: Path) -> None:
    older = Credentials("0" * 32, "OLDKEY", "old secret", "admin")
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps(asdict(older)))
    with pytest.raises(HomeUnusable, match="has users already"), opened(tmp_path, "eve"):
        pytest.fail("opened")
    with opened(tmp_path) as identity:
        assert identity.published() == older
        assert not file.exists()
    with opened(tmp_path) as identity:
        assert identity.published() == older


def test_damaged_keys_of_an_older_home_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(HomeUnusable, match="damaged"), opened(tmp_path):
        pytest.fail("opened")
    assert (tmp_path / "credentials.json").exists()


def test_the_key_file_can_lie_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.key"
    with opened(tmp_path / "home", key_file=elsewhere) as identity:
        keys = identity.published()
    assert elsewhere.exists()
    assert not (tmp_path / "home" / "secrets.key").exists()
    with pytest.raises(HomeUnusable, match="missing"), opened(tmp_path / "home"):
        pytest.fail("opened")
    with opened(tmp_path / "home", key_file=elsewhere) as identity:
        assert identity.published() == keys


def test_a_stolen_database_lets_nobody_in(tmp_path: Path) -> None:
    with opened(tmp_path / "home", "ada") as identity:
        told = identity.founded
        assert told is not None
        [ada] = identity.users.users()
        identity.keys.add_token(Token(token_hash("the token"), ada.id, None, NOW, NOW + 1000))
        assert identity.directory.token("the token") is not None
    files = [path for path in (tmp_path / "home").iterdir() if path.name.startswith("headrace.db")]
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    for file in files:
        (stolen / file.name).write_bytes(file.read_bytes())
        assert not any(secret.encode() in file.read_bytes() for secret in (told.secret_key, told.password, "the token"))
    with closing(Database(stolen / "headrace.db")) as database, database.read() as connection:
        tables = metadata.tables.values()
        dump = "\n".join(str(row) for table in tables for row in connection.execute(select(table)))
    assert told.access_key in dump
    assert not any(secret in dump for secret in (told.secret_key, told.password, "the token"))
    with opened(tmp_path / "other"):
        other_key = tmp_path / "other" / "secrets.key"
    for key_file in (stolen / "secrets.key", other_key):
        with pytest.raises(HomeUnusable, match="key file"), opened(stolen, key_file=key_file):
            pytest.fail("opened")


def test_what_is_no_key_and_no_token(tmp_path: Path) -> None:
    with opened(tmp_path) as identity:
        keys = identity.published()
        assert keys is not None
        for unknown in ("", "nobody", "ÄÖ", "\udc80", keys.access_key.lower(), "x' OR 1=1 --", "\x00"):
            assert identity.directory.key(unknown) is None
            assert identity.directory.token(unknown) is None
