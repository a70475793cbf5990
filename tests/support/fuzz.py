"""Schemathesis over the OpenAPI document, against the application in process over a real store.

``python -m tests.support.fuzz --seed 1 --examples 20`` (``make fuzz``) prints what was sent and what came of it.
"""

from __future__ import annotations

import argparse
import copy
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import hypothesis
import requests
import schemathesis
from hypothesis.stateful import run_state_machine_as_test
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.engine import events, from_schema
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace import signing
from tests.support import contract

if TYPE_CHECKING:
    from schemathesis.engine.recorder import ScenarioRecorder

    from tests.api.conftest import Stand

NOT_INFERRED: dict[str, Any] = {"inference": {"algorithms": []}}
"""The document's own links only."""
STEPS = 8
"""The longest chain of requests."""
REFUSALS = [400, 401, 403, 404, 405, 408, 409, 413, 429]
KNOWN: dict[str, dict[str, list[Any]]] = {
    # Values that mean something here; seven of ten generated requests have them, so that they come further.
    "jobs": {"values": [1, 2, 3]},
    "resources": {"values": ["1", "2", "3"]},
    "buckets": {"values": ["b"]},
    "queues": {"values": ["q"]},
    "files": {"values": ["obs://b/app.jar"]},
    "types": {"values": ["dli_flink_job"]},
}
PLACES = {
    "path.job_id": "jobs",
    "path.resource_id": "resources",
    "path.resource_type": "types",
    "path.bucket": "buckets",
    "path.queue_name": "queues",
    "body.job_ids[*]": "jobs",
    "body.obs_bucket": "buckets",
    "body.queue_name": "queues",
    "body.entrypoint": "files",
}

_NAME = {"type": "string", "pattern": "^[a-z][a-z0-9]{3,12}$"}
_BODIES: dict[str, dict[str, Any]] = {
    "CreateJob": {
        "name": _NAME,
        "queue_name": {"const": "q"},
        "entrypoint": {"const": "obs://b/app.jar"},
        "obs_bucket": {"const": "b"},
        "restart_when_exception": {"type": "boolean"},
    },
    "CreateQueue": {"queue_name": _NAME, "queue_type": {"const": "general"}, "cu_count": {"enum": [16, 64]}},
    "CreatePool": {"elastic_resource_pool_name": _NAME, "min_cu": {"const": 16}, "max_cu": {"const": 64}},
    "CreateVariable": {"var_name": _NAME, "var_value": {"type": "string", "maxLength": 20, "pattern": "^[a-z]*$"}},
    "Upload": {"paths": {"const": ["obs://b/app.jar"]}, "kind": {"const": "jar"}, "group": _NAME},
}
"""Requests that succeed, so that their links lead somewhere."""


@dataclass
class Outcome:
    """What a run has done.

    Attributes:
        cases: requests by phase.
        operations: of the document, that were asked.
        links: followed from one answer to the next request, by name.
        failures: one text for each kind.
    """

    seed: int
    seconds: float = 0.0
    cases: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    links: Counter[str] = field(default_factory=Counter)
    failures: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        phases = ", ".join(f"{name} {count}" for name, count in self.cases.items())
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        lines = [
            f"seed {self.seed}: {self.cases.total()} requests ({phases}) in {self.seconds:.0f} s",
            f"{len(self.operations)} operations; {self.links.total()} links of {len(self.links)} kinds followed",
            f"answers: {statuses}",
            f"{len(self.failures)} failures",
            *self.failures.values(),
        ]
        return "\n".join(lines)


class Signed(requests.auth.AuthBase):
    """Signs each request, whatever is in it, as the administrator of the server."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the signature."""
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else b"".join(body)  # type: ignore[arg-type]
        kind = request.headers.get("Content-Type", "")
        kind = kind.decode("latin-1") if isinstance(kind, bytes) else kind
        headers = {signing.DATE: signing.timestamp(datetime.fromtimestamp(self._stand.clock() / 1000, UTC))}
        if not signing.is_json(kind):
            headers[signing.PAYLOAD] = signing.UNSIGNED
        parts = urlsplit(str(request.url))
        signed = signing.SignedRequest(
            str(request.method), parts.path, parts.query, list(headers.items()), sha256(content).hexdigest()
        )
        request.headers.update({**headers, "Authorization": signing.sign(signed, "ADMIN", "secret of ADMIN")})
        return request


