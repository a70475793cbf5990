"""The fault suite: its oracle fails when it should, its plan is repeatable, and the runtime in memory survives it."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.cli.app import app
from headrace.control.reconciler import Reconciler
from headrace.domain.job import Phase
from headrace.domain.observation import StateView
from headrace.faults import crash_points, fake, flink_headrace, flink_jobs
from headrace.faults.crash_stories import STORIES
from headrace.faults.effects import Effect
from headrace.faults.fake import FakeWorld
from headrace.faults.fake_kinds import DOES as FAKE_DOES
from headrace.faults.figures import Figures
from headrace.faults.kinds import KINDS, Kind, named
from headrace.faults.oracle import (
    FOLLOWS,
    Promise,
    PromiseBroken,
    Restarts,
    Tally,
    history_is_whole,
    ledger_empty,
    nothing_left,
    one_deployment,
    restarts_agree,
)
from headrace.faults.plan import Round, Strike, rounds
from headrace.faults.run import Recovery, go_through
from headrace.faults.watch import Watch, processes_of
from headrace.runtimes.fake import FakeRuntime
from headrace.store.journal import HistoryEntry
from headrace.store.journal import Kind as JournalKind
from tests.support.server import wait_until


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Homes of runs that break a promise are kept: here, not in the system's folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def lines(numbers: Sequence[int], keys: int = 4) -> str:
    return "".join(f"{n % keys} {n // keys + 1} {n}\n" for n in numbers)


def broken(promise: Promise) -> pytest.RaisesExc[PromiseBroken]:
    return pytest.RaisesExc(PromiseBroken, check=lambda error: error.promise is promise)


# -- the oracle fails when it should ------------------------------------------------------------------------------


def test_each_number_once_is_well() -> None:
    tally = Tally()
    tally.take(lines(range(50)), "a")
    tally.take(lines(range(50, 100)), "b")
    tally.settle()
    tally.complete()
    assert (len(tally.numbers), tally.greatest) == (100, 99)


def test_a_doubled_number_is_found() -> None:
    tally = Tally()
    tally.take(lines(range(50)), "a")
    with broken(Promise.ONCE):
        tally.take(lines([49, 50]), "b")


def test_a_missing_number_is_found_in_the_end() -> None:
    tally = Tally()
    tally.take(lines([*range(50), *range(51, 60)]), "a")
    with broken(Promise.ONCE):
        tally.complete()


def test_a_number_may_come_late_but_not_for_ever() -> None:
    """Two files of one checkpoint are not committed in one moment."""
    tally = Tally()
    tally.take(lines([0, 2]), "a")
    tally.settle()
    tally.take(lines([1, 4]), "b")
    tally.settle()
    with broken(Promise.ONCE):
        tally.settle()


def test_a_count_of_another_moment_is_found() -> None:
    with broken(Promise.STATE):
        Tally().take("0 3 4\n", "a")


def test_two_deployments_of_one_job_are_found() -> None:
    one_deployment({1: ["job-1-1"], 2: ["job-2-7"]})
    with broken(Promise.ONE):
        one_deployment({1: ["job-1-1"], 2: ["job-2-7", "job-2-8"]})


def test_a_leftover_process_is_found() -> None:
    nothing_left([])
    with broken(Promise.ORPHANS):
        nothing_left(["pid 1: java"])


def test_a_held_cu_is_found() -> None:
    ledger_empty({})
    with broken(Promise.LEDGER):
        ledger_empty({3: 2000})


def entry(phase: Phase, attempt: int, note: str = "", kind: JournalKind = JournalKind.MOVED) -> HistoryEntry:
    return HistoryEntry(0, attempt, phase, None, note, kind)


UP = [entry(phase, 1) for phase in (Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING)]


@pytest.mark.parametrize(
    "then",
    [
        [entry(Phase.STOPPED, 1)],
        [entry(Phase.RUNNING, 1)],
        [entry(Phase.CLEARING, 2)],
        [entry(Phase.CLEARING, 1), entry(Phase.RESTARTING, 1), entry(Phase.PREPARING, 1)],
        [entry(Phase.CLEARING, 1), entry(Phase.RESTARTING, 1), entry(Phase.PREPARING, 3)],
    ],
)
def test_a_history_that_skips_is_found(then: list[HistoryEntry]) -> None:
    history_is_whole([entry(Phase.DRAFT, 0), *UP, entry(Phase.CANCELING, 1), entry(Phase.STOPPED, 1)])
    with broken(Promise.HISTORY):
        history_is_whole([entry(Phase.DRAFT, 0), *UP, *then])


def test_every_phase_has_its_followers() -> None:
    assert set(FOLLOWS) == set(Phase)


TOLD = [
    entry(Phase.RUNNING, 1, "Flink restarted the job in place: restart 1 without limit.", JournalKind.RESTARTED),
    entry(Phase.CLEARING, 1, "Killed. Restart 2 of 5 within an hour."),
    entry(Phase.PREPARING, 2, "Killed. Restart 2 of 5 within an hour."),
]


@pytest.mark.parametrize(
    "found",
    [Restarts(3, (1, 1), 1), Restarts(2, (2, 0), 1), Restarts(2, (1, 1), 2), Restarts(1, (0, 1), 1)],
)
def test_restarts_that_are_told_differently_are_found(found: Restarts) -> None:
    restarts_agree(Restarts(2, (1, 1), 1), [*UP, *TOLD])
    restarts_agree(Restarts(0, (0, 0), 0), UP)
    with broken(Promise.RESTARTS):
        restarts_agree(found, [*UP, *TOLD])


# -- the watch sees processes -------------------------------------------------------------------------------------


@pytest.fixture
def jvms(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """What looks like JVMs of three deployments of two jobs."""
    started = {}
    for name in ("job-1-1", "job-1-2", "job-2-1"):
        word = f"-Dlog.file={tmp_path}/deployments/{name}/log/jobmanager.log"
        started[name] = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", word])
    # Popen returns as soon as the program is found, and for a moment it has no command line yet.
    wait_until("all have their command lines", lambda: len(processes_of(tmp_path)) == len(started), 60)
    yield started
    for process in started.values():
        process.kill()
        process.wait()


def test_the_watch_finds_two_deployments_that_live_at_once(
    tmp_path: Path, jvms: dict[str, subprocess.Popen[bytes]]
) -> None:
    assert len(processes_of(tmp_path)) == 3
    watch = Watch(tmp_path)
    with broken(Promise.ONE):
        watch.look()
    jvms["job-1-1"].kill()
    jvms["job-1-1"].wait()
    watch.look()


def test_the_watch_tells_of_it_from_its_thread(tmp_path: Path, jvms: dict[str, subprocess.Popen[bytes]]) -> None:
    watch = Watch(tmp_path)
    watch.start()
    until = time.monotonic() + 30
    while watch.broken is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    watch.stop()
    with broken(Promise.ONE):
        watch.check()


# -- the plan -----------------------------------------------------------------------------------------------------


def first(seed: int, many: int = 100, kinds: Sequence[Kind] = KINDS) -> list[Round]:
    return list(itertools.islice(rounds(seed, kinds, 3), many))


def test_a_plan_is_repeatable() -> None:
    assert first(7) == first(7)
    assert first(7) != first(8)


def test_a_plan_numbers_its_faults_and_leaves_none_out() -> None:
    planned = first(1)
    strikes = [strike for one in planned for strike in one.strikes]
    assert [one.number for one in planned] == [
        1 + sum(len(p.strikes) for p in planned[:i]) for i in range(len(planned))
    ]
    assert {strike.kind for one in planned[: len(KINDS)] for strike in one.strikes} == set(KINDS)
    assert {strike.target for strike in strikes} == {0, 1, 2}
    assert any(len(one.strikes) == 1 for one in planned)
    assert any(len(one.strikes) == 2 for one in planned)


def test_what_shows_only_in_company_never_comes_alone() -> None:
    for one in first(3, 300):
        assert len(one.strikes) == 2 or not one.strikes[0].kind.needs_another


def test_every_kind_is_there_on_both_runtimes() -> None:
    names = {kind.name for kind in KINDS}
    assert set(FAKE_DOES) == names
    assert set(flink_jobs.DOES) | set(flink_headrace.DOES) == names


# -- the runtime in memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_the_runtime_in_memory_survives_it(tmp_path: Path, seed: int) -> None:
    world = FakeWorld(tmp_path)
    recoveries = go_through(world, itertools.islice(rounds(seed, KINDS, world.targets), 40), lambda _: None)
    assert len(recoveries) >= 40
    assert world.records() > 500
    assert [one.number for one in recoveries] == list(range(1, len(recoveries) + 1))


def alone(name: str, times: int = 3) -> list[Round]:
    return [Round(number, (Strike(named(name), 0, 0.5),), 0.0) for number in range(1, times + 1)]


def test_a_step_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new deployment begins clean: what was committed is committed again."""
    monkeypatch.setattr(Reconciler, "_state", lambda self, job: StateView())
    with broken(Promise.ONCE):
        go_through(FakeWorld(tmp_path), alone("jobmanager-killed"), lambda _: None)


