"""The committed JARs: what is in them, and that they are what their sources make."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.job import JobSpec
from headrace.domain.sizing import size
from headrace.flink.catalog import TESTED
from headrace.flink.command import Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.s3 import S3Plugins
from headrace.objects.access import Keys, S3Access
from headrace.objects.s3 import S3Objects
from headrace.runtimes.s3 import S3Store
from tests.support.seaweed import Seaweed, seaweed

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples"
PLUGIN = REPOSITORY / "headrace/flink/plugins/headrace-obs.jar"
MAIN_CLASSES = {
    "javaQueueStream.jar": "org.apache.flink.examples.streaming.JavaQueueStream",
    "wordCount.jar": "headrace.examples.WordCount",
    "userDataReader.jar": "headrace.examples.UserDataReader",
    "statefulCounter.jar": "headrace.examples.StatefulCounter",
    "failOnDemand.jar": "headrace.examples.FailOnDemand",
}
JOBS = [(line, name) for line in ("flink-1", "flink-2") for name in MAIN_CLASSES]
JAVA_8 = 52


def all_jars() -> list[Path]:
    return [*sorted(EXAMPLES.glob("jars/**/*.jar")), PLUGIN]


def manifest(jar: Path) -> dict[str, str]:
    with zipfile.ZipFile(jar) as archive:
        lines = archive.read("META-INF/MANIFEST.MF").decode().splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


QUICK_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Half the time: it ends long before compiling more would pay."""


@pytest.fixture(scope="module")
def engines(engine_store: EngineStore) -> dict[str, Engine]:
    """The tested engines, by version."""
    return {version: engine_store.install(version) for version in TESTED}


def javac() -> str:
    compiler = shutil.which("javac")
    if compiler is None:
        pytest.skip("no javac on the PATH")
    return compiler


def test_every_job_is_there_for_both_engine_lines() -> None:
    found = {(jar.parent.name, jar.name) for jar in EXAMPLES.glob("jars/flink-*/*.jar")}
    assert found == set(JOBS)
    assert PLUGIN.is_file()


@pytest.mark.parametrize(("line", "name"), JOBS)
def test_manifest_names_a_main_class_that_is_inside(line: str, name: str) -> None:
    jar = EXAMPLES / "jars" / line / name
    main_class = manifest(jar)["Main-Class"]
    assert main_class == MAIN_CLASSES[name]
    with zipfile.ZipFile(jar) as archive:
        assert f"{main_class.replace('.', '/')}.class" in archive.namelist()


def test_dependency_jars_hold_one_class_each() -> None:
    for name, entry in (("test.jar", "mygroup/Test.class"), ("test1.jar", "mygroup/Test1.class")):
        with zipfile.ZipFile(EXAMPLES / "jars" / name) as archive:
            assert archive.namelist() == ["META-INF/MANIFEST.MF", entry]


