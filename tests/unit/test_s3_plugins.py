"""Flink's S3 file system in the engine store: from a folder or from Maven, whole and of the right content, or not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from headrace.domain.errors import EngineBroken
from headrace.flink import catalog
from headrace.flink.s3 import S3Plugins

JAR = "flink-s3-fs-hadoop-1.20.1.jar"
CONTENT = b"a JAR"
PINS = {"1.20.1": hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """An operator's folder."""
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / JAR).write_bytes(CONTENT)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "engines"
    folder.mkdir()
    return folder


def mvn(tmp_path: Path, script: str) -> str:
    """A command that is called as Maven is."""
    command = tmp_path / "mvn"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return str(command)


def left(store: Path) -> list[str]:
    return sorted(entry.name for entry in store.iterdir() if entry.name != "locks")


@pytest.mark.parametrize(
    ("engine", "plugin"), [("1.20.5", "1.20.1"), ("1.20.0", "1.20.1"), ("1.17.2", "1.17.2"), ("2.2.1", "2.2.1")]
)
def test_which_release_an_engine_takes(engine: str, plugin: str) -> None:
    assert catalog.s3_plugin_for(engine) == plugin


def test_every_tested_engine_takes_one_whose_content_is_known() -> None:
    assert {catalog.s3_plugin_for(version) for version in catalog.TESTED} == set(catalog.S3_PINS)


def test_it_comes_from_the_operators_folder(store: Path, given: Path) -> None:
    plugins = S3Plugins(store, given, PINS)
    assert plugins.find("1.20.5") is None
    jar = plugins.install("1.20.5")
    assert jar == plugins.find("1.20.5") == store / "s3-1.20.1" / JAR
    assert jar.read_bytes() == CONTENT
    assert plugins.verify("1.20.5") == ()
    (given / JAR).unlink()
    assert plugins.install("1.20.5") == jar
    assert left(store) == ["s3-1.20.1"]


def test_another_content_than_the_tested_is_refused(store: Path, given: Path) -> None:
    (given / JAR).write_bytes(b"another")
    with pytest.raises(EngineBroken, match=PINS["1.20.1"]):
        S3Plugins(store, given, PINS).install("1.20.5")
    assert left(store) == []


def test_a_damaged_one_is_told_and_replaced(store: Path, given: Path) -> None:
    plugins = S3Plugins(store, given, PINS)
    jar = plugins.install("1.20.5")
    jar.chmod(0o644)
    jar.write_bytes(b"cut")
    assert plugins.verify("1.20.5")
    assert plugins.find("1.20.5") is None
    assert plugins.install("1.20.5").read_bytes() == CONTENT
    assert plugins.verify("1.20.5") == ()


@pytest.mark.parametrize("folder", [True, False])
def test_without_a_way_both_are_named(store: Path, tmp_path: Path, folder: bool) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    plugins = S3Plugins(store, empty if folder else None, PINS, mvn="no-such-mvn")
    with pytest.raises(EngineBroken) as error:
        plugins.install("1.20.5")
    assert JAR in str(error.value)
    wanted = ("s3_plugin_folder", str(empty)) if folder else ("mvn", "HEADRACE_S3_PLUGIN_FOLDER")
    assert all(word in str(error.value) for word in wanted)
    assert left(store) == []


def test_maven_is_asked_for_it_and_leaves_nothing_else(store: Path, tmp_path: Path) -> None:
    place = "org/apache/flink/flink-s3-fs-hadoop/1.20.1"
    script = f"""
    for word in "$@"; do case "$word" in -Dmaven.repo.local=*) local="${{word#*=}}";; esac; done
    echo "$@" > {tmp_path}/asked; mkdir -p "$local/{place}"; printf 'a JAR' > "$local/{place}/{JAR}"
    """
    jar = S3Plugins(store, None, PINS, mvn(tmp_path, script)).install("1.20.5")
    assert jar.read_bytes() == CONTENT
    asked = (tmp_path / "asked").read_text()
    assert "--strict-checksums" in asked
    assert "-Dartifact=org.apache.flink:flink-s3-fs-hadoop:1.20.1" in asked
    assert left(store) == ["s3-1.20.1"]


def test_mavens_last_words_are_told(store: Path, tmp_path: Path) -> None:
    command = mvn(tmp_path, "echo '[ERROR] Could not transfer artifact: no route to host'; exit 1")
    with pytest.raises(EngineBroken, match=r"no route to host.*HEADRACE_S3_PLUGIN_FOLDER"):
        S3Plugins(store, None, PINS, command).install("1.20.5")
    assert left(store) == []


def test_what_no_engine_takes_is_removed(store: Path, given: Path) -> None:
    plugins = S3Plugins(store, given, PINS)
    plugins.install("1.20.5")
    plugins.remove_unneeded(("1.20.3", "2.3.0"))
    assert left(store) == ["s3-1.20.1"]
    plugins.remove_unneeded(("2.3.0",))
    assert left(store) == []
    assert os.access(store, os.W_OK)