def test_a_job_that_does_not_come_back_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRuntime, "replace_taskmanagers", lambda self, plan, total: None)
    monkeypatch.setattr(fake, "LIMIT_S", 30.0)
    with broken(Promise.WELL):
        go_through(FakeWorld(tmp_path), alone("taskmanager-killed"), lambda _: None)


def test_harm_where_there_should_be_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(world: FakeWorld, what: Strike) -> Effect:
        name = world.name(what.target)
        world.runtime.kill(name)
        return Effect("", unharmed=lambda: "" if world.name(what.target) == name else "it was replaced")

    monkeypatch.setitem(FAKE_DOES, "jobmanager-hangs", killed)
    with broken(Promise.PATIENCE):
        go_through(FakeWorld(tmp_path), alone("jobmanager-hangs"), lambda _: None)


# -- what is told -------------------------------------------------------------------------------------------------


def recovery(kind: str, seconds: float, *, alone: bool) -> Recovery:
    return Recovery(1, kind, 0, "", 0.0, seconds, alone)


def test_figures_are_of_faults_that_struck_alone(tmp_path: Path) -> None:
    found = [recovery("a", 3.0, alone=True), recovery("a", 90.0, alone=False), recovery("b", 7.0, alone=False)]
    figures = Figures(1, "fake", 10.0, 5, 6, found)
    assert figures.by_kind() == {
        "a": {"faults": 2, "median_s": 3.0, "max_s": 3.0},
        "b": {"faults": 1, "median_s": 7.0, "max_s": 7.0},
    }
    written = figures.write(tmp_path)
    assert written == tmp_path / "faults-fake.json"