@pytest.mark.parametrize("jar", all_jars(), ids=lambda jar: f"{jar.parent.name}-{jar.stem}")
def test_thin_java_8_and_without_a_date(jar: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            if entry.filename.endswith(".class"):
                content = archive.read(entry)
                assert content[:4] == b"\xca\xfe\xba\xbe"
                assert int.from_bytes(content[6:8], "big") <= JAVA_8, entry.filename
                ours = "headrace/", "mygroup/", "org/apache/flink/examples/streaming/JavaQueueStream"
                assert entry.filename.startswith(ours), entry.filename
    assert jar.stat().st_size < 32_768


def test_plugin_announces_its_factories() -> None:
    with zipfile.ZipFile(PLUGIN) as archive:
        factories = archive.read("META-INF/services/org.apache.flink.core.fs.FileSystemFactory").decode().split()
        assert len(factories) == 3  # obs://, s3:// and s3a://
        assert {f"{factory.replace('.', '/')}.class" for factory in factories} <= set(archive.namelist())


@pytest.mark.parametrize("name", ["gettysburg", "declaration"])
def test_expected_counts_follow_from_the_text(name: str) -> None:
    text = (EXAMPLES / "data" / f"{name}.txt").read_text(encoding="utf-8")
    counts = Counter(re.findall("[a-z]+", text.lower()))
    lines = (EXAMPLES / "data" / f"{name}.expected.tsv").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{word}\t{count}" for word, count in sorted(counts.items())]


def test_the_jars_are_what_the_sources_make(engine_store: EngineStore, engines: dict[str, Engine]) -> None:
    assert set(engines) == set(TESTED)
    javac()
    command = [sys.executable, str(EXAMPLES / "build.py"), "--check", "--engines", str(engine_store.root)]
    environment = os.environ | {"JAVA_TOOL_OPTIONS": " ".join(QUICK_JVM)}
    check = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if check.returncode == 3:
        pytest.skip(check.stdout.strip())
    assert check.returncode == 0, check.stdout + check.stderr


def test_the_check_names_a_jar_that_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A changed greeting in a copy of the tree must be found in the one JAR it is in."""
    javac()
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    source = tmp_path / "examples/test/mygroup/Test.java"
    source.write_text(source.read_text(encoding="utf-8").replace("greetings", "goodbye"), encoding="utf-8")
    build = loaded(tmp_path / "examples/build.py", monkeypatch)
    without_flink = [jar for jar in build.jars() if jar.target in ("examples/jars/test.jar", "examples/jars/test1.jar")]
    monkeypatch.setattr(build, "jars", lambda: without_flink)  # they compile in a second each
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    code, said = build.main(), capsys.readouterr().out
    if code == 3:
        pytest.skip(said.strip())
    assert (code, said, len(without_flink)) == (1, "differs: examples/jars/test.jar\n", 2)


def loaded(script: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module, until the test ends."""
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def obs_check(tmp_path_factory: pytest.TempPathFactory, engines: dict[str, Engine]) -> Path:
    """`flink-plugins/obs/check/ObsCheck.java`, compiled once: for the oldest engine, as the plugin itself."""
    compiler, folder = javac(), tmp_path_factory.mktemp("obs-check")
    against = engines[TESTED[0]].lib_jars[-1]
    source = REPOSITORY / "flink-plugins/obs/check/ObsCheck.java"
    options = ["--release", "8", "-nowarn", "-encoding", "UTF-8", "-cp", str(against), "-d", str(folder)]
    subprocess.run([compiler, *options, str(source)], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("version", TESTED)
def test_plugin_keeps_its_word_on(version: str, tmp_path: Path, engines: dict[str, Engine], obs_check: Path) -> None:
    """`ObsCheck` goes through the promises of the plugin's README, on one engine."""
    checked(engines[version], obs_check, str(tmp_path))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed")) as one:
        yield one


@pytest.mark.parametrize("version", TESTED)
def test_plugin_keeps_its_word_behind_an_endpoint_on(
    version: str, tmp_path: Path, engines: dict[str, Engine], obs_check: Path, store: Seaweed, engine_store: EngineStore
) -> None:
    bucket = f"on-{version.replace('.', '-')}"
    store.create_bucket(bucket)
    access = S3Access(store.endpoint, "us-east-1", path_style=True, default=Keys(store.access_key, store.secret_key))
    objects, plugins = S3Objects(access), S3Plugins(engine_store.root)
    plugins.install(version)
    layout = Layout(tmp_path)
    layout.tmp.mkdir()
    plan = DeploymentPlan("job-1-1", 1, 1, "job", version, size(JobSpec("job"), {}), "obs://b/a.jar")
    settings = S3Store(access, objects, plugins, lambda _project, _bucket: True).write(plan, layout, version)
    checked(engines[version], obs_check, str(settings), bucket)


def checked(engine: Engine, obs_check: Path, *args: str) -> None:
    classpath = os.pathsep.join([str(obs_check), str(PLUGIN), *map(str, engine.lib_jars)])
    environment = os.environ | {"LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [str(engine.java), "-Xmx256m", *QUICK_JVM, "-cp", classpath, "ObsCheck", *args],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (done.returncode, done.stdout.strip().splitlines()[-1:]) == (0, ["ok"]), done.stdout + done.stderr
