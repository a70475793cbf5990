"""Promises, the tests that keep them, and the page that says so: ``docs/reliability.md``.

``@promise("…")`` puts the promise into the message of a test that fails, and marks the test: ``pytest -m promise`` runs
all of them. With HEADRACE_FIGURES set to a folder, each leaves its result there; ``python -m tests.support.promises
FOLDER`` writes the page of them.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
Test = TypeVar("Test", bound=Callable[..., None])


class PromiseBroken(AssertionError):
    """A test has failed; the message begins with what does not hold."""


@dataclass
class Result:
    """How one test has kept its promise.

    Attributes:
        test: ``tests/…/test_x.py::test_y``, with the values of its parameters.
        outcome: "kept" or "broken".
        seconds: how long the test took.
        figure: what was measured.
        seam: where a fault was injected, if it was not the real thing.
    """

    promise: str
    test: str
    outcome: str = "broken"
    seconds: float = 0.0
    figure: str = ""
    seam: str = ""
    figures: list[str] = field(default_factory=list, repr=False)


_present: ContextVar[Result] = ContextVar("present")


def promise(text: str, *, seam: str = "") -> Callable[[Test], Test]:
    """The test keeps this promise."""

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def kept(*args: Any, **kwargs: Any) -> None:
            with _recorded(Result(text.rstrip("."), _named(test, args, kwargs), seam=seam)):
                test(*args, **kwargs)

        return pytest.mark.promise(kept)  # type: ignore[no-any-return]

    return decorate


def figure(text: str) -> None:
    """Something that the present test has measured, for the page."""
    _present.get().figures.append(text)


@contextmanager
def _recorded(result: Result) -> Iterator[None]:
    began, token = time.monotonic(), _present.set(result)
    skipped = False
    try:
        yield
        result.outcome = "kept"
    except pytest.skip.Exception:
        skipped = True
        raise
    except Exception as error:
        raise PromiseBroken(f"Broken promise: {result.promise}\n{error}") from error
    finally:
        _present.reset(token)
        result.seconds = round(time.monotonic() - began, 1)
        result.figure = "; ".join(result.figures)
        if "HEADRACE_FIGURES" in os.environ and not skipped:
            _write(Path(os.environ["HEADRACE_FIGURES"]), result)


def _named(test: Callable[..., None], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    path = Path(inspect.getfile(test)).relative_to(REPOSITORY)
    current = os.environ.get("PYTEST_CURRENT_TEST", "")
    alone = threading.current_thread() is threading.main_thread()  # else it is the name of a test that is awaited
    if alone and current.startswith(f"{path}::{test.__name__}["):
        return current.removesuffix(" (call)")
    given = inspect.signature(test).bind(*args, **kwargs).arguments
    values = "-".join(value for value in given.values() if isinstance(value, str))
    return f"{path}::{test.__name__}" + (f"[{values}]" if values else "")


def _write(folder: Path, result: Result) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.]+", "-", result.test.removeprefix("tests/"))[:150]
    content = asdict(result)
    del content["figures"]
    (folder / f"promise-{name}.json").write_text(json.dumps(content, indent=1))


def main() -> int:
    """Writes the page from the results in a folder; 1 if a promise is broken."""
    from tests.support.reliability import write_page

    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("HEADRACE_FIGURES", "build/figures"))
    return write_page(folder)


if __name__ == "__main__":
    sys.exit(main())
