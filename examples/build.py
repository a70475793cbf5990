"""Build the JARs of the examples and of tests/corpus and the obs:// plugin, byte for byte the same every time.

    python examples/build.py --engines FOLDER [--check]
    python examples/build.py --flink 1.17=LIB --flink 2.3=LIB [--flink 1.20=LIB] [--check]

FOLDER holds `flink-<version>/` with a `flink-dist*.jar` somewhere below; HEADRACE_ENGINE_STORE names it by default.
`--check` builds into a temporary folder and compares with what is committed: exit 1 names what differs. Compilers of
different JDKs write different bytes, so JARs are compared only under the JDK that `jars/BUILT-WITH` records.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
BUILT_WITH = "examples/jars/BUILT-WITH"
RELEASE = "8"  # the JARs run on Java 8 and everything after it
ENGINES = {"flink-1": "1.17", "flink-2": "2.3"}  # source folder of the engine line -> the Flink it is compiled against
NO_ENGINE = 3


@dataclass(frozen=True)
class Jar:
    """One JAR: where it goes, what it is made of."""

    target: str
    sources: tuple[str, ...]
    flink: str | None = None
    main_class: str | None = None
    sourcepath: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    resources: str | None = None


def jars() -> list[Jar]:
    """Every JAR of this repository, in the order in which they are built."""
    made = [
        Jar("examples/jars/test.jar", ("examples/test/mygroup/Test.java",)),
        Jar("examples/jars/test1.jar", ("examples/test1/mygroup/Test1.java",)),
        Jar(
            "headrace/flink/plugins/headrace-obs.jar",
            tuple(f"flink-plugins/obs/src/headrace/obs/{name}FileSystemFactory.java" for name in ("Obs", "S3", "S3a")),
            flink="1.17",
            sourcepath=("flink-plugins/obs/src",),
            resources="flink-plugins/obs/resources",
        ),
    ]
    jobs = [
        ("java-queue-stream", "org.apache.flink.examples.streaming.JavaQueueStream", "javaQueueStream.jar"),
        ("word-count", "headrace.examples.WordCount", "wordCount.jar"),
        ("user-data-reader", "headrace.examples.UserDataReader", "userDataReader.jar"),
        ("stateful-counter", "headrace.examples.StatefulCounter", "statefulCounter.jar"),
        ("fail-on-demand", "headrace.examples.FailOnDemand", "failOnDemand.jar"),
    ]
    for line, flink in ENGINES.items():
        for folder, main_class, name in jobs:
            made.append(
                Jar(
                    f"examples/jars/{line}/{name}",
                    (f"examples/{folder}/{main_class.replace('.', '/')}.java",),
                    flink=flink,
                    main_class=main_class,
                    sourcepath=(f"examples/{folder}", "examples/shared", f"examples/{line}"),
                    needs=("examples/jars/test.jar", "examples/jars/test1.jar") if folder == "user-data-reader" else (),
                )
            )
    # `headrace faults` brings its job along, as it runs without this repository.
    shipped = [jar for jar in made if jar.main_class == "headrace.examples.StatefulCounter"]
    made += [replace(jar, target=jar.target.replace("examples/", "headrace/faults/", 1)) for jar in shipped]
    return [*made, *corpus()]


def corpus() -> list[Jar]:
    """The JARs of the seeded-failure corpus: one job that breaks as it is told, and its library."""
    sources = "tests/corpus/src"
    parts, older = (
        Jar(f"tests/corpus/jars/{name}.jar", (f"{sources}/{name}/headrace/corpus/parts/Part.java",))
        for name in ("parts", "parts-old")
    )
    broken = [
        Jar(
            f"tests/corpus/jars/{line}/broken.jar",
            (f"{sources}/shared/headrace/corpus/Broken.java", f"{sources}/shared/headrace/corpus/NoMain.java"),
            flink=flink,
            main_class="headrace.corpus.Broken",
            sourcepath=(f"{sources}/shared", f"{sources}/{line}"),
            needs=(parts.target,),
        )
        for line, flink in ENGINES.items()
    ]
    return [parts, older, *broken]


def jdk_major(javac: str) -> str:
    """The major version of a compiler: `javac 17.0.9` -> `17`."""
    answer = subprocess.run([javac, "-version"], capture_output=True, text=True, check=True)
    found = re.search(r"javac (\d+)", answer.stdout + answer.stderr)
    if found is None:
        raise SystemExit(f"cannot read the version of {javac}")
    return found[1]


def find_engines(store: Path | None, given: Sequence[str]) -> dict[str, list[Path]]:
    """The JARs of each Flink line (`1.17`) that can be compiled against."""
    folders: dict[str, Path] = {}
    if store is not None and store.is_dir():
        for home in sorted(store.glob("flink-*")):
            dist = sorted(home.rglob("flink-dist*.jar"))
            found = re.match(r"flink-(\d+\.\d+)", home.name)
            if dist and found:
                folders[found[1]] = dist[0].parent
    for pair in given:
        line, _, folder = pair.partition("=")
        folders[line] = Path(folder)
    engines = {line: sorted(folder.glob("*.jar")) for line, folder in folders.items()}
    return {line: found for line, found in engines.items() if any(jar.name.startswith("flink-dist") for jar in found)}


def pack(main_class: str | None, files: Mapping[str, bytes]) -> bytes:
    """A JAR whose bytes depend on its contents alone: sorted, undated, uncompressed."""
    manifest = "Manifest-Version: 1.0\r\n" + (f"Main-Class: {main_class}\r\n" if main_class else "") + "\r\n"
    entries = [("META-INF/MANIFEST.MF", manifest.encode()), *sorted(files.items())]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as jar:
        for name, content in entries:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            jar.writestr(entry, content)
    return packed.getvalue()


def build(jar: Jar, into: Path, javac: str, engines: Mapping[str, Sequence[Path]]) -> None:
    """Compile one JAR and write it below `into`; only the sources its main class needs get in."""
    classpath = [*(engines[jar.flink] if jar.flink else ()), *(into / need for need in jar.needs)]
    with tempfile.TemporaryDirectory() as scratch:
        command = [javac, "--release", RELEASE, "-encoding", "UTF-8", "-proc:none", "-implicit:class", "-nowarn"]
        command += ["-Xlint:-options", "-d", scratch, "-classpath", os.pathsep.join(map(str, classpath))]
        command += ["-sourcepath", os.pathsep.join(str(REPOSITORY / folder) for folder in jar.sourcepath)]
        command += [str(REPOSITORY / source) for source in jar.sources]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{jar.target} does not compile:\n{done.stdout}{done.stderr}")
        files = {str(path.relative_to(scratch)): path.read_bytes() for path in Path(scratch).rglob("*.class")}
    if jar.resources is not None:
        resources = REPOSITORY / jar.resources
        files |= {str(p.relative_to(resources)): p.read_bytes() for p in resources.rglob("*") if p.is_file()}
    target = into / jar.target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(pack(jar.main_class, files))


def build_all(into: Path, javac: str, engines: Mapping[str, Sequence[Path]]) -> None:
    """Compile all JARs, two at a time: those first that others need."""
    needed = {need for jar in jars() for need in jar.needs}
    with ThreadPoolExecutor(2) as pool:
        for first in (True, False):
            made = [pool.submit(build, jar, into, javac, engines) for jar in jars() if (jar.target in needed) == first]
            for one in made:
                one.result()


def main() -> int:
    """Build or check; 0 done, 1 something differs, 3 nothing to compile with."""
    parser = argparse.ArgumentParser(description="Build the JARs of this repository.")
    store = os.environ.get("HEADRACE_ENGINE_STORE")
    parser.add_argument("--engines", type=Path, default=Path(store) if store else None, metavar="DIR")
    parser.add_argument("--flink", action="append", default=[], metavar="LINE=PATH")
    parser.add_argument("--javac", default=shutil.which("javac"))
    parser.add_argument("--check", action="store_true", help="compare with the committed JARs, write nothing")
    options = parser.parse_args()
    if options.javac is None:
        print("skipped: no javac on the PATH")
        return NO_ENGINE
    engines = find_engines(options.engines, options.flink)
    missing = sorted({jar.flink for jar in jars() if jar.flink} - engines.keys())
    if missing:
        print(f"skipped: no engine for Flink {', '.join(missing)}; name a folder with --engines or --flink")
        return NO_ENGINE
    major = jdk_major(options.javac)
    record = f"javac {major} --release {RELEASE}\n"

    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        build_all(fresh, options.javac, engines)
        if not options.check:
            for jar in jars():
                (REPOSITORY / jar.target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(fresh / jar.target, REPOSITORY / jar.target)
                print(jar.target)
            (REPOSITORY / BUILT_WITH).write_text(record)
            return 0
        recorded = (REPOSITORY / BUILT_WITH).read_text()
        if recorded != record:
            print(f"skipped: other JDK ({record.strip()}; the JARs are from {recorded.strip()}); all compiled")
            return NO_ENGINE
        wrong = [
            jar.target
            for jar in jars()
            if not (REPOSITORY / jar.target).is_file()
            or (REPOSITORY / jar.target).read_bytes() != (fresh / jar.target).read_bytes()
        ]
    for name in wrong:
        print(f"differs: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
