"""Checks of values that several families of settings have."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit


def base_url(text: str) -> str:
    """The URL that paths are appended to, without a slash at its end.

    Raises:
        ValueError: it is none, or has what a base cannot have: a user and password, a query, a fragment.
    """
    try:
        url = urlsplit(text)
        whole = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        whole = False
    # "?" and "#" also where nothing follows them; no "@", as errors tell the URL.
    if not whole or not re.fullmatch(r"[!-~]+", text) or re.search(r"[?#@\\]", text):
        message = "must be a URL such as https://headrace.example.com, without a password, a query or a fragment"
        raise ValueError(message)
    return text.rstrip("/")


def certificates(path: Path) -> Path:
    """The path of a file with certificates in PEM.

    Raises:
        ValueError: it cannot be read, or there are none in it.
    """
    try:
        ssl.create_default_context().load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        message = f"{path} has no certificates in PEM"
        raise ValueError(message) from error
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise ValueError(message) from error
    return path
