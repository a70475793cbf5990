"""How objects are named: ``obs://``, ``s3://`` and ``s3a://`` name the same ones. Ours is ``obs://``."""

from __future__ import annotations

import re

SCHEMES = "(?:obs|s3a?)://"
"""As a regular expression, of Python and of JSON Schema."""

_SCHEME = re.compile(SCHEMES)


def bare(text: str) -> str:
    """``bucket/key`` of either name, or of one without a scheme."""
    return _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text


def is_object(text: str) -> bool:
    """Whether it is named as an object."""
    return _SCHEME.match(text) is not None
