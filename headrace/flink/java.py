"""Looks at a Java installation: which feature release it is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from headrace.domain.errors import EngineBroken

_RELEASE = re.compile(r'^JAVA_VERSION="([^"]+)"', re.MULTILINE)
_PRINTED = re.compile(r'version "([^"]+)"')


def major_of(home: Path) -> int:
    """17 for a Java 17, 8 for "1.8.0_392": by its ``release`` file, or else by asking it.

    Raises EngineBroken if there is no working Java in this folder.
    """
    java = home / "bin" / "java"
    if not java.is_file():
        raise EngineBroken(f"{home} holds no Java: there is no {java}")
    try:
        text = (home / "release").read_text(errors="replace")
    except OSError:
        text = ""
    version = _RELEASE.search(text) or _PRINTED.search(_ask(java))
    numbers = re.findall(r"\d+", version[1]) if version else []
    if not numbers:
        raise EngineBroken(f"{java} does not tell its version")
    return int(numbers[1] if numbers[0] == "1" and len(numbers) > 1 else numbers[0])


def _ask(java: Path) -> str:
    try:
        asked = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineBroken(f"{java} does not run: {error}") from error
    return asked.stderr + asked.stdout
