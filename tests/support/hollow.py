"""An engine without a Flink: it can be found, files are staged for it, and its Java does what a test wants."""

from __future__ import annotations

from pathlib import Path

from headrace.flink import manifest
from headrace.flink.catalog import FLINK_PACKAGE

VERSION = "1.20.5"
KILLED = "kill -9 $$"


def hollow_engine(store: Path, java_says: str) -> dict[str, str]:
    """Puts one into an engine store; the environment of the server that is to use it.

    Args:
        store: the folder of the engine store.
        java_says: shell commands that each of its JVMs is.
    """
    home = store / f"flink-{VERSION}"
    for name in ("lib", "plugins"):
        (home / name).mkdir(parents=True)
    (home / "lib" / f"flink-dist-{VERSION}.jar").write_bytes(b"")
    manifest.seal(home, package=FLINK_PACKAGE, version=VERSION, source_sha256="")
    java = store.parent / "java"
    (java / "bin").mkdir(parents=True)
    (java / "release").write_text('JAVA_VERSION="17.0.9"\n')
    (java / "bin" / "java").write_text(f"#!/bin/sh\n{java_says}\n")
    (java / "bin" / "java").chmod(0o755)
    return {"HEADRACE_ENGINE_JAVA_HOMES": f'{{"{VERSION}": "{java}"}}'}
