"""Every seeded failure on real Flink: the right cause is told, and what is advised heals the job.

All jobs run on one server, several at once. With HEADRACE_FIGURES=<folder> the results are written there.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from headrace.cli.client import ApiClient, ApiError
from headrace.domain.diagnosis import RULES
from headrace.flink.engines import EngineStore
from headrace.settings import load_settings
from tests.corpus.cases import CASES, FINISHED, FOR_EVER, REFUSED, UNKNOWN, Case
from tests.corpus.stage import JARS, PATIENCE_S, Stage, Statuses, options, stamped
from tests.support.server import BUCKET, ENDS, Jobs, ServerUnderTest, processes_of, wait_until

pytestmark = pytest.mark.flink

AT_ONCE = 6
RIGHT_OF_ALL = 0.9
ENGINES = {"1.17": "1.17.2", "1.20": "1.20.5", "2.3": "2.3.0"}
SERVER = {
    "HEADRACE_START_PATIENCE_SECONDS": "150",
    # No package index: an engine that is not there cannot be installed.
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": os.devnull,
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case; ``said`` is ``status_desc``, or the body of a refusal."""

    name: str
    status: str
    rule: str
    said: str
    healed: str
    seconds: float

    def right(self, case: Case) -> bool:
        """Whether the cause is the right one, and what was advised has healed the job."""
        told = self.rule in case.rules and all(words in self.said for words in case.says)
        return self.status in case.status and told and self.healed == case.healed and case.rule != UNKNOWN


def rule_of(said: str) -> str:
    """The rule whose words these are: its cause and its suggestion, whatever stands for their groups."""
    if "The cause is not known" in said:
        return UNKNOWN
    for rule in RULES:
        cause, advice = (re.sub(r"\\\{\w+\\\}", ".+", re.escape(text)) for text in (rule.cause, rule.suggestion))
        if re.search(f"{cause}.*{advice}", said, re.DOTALL | re.IGNORECASE):
            return rule.name
    return ""


