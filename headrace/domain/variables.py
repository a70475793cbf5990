"""Global variables: ``{{name}}`` in a text is replaced by the variable's value (dli-contract §1.20).

A reference is two braces, the name and two braces, without blanks; any other text with braces stays as it is. What a
value holds is not looked at again, so a variable with the value ``{{x}}`` gives the text ``{{x}}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from headrace.domain.errors import BadField

NAME = r"(?!_)(?![0-9]+$)[A-Za-z0-9_]{1,128}"
NAME_RULE = "must be 1 to 128 letters, digits and '_', not digits only, not beginning with '_'"
MAX_VALUE = 10_000
"""Characters of a value; DLI tells no limit."""
MAX_FILLED = 100_000
"""Characters of all arguments, or of all options, when the values are in: as many as ``entrypoint_args`` may have."""

_REFERENCE = re.compile(r"\{\{((?!_|[0-9]+\})[A-Za-z0-9_]{1,128})\}\}")


def is_name(text: str) -> bool:
    """Whether a variable can have this name."""
    return re.fullmatch(NAME, text) is not None


def names_in(text: str) -> frozenset[str]:
    """Names of all variables that the text refers to."""
    return frozenset(_REFERENCE.findall(text))


def put_in(text: str, values: Mapping[str, str], field: str) -> str:
    """The text with each reference replaced by its value.

    Raises:
        BadField: ``values`` lacks a name; or the text would have more than MAX_FILLED characters.
    """
    names = _REFERENCE.findall(text)
    for name in names:
        if name not in values:
            raise BadField(
                field,
                f"{{{{{name}}}}}",
                f"the project has no global variable {name} that can be put into jobs (a sensitive one cannot); create "
                "it, or correct the name",
            )
    _refuse_long(field, len(text) + sum(len(values[name]) - len(name) - 4 for name in names))
    return _REFERENCE.sub(lambda found: values[found.group(1)], text)


def check_length(field: str, texts: Iterable[str]) -> None:
    """Raises BadField if the texts have more than MAX_FILLED characters together."""
    _refuse_long(field, sum(map(len, texts)))


def _refuse_long(field: str, length: int) -> None:
    if length > MAX_FILLED:
        raise BadField(
            field, f"{length} characters", f"with the values of its variables it may have {MAX_FILLED} at most"
        )
