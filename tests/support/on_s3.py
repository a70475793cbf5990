"""Counters whose everything is behind an S3 endpoint, and what is asked of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from headrace.domain.lineage import same_place
from headrace.runtimes.s3 import FILE
from tests.support.server import BUCKET, processes_of, wait_until
from tests.support.stage import Playing, Stage

RATE = 50
SOME = 40
"""Records that a counter is seen to write before and after anything happens."""
RESTARTS: dict[str, Any] = {"restart_when_exception": True, "resume_checkpoint": True, "resume_max_num": -1}


@contextmanager
def counter(
    stage: Stage, name: str, flink: str = "1.20", jar: str = "statefulCounter.jar", **more: Any
) -> Iterator[Playing]:
    """A StatefulCounter that runs, and writes through ``obs://``."""
    args = f"--rate {RATE} --output obs://{BUCKET}/{name}"
    with stage.job(name, args, flink=flink, jar=jar, **{**RESTARTS, **more}) as one:
        one.run()
        one.until("job_running")
        grows(one)
        yield one


def counted(one: Playing) -> int:
    """Lines in the finished objects of its output; cheap, and no proof of anything."""
    return sum(text.count("\n") for text in one.jobs.texts(f"{one.output}/"))


def grows(one: Playing, by: int = SOME) -> int:
    goal = counted(one) + by
    return wait_until(f"{one.output} has {goal} records", lambda: (now := counted(one)) >= goal and now)


def keys(one: Playing, prefix: str) -> list[str]:
    path = f"/headrace/v1/{{p}}/objects/{BUCKET}"
    return [entry["key"] for entry in one.jobs.client.call("GET", path, query={"prefix": prefix})["objects"]]


def goes_on_from_its_savepoint(one: Playing) -> None:
    """Stopped with a savepoint, which is in the bucket; run again from it; no number is lost or there twice."""
    one.stop(savepoint=True)
    saved = one.until("job_cancel_success")
    place = f"jobs/savepoint/{one.job_id}/"
    assert saved["savepoint_path"].startswith(f"obs://{BUCKET}/{place}")
    assert f"{saved['savepoint_path'].removeprefix(f'obs://{BUCKET}/')}/_metadata" in keys(one, place)
    before = one.exact()
    one.run(resume=True)
    one.until("job_running")
    assert same_place(one.restored(), saved["savepoint_path"])
    grows(one)
    assert one.exact() >= before + SOME


def told_nowhere(one: Playing, secret: str) -> None:
    """The secret key is in one file, which only its owner reads: not in arguments, environments, logs, or REST."""
    assert secret in (one.folder() / FILE).read_text().encode().decode("unicode_escape")
    assert (one.folder() / FILE).stat().st_mode & 0o777 == 0o600
    for pid in processes_of(one.folder()):
        for what in ("cmdline", "environ"):
            assert secret.encode() not in (Path("/proc") / str(pid) / what).read_bytes(), f"{pid} {what}"
    told = [path for path in one.folder().rglob("*") if path.is_file() and not path.is_symlink() and path.name != FILE]
    assert any(path.name == "jobmanager.log" for path in told)
    for path in told:
        with suppress(FileNotFoundError):  # Flink's temporary files come and go
            assert secret.encode() not in path.read_bytes(), path
    rest = one.flink()
    job = rest.jobs()[0]["jid"]
    for route in ("/jobmanager/config", f"/jobs/{job}/config", "/jobmanager/environment"):
        assert secret not in json.dumps(rest.get(route))
    assert "fs.obs.s3.settings" in json.dumps(rest.get("/jobmanager/config"))