class Corpus:
    """The server, and the cases that run on it."""

    def __init__(self, server: ServerUnderTest, scratch: Path) -> None:
        self._server = server
        self._scratch = scratch
        self._savepoint: Future[str] = Future()
        self._saving = threading.Lock()
        jobs = Jobs(server.start())
        self._statuses = Statuses(jobs.client)
        self._lay_out(jobs)

    def _lay_out(self, jobs: Jobs) -> None:
        jobs.client.create_bucket(BUCKET)
        jobs.client.call("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 64})
        first, second, parts = JARS / "flink-1" / "broken.jar", JARS / "flink-2" / "broken.jar", JARS / "parts.jar"
        made = {
            "broken-1.17.jar": first,
            "broken-1.20.jar": first,
            "broken-2.3.jar": second,
            "gone.jar": first,
            "parts.jar": parts,
            "parts-old.jar": JARS / "parts-old.jar",
            "parts-java21.jar": stamped(parts, self._scratch / "parts-java21.jar", 65),
            "broken-java21.jar": stamped(first, self._scratch / "broken-java21.jar", 65),
            "broken-java17.jar": stamped(first, self._scratch / "broken-java17.jar", 61),
        }
        for key, jar in made.items():
            jobs.client.upload(jar, BUCKET, key)

    def stage(self, name: str, flink: str) -> Stage:
        jobs = Jobs(ApiClient.of_home(self._server.home), flink)
        return Stage(jobs, self._statuses, self._server.home, self._scratch, name, self.savepoint)

    def savepoint(self) -> str:
        """The path of a savepoint of the stateful job."""
        with self._saving:
            if not self._savepoint.done():
                self._savepoint.set_result(self._make_savepoint())
        return self._savepoint.result()

    def _make_savepoint(self) -> str:
        stage = self.stage("the stateful job", "1.20")
        args = f"--how state --records {FOR_EVER}"
        stage.create({"jar": "broken-1.20.jar", "runtime_config": options(), "args": args, "obs_bucket": BUCKET})
        stage.run()
        stage.until("job_running")
        stage.jobs.stop(stage.job_id, savepoint=True)
        stage.until("job_cancel_success")
        found = list((self._server.home / "objects" / BUCKET).glob(f"jobs/savepoint/{stage.job_id}/*/*/_metadata"))
        assert len(found) == 1
        return f"obs://{found[0].parent.relative_to(self._server.home / 'objects')}"

    def go_through(self, case: Case) -> Outcome:
        """Breaks, is told, is mended, runs."""
        began = time.monotonic()
        stage = self.stage(case.name, case.flink)
        try:
            status, said = self._break(case, stage)
            healed = self._heal(case, stage) if status in case.status else ""
        finally:
            stage.close()
        return Outcome(case.name, status, rule_of(said), said, healed, round(time.monotonic() - began, 1))

    def _break(self, case: Case, stage: Stage) -> tuple[str, str]:
        if case.status == REFUSED:
            case.before(stage)
            with pytest.raises(ApiError) as refused:
                stage.create(case.fields(stage))
            assert refused.value.status == 400, refused.value
            return REFUSED, refused.value.message
        stage.create(case.fields(stage))
        case.before(stage)
        stage.run()
        case.during(stage)
        ended = stage.until(*ENDS)
        return str(ended["status"]), str(ended["status_desc"])

    def _heal(self, case: Case, stage: Stage) -> str:
        if case.status == FINISHED:
            return FINISHED  # it is well as it is
        case.mend(stage)
        if case.status == REFUSED:
            stage.create({**case.fields(stage), **case.cured(stage)})
        else:
            stage.update(case.cured(stage))
        stage.run()
        healed = str(stage.until(case.healed, "job_submit_fail", "job_running_exception")["status"])
        if healed == "job_running":
            stage.jobs.stop(stage.job_id)
            stage.until("job_cancel_success")
        return healed


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Mapping[str, Future[Outcome]]]:
    """The selected cases, under way; several at once."""
    store = EngineStore(load_settings().engine_store)
    for version in ENGINES.values():
        store.install(version)
    folder = tmp_path_factory.mktemp("corpus")
    scratch = folder / "scratch"
    scratch.mkdir()
    server = ServerUnderTest(folder / "home", store.root, SERVER)
    asked = {item.name for item in request.session.items}
    everything = any(name.startswith("test_nine_in_ten") for name in asked)
    wanted = [case for case in CASES if everything or f"test_a_broken_job_is_told_and_healed[{case.name}]" in asked]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            corpus = Corpus(server, scratch)
            yield {case.name: pool.submit(corpus.go_through, case) for case in wanted}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            server.down()
    wait_until("no process is left", lambda: not processes_of(folder), 30)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_a_broken_job_is_told_and_healed(case: Case, outcomes: Mapping[str, Future[Outcome]]) -> None:
    found = outcomes[case.name].result(2 * PATIENCE_S)
    assert found.status in case.status, f"{found.status}: {found.said}"
    assert found.rule in case.rules, found.said
    for words in case.says:
        assert words in found.said
    assert found.healed == case.healed, f"the cure did not heal it; it was: {found.said}"


def test_nine_in_ten_are_right_and_the_rest_say_unknown(outcomes: Mapping[str, Future[Outcome]]) -> None:
    cases = {case.name: case for case in CASES}
    found = {name: outcomes[name].result(2 * PATIENCE_S) for name in cases}
    write_figures(list(found.values()), [name for name, outcome in found.items() if outcome.right(cases[name])])
    rest = {name: outcome for name, outcome in found.items() if not outcome.right(cases[name])}
    assert len(rest) <= (1 - RIGHT_OF_ALL) * len(cases), {name: outcome.said for name, outcome in rest.items()}
    for name, outcome in rest.items():
        assert "The cause is not known" in outcome.said, name
        assert "Look at " in outcome.said, name


def write_figures(found: list[Outcome], right: list[str]) -> None:
    """For docs/reliability.md."""
    folder = os.environ.get("HEADRACE_FIGURES")
    if folder:
        spoken = {case.name: "refused" if case.status == REFUSED else "in its own words" for case in CASES}
        rows = [
            {**asdict(outcome), "rule": outcome.rule or spoken[outcome.name], "right": outcome.name in right}
            for outcome in found
        ]
        figures = {"failures": len(found), "right": len(right), "cases": rows}
        Path(folder, "corpus.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
