"""Class-data sharing: an archive of the classes that every Flink process loads, parsed and checked once per engine.

A JVM maps it instead of reading those classes out of the JARs, and all JVMs share its pages. It is bound to the very
JARs and to the very Java, and the JVM looks: an archive that does not fit is not used, and the JVM starts as without.
``classes.txt.gz`` lists the classes for all tested engines; those that an engine does not have are passed over. Made by
``bench/class_list.py``.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

CLASSES = Path(__file__).with_name("classes.txt.gz")
PATIENCE_S = 300.0


def name(flink: str, java: Path) -> str:
    """The archive's file name: another Java is another archive."""
    stat = java.stat()
    told = f"{java.resolve()} {stat.st_size} {stat.st_mtime_ns} {CLASSES.stat().st_size}"
    return f"classes-{flink}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.jsa"


def make(java: Path, java_major: int, jars: Sequence[Path], workplace: Path) -> Path | None:
    """An archive of the listed classes in ``workplace``; None (and a line of log) if this Java cannot make one."""
    listed, archive = workplace / "classes.txt", workplace / "classes.jsa"
    lines = gzip.decompress(CLASSES.read_bytes()).decode().splitlines()
    kept = [line for line in lines if java_major >= 17 or not line.startswith("@")]  # older ones know plain names only
    listed.write_text("\n".join(kept))
    dump = ["-Xshare:dump", f"-XX:SharedClassListFile={listed}", f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"]
    command = [str(java), *dump, "-Xlog:all=error:stderr", "-classpath", ":".join(map(str, jars))]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S, cwd=workplace)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or ""
        log.warning("no class archive for %s, starts will be slower: %s %s", jars[-1].name, error, said[-500:])
        return None
    return archive if archive.exists() else None
