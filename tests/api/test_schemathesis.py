"""A short run of Schemathesis; ``make fuzz`` is the long one (docs/fuzzing.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.api.conftest import PROJECT
from tests.api.test_openapi import ROUTES
from tests.support.fuzz import fuzz

if TYPE_CHECKING:
    from tests.api.conftest import Stand


def test_no_request_finds_an_answer_outside_the_document(stand: Stand) -> None:
    outcome = fuzz(stand, PROJECT, seed=1, examples=2, scenarios=20, limits=False)
    assert outcome.failures == {}, str(outcome)
    assert len(outcome.operations) == len(ROUTES)
    assert outcome.cases.total() > 800, str(outcome)
    assert len(outcome.links) >= 10, str(outcome)
    assert outcome.statuses[200] > 100, str(outcome)
    assert not [status for status in outcome.statuses if status >= 500]


def test_a_fault_is_found(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness sees what it is there for."""
    monkeypatch.setattr(stand.services.jobs, "history", lambda _: [object()])
    route = "GET /headrace/v1/{project_id}/jobs/{job_id}/history"
    outcome = fuzz(stand, PROJECT, seed=1, examples=10, scenarios=0, only=route)
    assert (route, "not_a_server_error", "Server error") in outcome.failures, str(outcome)
