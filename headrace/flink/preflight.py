"""Looks at a job's JARs before any JVM starts: can Flink run this main class on this Java?

Only the list of entries, the manifest and a few class heads are read, each up to a limit: a JAR may come from
anybody, and nothing is unpacked to disk. The rules are those of Flink's ``PackagedProgram`` and ``JarManifestParser``.
"""

from __future__ import annotations

import difflib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Final, Literal, Protocol

from headrace.domain.errors import BadJar
from headrace.flink import classfile
from headrace.flink.classfile import ClassFile, MalformedClass

MAX_MANIFEST_BYTES: Final = 1 << 20
MAX_CLASS_BYTES: Final = 8 << 20
MAX_DIRECTORY_BYTES: Final = 64 << 20
"""Of the ZIP's list of entries, which is read as a whole: some 500 000 entries."""

_MANIFEST: Final = "META-INF/MANIFEST.MF"
_SIGNATURES: Final = (".SF", ".RSA", ".DSA", ".EC")
# What zipfile raises on hostile input; RuntimeError for encryption, NotImplementedError for unknown compression.
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, LookupError, OverflowError)
_JAVA_READS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class JarFile(Protocol):
    """A JAR that can be read: a ``Path``, or one that is elsewhere."""

    @property
    def name(self) -> str:
        """Base name."""

    def open(self, mode: Literal["rb"], /) -> BinaryIO:
        """To be read here and there."""


@dataclass(frozen=True)
class JarReport:
    """What a JAR says of itself. ``name`` is how the user knows it; ``class_names`` are dotted."""

    file: JarFile
    name: str
    main_class: str | None
    has_manifest: bool
    class_names: frozenset[str]
    signature_files: tuple[str, ...]
    """Signatures that shading has usually made invalid: Java then refuses to load classes from the JAR."""

    def read_class(self, name: str) -> ClassFile:
        """One class of the JAR. Raises BadJar if it is damaged."""
        with _opened(self.file, self.name) as jar:
            content = _read(jar, _entry(name), MAX_CLASS_BYTES, self.name)
        try:
            return classfile.parse(content)
        except MalformedClass as error:
            raise BadJar(
                f"{self.name!r}: the class {name} is damaged ({error}); build or upload the JAR anew"
            ) from error

    def newest_java(self, names: Sequence[str]) -> int:
        """The highest Java release that these classes were compiled for, from 8 bytes of each."""
        with _opened(self.file, self.name) as jar:
            return max((classfile.java_of(_head(jar, _entry(name))) for name in names), default=0)


def inspect(file: JarFile, name: str | None = None) -> JarReport:
    """Read the list of entries and the manifest. Raises BadJar if a JVM could not read the file."""
    name = name or file.name
    with _opened(file, name) as jar:
        manifest_entry, classes, signatures = None, [], []
        for entry in jar.infolist():
            place = entry.filename
            if entry.flag_bits & 0x1:
                raise BadJar(f"{name!r}: the entry {place} is encrypted, and Java cannot read it")
            if entry.compress_type not in _JAVA_READS:
                raise BadJar(f"{name!r}: the entry {place} is compressed in a way that Java cannot read; use deflate")
            if place.endswith(".class") and not place.startswith("META-INF/"):
                classes.append(place.removesuffix(".class").replace("/", "."))
            elif place.upper() == _MANIFEST:
                manifest_entry = place
            elif (
                place.upper().startswith("META-INF/") and place.upper().endswith(_SIGNATURES) and place.count("/") == 1
            ):
                signatures.append(place)
        attributes = _attributes(_read(jar, manifest_entry, MAX_MANIFEST_BYTES, name)) if manifest_entry else {}
    main_class = attributes.get("program-class") or attributes.get("main-class") or None
    return JarReport(file, name, main_class, manifest_entry is not None, frozenset(classes), tuple(signatures))


def check_main_class(jars: Sequence[JarReport], main_class: str | None = None) -> str:
    """The class whose ``main`` Flink will call: the one asked for, or else the manifest's of the first JAR.

    It may lie in any of ``jars``: the entrypoint first, then its dependencies. Raises BadJar if there is none, or it
    has no ``public static void main(String[])``, inherited ones included.
    """
    entrypoint = jars[0]
    wanted = (main_class or "").strip() or entrypoint.main_class
    if wanted is None:
        raise BadJar(
            f"{entrypoint.name!r} names no Main-Class in its manifest: set main_class, or build the JAR with one"
        )
    where = f"main_class={wanted!r}" if main_class and main_class.strip() else f"Main-Class={wanted!r} of the manifest"
    jar = _jar_with(jars, wanted)
    if jar is None:
        raise BadJar(f"{where}: not in {_names(jars)}{_did_you_mean(jars, wanted)}")
    found = jar.read_class(wanted)
    if found.name != wanted:
        raise BadJar(f"{where}: its file in {jar.name!r} holds the class {found.name} instead; check the JAR's folders")
    if not found.access & classfile.ACC_PUBLIC:
        raise BadJar(f"{where}: the class is not public, and Flink cannot call it")
    if not _can_have_main(jars, found):
        hint = next((f" (did you mean {other}?)" for other in _twins(wanted) if _declares_main(jars, other)), "")
        raise BadJar(f"{where}: has no method 'public static void main(String[])'{hint}")
    return wanted