@schemathesis.check
def as_the_document_says(_context: Any, response: Any, case: Any) -> None:
    """X-Request-Id on every answer; a status, fields and types that the document tells of; no other body of errors."""
    headers = {name.title(): values[0] for name, values in response.headers.items()}
    path = unquote(urlsplit(response.request.url).path)
    contract.check(case.method.upper(), path, response.status_code, headers, response.content)


def fuzz(
    stand: Stand, project: str, *, seed: int, examples: int, scenarios: int, limits: bool = True, only: str = ""
) -> Outcome:
    """One run over all operations.

    Args:
        stand: has a bucket ``b`` with ``app.jar`` and a queue ``q``.
        project: the id of the project.
        seed: the same seed sends the same requests.
        examples: requests made at random for each operation, beside those at the limits of each field.
        scenarios: chains of requests that follow links.
        only: the one operation that is asked, such as ``GET /healthz``; "" = all, and links.
        limits: whether each field is also tried at and beyond its limits, and each path with each method.
    """
    for number in range(3):
        stand.create(name=f"job{number}")

    def schema(document: dict[str, Any], *, links: bool = False, inferred: bool = False) -> Any:
        phases = {
            "coverage": {"enabled": limits},
            "stateful": {"enabled": links, **({} if inferred else NOT_INFERRED)},
        }
        # The bodies of the document's own links are described more narrowly than what is taken.
        config = _config(seed, examples, phases, negative=not links or inferred)
        made: Any = schemathesis.openapi.from_dict(document, config=config)
        made.app = stand.app if links else _whole(stand.app, restore)
        made.auth.set_from_requests(Signed(stand))
        return made

    restore = _snapshot(stand)
    outcome = Outcome(seed)
    began = time.monotonic()
    for event in from_schema(schema(_document(project, only))).execute():
        match event:
            case events.ScenarioFinished():
                _note(outcome, event.phase.value, event.recorder)
            case events.NonFatalError():
                outcome.failures[event.label, "error", ""] = f"{event.label}: {event.value!r}"
            case events.FatalError():
                raise event.exception
            case _:
                pass
    if not only:
        _follow_links(schema(_easy(project), links=True), restore, outcome, scenarios)
        _follow_links(schema(_document(project), links=True, inferred=True), restore, outcome, scenarios // 2)
    outcome.seconds = time.monotonic() - began
    return outcome


def _follow_links(schema: Any, restore: Callable[[], None], outcome: Outcome, scenarios: int) -> None:
    """Chains of requests. Schemathesis' engine breaks them off when the same request is answered in another way, as
    names are taken and things are gone; here each chain begins with the server as it was.
    """
    machine: Any = schema.as_state_machine()

    class Chains(machine):  # type: ignore[misc]
        def setup(self) -> None:
            restore()

        def step(self, chosen: Any) -> Any:
            if chosen.is_applied and chosen.transition is not None:
                outcome.links[chosen.transition.id] += 1
            return super().step(chosen)

        def after_call(self, response: Any, case: Any) -> None:
            outcome.cases["links"] += 1
            outcome.statuses[response.status_code] += 1
            outcome.operations.add(case.operation.label)

    settings = hypothesis.settings(
        max_examples=scenarios,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    try:
        run_state_machine_as_test(hypothesis.seed(outcome.seed)(Chains), settings=settings)
    except FailureGroup as found:
        for failure in found.exceptions:
            outcome.failures["links", type(failure).__name__, str(failure)[:80]] = f"following links: {failure}"


def _whole(app: ASGIApp, restore: Callable[[], None]) -> ASGIApp:
    """The application, which brings back what a request has deleted: the next ones shall find something."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        deleted = False

        async def noted(message: Message) -> None:
            nonlocal deleted
            if message["type"] == "http.response.start" and message["status"] < 300:
                deleted = scope["method"] == "DELETE" or scope["path"].endswith("/delete")
            await send(message)

        await app(scope, receive, noted)
        if deleted:
            restore()

    return whole


def _snapshot(stand: Stand) -> Callable[[], None]:
    """Remembers all that is stored; what it gives brings that back."""
    kept = Path(tempfile.mkdtemp(dir=stand.home.parent))
    stand.database.close()
    shutil.copyfile(stand.database.path, kept / "db")
    folders = [stand.home / name for name in ("objects", "packages")]
    for folder in folders:
        shutil.copytree(folder, kept / folder.name)

    def restore() -> None:
        stand.database.close()
        for journal in stand.home.glob(f"{stand.database.path.name}-*"):
            journal.unlink()
        shutil.copyfile(kept / "db", stand.database.path)
        for folder in folders:
            shutil.rmtree(folder)
            shutil.copytree(kept / folder.name, folder)

    return restore


def _config(seed: int, examples: int, phases: dict[str, Any], *, negative: bool) -> SchemathesisConfig:
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "cache": {"enabled": False},
            "dictionaries": KNOWN,
            "parameters": {place: {"dictionary": name, "probability": 0.7} for place, name in PLACES.items()},
            "generation": {"max-examples": examples, "database": "none", "no-shrink": True},
            "phases": phases,
            "checks": {
                "negative_data_rejection": {"enabled": negative, "expected-statuses": REFUSALS},
                # What fits each field can still not fit together, or name what is not there.
                "positive_data_acceptance": {"enabled": False},
            },
            "operations": [
                {"include-name": name, "checks": {check: {"enabled": False} for check in checks}}
                for name, checks in _shadowed()
            ],
        }
    )


def _shadowed() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Operations whose path is also one of another's template: ``…/jobs/run`` is ``…/jobs/{job_id}`` to GET."""
    for path, methods in contract.document()["paths"].items():
        for method in methods:
            others = {contract.template(other, path) for other in ("GET", "PUT", "POST", "DELETE")} - {None, path}
            if others:
                yield f"{method.upper()} {path}", ("unsupported_method", "allow_header_conformance")


def _document(project: str, only: str = "") -> dict[str, Any]:
    """The document, for this one project: any other is refused at the door."""
    document = copy.deepcopy(contract.document())
    if only:
        method, path = only.split(" ")
        document["paths"] = {path: {method.lower(): document["paths"][path][method.lower()]}}
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter.get("name") == "project_id":
                    parameter["schema"] = {"type": "string", "enum": [project]}
    return document


def _easy(project: str) -> dict[str, Any]:
    document = _document(project)
    for name, properties in _BODIES.items():
        document["components"]["schemas"][name] = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
    return document


def _note(outcome: Outcome, phase: str, recorder: ScenarioRecorder) -> None:
    for case_id, interaction in recorder.interactions.items():
        if interaction.response is not None:
            outcome.cases[phase] += 1
            outcome.statuses[interaction.response.status_code] += 1
            outcome.operations.add(recorder.cases[case_id].value.operation.label)
    for checks in recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                text = f"{recorder.label}\n{check.name}: {failure.title}: {failure.message}\n"
                outcome.failures.setdefault(
                    (recorder.label, check.name, failure.title), text + check.failure_info.code_sample[:2000]
                )


def main() -> int:
    """The command line."""
    from tests.api.conftest import furnished

    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--scenarios", type=int, default=500)
    parser.add_argument("--only", default="", help="one operation, such as 'GET /healthz'")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)  # at once: a run that breaks off can be repeated
    with tempfile.TemporaryDirectory() as folder, furnished(Path(folder)) as (stand, project):
        outcome = fuzz(stand, project, **vars(given))
    print(outcome)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
