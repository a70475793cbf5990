"""Whatever bytes come: a value that means one thing, or a refusal."""

from __future__ import annotations

import contextlib
import json
import math

from hypothesis import given
from hypothesis import strategies as st

from headrace.api.sound import check_json, check_path, check_query
from headrace.domain.errors import Refused

FIT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | FIT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIT, inner, max_size=4),
    max_leaves=20,
)
PIECES = st.sampled_from(
    [*'[]{},:"\\0123456789.eE+- \n', "null", "NaN", "\\u0000", "\\ud800", "\\udc00", '"a":', "1e999", "9" * 20, "\xff"]
)


@given(VALUES, st.booleans())
def test_what_is_well_formed_comes_out_as_it_went_in(value: object, ascii_only: bool) -> None:
    found = check_json(json.dumps(value, ensure_ascii=ascii_only).encode())
    assert json.dumps(found) == json.dumps(value)


def agrees(body: bytes) -> bool:
    """Whether Python's reader, asked leniently, finds the same value; True for a refusal."""
    try:
        value = check_json(body)
    except Refused:
        return True
    found = json.loads(body.decode())
    return json.dumps(found) == json.dumps(value) and not any(
        isinstance(leaf, float) and not math.isfinite(leaf) for leaf in (value if isinstance(value, list) else [value])
    )


@given(st.binary(max_size=60))
def test_any_bytes(body: bytes) -> None:
    assert agrees(body)


@given(st.lists(PIECES, max_size=30))
def test_almost_json(pieces: list[str]) -> None:
    assert agrees("".join(pieces).encode("latin-1"))


@given(st.binary(max_size=60) | st.lists(st.sampled_from("%&=+;a0f/. ")).map(lambda parts: "".join(parts).encode()))
def test_any_path_and_query(raw: bytes) -> None:
    for check in (check_path, check_query):
        with contextlib.suppress(Refused):  # and nothing else
            check(raw)
