"""Faults of all jobs: of Headrace itself, its database, its disk, its clock, its machine."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.faults.effects import Effect
from headrace.faults.plan import Strike
from headrace.faults.requests import Request, Resuming, Saving
from headrace.faults.watch import processes_of

if TYPE_CHECKING:
    from headrace.faults.flink import FlinkWorld
    from headrace.faults.flink_jobs import Does

HOURS_MS = 2 * 3_600_000
LOCKED_LONG_S = 23.0
"""More than Headrace waits for a lock (store/database.py)."""
MOST_STEPS = 30
SAVING_STEPS = (
    "before TriggerSavepoint",
    "after TriggerSavepoint",
    "before StopWithSavepoint",
    "after StopWithSavepoint",
)


def _headrace_ended(number: signal.Signals) -> Does:
    def does(world: FlinkWorld, what: Strike) -> Effect:
        pid = world.served.pid
        world.down = True
        world.served.signal(number)
        lasts = round(what.between(0, 3), 1)
        return Effect(f"{number.name} of Headrace (pid {pid}), started again {lasts} s later", lasts, world.start)

    return does


def _headrace_frozen(world: FlinkWorld, what: Strike) -> Effect:
    served, lasts = world.served, round(what.between(2, 8), 1)
    served.signal(signal.SIGSTOP)
    told = f"SIGSTOP of Headrace (pid {served.pid}) for {lasts} s"
    return Effect(told, lasts, mend=lambda: served.signal(signal.SIGCONT))


def _killed_at_step(world: FlinkWorld, what: Strike) -> Effect:
    skip, served = what.choice(MOST_STEPS), world.served
    served.order_crash((), skip)
    told = f"SIGKILL of Headrace (pid {served.pid}) at the {skip + 1}. step from now"
    return Effect(told, finish=served.withdraw_crash)


def _killed_saving(world: FlinkWorld, what: Strike) -> Effect:
    subject, served = world.subjects[what.target], world.served
    step = SAVING_STEPS[what.choice(len(SAVING_STEPS))]
    request: Request = Saving(subject) if "Trigger" in step else Resuming(subject)
    served.order_crash((step,), 0)
    world.ask(request)
    told = f"SIGKILL of Headrace (pid {served.pid}) {step} of {subject.deployment.name}"
    return Effect(told, settled=request.settled, finish=served.withdraw_crash)


def _database_locked(world: FlinkWorld, what: Strike) -> Effect:
    lasts = LOCKED_LONG_S if what.size > 0.85 else round(what.between(2, 8), 1)
    connection = sqlite3.connect(world.database, isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")

    def mend() -> None:
        connection.rollback()
        connection.close()

    return Effect(f"the database is locked for {lasts} s", lasts, mend)


def _database_gone(world: FlinkWorld, what: Strike) -> Effect:
    lasts = round(what.between(2, 6), 1)
    away = world.database.with_name("away.db")
    world.database.rename(away)
    return Effect(f"the database is away for {lasts} s", lasts, mend=lambda: _bring_back(away, world.database))


def _bring_back(away: Path, home: Path) -> None:
    if home.exists():
        raise FileExistsError(f"{home} was made anew while it was away")
    away.rename(home)


def _disk_full(world: FlinkWorld, what: Strike) -> Effect:
    lasts = round(what.between(3, 7), 1)
    limit_files(world.served.pid, 0)
    for process in processes_of(world.served.home):
        limit_files(process.pid, 0)

    def mend() -> None:
        limit_files(world.served.pid, None)  # first, so that what it starts now is not limited either
        for _ in range(2):
            for process in processes_of(world.served.home):
                limit_files(process.pid, None)

    return Effect(f"no process can write to a file for {lasts} s", lasts, mend)


def limit_files(pid: int, most: int | None) -> None:
    """RLIMIT_FSIZE of one process, in bytes; None = no limit. One that has ended is none of our business."""
    try:
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))
    except ProcessLookupError:
        return


def _clock_jumps(world: FlinkWorld, what: Strike) -> Effect:
    path = world.served.orders / "clock"
    before = int(path.read_text()) if path.exists() else 0
    others = [hours for hours in (-HOURS_MS, 0, HOURS_MS) if hours != before]
    after = others[what.choice(len(others))]
    temporary = path.with_name("clock.tmp")
    temporary.write_text(str(after))
    temporary.rename(path)
    return Effect(f"the wall clock jumps by {(after - before) / 3_600_000:+.0f} hours")


def _machine_rebooted(world: FlinkWorld, what: Strike) -> Effect:
    world.down = True
    world.served.signal(signal.SIGKILL)
    deployments = world.served.home / "deployments"
    ended = 0
    while found := processes_of(deployments):  # keepers first: nobody is to see how a JVM ends
        ended += len(found)
        for process in sorted(found, key=lambda one: "keeper.py" not in " ".join(one.words)):
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    change_boot(world.served.home, world.database)
    lasts = round(what.between(0, 2), 1)
    return Effect(
        f"all {ended} processes end with the machine, Headrace comes back {lasts} s later", lasts, world.start
    )


def change_boot(home: Path, database: Path) -> None:
    """The seam of a reboot: whatever is on record with a boot id was written in another boot than this one."""
    earlier = str(uuid.uuid4())
    for record in [*home.glob("deployments/*/*/process.json"), *home.glob("deployments/*/removed")]:
        content = json.loads(record.read_text())
        record.write_text(json.dumps({**content, "boot_id": earlier}))
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE job_clock SET boot_id = ?", (earlier,))
    connection.close()


DOES: Mapping[str, Does] = {
    "headrace-killed": _headrace_ended(signal.SIGKILL),
    "headrace-stopped": _headrace_ended(signal.SIGTERM),
    "headrace-frozen": _headrace_frozen,
    "headrace-killed-at-step": _killed_at_step,
    "headrace-killed-saving": _killed_saving,
    "database-locked": _database_locked,
    "database-gone": _database_gone,
    "disk-full": _disk_full,
    "clock-jumps": _clock_jumps,
    "machine-rebooted": _machine_rebooted,
}
