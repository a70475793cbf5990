from __future__ import annotations

import pytest

from headrace.domain.errors import EngineUnknown
from headrace.flink import catalog

ALIASES = {"1.15": "1.17", "1.12": "1.17", "old": "1.13.6", "broken": "1.12"}


@pytest.mark.parametrize(
    ("requested", "version"),
    [
        (None, "1.20.5"),
        ("", "1.20.5"),
        (" 1.20 ", "1.20.5"),
        ("1.20", "1.20.5"),
        ("1.20.3", "1.20.3"),
        ("1.13", "1.13.6"),
        ("2.3", "2.3.0"),
        ("1.15", "1.17.2"),
        ("1.12", "1.17.2"),
        ("1.15.4", "1.15.4"),  # an alias is for exactly what was written
        ("old", "1.13.6"),
    ],
)
def test_resolve(requested: str | None, version: str) -> None:
    assert catalog.resolve(requested, aliases=ALIASES, default="1.20") == version


def test_the_default_is_resolved_too() -> None:
    assert catalog.resolve(None, aliases={}, default="2.3") == "2.3.0"
    assert catalog.resolve(None, aliases={"stable": "1.17"}, default="stable") == "1.17.2"


def test_an_alias_is_optional() -> None:
    assert catalog.resolve("1.15", aliases={}) == "1.15.4"


def test_an_installed_release_newer_than_the_catalogue_is_available() -> None:
    assert catalog.resolve("1.20", aliases={}, installed=["1.20.17"]) == "1.20.17"
    assert catalog.resolve("3.0", aliases={}, installed=["3.0.0"]) == "3.0.0"


@pytest.mark.parametrize("requested", ["1.12", "1.10", "3.0", "1.20.77", "1", "latest", "../../etc", "1.2", "-r x"])
def test_an_unknown_version_is_refused_with_what_is_available(requested: str) -> None:
    with pytest.raises(EngineUnknown) as refusal:
        catalog.resolve(requested, aliases={})
    message = str(refusal.value)
    assert repr(requested) in message
    assert "1.13, 1.14, 1.15, 1.16, 1.17, 1.18, 1.19, 1.20, 2.0, 2.1, 2.2, 2.3" in message
    assert "HEADRACE_ENGINE_ALIASES" in message


def test_an_alias_that_leads_nowhere_is_named() -> None:
    with pytest.raises(EngineUnknown, match=r"'broken' \(an alias of '1\.12'\)"):
        catalog.resolve("broken", aliases=ALIASES)


@pytest.mark.parametrize("version", ["1.12.9", "1.20", "x", "1.20.5 --evil", "1.20.5/..", ""])
def test_only_exact_versions_are_installed(version: str) -> None:
    with pytest.raises(EngineUnknown):
        catalog.require_exact(version)


@pytest.mark.parametrize(
    ("version", "machine", "java"),
    [
        ("1.13.6", "x86_64", "11.0.13.1"),
        ("1.17.2", "x86_64", "11.0.13.1"),
        ("1.18.0", "x86_64", "17.0.9.2"),
        ("2.3.0", "x86_64", "17.0.9.2"),
        ("1.20.5", "aarch64", "21.0.8.2"),
        ("1.18.0", "aarch64", "17.0.9.2"),
    ],
)
def test_java_for(version: str, machine: str, java: str) -> None:
    assert catalog.java_for(version, machine) == java


def test_every_known_version_gets_a_java_that_it_supports() -> None:
    for version in catalog.KNOWN:
        for machine in ("x86_64", "aarch64"):
            assert int(catalog.java_for(version, machine).split(".")[0]) in catalog.supported_java_majors(version)


def test_what_is_tested_is_known_and_pinned_with_its_java() -> None:
    for version in catalog.TESTED:
        assert version in catalog.KNOWN
        assert (catalog.FLINK_PACKAGE, version) in catalog.PINS
        assert (catalog.JAVA_PACKAGE, catalog.java_for(version)) in catalog.PINS
    assert catalog.DEFAULT in {catalog.minor_of(version) for version in catalog.TESTED}
    assert list(catalog.KNOWN) == sorted(catalog.KNOWN, key=catalog.version_key)
