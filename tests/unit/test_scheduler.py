"""The scheduler on real stores, and the driver with its threads over them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.control.driver import Driver
from headrace.control.scheduler import Scheduler
from headrace.domain.deployment import DeploymentPlan, plan
from headrace.domain.errors import Unavailable
from headrace.domain.job import Goal, Job, Phase
from headrace.domain.observation import Sight
from tests.unit.site import LIMIT_S, Site, until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "headrace.db")
    yield made
    made.database.close()


# -- the scheduler ----------------------------------------------------------------------------------------------------


def test_it_grants_what_fits_and_says_why_the_others_wait(site: Site) -> None:
    first, second, third = site.waiting("1"), site.waiting("2", cus=4), site.waiting("3", queue="narrow")
    assert site.scheduler.run() == (first, third)
    assert site.scheduler.reason(second) == "waiting for 4 CUs, 2 free in its queue"
    assert site.scheduler.reason(first) == ""
    held = site.queues.held_by(first)
    assert held is not None
    assert (held.cu_milli, held.memory_mb) == (2000, 8192)
    assert site.scheduler.run() == ()


def test_what_is_released_goes_to_the_next(site: Site) -> None:
    first, second = site.waiting("1", cus=4), site.waiting("2")
    site.scheduler.run()
    job = site.jobs.get(first)
    site.jobs.move(job, job.record.evolve(phase=Phase.STOPPED), now_ms=3)
    assert site.scheduler.run() == (second,)
    assert site.scheduler.reason(second) == ""


def test_memory_is_what_the_machine_has_now(site: Site) -> None:
    site.memory_mb = 8191
    job_id = site.waiting("1")
    assert site.scheduler.run() == ()
    assert "8192 MB" in site.scheduler.reason(job_id)
    site.memory_mb = 8192
    assert site.scheduler.run() == (job_id,)


def test_a_job_that_cannot_be_sized_any_more_waits_and_holds_up_nobody(site: Site) -> None:
    broken = site.waiting("1", runtime_config="nonsense")
    fine = site.waiting("2")
    assert site.scheduler.run() == (fine,)
    assert site.scheduler.reason(broken).startswith("cannot start: runtime_config=")


def test_several_schedulers_grant_no_more_than_one(site: Site) -> None:
    waiting = [site.waiting(str(number)) for number in range(4)]
    schedulers = [Scheduler(site.queues, lambda: 10**6, 4096) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        runs = [run.result(LIMIT_S) for run in [pool.submit(scheduler.run) for scheduler in schedulers]]
    granted = [job_id for run in runs for job_id in run]
    assert sorted(granted) == waiting[:2]


# -- the driver -------------------------------------------------------------------------------------------------------


@pytest.fixture
def driver(site: Site) -> Iterator[Driver]:
    made = Driver(site.reconciler, sweep_s=0.05)
    yield made
    made.stop()
    assert not [thread for thread in made._threads if thread.is_alive()]


def test_it_brings_all_jobs_where_they_were_asked_to_be(site: Site, driver: Driver) -> None:
    jobs = [site.job("1"), site.job("2", cus=4), site.job("3", queue="narrow")]
    driver.start()
    for job_id, phase in zip(jobs, (Phase.RUNNING, Phase.WAITING, Phase.RUNNING), strict=True):
        site.ask(job_id, Goal.RUN)
        driver.nudge(job_id)
        until(lambda job_id=job_id, phase=phase: site.phase(job_id) is phase)  # type: ignore[misc]
    site.ask(jobs[0], Goal.STOP)
    driver.nudge(jobs[0])
    until(lambda: site.phase(jobs[0]) is Phase.STOPPED)
    site.ask(jobs[2], Goal.DELETE)  # no nudge: the sweep finds it
    until(lambda: site.phase(jobs[2]) is Phase.DELETED)
    until(lambda: site.phase(jobs[1]) is Phase.RUNNING)  # its queue has room, and now the machine too
    assert site.runtime.live() == (site.jobs.get(jobs[1]).deployment,)


def test_it_survives_a_tick_that_fails_unexpectedly(site: Site, driver: Driver) -> None:
    broken, fine = site.job("1"), site.job("2")
    failures: list[int] = []

    def planner(job: Job, left: int | None) -> DeploymentPlan:
        if job.id == broken and len(failures) < 2:
            failures.append(job.id)
            raise ZeroDivisionError
        return plan(job, "1.20.5", 4096, left)

    site.reconciler.planner = planner
    for job_id in (broken, fine):
        site.ask(job_id, Goal.RUN)
    driver.start()
    until(lambda: site.phase(broken) is site.phase(fine) is Phase.RUNNING)
    assert failures == [broken, broken]


def test_what_hinders_an_action_is_shown_as_long_as_it_does(site: Site) -> None:
    job_id = site.waiting("1")
    site.scheduler.run()
    site.reconciler.tick(job_id)
    assert site.phase(job_id) is Phase.STARTING
    site.runtime.lose("deploy")
    with pytest.raises(Unavailable):
        site.reconciler.tick(job_id)
    assert site.jobs.get(job_id).record.note == "deploy was lost"
    for _ in range(4):
        site.reconciler.tick(job_id)
    assert site.phase(job_id) is Phase.RUNNING
    assert site.jobs.get(job_id).record.note == ""


def test_it_survives_a_sweep_that_fails(site: Site, driver: Driver) -> None:
    site.runtime.lose("names")
    job_id = site.job("1")
    site.ask(job_id, Goal.RUN)
    driver.start()
    until(lambda: site.phase(job_id) is Phase.RUNNING)


def test_orphans_are_removed_and_nothing_else(site: Site) -> None:
    job_id = site.waiting("1")
    job = site.jobs.get(job_id)
    made = plan(job, "1.20.5", 4096)
    names = [f"job-{job_id}-1", f"job-{job_id}-7", "job-99-1", "job-99-2"]
    for name in names:
        site.runtime.deploy(replace(made, name=name))
    site.runtime.lose("remove")
    driver = Driver(site.reconciler, sweep_s=1.0)
    driver.remove_orphans()  # one removal is lost; the others are carried out
    assert len(site.runtime.names()) == 2
    driver.remove_orphans()
    assert site.runtime.names() == (f"job-{job_id}-1",)
    assert site.runtime.observe("job-99-1").sight is Sight.REMOVED
