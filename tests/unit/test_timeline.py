"""The job clock: what is done to the wall clock, to Headrace and to the machine does not set it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from headrace.domain.job import Desired, Goal, Job, JobSpec, Phase, Record
from headrace.domain.restart import HOUR_MS
from headrace.domain.rights import Caller
from headrace.runtimes.fake_machine import FakeMachine
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.schema import job_clock as table
from headrace.store.timeline import JobClock
from tests.support.clocks import job_clock
from tests.support.promises import promise

DAY_MS = 24 * HOUR_MS


class Site:
    """A machine, its database, and the clock of the Headrace that serves there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine = FakeMachine()
        self.database = Database(path)
        self.clock = job_clock(self.database, self.machine)

    def restart_headrace(self) -> None:
        self.database.close()
        self.database = Database(self.path)
        self.clock = job_clock(self.database, self.machine)

    def reboot(self, down_ms: int = 30_000) -> None:
        self.machine.reboot(down_ms)
        self.restart_headrace()

    def anchor(self) -> None:
        with self.database.write() as connection:
            self.clock.anchor(connection)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "headrace.db")
    yield made
    made.database.close()


def test_it_begins_with_the_wall_clock(site: Site) -> None:
    assert site.clock.now_ms() == site.machine.wall_ms
    site.machine.let_pass(1234)
    assert site.clock.now_ms() == site.machine.wall_ms


@pytest.mark.parametrize("jump", [-DAY_MS, -1, 1, DAY_MS])
@promise("The wall clock may jump: the hour of restarts neither ends sooner nor later.", seam="a settable clock")
def test_the_wall_clock_jumps(site: Site, jump: int) -> None:
    began = site.clock.now_ms()
    site.machine.let_pass(5000)
    site.machine.set_wall(jump)
    assert site.clock.now_ms() == began + 5000
    site.restart_headrace()
    site.machine.let_pass(5000)
    assert site.clock.now_ms() == began + 10_000


@promise("The hour of restarts goes on while Headrace is down.")
def test_headrace_was_down(site: Site) -> None:
    began = site.clock.now_ms()
    site.database.close()
    site.machine.let_pass(HOUR_MS)
    site.restart_headrace()
    assert site.clock.now_ms() == began + HOUR_MS


@pytest.mark.parametrize(("down", "passed"), [(0, 7000), (30_000, 37_000), (DAY_MS, DAY_MS + 7000)])
def test_over_a_boot_it_goes_with_the_wall_clock(site: Site, down: int, passed: int) -> None:
    began = site.clock.now_ms()
    site.machine.let_pass(7000)
    site.reboot(down)
    assert site.clock.now_ms() == began + passed


def test_over_a_boot_with_a_wall_clock_that_was_set_back_it_stands_still(site: Site) -> None:
    site.machine.let_pass(7000)
    site.anchor()
    anchored = site.clock.now_ms()
    site.machine.set_wall(-DAY_MS)
    site.reboot()
    assert site.clock.now_ms() == anchored
    site.machine.let_pass(5)
    assert site.clock.now_ms() == anchored + 5


def test_there_is_one_anchor(site: Site) -> None:
    for _ in range(3):
        site.restart_headrace()
    with site.database.write() as connection:
        assert connection.execute(delete(table)).rowcount == 1


