"""What befalls the database: locked by another program, moved away, its disk full. It is told, and nothing is lost."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event

from headrace.control.driver import Driver
from headrace.domain.errors import HomeUnusable, Unavailable
from headrace.domain.job import Goal, JobSpec, Phase
from headrace.domain.rights import Caller
from headrace.store import database as store
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from tests.support.promises import promise
from tests.unit.site import Site, until

ME = Caller("p", "u")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(store, "BUSY_TIMEOUT_MS", 20)  # else each write would wait for 20 s
    made = Site(tmp_path / "headrace.db")
    yield made
    made.database.close()


# -- the faults -------------------------------------------------------------------------------------------------------


@contextmanager
def locked(site: Site) -> Iterator[None]:
    """Another program holds the database."""
    with closing(sqlite3.connect(site.database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def gone(site: Site) -> Iterator[None]:
    """Its folder was moved away, and comes back; nobody has it open meanwhile."""
    path = site.database.path
    away = path.with_name("away.db")
    site.database._engine.dispose()
    path.rename(away)
    yield
    assert not path.exists()  # nobody has made an empty one in its place
    away.rename(path)


@contextmanager
def gone_while_open(site: Site) -> Iterator[None]:
    """The file was moved away under those who have it open, and comes back."""
    path = site.database.path
    away = path.with_name("away.db")
    path.rename(away)
    yield
    assert not path.exists()
    away.rename(path)


@contextmanager
def full(site: Site) -> Iterator[None]:
    """Its disk takes no page more."""

    def no_more_pages(connection: sqlite3.Connection, _: object = None) -> None:
        connection.execute(f"PRAGMA max_page_count = {connection.execute('PRAGMA page_count').fetchone()[0]}")

    def as_before(connection: sqlite3.Connection, _: object = None) -> None:
        connection.execute("PRAGMA max_page_count = 4294967294")

    engine = site.database._engine
    engine.dispose()
    event.listen(engine, "connect", no_more_pages)
    yield
    event.remove(engine, "connect", no_more_pages)
    engine.dispose()


Fault = Callable[[Site], AbstractContextManager[None]]
FAULTS = {"locked": locked, "gone": gone, "full": full}
SEAM = "the page limit of SQLite in place of a full disk; a lock of a second program; a renamed file"


def fill_up(site: Site) -> int:
    """Creates jobs until the database takes no more; how many it took."""
    for number in range(200):
        try:
            site.jobs.create(ME, JobSpec(f"fills up {number}", desc="x" * 4000), now_ms=1)
        except Unavailable:
            return number
    raise AssertionError("it is not full")


def fill_the_journal(site: Site) -> None:
    """Until it does not take the smallest line more."""
    for size in (2000, 1):
        with suppress(Unavailable):
            for _ in range(500):
                site.jobs.annotate(site.jobs.get(1), "x" * size, now_ms=1)


# -- reading and writing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
@promise(
    "While the database is locked, gone or full, that is told, and nothing that was acknowledged is lost.", seam=SEAM
)
def test_it_is_told_and_nothing_is_lost(site: Site, name: str) -> None:
    job_id = site.job("before")
    before = site.jobs.get(job_id)
    with FAULTS[name](site):
        took = fill_up(site)
        with pytest.raises(Unavailable, match=r"The database does not answer .*; try again"):
            site.jobs.create(ME, JobSpec("x", desc="x" * 40_000), now_ms=1)
        if name != "full":
            assert took == 0
        if name != "gone":  # what is there can be read
            assert site.jobs.get(job_id) == before
    assert site.jobs.get(job_id) == before
    found = site.jobs.named("p", [f"fills up {number}" for number in range(200)])
    assert len(found) == took
    site.ask(job_id, Goal.RUN)
    assert site.jobs.get(job_id).request_pending
    with site.database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


def test_moved_away_under_those_who_have_it_open(site: Site) -> None:
    """SQLite goes on in the file that it has open: what it takes is there when that comes back."""
    job_id, taken = site.job("before"), []
    with gone_while_open(site):
        for number in range(5):
            try:
                taken.append(site.jobs.create(ME, JobSpec(f"meanwhile {number}"), now_ms=1).id)
            except Unavailable:
                break
    site.database._engine.dispose()
    assert [site.jobs.get(one).spec.name for one in (job_id, *taken)] == [
        "before",
        *(f"meanwhile {number}" for number in range(len(taken))),
    ]


def test_a_move_that_finds_the_disk_full_is_not_recorded_by_halves(site: Site) -> None:
    job_id = site.waiting("1")
    site.scheduler.run()
    with full(site):
        fill_up(site)
        before, history = site.jobs.get(job_id), site.jobs.history(job_id)
        record = before.record.evolve(phase=Phase.STARTING, note="x" * 40_000)
        with pytest.raises(Unavailable, match="full"):
            site.jobs.move(before, record, now_ms=3)
        assert site.jobs.get(job_id) == before
        assert site.jobs.history(job_id) == history
        assert site.queues.held_by(job_id) is not None
    assert site.jobs.move(before, record, now_ms=3).record.phase is Phase.STARTING


def test_a_database_that_is_gone_at_the_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(HomeUnusable, match="cannot be used"):
        Database(tmp_path / "no such folder" / "headrace.db")


def test_one_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    database = Database(tmp_path / "headrace.db")
    database._engine.dispose()
    database.path.unlink()
    with pytest.raises(Unavailable, match="unable to open database file"):
        JobStore(database).unsettled()
    assert not database.path.exists()
    database.close()


# -- the moving parts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
@promise("While the database is locked, gone or full, Headrace waits, and goes on when it is back.", seam=SEAM)
def test_headrace_goes_on(site: Site, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    runs, starts = site.waiting("runs"), site.waiting("starts", queue="narrow")
    site.scheduler.run()
    for _ in range(6):
        site.reconciler.tick(runs)
    assert site.phase(runs) is Phase.RUNNING
    driver = Driver(site.reconciler, sweep_s=0.05)
    with FAULTS[name](site):
        if name == "full":
            fill_up(site)
            fill_the_journal(site)
        driver.start()
        until(lambda: caplog.text.count("The database does not answer") >= 3)
        assert site.runtime.live() == (f"job-{runs}-1",)  # nothing was done that is not on record
    until(lambda: site.phase(starts) is Phase.RUNNING)
    site.ask(runs, Goal.STOP)
    driver.nudge(runs)
    until(lambda: site.phase(runs) is Phase.STOPPED)
    driver.stop()
    assert site.runtime.live() == (f"job-{starts}-1",)
    assert site.runtime.starts(f"job-{starts}-1") == 1


def test_a_restart_is_counted_once_whatever_the_database_refuses(site: Site) -> None:
    """The failure is seen while nothing can be written; it is counted when it can."""
    spec = JobSpec("1", queue_name="wide", restart_when_exception=True, resume_checkpoint=True, resume_max_num=3)
    job_id = site.jobs.create(ME, spec, now_ms=1).id
    site.ask(job_id, Goal.RUN)
    for _ in range(12):
        site.scheduler.run()
        site.reconciler.tick(job_id)
    assert site.phase(job_id) is Phase.RUNNING
    site.runtime.kill(f"job-{job_id}-1")
    with locked(site):
        for _ in range(3):
            with pytest.raises(Unavailable):
                site.reconciler.tick(job_id)
        assert site.phase(job_id) is Phase.RUNNING
    for _ in range(3):
        site.reconciler.tick(job_id)
    job = site.jobs.get(job_id)
    assert (job.record.phase, job.record.restarts) == (Phase.RESTARTING, 1)
    assert len(site.jobs.restart_times(job, site.reconciler.clock.now_ms())) == 1
