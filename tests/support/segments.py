"""Objects of one log in a bucket."""

from __future__ import annotations


def in_order(key: str) -> tuple[str, int]:
    """To sort them by, as they follow one another: by their days, then by their numbers; .10 is behind .9."""
    name, _, number = key.rpartition(".")
    return (name, int(number)) if number.isdecimal() else (key, 0)
