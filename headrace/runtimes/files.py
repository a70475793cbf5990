"""Small JSON records on disk: written whole or not at all."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from headrace.domain.errors import Unavailable


def read(path: Path) -> Any:
    """The record.

    Raises:
        Unavailable: it cannot be read, so that nothing can be said.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Unavailable(f"{path} cannot be read: {error}") from error


def write(path: Path, content: object) -> None:
    """Writes the record; after a crash there is the old one or the new one.

    Raises:
        Unavailable: the disk does not take it.
    """
    temporary = path.with_name(f"{path.name}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error}") from error
