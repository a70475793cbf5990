"""The stores on a real SQLite file, and what the database itself refuses."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from headrace.domain.errors import JobNotFound, NameTaken, QueueInUse, QueueNotFound
from headrace.domain.job import (
    ACTIVE,
    AT_REST,
    HOLDING,
    LIVE,
    Desired,
    Goal,
    Job,
    JobSpec,
    Phase,
    Record,
    ResourceConfig,
    ResourceSpec,
)
from headrace.domain.queue import Claim
from headrace.domain.rights import Caller
from headrace.runtimes.fake_machine import FakeMachine
from headrace.store import codec, journal
from headrace.store.audit import Trace
from headrace.store.database import Database
from headrace.store.jobs import JobFilter, JobStore, StaleJob, shown_phase
from headrace.store.journal import Kind
from headrace.store.queues import Queue, QueueStore
from headrace.store.schema import audit, deployments, grants, jobs
from tests.support.clocks import job_clock
from tests.support.promises import promise

SPEC = JobSpec("job", queue_name="wide", entrypoint="obs://b/a.jar")


class Stores:
    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.jobs, self.queues = JobStore(self.database), QueueStore(self.database)
        self.queues.create(Queue(0, "p", "wide", "general", 4000))

    def job(self, name: str = "job", phase: Phase = Phase.DRAFT, **changes: object) -> Job:
        """A job, moved through PREPARING into this phase."""
        spec = replace(SPEC, name=name, **changes)  # type: ignore[arg-type]
        job = self.jobs.create(Caller("p", "u"), spec, now_ms=1)
        if phase is Phase.DRAFT:
            return job
        job = self.jobs.request(job, Desired(Goal.RUN, 1, requested_ms=job.id))
        record = Record(Phase.PREPARING, attempt=1, request_seen=1)
        job = self.jobs.move(job, record, now_ms=2)
        return job if phase is Phase.PREPARING else self.move(job, phase)

    def move(self, job: Job, phase: Phase, note: str = "") -> Job:
        return self.jobs.move(job, job.record.evolve(phase=phase, note=note), now_ms=3)

    def delete(self, job: Job) -> Job:
        return self.jobs.request(job, Desired(Goal.DELETE, job.desired.request_no + 1))

    def sql(self, statement: str) -> None:
        with self.database.write() as connection:
            connection.execute(text(statement))


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    made = Stores(tmp_path / "headrace.db")
    yield made
    made.database.close()


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_new_job_is_a_draft_with_a_history(stores: Stores) -> None:
    job = stores.jobs.create(Caller("p", "u"), SPEC, tags=[("k", "v")], now_ms=17)
    assert (job.spec, job.tags, job.user_name, job.created_ms) == (SPEC, (("k", "v"),), "u", 17)
    assert (job.desired, job.record, job.version) == (Desired(), Record(), 1)
    assert [entry.phase for entry in stores.jobs.history(job.id)] == [Phase.DRAFT]


def test_ids_are_never_used_again(stores: Stores) -> None:
    first = stores.job("a")
    stores.sql(f"DELETE FROM job_history WHERE job_id = {first.id}")
    stores.sql(f"DELETE FROM jobs WHERE id = {first.id}")
    assert stores.job("b").id > first.id


def test_a_job_is_found_in_its_project_until_it_is_deleted(stores: Stores) -> None:
    job = stores.job()
    assert stores.jobs.find("p", job.id) == job
    for project_id, job_id in (("other", job.id), ("p", job.id + 1), ("p", 0), ("p", -1), ("p", 2**63)):
        with pytest.raises(JobNotFound, match=str(job_id)):
            stores.jobs.find(project_id, job_id)
    stores.delete(job)
    with pytest.raises(JobNotFound):
        stores.jobs.find("p", job.id)
    assert stores.jobs.get(job.id).desired.goal is Goal.DELETE


def test_a_name_is_unique_in_its_project_and_free_again_after_a_delete(stores: Stores) -> None:
    job = stores.job("a")
    other = stores.job("b")
    with pytest.raises(NameTaken, match="'a'"):
        stores.job("a")
    with pytest.raises(NameTaken, match="'a'"):
        stores.jobs.respec(other, replace(other.spec, name="a"), now_ms=2)
    stores.jobs.create(Caller("p2", "u"), replace(SPEC, name="a"), now_ms=1)
    stores.delete(job)
    assert stores.jobs.respec(other, replace(other.spec, name="a"), now_ms=2).spec.name == "a"


def test_every_write_raises_the_version_and_overtaken_writes_are_refused(stores: Stores) -> None:
    stale = stores.job()
    fresh = stores.jobs.request(stale, Desired(Goal.RUN, 1))
    assert fresh.version == stale.version + 1
    with pytest.raises(StaleJob):
        stores.jobs.request(stale, Desired(Goal.STOP, 1))
    with pytest.raises(StaleJob):
        stores.jobs.respec(stale, SPEC, now_ms=2)
    with pytest.raises(StaleJob):
        stores.jobs.annotate(stale, "x")
    with pytest.raises(StaleJob):
        stores.jobs.import_savepoint(stale, "obs://b/s", now_ms=2)
    with pytest.raises(StaleJob):
        stores.jobs.move(stale, Record(Phase.PREPARING, 1), now_ms=2)
    assert stores.jobs.get(stale.id) == fresh
    assert [entry.kind for entry in stores.jobs.history(stale.id)] == [Kind.MOVED, Kind.ASKED]
    assert stores.jobs.live_deployments() == []


def test_a_note_is_no_move(stores: Stores) -> None:
    job = stores.job(phase=Phase.WAITING)
    stores.jobs.annotate(job, "waiting for 2 CUs")
    noted = stores.jobs.get(job.id)
    assert noted.record == job.record.evolve(note="waiting for 2 CUs")
    assert Kind.WAITING not in {entry.kind for entry in stores.jobs.history(job.id)}
    stores.jobs.annotate(noted, "waiting for memory", now_ms=9)
    last = stores.jobs.history(job.id)[-1]
    assert (last.kind, last.at_ms, last.phase, last.note) == (Kind.WAITING, 9, Phase.WAITING, "waiting for memory")


def test_when_it_started_and_ended(stores: Stores) -> None:
    job = stores.job(phase=Phase.STARTING)
    assert (job.started_ms, job.ended_ms) == (None, None)
    job = stores.jobs.move(job, job.record.evolve(phase=Phase.RUNNING), now_ms=100)
    job = stores.jobs.move(job, job.record.evolve(phase=Phase.CANCELING), now_ms=110)
    assert (job.started_ms, job.ended_ms) == (100, None)
    job = stores.jobs.move(job, job.record.evolve(phase=Phase.STOPPED), now_ms=120)
    assert (job.started_ms, job.ended_ms) == (100, 120)
    job = stores.jobs.move(job, job.record.evolve(phase=Phase.PREPARING, attempt=2), now_ms=130)
    assert (job.started_ms, job.ended_ms) == (None, None)


def test_unsettled_are_the_live_the_asked_and_those_to_be_deleted(stores: Stores) -> None:
    expected = []
    for phase in Phase:
        job = stores.job(f"settled-{phase}", phase)
        if phase in ACTIVE:
            expected.append(job.id)
        asked = stores.job(f"asked-{phase}", phase)
        stores.jobs.request(asked, replace(asked.desired, goal=Goal.RUN, request_no=asked.desired.request_no + 1))
        if phase is not Phase.DELETED:
            expected.append(asked.id)
        doomed = stores.job(f"doomed-{phase}", phase)
        stores.jobs.request(doomed, replace(doomed.desired, goal=Goal.DELETE))  # taken up already
        if phase is not Phase.DELETED:
            expected.append(doomed.id)
    assert stores.jobs.unsettled() == expected


@pytest.mark.parametrize(
    ("phase", "desired", "seen", "shown"),
    [
        (Phase.DRAFT, Desired(), 0, Phase.DRAFT),
        (Phase.DRAFT, Desired(Goal.RUN, 1), 0, Phase.PREPARING),
        (Phase.FAILED, Desired(Goal.RUN, 2), 1, Phase.PREPARING),
        (Phase.FAILED, Desired(Goal.STOP, 3), 1, Phase.PREPARING),
        (Phase.FAILED, Desired(Goal.DELETE, 2), 1, Phase.FAILED),
        (Phase.FAILED, Desired(Goal.RUN, 2), 2, Phase.FAILED),
        (Phase.RUNNING, Desired(Goal.STOP, 2), 1, Phase.RUNNING),
        (Phase.RUNNING, Desired(Goal.SAVEPOINT, 2), 1, Phase.SAVING),
        (Phase.RUNNING, Desired(Goal.SAVEPOINT, 2), 2, Phase.RUNNING),
        (Phase.CLEARING, Desired(Goal.SAVEPOINT, 2), 1, Phase.CLEARING),
        (Phase.FAILED, Desired(Goal.SAVEPOINT, 2), 1, Phase.FAILED),
    ],
)
def test_what_was_accepted_is_shown_before_it_is_taken_up(
    phase: Phase, desired: Desired, seen: int, shown: Phase
) -> None:
    assert shown_phase(Job(1, "p", SPEC, desired, Record(phase, request_seen=seen))) is shown


# -- a move: all of it or nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_place", [True, False])
def test_a_restart_that_cannot_be_counted_is_no_restart(stores: Stores, in_place: bool) -> None:
    job, clock = stores.job(phase=Phase.RUNNING), job_clock(stores.database)
    stores.sql("CREATE TRIGGER broken BEFORE INSERT ON restarts BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    failed = job.record.evolve(phase=Phase.CLEARING, outcome=Phase.RESTARTING, restarts=1)
    record = job.record.evolve(restarts=1, flink_restarts=1) if in_place else failed
    with pytest.raises(IntegrityError, match="disk full"):
        stores.jobs.move(job, record, now_ms=4, clock=clock)
    assert stores.jobs.get(job.id) == job
    stores.sql("DROP TRIGGER broken")
    moved = stores.jobs.move(job, record, now_ms=4, clock=clock)
    assert stores.jobs.restart_times(moved, clock.now_ms()) == [clock.now_ms()]
    assert len(stores.jobs.restart_times(moved, clock.now_ms(), in_place=False)) == (not in_place)


@pytest.mark.parametrize("table", ["job_history", "deployments", "outbox"])
def test_a_move_that_cannot_be_recorded_whole_is_not_recorded(stores: Stores, table: str) -> None:
    job = stores.job(phase=Phase.CLEARING, smn_topic="alarm")
    assert stores.queues.held_by(job.id) is None
    verb = "UPDATE" if table == "deployments" else "INSERT"
    stores.sql(f"CREATE TRIGGER broken BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    before = stores.jobs.history(job.id)
    with pytest.raises(IntegrityError, match="disk full"):
        stores.move(job, Phase.FAILED)
    assert stores.jobs.get(job.id) == job
    assert stores.jobs.history(job.id) == before
    assert stores.jobs.live_deployments() == [(job.id, 1)]
    assert stores.jobs.notices() == []
    stores.sql("DROP TRIGGER broken")
    assert stores.move(job, Phase.FAILED).record.phase is Phase.FAILED
    assert len(stores.jobs.notices()) == 1


def test_a_move_keeps_its_history(stores: Stores) -> None:
    job = stores.job()
    job = stores.jobs.move(job, Record(Phase.PREPARING, 1), now_ms=5)
    job = stores.jobs.move(job, Record(Phase.CLEARING, 1, outcome=Phase.SUBMIT_FAILED, note="why"), now_ms=6)
    last = stores.jobs.history(job.id)[-1]
    assert (last.at_ms, last.attempt, last.phase, last.outcome, last.note) == (
        6,
        1,
        Phase.CLEARING,
        Phase.SUBMIT_FAILED,
        "why",
    )


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.SUBMIT_FAILED])
def test_a_failure_owes_one_notice(stores: Stores, phase: Phase) -> None:
    silent = stores.job("silent", Phase.CLEARING)
    stores.move(silent, phase)
    job = stores.job("loud", Phase.CLEARING, smn_topic="alarm")
    stores.move(job, phase, note="out of memory")
    assert stores.jobs.notices() == [
        {"job_id": job.id, "job_name": "loud", "attempt": 1, "phase": str(phase), "event": str(phase)}
        | {"cause": "out of memory"}
    ]


def test_restarts_in_place_owe_one_notice_until_there_is_calm(stores: Stores) -> None:
    job, machine = stores.job(phase=Phase.RUNNING, smn_topic="alarm"), FakeMachine()
    clock = job_clock(stores.database, machine)

    def restarted(minutes_later: int, more: int = 1) -> int:
        nonlocal job
        machine.let_pass(minutes_later * 60_000)
        record, made = job.record, job.record.flink_restarts + more
        record = record.evolve(flink_restarts=made, restarts=record.restarts + more, note=f"it broke ({made})")
        job = stores.jobs.move(job, record, now_ms=4, clock=clock)
        return len(stores.jobs.notices())

    assert [restarted(minutes) for minutes in (0, 9, 9, 9, 9, 9)] == [0, 0, 1, 1, 1, 1]
    assert [restarted(minutes) for minutes in (11, 11, 11, 1, 1)] == [1, 1, 1, 1, 2]
    assert restarted(70, more=5) == 3, "also if they are seen at once"
    assert [(told["event"], told["cause"]) for told in stores.jobs.notices()] == [
        ("failing", "it broke (3)"),
        ("failing", "it broke (11)"),
        ("failing", "it broke (16)"),
    ]


def test_restarts_before_it_came_up_are_no_part_of_what_goes_on(stores: Stores) -> None:
    job, clock = stores.job(phase=Phase.STARTING, smn_topic="alarm"), job_clock(stores.database)
    told = []
    for number, phase in enumerate([Phase.STARTING] * 4 + [Phase.RUNNING] * 4, 1):
        if phase is not job.record.phase:
            job = stores.move(job, phase)
        job = stores.jobs.move(job, job.record.evolve(flink_restarts=number, restarts=number), now_ms=4, clock=clock)
        told.append(len(stores.jobs.notices()))
    assert told == [0, 0, 0, 0, 0, 0, 1, 1]


@pytest.mark.parametrize("phase", sorted(frozenset(Phase) - {Phase.FAILED, Phase.SUBMIT_FAILED}))
def test_nothing_else_owes_a_notice(stores: Stores, phase: Phase) -> None:
    job = stores.job("loud", smn_topic="alarm")
    outcome = Phase.FAILED if phase is Phase.CLEARING else None
    stores.jobs.move(job, Record(phase, attempt=1, outcome=outcome), now_ms=2)
    assert stores.jobs.notices() == []


@pytest.mark.parametrize("phase", sorted(LIVE - {Phase.PREPARING}))
def test_a_deployment_and_its_grant_live_as_long_as_their_job(stores: Stores, phase: Phase) -> None:
    job = stores.job(phase=Phase.WAITING)
    assert stores.queues.grant(Claim(job.id, "1", 2000, 8192))
    if phase is not Phase.WAITING:
        job = stores.move(job, phase)
    assert stores.jobs.live_deployments() == [(job.id, 1)]
    assert stores.queues.held_by(job.id) == Claim(job.id, "1", 2000, 8192)
    stores.move(job, Phase.STOPPED)
    assert stores.jobs.live_deployments() == []
    assert stores.queues.held_by(job.id) is None


RESTARTS = (
    Record(Phase.CLEARING, 1, outcome=Phase.RESTARTING, first_attempt=1, restarts=1),
    Record(Phase.RESTARTING, 1, first_attempt=1, restarts=1, retry_ms=5, failure="it was killed"),
    Record(Phase.PREPARING, 2, first_attempt=1, restarts=1, restore_path="obs://b/chk-9"),
    Record(Phase.WAITING, 2, first_attempt=1, restarts=1),
    Record(Phase.STARTING, 2, first_attempt=1, restarts=1),
    Record(Phase.RUNNING, 2, first_attempt=1, restarts=1, ran=True),
)
"""One after the other, after RUNNING in attempt 1."""


@promise("A job that restarts keeps its CUs, so that nobody takes its place, and gives them up at rest.")
def test_a_restarting_job_keeps_its_grant(stores: Stores) -> None:
    job = stores.job(phase=Phase.WAITING)
    assert stores.queues.grant(Claim(job.id, "1", 2000, 8192))
    waits = stores.job("waits", Phase.WAITING, cu_number=3)
    job = stores.move(stores.move(job, Phase.STARTING), Phase.RUNNING)
    for record in RESTARTS:
        job = stores.jobs.move(job, record, now_ms=4)
        assert stores.queues.held_by(job.id) == Claim(job.id, "1", 2000, 8192)
        ledger = stores.queues.ledger(lambda job: (job.spec.cu_number * 1000, 99))
        assert [claim.job_id for claim in ledger.waiting] == [waits.id]
        live = [] if record.phase is Phase.RESTARTING else [(job.id, record.attempt)]
        assert [pair for pair in stores.jobs.live_deployments() if pair[0] == job.id] == live
        assert job.id in stores.jobs.unsettled()
        assert job.record == record
    stores.move(job, Phase.STOPPED)
    assert stores.queues.held_by(job.id) is None


@pytest.mark.parametrize("number", range(len(RESTARTS)))
def test_a_stop_at_any_moment_of_a_restart_gives_up_the_grant(stores: Stores, number: int) -> None:
    job = stores.job(phase=Phase.WAITING)
    assert stores.queues.grant(Claim(job.id, "1", 2000, 8192))
    for record in RESTARTS[: number + 1]:
        job = stores.jobs.move(job, record, now_ms=4)
    stores.move(stores.move(job, Phase.CANCELING), Phase.STOPPED)
    assert stores.queues.held_by(job.id) is None
    assert stores.jobs.live_deployments() == []


def test_a_restart_is_no_new_run(stores: Stores) -> None:
    job = stores.job(phase=Phase.STARTING)
    job = stores.jobs.move(job, job.record.evolve(phase=Phase.RUNNING), now_ms=100)
    for record in RESTARTS:
        job = stores.jobs.move(job, record, now_ms=200)
        assert (job.started_ms, job.ended_ms) == (100, None)


def test_what_is_between_the_moves_is_told_as_what_it_is(stores: Stores) -> None:
    job = stores.job(phase=Phase.RUNNING)
    before = len(stores.jobs.history(job.id))
    job = stores.jobs.move(job, job.record.evolve(restarts=2, flink_restarts=2, note="in place"), now_ms=4)
    job = stores.jobs.move(job, job.record.evolve(replacements=1, note="another one"), now_ms=5)
    stores.jobs.annotate(job, "only a note")
    lines = stores.jobs.history(job.id)[before:]
    assert [(line.kind, line.phase, line.note) for line in lines] == [
        (Kind.RESTARTED, Phase.RUNNING, "in place"),
        (Kind.REPLACED, Phase.RUNNING, "another one"),
    ]


def test_the_journal_is_bounded(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "JOURNAL_LINES", 5)
    other = stores.job("other")
    job = stores.job(phase=Phase.WAITING)
    for number in range(10):
        stores.jobs.annotate(stores.jobs.get(job.id), f"note {number}", now_ms=number)
    assert [line.note for line in stores.jobs.history(job.id)] == [f"note {number}" for number in range(5, 10)]
    assert [line.phase for line in stores.jobs.history(other.id)] == [Phase.DRAFT]


def test_all_states_that_some_job_may_be_restored_from(stores: Stores) -> None:
    assert stores.jobs.restore_points() == frozenset()
    one, two = stores.job("one"), stores.job("two")
    stores.jobs.move(one, Record(Phase.PREPARING, 1, restore_path="obs://b/1", savepoint_path="obs://b/2"), now_ms=2)
    two = stores.jobs.import_savepoint(two, "obs://b/3", now_ms=2)
    assert stores.jobs.restore_points() == {"obs://b/1", "obs://b/2", "obs://b/3"}
    stores.move(two, Phase.DELETED)
    assert stores.jobs.restore_points() == {"obs://b/1", "obs://b/2"}


def test_phases_that_may_hold_a_grant() -> None:
    assert {Phase.STARTING, Phase.RUNNING} <= HOLDING
    assert not HOLDING & AT_REST


# -- what the database itself refuses ---------------------------------------------------------------------------------


def test_the_database_refuses_two_live_deployments_of_a_job(stores: Stores) -> None:
    job = stores.job(phase=Phase.RUNNING)
    with pytest.raises(IntegrityError, match=r"deployments\.job_id"), stores.database.write() as connection:
        connection.execute(insert(deployments).values(job_id=job.id, attempt=2, live=True))
    with pytest.raises(IntegrityError):
        stores.jobs.move(job, job.record.evolve(phase=Phase.PREPARING, attempt=2), now_ms=4)
    with stores.database.write() as connection:
        connection.execute(insert(deployments).values(job_id=job.id, attempt=2, live=False))
    with pytest.raises(IntegrityError, match=r"deployments\.job_id"), stores.database.write() as connection:
        connection.execute(update(deployments).values(live=True))


def test_the_database_refuses_to_grant_more_than_a_queue_has(stores: Stores) -> None:
    ids = [stores.job(str(number), Phase.WAITING).id for number in range(3)]
    assert stores.queues.grant(Claim(ids[0], "1", 3000, 1))
    assert not stores.queues.grant(Claim(ids[1], "1", 1001, 1))
    assert stores.queues.grant(Claim(ids[1], "1", 1000, 1))
    for values in ({"job_id": ids[2], "queue_id": 1, "cu_milli": 1, "memory_mb": 1},):
        with pytest.raises(IntegrityError, match="more CUs granted"), stores.database.write() as connection:
            connection.execute(insert(grants).values(values))
    with pytest.raises(IntegrityError, match="more CUs granted"), stores.database.write() as connection:
        connection.execute(update(grants).where(grants.c.job_id == ids[1]).values(cu_milli=1001))
    with stores.database.write() as connection:  # a grant may change within its queue
        connection.execute(update(grants).where(grants.c.job_id == ids[1]).values(cu_milli=999))


def test_the_database_refuses_a_queue_smaller_than_its_grants(stores: Stores) -> None:
    job = stores.job(phase=Phase.WAITING)
    stores.queues.grant(Claim(job.id, "1", 3000, 1))
    stores.sql("UPDATE queues SET cu_milli = 3000")
    with pytest.raises(IntegrityError, match="more CUs granted"):
        stores.sql("UPDATE queues SET cu_milli = 2999")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE jobs SET request_seen = request_no + 1",
        "UPDATE queues SET cu_milli = 0",
        "INSERT INTO grants VALUES (1, 1, 0, 1)",
        "INSERT INTO grants VALUES (1, 1, 1, 0)",
        "INSERT INTO grants VALUES (99, 1, 1, 1)",
        "INSERT INTO grants VALUES (1, 99, 1, 1)",
        "INSERT INTO deployments VALUES (99, 1, 0)",
        "INSERT INTO job_history (job_id, at_ms, attempt, phase, note) VALUES (99, 1, 1, 'x', '')",
        "DELETE FROM jobs",
    ],
)
def test_the_database_refuses_nonsense(stores: Stores, statement: str) -> None:
    stores.job(phase=Phase.WAITING)
    with pytest.raises(IntegrityError):
        stores.sql(statement)


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def listed(stores: Stores) -> Stores:
    for number, (name, tags, phase, user) in enumerate(
        [
            ("Alpha", [("team", "a")], Phase.DRAFT, "ann"),
            ("beta", [("team", "a"), ("env", "test")], Phase.RUNNING, "ann"),
            ("ALPHABET", [("team", "b")], Phase.RUNNING, "bob"),
            ("100%_sure", [], Phase.FAILED, "bob"),
            ("Ärger", [], Phase.DRAFT, "bob"),
        ]
    ):
        queue = "wide" if number % 2 else "narrow"
        spec = replace(SPEC, name=name, queue_name=queue)
        job = stores.jobs.create(Caller("p", user), spec, tags=tags, now_ms=10 + number // 2)
        if phase is not Phase.DRAFT:
            stores.jobs.move(job, Record(phase, 1), now_ms=20)
    stores.jobs.create(Caller("other project", "ann"), SPEC, now_ms=5)
    gone = stores.jobs.create(Caller("p", "ann"), replace(SPEC, name="gone"), now_ms=5)
    stores.delete(gone)
    return stores


OLDEST_FIRST = ["Alpha", "beta", "ALPHABET", "100%_sure", "Ärger"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (JobFilter(), OLDEST_FIRST),
        (JobFilter(name_part="alpha"), ["Alpha", "ALPHABET"]),
        (JobFilter(name_part="ET"), ["beta", "ALPHABET"]),
        (JobFilter(name_part="%"), ["100%_sure"]),
        (JobFilter(name_part="_"), ["100%_sure"]),
        (JobFilter(name_part="är"), ["Ärger"]),
        (JobFilter(name_part="nothing"), []),
        (JobFilter(user_name="bob"), ["ALPHABET", "100%_sure", "Ärger"]),
        (JobFilter(queue_name="wide"), ["beta", "100%_sure"]),
        (JobFilter(phases=frozenset({Phase.RUNNING})), ["beta", "ALPHABET"]),
        (JobFilter(phases=frozenset()), []),
        (JobFilter(matches=lambda job: job.record.attempt == 0), ["Alpha", "Ärger"]),
        (JobFilter(tags=(("team", "a"),)), ["Alpha", "beta"]),
        (JobFilter(tags=(("team", "a"), ("env", "test"))), ["beta"]),
        (JobFilter(tags=(("team", "c"),)), []),
        (JobFilter(user_name="bob", phases=frozenset({Phase.RUNNING}), name_part="bet"), ["ALPHABET"]),
    ],
)
def test_a_list_holds_what_was_asked_for(listed: Stores, wanted: JobFilter, names: list[str]) -> None:
    total, page = listed.jobs.search("p", replace(wanted, newest_first=False), limit=100, offset=0)
    assert [job.spec.name for job in page] == names
    assert total == len(names)
    _, newest = listed.jobs.search("p", wanted, limit=100, offset=0)
    assert [job.spec.name for job in newest] == names[::-1]


@pytest.mark.parametrize(
    ("limit", "offset", "names"),
    [
        (2, 0, ["Alpha", "beta"]),
        (2, 2, ["ALPHABET", "100%_sure"]),
        (2, 4, ["Ärger"]),
        (2, 5, []),
        (0, 0, []),
        (100, 1, OLDEST_FIRST[1:]),
    ],
)
def test_a_page(listed: Stores, limit: int, offset: int, names: list[str]) -> None:
    total, page = listed.jobs.search("p", JobFilter(newest_first=False), limit=limit, offset=offset)
    assert (total, [job.spec.name for job in page]) == (5, names)


# -- queues -----------------------------------------------------------------------------------------------------------


def test_queues_of_a_project(stores: Stores) -> None:
    made = stores.queues.create(
        Queue(0, "p", "narrow", "general", 2000, owner="u", created_ms=7, description="d", details={"az": 1})
    )
    assert stores.queues.find("p", "NARROW") == made
    assert (made.owner, made.created_ms, made.description, made.details) == ("u", 7, "d", {"az": 1})
    assert [queue.name for queue in stores.queues.of_project("p")] == ["narrow", "wide"]
    with pytest.raises(NameTaken, match="narrow"):
        stores.queues.create(Queue(0, "p", "narrow", "general", 1))
    stores.queues.create(Queue(0, "p2", "narrow", "general", 1))
    with pytest.raises(QueueNotFound, match="nowhere"):
        stores.queues.find("p", "nowhere")


def test_a_queue_knows_what_is_used_of_it(stores: Stores) -> None:
    for number in range(2):
        stores.queues.grant(Claim(stores.job(str(number), Phase.WAITING).id, "1", 1500, 1))
    assert stores.queues.find("p", "wide").used_milli == 3000


@pytest.mark.parametrize("phase", sorted(Phase))
def test_a_queue_in_use_is_not_deleted(stores: Stores, phase: Phase) -> None:
    job = stores.job(phase=phase)
    if phase in ACTIVE:
        with pytest.raises(QueueInUse, match=str(job.id)):
            stores.queues.delete("p", "wide")
    else:
        stores.queues.delete("p", "WIDE")
        assert stores.queues.of_project("p") == []


def test_no_run_is_accepted_in_a_queue_that_is_gone(stores: Stores) -> None:
    job = stores.job()
    stores.queues.delete("p", "wide")
    with pytest.raises(QueueNotFound, match="wide"):
        stores.jobs.request(job, Desired(Goal.RUN, 1))
    assert stores.jobs.get(job.id) == job
    assert stores.jobs.request(job, Desired(Goal.DELETE, 1)).desired.goal is Goal.DELETE


def test_a_queue_is_not_deleted_under_an_accepted_run(stores: Stores) -> None:
    job = stores.jobs.request(stores.job(), Desired(Goal.RUN, 1))
    with pytest.raises(QueueInUse, match=str(job.id)):
        stores.queues.delete("p", "wide")


def test_the_ledger(stores: Stores) -> None:
    held = stores.job("held", Phase.WAITING)
    stores.queues.grant(Claim(held.id, "1", 1000, 7))
    stores.move(held, Phase.RUNNING)
    granted = stores.job("granted", Phase.WAITING)
    stores.queues.grant(Claim(granted.id, "1", 500, 7))
    waits = stores.job("waits", Phase.WAITING)
    stores.job("prepares", Phase.PREPARING)
    ledger = stores.queues.ledger(lambda job: (job.spec.cu_number * 1000, 99))
    assert ledger.queues == {"1": 4000}
    assert sorted(claim.job_id for claim in ledger.holding) == [held.id, granted.id]
    assert ledger.waiting == (Claim(waits.id, "1", 2000, 99, order=waits.desired.requested_ms),)


@pytest.mark.parametrize("phase", sorted(frozenset(Phase) - {Phase.WAITING}))
def test_only_a_waiting_job_is_granted_anything(stores: Stores, phase: Phase) -> None:
    job = stores.job(phase=phase)
    assert not stores.queues.grant(Claim(job.id, "1", 1, 1))
    assert stores.queues.held_by(job.id) is None


def test_nothing_is_granted_twice(stores: Stores) -> None:
    job = stores.job(phase=Phase.WAITING)
    assert stores.queues.grant(Claim(job.id, "1", 1, 1))
    assert not stores.queues.grant(Claim(job.id, "1", 1, 1))


# -- several at once --------------------------------------------------------------------------------------------------


def test_writers_at_the_same_time_lose_nothing(stores: Stores) -> None:
    job_id = stores.job().id

    def ask(_: int) -> None:
        while True:
            job = stores.jobs.get(job_id)
            try:
                stores.jobs.request(job, replace(job.desired, request_no=job.desired.request_no + 1))
            except StaleJob:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        for asked in [pool.submit(ask, number) for number in range(40)]:
            asked.result(60)
    assert stores.jobs.get(job_id).desired.request_no == 40


def test_of_those_that_write_at_the_same_time_one_wins(stores: Stores) -> None:
    job = stores.job(phase=Phase.STARTING)

    def move(_: int) -> bool:
        try:
            stores.move(job, Phase.RUNNING)
        except StaleJob:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [moved.result(60) for moved in [pool.submit(move, number) for number in range(8)]]
    assert won.count(True) == 1
    assert [entry.phase for entry in stores.jobs.history(job.id)].count(Phase.RUNNING) == 1


def test_grants_at_the_same_time_stay_within_the_queue(stores: Stores) -> None:
    claims = [Claim(stores.job(str(number), Phase.WAITING).id, "1", 1500, 1) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        granted = [grant.result(60) for grant in [pool.submit(stores.queues.grant, claim) for claim in claims]]
    assert granted.count(True) == 2
    assert stores.queues.find("p", "wide").used_milli == 3000


def test_one_of_several_creates_the_name(stores: Stores) -> None:
    def create(_: int) -> bool:
        try:
            stores.job("same")
        except NameTaken:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        made = [creation.result(60) for creation in [pool.submit(create, number) for number in range(6)]]
    assert made.count(True) == 1


def test_one_of_several_deletes_a_queue(stores: Stores) -> None:
    trace = Trace(1, "p", "u", "deleteQueue", "r", "::1")

    def delete(_: int) -> bool:
        try:
            stores.queues.delete("p", "Wide", trace=trace)
        except QueueNotFound:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        gone = [deletion.result(60) for deletion in [pool.submit(delete, number) for number in range(6)]]
    assert gone.count(True) == 1
    with stores.database.read() as connection:
        assert list(connection.execute(select(audit.c.trace_name)).scalars()) == ["deleteQueue"]


def half_done(stores: Stores) -> None:
    with stores.database.write() as connection:
        connection.execute(update(jobs).values(note="half done"))
        connection.execute(update(jobs).values(request_seen=99))


def test_an_error_rolls_the_transaction_back(stores: Stores) -> None:
    job = stores.job()
    with pytest.raises(IntegrityError):
        half_done(stores)
    assert stores.jobs.get(job.id) == job


def test_a_reader_keeps_its_view_while_another_writes(stores: Stores) -> None:
    job = stores.job()
    with stores.database.read() as connection:
        before = connection.execute(select(jobs.c.note)).scalar_one()
        stores.jobs.annotate(job, "later")
        assert connection.execute(select(jobs.c.note)).scalar_one() == before
    assert stores.jobs.get(job.id).record.note == "later"


def test_what_is_committed_outlives_the_process(tmp_path: Path) -> None:
    first = Stores(tmp_path / "headrace.db")
    job = first.job(phase=Phase.RUNNING)
    with sqlite3.connect(tmp_path / "headrace.db") as another:
        assert another.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert another.execute("SELECT phase FROM jobs").fetchone() == ("running",)
    another.close()
    first.database.close()
    again = Database(tmp_path / "headrace.db")
    assert JobStore(again).get(job.id) == job
    again.close()


# -- rows <-> values --------------------------------------------------------------------------------------------------

resources = st.builds(ResourceSpec, cpu=st.sampled_from([0.5, 1.0, 2.5]), memory_mb=st.integers(2048, 2**20))
specs = st.builds(
    JobSpec,
    name=st.text(min_size=1, max_size=57),
    entrypoint_args=st.text(),
    runtime_config=st.text(),
    dependency_jars=st.lists(st.text(), max_size=3).map(tuple),
    dependency_files=st.lists(st.text(), max_size=3).map(tuple),
    resume_max_num=st.integers(-1, 100),
    restart_when_exception=st.booleans(),
    resource_config_version=st.sampled_from(["v1", "v2"]),
    resource_config=st.builds(
        ResourceConfig,
        max_slot=st.integers(1, 9),
        parallel_number=st.integers(1, 9),
        jobmanager=resources,
        taskmanager=resources,
    ),
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(specs)
def test_a_definition_is_stored_as_it_is(spec: JobSpec) -> None:
    assert codec.spec_from_json(codec.spec_to_json(spec)) == spec


@pytest.fixture
def job_id(stores: Stores) -> int:
    return stores.job().id


paths = st.sampled_from(["", "obs://b/s"])
counts = st.integers(0, 2**31)
records = st.builds(
    Record,
    phase=st.sampled_from(Phase),
    attempt=counts,
    request_seen=st.just(0),
    outcome=st.none() | st.sampled_from(Phase),
    restore_path=paths,
    savepoint_path=paths,
    note=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    first_attempt=counts,
    ran=st.booleans(),
    restarts=counts,
    flink_restarts=counts,
    replacements=counts,
    failure=st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    retry_ms=st.integers(0, 2**62),
)


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records)
def test_a_record_is_stored_as_it_is(stores: Stores, job_id: int, record: Record) -> None:
    with stores.database.write() as connection:
        connection.execute(update(jobs).values(codec.record_columns(record)))
    assert stores.jobs.get(job_id).record == record


def test_a_definition_of_an_older_version_takes_the_defaults() -> None:
    assert codec.spec_from_json({"name": "old", "cu_number": 3}) == JobSpec("old", cu_number=3)
