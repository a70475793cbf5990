"""The embedded S3 server: a real SeaweedFS that outlives Headrace."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.exceptions import BaseError, PermissionDeniedError

from headrace.domain.errors import HomeUnusable, Unavailable
from headrace.objects.access import Keys
from headrace.objects.seaweed import Seaweed
from headrace.runtimes import files, object_server, processes, server_runs
from headrace.runtimes.object_server import LONGEST_PAUSE_S, ObjectServer, Pauses
from headrace.runtimes.processes import Life
from tests.support.kept import start_kept
from tests.support.seaweed import bucket_at
from tests.support.server import processes_of, wait_until

PUBLISHED = Keys("AKPUBLISHED000000000", "SKPUBLISHED-it-must-not-be-seen-anywhere")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    os.umask(0o077)
    yield tmp_path
    monkeypatch.setattr(server_runs, "GRACE_S", 0.0)  # it never ends within it
    server = ObjectServer(tmp_path, 0)
    server.end()
    assert processes_of(tmp_path) == []
    ports = json.loads((tmp_path / "s3" / "ports.json").read_text())
    inner = zip(("s3", "master", "volume", "filer"), ports[1::2], strict=True)
    assert not any(Path(f"/tmp/seaweedfs-{name}-grpc-{port}.sock").exists() for name, port in inner)


def weed_of(home: Path) -> int:
    (pid,) = [pid for pid in processes_of(home) if Path(f"/proc/{pid}/exe").resolve().name == "weed"]
    return pid


def content(server: ObjectServer) -> bytes | None:
    """Of kept/a; None while it cannot be read: SeaweedFS answers before it knows all of its volumes."""
    try:
        return bytes(bucket_at(server.access, "kept").get("a").bytes())
    except BaseError:
        return None


def test_it_outlives_headrace_and_is_found_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ObjectServer(home, 0, [PUBLISHED])
    first.start()
    bucket = bucket_at(first.access, "found", create=True)
    bucket.put("a", b"kept")
    monkeypatch.setattr("secrets.token_hex", lambda _: "known")  # an object where it is asked for one is an answer too
    bucket_at(first.access, "probe", create=True).put("probe-known", b"x")
    weed = weed_of(home)
    first.close()
    second = ObjectServer(home, 0, [PUBLISHED])
    second.start()
    assert (weed_of(home), second.endpoint, second.keys) == (weed, first.endpoint, first.keys)
    assert bytes(bucket_at(second.access, "found").get("a").bytes()) == b"kept"
    second.close()


def test_killed_it_is_started_again_with_all_that_it_stored(home: Path) -> None:
    server = ObjectServer(home, 0)
    server.start()
    bucket_at(server.access, "kept", create=True).put("a", b"kept")
    first = weed_of(home)
    os.kill(first, signal.SIGKILL)
    wait_until("another one runs", lambda: [pid for pid in processes_of(home) if pid != first and _is_weed(pid)])
    wait_until("it answers", server._answers)
    wait_until("it is read", lambda: content(server) == b"kept")
    server.close()


def test_a_start_that_nobody_saw_through_is_not_made_twice(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = processes.start
    with monkeypatch.context() as patch:

        def killed_meanwhile(folder: Path) -> None:
            real(folder)
            (folder / "process.json").rename(folder / "late.json")  # as if the keeper had not come so far yet
            raise KeyboardInterrupt

        patch.setattr(processes, "start", killed_meanwhile)
        with pytest.raises(KeyboardInterrupt):
            ObjectServer(home, 0).start()
    (home / "s3" / "run-1" / "late.json").rename(home / "s3" / "run-1" / "process.json")
    server = ObjectServer(home, 0)
    server.start()
    assert [run.name for run in server._runs.all()] == ["run-1"]
    weed_of(home)
    server.close()


def test_one_whose_end_is_just_being_written_down_is_started_again(home: Path) -> None:
    first = ObjectServer(home, 0)
    first.start()
    first.close()
    kept = processes.look(home / "s3" / "run-1")
    assert kept.keeper is not None
    os.kill(kept.keeper.pid, signal.SIGSTOP)  # whoever looks wakes it
    weed = weed_of(home)
    os.kill(weed, signal.SIGKILL)
    wait_until("it is dead", lambda: weed not in processes_of(home))
    second = ObjectServer(home, 0)
    second.start()
    assert [run.name for run in second._runs.all()] == ["run-1", "run-2"]
    second.close()


def test_one_that_dies_while_it_is_looked_for_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ObjectServer(home, 0)
    first.start()
    first.close()
    second = ObjectServer(home, 0)
    weed, answers = weed_of(home), second._answers
    os.kill(weed, signal.SIGSTOP)  # it lives, and is silent

    def dead_before_it_answers() -> bool:
        if weed in processes_of(home):
            os.kill(weed, signal.SIGKILL)
        return answers()

    monkeypatch.setattr(second, "_answers", dead_before_it_answers)
    second.start()
    assert [run.name for run in second._runs.all()] == ["run-1", "run-2"]
    second.close()


def test_it_logs_into_the_home_alone(home: Path) -> None:
    server = ObjectServer(home, 0)
    server.start()
    opened = {path.resolve() for path in Path(f"/proc/{weed_of(home)}/fd").iterdir()}
    assert home / "s3" / "run-1" / "weed.log" in opened
    assert [path for path in opened if "log" in path.suffixes and home not in path.parents] == []
    server.close()


def test_the_users_keys_work_too_and_no_secret_is_seen(home: Path) -> None:
    server = ObjectServer(home, 0, [PUBLISHED])
    server.start()
    made = bucket_at(server.access, "mine", PUBLISHED, create=True)
    made.put("a", b"x")
    with pytest.raises(PermissionDeniedError):
        bucket_at(server.access, "mine", Keys(PUBLISHED.access_key, "wrong")).get("a")
    keys = json.loads((home / "s3" / "keys.json").read_text())
    assert keys["endpoint"] == server.endpoint
    secrets = (keys["secret_key"], PUBLISHED.secret_key)
    for pid in processes_of(home):
        seen = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        assert not any(secret in seen for secret in secrets)
    for path in (home / "s3").rglob("*"):
        if path.is_file() and any(secret in path.read_text(errors="replace") for secret in secrets):
            assert path.name in ("keys.json", "s3.json")
            assert path.stat().st_mode & 0o077 == 0
    server.close()


def test_it_says_where_to_look_when_its_port_is_taken(home: Path) -> None:
    server = ObjectServer(home, 0)
    server.start()
    other = home / "other"
    other.mkdir()
    second = ObjectServer(other, int(server.endpoint.rpartition(":")[2]))
    with pytest.raises(HomeUnusable, match=r"does not come up at .*weed\.log.*embedded_s3_port"):
        second.start()
    second.end()
    server.close()


def test_a_full_disk_keeps_it_from_nothing_but_new_objects(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = ObjectServer(home, 0)
    first.start()
    bucket_at(first.access, "kept", create=True).put("a", b"kept")
    first.end()
    command = Seaweed.command
    monkeypatch.setattr(Seaweed, "command", lambda self: [*command(self), "-volume.minFreeSpace=100"])  # percent
    monkeypatch.setattr(object_server, "ROOM_S", 1.0)
    second = ObjectServer(home, 0)
    second.start()
    assert "takes no objects now: its disk is full" in caplog.text
    wait_until("it is read", lambda: content(second) == b"kept")
    second.close()
    third = ObjectServer(home, 0)
    third.start()  # found again it is the same
    third.close()


def test_it_moves_to_another_port_when_no_job_uses_it(home: Path) -> None:
    first = ObjectServer(home, 0)
    first.start()
    bucket_at(first.access, "kept", create=True).put("a", b"kept")
    first.close()
    used = start_kept(home / "deployments" / "job-1-1" / "jobmanager")
    weed, old, new = weed_of(home), int(first.endpoint.rpartition(":")[2]), _free_port()
    second = ObjectServer(home, new)
    with pytest.raises(HomeUnusable, match=rf"port {new}.*port {old}.*embedded_s3_port={old}.*headrace down"):
        second.start()
    assert weed_of(home) == weed
    assert object_server.known_port(home) == old
    assert _told_endpoint(home) == first.endpoint
    wait_until("the deployment ends", lambda: processes.end(processes.look(used), force=True))
    second.start()
    assert _told_endpoint(home) == second.endpoint == f"http://127.0.0.1:{new}"
    wait_until("it is read", lambda: content(second) == b"kept")
    weed_of(home)
    second.close()


def test_dead_it_is_started_where_the_jobs_know_it_alone(home: Path) -> None:
    first = ObjectServer(home, 0)
    first.start()
    first.close()
    used = start_kept(home / "deployments" / "job-1-1" / "jobmanager")
    weed, old, new = weed_of(home), int(first.endpoint.rpartition(":")[2]), _free_port()
    os.kill(weed, signal.SIGKILL)
    wait_until("its end is on record", lambda: processes.look(home / "s3" / "run-1").life is Life.ENDED)
    (home / "s3" / "run-2").mkdir()  # a start that came no further, on a full disk
    with pytest.raises(HomeUnusable, match=rf"port {new}.*port {old}.*embedded_s3_port={old}.*headrace down"):
        ObjectServer(home, new).start()
    assert not [pid for pid in processes_of(home) if _is_weed(pid)]
    assert _told_endpoint(home) == first.endpoint
    second = ObjectServer(home, old)
    second.start()
    second.close()
    os.kill(weed_of(home), signal.SIGKILL)
    wait_until("the deployment ends", lambda: processes.end(processes.look(used), force=True))
    third = ObjectServer(home, new)
    third.start()  # nobody knows the old one any more
    assert _told_endpoint(home) == f"http://127.0.0.1:{new}"
    third.close()


def test_one_that_is_stopped_goes_on_and_one_that_is_silent_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ObjectServer(home, 0)
    first.start()
    first.close()
    weed = weed_of(home)
    os.kill(weed, signal.SIGSTOP)
    second = ObjectServer(home, 0)
    second.start()
    assert weed_of(home) == weed
    second.close()
    third = ObjectServer(home, 0)
    monkeypatch.setattr(third, "_answers", lambda: False)
    monkeypatch.setattr(object_server, "START_S", 0.0)
    with pytest.raises(HomeUnusable, match=rf"pid {weed}.*silent.*kill -KILL {weed}"):
        third.start()


def test_one_that_keeps_ending_is_told_once(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server = ObjectServer(home, 0)
    server.start()
    monkeypatch.setattr(object_server, "LOOK_S", 0.01)
    monkeypatch.setattr(Seaweed, "command", lambda _: ["/bin/false"])
    os.kill(weed_of(home), signal.SIGKILL)
    wait_until("it was started again and again", (home / "s3" / "run-5").exists)
    told = [record.getMessage() for record in caplog.records if "has ended" in record.getMessage()]
    assert len([line for line in told if "exit code 1" in line]) == 1
    assert len([line for line in told if "signal 9" in line]) == 1
    server.close()


@pytest.mark.parametrize("missing", ["room for command.json", "memory for a keeper"])
def test_a_start_that_fails_is_made_again(
    home: Path, missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = ObjectServer(home, 0)
    server.start()
    module, name = (files, "write") if missing == "room for command.json" else (processes, "start")
    real, failed = getattr(module, name), threading.Event()

    def fails_once(*args: object) -> None:
        if not failed.is_set():
            failed.set()
            raise Unavailable(f"no {missing}")
        real(*args)

    monkeypatch.setattr(module, name, fails_once)
    os.kill(weed_of(home), signal.SIGKILL)
    wait_until("the start has failed", failed.is_set)
    wait_until("it answers", server._answers)
    weed_of(home)
    assert [run.name for run in server._runs.all()] == ["run-1", "run-2"]
    assert f"no {missing}; it is started again" in caplog.text
    server.close()


def test_pauses_grow_until_it_has_lived() -> None:
    pauses = Pauses()
    assert [pauses.next() for _ in range(7)] == [1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert not pauses.lived(LONGEST_PAUSE_S - 1)
    assert pauses.lived(LONGEST_PAUSE_S)
    assert pauses.next() == 1


def _told_endpoint(home: Path) -> str:
    return str(json.loads((home / "s3" / "keys.json").read_text())["endpoint"])


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _is_weed(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").resolve().name == "weed"
    except OSError:
        return False