def headrace(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["faults", *words])
    return result.exit_code, result.output


def test_the_command_tells_each_fault_and_how_to_repeat_it(tmp_path: Path) -> None:
    code, said = headrace("--runtime", "fake", "--seed", "5", "--faults", "6", "--figures", str(tmp_path))
    assert code == 0, said
    assert "headrace faults --runtime fake --seed 5 --faults 6" in said
    assert "All promises hold" in said
    assert (tmp_path / "faults-fake.json").exists()
    again = headrace("--runtime", "fake", "--seed", "5", "--faults", "6")[1]
    assert [line for line in said.splitlines() if "well after" in line] == [
        line for line in again.splitlines() if "well after" in line
    ]


def test_the_command_ends_headrace_at_each_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--runtime", "fake", "--seed", "5", "--faults", "0", "--crash-points"]
    report = crash_points.run(5, lambda _: None, STORIES[:1])
    monkeypatch.setattr(crash_points, "run", lambda seed, told: report)
    assert headrace(*words)[0] == 0
    monkeypatch.setattr(crash_points, "run", lambda seed, told: replace(report, broken=("create, killed at 3: …",)))
    code, said = headrace(*words)
    assert code == 1
    assert f"{Promise.STEPS}: create, killed at 3: …" in said
    assert said.rstrip().splitlines()[-2].endswith("--crash-points")


def test_the_command_fails_with_the_promise_and_the_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeRuntime, "replace_taskmanagers", lambda self, plan, total: None)
    monkeypatch.setattr(fake, "LIMIT_S", 30.0)
    code, said = headrace("--runtime", "fake", "--seed", "5", "--faults", "2", "--scenario", "taskmanager-killed")
    assert code == 1
    assert str(Promise.WELL) in said
    assert '"phase": "running"' in said
    assert "To repeat it: headrace faults --runtime fake --seed 5 --faults 2 --scenario taskmanager-killed" in said


def test_the_command_lists_kinds_and_refuses_unknown_ones() -> None:
    code, said = headrace("--list")
    assert code == 0
    for kind in KINDS:
        assert kind.name in said
    assert headrace("--crash-points", "--faults", "0")[0] == 2, "only the runtime in memory has them"
    code, said = headrace("--scenario", "an-earthquake")
    assert code == 2
    assert "an-earthquake" in said
