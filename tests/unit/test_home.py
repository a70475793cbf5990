"""The home: private, held by one server, refused where it cannot work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.domain.errors import HomeUnusable
from headrace.home import Home, write_private, write_private_text


def test_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        home = Home(tmp_path / "home")
        with home.held():
            pass
        write_private(home.server_file, {"a": 1})
        write_private_text(home.key_file, "key")
    finally:
        os.umask(old)
    assert home.folder.stat().st_mode & 0o777 == 0o700
    assert home.server_file.stat().st_mode & 0o777 == 0o600
    assert home.key_file.stat().st_mode & 0o777 == 0o600


def test_one_server_at_a_time(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert home.holder() is None
    with home.held():
        assert home.holder() == os.getpid()
        with pytest.raises(HomeUnusable, match=f"pid {os.getpid()}"), Home(tmp_path / "home").held():
            pytest.fail("held twice")
    assert home.holder() is None


@pytest.mark.parametrize("name", ["a:b", "a#b", "a%b", "a\\b"])
def test_a_path_that_flink_cannot_use_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(HomeUnusable, match="Choose another"):
        Home(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeUnusable), Home(tmp_path / "file").held():
        pytest.fail("held a file")


def test_a_folder_of_somebody_else_is_no_home_and_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    tmp_path.chmod(0o755)
    home = Home(tmp_path)
    assert not home.exists
    assert home.holder() is None
    with pytest.raises(HomeUnusable, match="other files"), home.held():
        pytest.fail("held a folder of somebody else")
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def test_what_is_written_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private_text(path, "new \ud800")
    assert path.read_text() == "old"
    write_private_text(path, "new")
    assert path.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