def check_java(jars: Sequence[JarReport], main_class: str, java_major: int, flink_version: str) -> None:
    """Refuse a main class, or one of up to 64 classes beside it, that is too new for the engine's Java.

    Other classes of a JAR may be newer without harm: libraries carry variants for several releases.
    Raises BadJar naming both releases.
    """
    jar = _jar_with(jars, main_class)
    if jar is None:
        raise BadJar(f"main_class={main_class!r}: not in {_names(jars)}")
    package = main_class.rpartition(".")[0]
    beside = sorted(name for name in jar.class_names if name.rpartition(".")[0] == package)
    needed = jar.newest_java([main_class, *islice(beside, 64)])
    if needed > java_major:
        raise BadJar(
            f"{jar.name!r}: {main_class} was compiled for Java {needed}, but Flink {flink_version} runs on Java "
            f"{java_major} here: compile it with --release {java_major}, or choose an engine with a newer Java"
        )


# -- the main method -------------------------------------------------------------------------------------------------


def _can_have_main(jars: Sequence[JarReport], found: ClassFile) -> bool:
    """Whether it declares or inherits ``main``; yes also if a superclass is in none of the JARs (Flink's, Scala's)."""
    for _ in range(64):  # a circle of superclasses is damage, and the JVM says so
        if found.has_main:
            return True
        parent = found.superclass
        if parent in (None, "java.lang.Object"):
            return False
        jar = _jar_with(jars, parent or "")
        if jar is None:
            return True
        found = jar.read_class(parent or "")
    return False


def _declares_main(jars: Sequence[JarReport], name: str) -> bool:
    jar = _jar_with(jars, name)
    return jar is not None and jar.read_class(name).has_main


def _twins(name: str) -> tuple[str, ...]:
    """Where Kotlin and Scala put the ``main`` of what the source calls ``name``."""
    return (f"{name}Kt", name.removesuffix("$"), f"{name}Main")


def _jar_with(jars: Sequence[JarReport], name: str) -> JarReport | None:
    return next((jar for jar in jars if name in jar.class_names), None)


def _did_you_mean(jars: Sequence[JarReport], wanted: str) -> str:
    every = [name for jar in jars for name in jar.class_names if "$" not in name]
    asked = wanted.removesuffix(".class").replace("/", ".")
    simple = asked.rpartition(".")[2].lower()
    near = sorted(name for name in every if name == asked or name.rpartition(".")[2].lower() == simple)
    if not near:
        near = difflib.get_close_matches(asked, sorted(jars[0].class_names)[:5000], n=1, cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""


def _names(jars: Sequence[JarReport]) -> str:
    shown = ", ".join(repr(jar.name) for jar in jars[:5])
    return f"the JAR {shown}" if len(jars) == 1 else f"any of the JARs {shown}{', …' if len(jars) > 5 else ''}"


# -- reading the file ------------------------------------------------------------------------------------------------


@contextmanager
def _opened(file: JarFile, name: str) -> Iterator[zipfile.ZipFile]:
    """The JAR as a ZIP; whatever is wrong with the file inside the block becomes BadJar."""
    try:
        with file.open("rb") as opened:
            _require_small_directory(opened, name)
            with zipfile.ZipFile(opened) as jar:
                yield jar
    except (*_DAMAGE, RuntimeError) as error:
        raise BadJar(f"{name!r} is not a JAR, or it is damaged ({error}): build or upload it anew") from error
    except OSError as error:
        raise BadJar(f"{name!r} cannot be read: {error.strerror or error}") from error


def _require_small_directory(file: BinaryIO, name: str) -> None:
    """``zipfile`` reads the whole list of entries into memory: look at its declared length first."""
    size = file.seek(0, 2)
    file.seek(max(0, size - (1 << 16) - 42))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise BadJar(f"{name!r} is not a JAR (a ZIP archive), or it was cut off: build or upload it anew")
    (directory,) = struct.unpack_from("<L", tail, at + 12)
    if at >= 20 and tail[at - 20 : at - 16] == b"PK\x06\x07":  # ZIP64: more than 65 535 entries, or 4 GB
        (offset,) = struct.unpack_from("<Q", tail, at - 12)
        file.seek(min(offset, size))
        directory = max(directory & 0x7FFFFFFF, *struct.unpack("<Q", file.read(56)[40:48]))
    if directory > MAX_DIRECTORY_BYTES:
        raise BadJar(f"{name!r}: its list of entries takes {directory >> 20} MB, more than Headrace reads (64 MB)")


def _read(jar: zipfile.ZipFile, entry: str, limit: int, name: str) -> bytes:
    with jar.open(entry) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise BadJar(f"{name!r}: {entry} is larger than {limit >> 20} MiB, which no real one is")
    return content


def _head(jar: zipfile.ZipFile, entry: str) -> bytes:
    with jar.open(entry) as file:
        return file.read(8)


def _entry(class_name: str) -> str:
    return class_name.replace(".", "/") + ".class"


def _attributes(content: bytes) -> dict[str, str]:
    """The manifest's main section, names in lower case; a line of 72 bytes goes on after a space on the next."""
    lines: list[str] = []
    joined = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n ", b"")
    for line in joined.decode("utf-8", "replace").split("\n"):
        if not line:
            break
        lines.append(line)
    pairs = (line.partition(":") for line in lines)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}