steps = st.lists(
    st.one_of(
        st.integers(0, 2 * HOUR_MS).map(lambda ms: ("let_pass", ms)),
        st.integers(-DAY_MS, DAY_MS).map(lambda ms: ("set_wall", ms)),
        st.sampled_from([("restart", 0), ("reboot", 0), ("reboot", HOUR_MS), ("anchor", 0)]),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_it_only_ever_goes_on(site: Site, happens: list[tuple[str, int]]) -> None:
    site.anchor()  # the site is that of the last example
    anchored = seen = site.clock.now_ms()
    for what, ms in happens:
        match what:
            case "restart":
                site.restart_headrace()
                assert site.clock.now_ms() == seen
            case "reboot":
                site.reboot(ms)
                assert site.clock.now_ms() >= anchored
            case "anchor":
                site.anchor()
            case _:
                getattr(site.machine, what)(ms)
                assert site.clock.now_ms() == seen + (ms if what == "let_pass" else 0)
        seen = site.clock.now_ms()
        anchored = seen if what in ("restart", "reboot", "anchor") else anchored


# -- what is counted on it --------------------------------------------------------------------------------------------


def running(jobs: JobStore, name: str = "job") -> Job:
    job = jobs.create(Caller("p", "u"), JobSpec(name), now_ms=1)
    job = jobs.request(job, Desired(Goal.RUN, 1))
    job = jobs.move(job, Record(Phase.PREPARING, 1, request_seen=1, first_attempt=1), now_ms=2)
    return jobs.move(job, job.record.evolve(phase=Phase.RUNNING, ran=True), now_ms=3)


def restarted(jobs: JobStore, job: Job, clock: JobClock, in_place: int = 0) -> Job:
    """Restarts in place, and without any a failure, after which a new deployment follows."""
    record = job.record.evolve(restarts=job.record.restarts + (in_place or 1))
    if in_place:
        record = record.evolve(flink_restarts=record.flink_restarts + in_place)
    else:
        record = record.evolve(phase=Phase.CLEARING, outcome=Phase.RESTARTING)
    return jobs.move(job, record, now_ms=4, clock=clock)


def next_attempt(jobs: JobStore, job: Job) -> Job:
    job = jobs.move(job, job.record.evolve(phase=Phase.RESTARTING, outcome=None), now_ms=5)
    begun = job.record.evolve(phase=Phase.PREPARING, attempt=job.record.attempt + 1, flink_restarts=0)
    job = jobs.move(job, begun, now_ms=6)
    return jobs.move(job, job.record.evolve(phase=Phase.RUNNING), now_ms=7)


@promise("Restarts are counted in the transaction of their move, and outlive a restart of Headrace.")
def test_restarts_outlive_headrace(site: Site) -> None:
    jobs = JobStore(site.database)
    job = restarted(jobs, running(jobs), site.clock, in_place=2)
    began = site.clock.now_ms()
    site.machine.let_pass(1000)
    job = restarted(jobs, job, site.clock)
    assert jobs.restart_times(job, site.clock.now_ms()) == [began, began, began + 1000]
    assert jobs.restart_times(job, site.clock.now_ms(), in_place=False) == [began + 1000]
    site.restart_headrace()
    jobs = JobStore(site.database)
    assert len(jobs.restart_times(jobs.get(job.id), site.clock.now_ms())) == 3
    site.machine.let_pass(HOUR_MS - 1000 - 1)
    assert len(jobs.restart_times(job, site.clock.now_ms())) == 3
    site.machine.let_pass(1)
    assert jobs.restart_times(job, site.clock.now_ms()) == [began + 1000]
    site.machine.let_pass(1000)
    assert jobs.restart_times(job, site.clock.now_ms()) == []


def test_a_new_run_has_an_hour_of_its_own(site: Site) -> None:
    jobs = JobStore(site.database)
    job = next_attempt(jobs, restarted(jobs, running(jobs), site.clock))
    job = restarted(jobs, job, site.clock, in_place=1)
    assert len(jobs.restart_times(job, site.clock.now_ms())) == 2
    other = restarted(jobs, running(jobs, "other"), site.clock)
    assert len(jobs.restart_times(other, site.clock.now_ms())) == 1
    job = jobs.move(job, job.record.evolve(phase=Phase.STOPPED), now_ms=8)
    job = jobs.move(job, Record(Phase.PREPARING, 3, request_seen=1, first_attempt=3), now_ms=9)
    assert jobs.restart_times(job, site.clock.now_ms()) == []


@pytest.mark.parametrize("in_place", [0, 2])
def test_of_a_move_that_fails_nothing_is_counted(site: Site, in_place: int) -> None:
    jobs = JobStore(site.database)
    job = running(jobs)
    fresh = jobs.request(job, replace(job.desired, request_no=2))
    with pytest.raises(Exception, match="no longer at version"):
        restarted(jobs, job, site.clock, in_place)
    assert jobs.restart_times(fresh, site.clock.now_ms()) == []


def test_after_a_boot_no_restart_and_no_turn_lies_ahead(site: Site) -> None:
    jobs = JobStore(site.database)
    job = restarted(jobs, running(jobs), site.clock)
    site.machine.let_pass(8 * HOUR_MS)  # it could not be seen for so long
    turn = site.clock.now_ms() + 1000
    record = job.record.evolve(phase=Phase.RESTARTING, outcome=None, retry_ms=turn)
    job = jobs.move(job, record, now_ms=5, clock=site.clock)
    site.machine.set_wall(-DAY_MS)
    site.reboot()
    assert turn - site.clock.now_ms() <= 1000
    assert all(at <= site.clock.now_ms() for at in JobStore(site.database).restart_times(job, turn - 8 * HOUR_MS))
