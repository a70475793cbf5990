from __future__ import annotations

import json
import os
import shutil
import struct
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from anyio.from_thread import start_blocking_portal
from sqlalchemy import text
from starlette.testclient import TestClient

from headrace import signing
from headrace.api.app import create_app
from headrace.api.services import JarCheck, Services
from headrace.domain.deployment import parse_runtime_config
from headrace.domain.job import Job, JobSpec, Phase
from headrace.domain.rights import Principal, SignedKey
from headrace.domain.sizing import Shape
from headrace.flink import catalog, config, preflight
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.base import Objects
from headrace.objects.folder import FolderObjects
from headrace.objects.packages import PackageFiles
from headrace.runtimes.base import Records, Runtime
from headrace.runtimes.logfiles import Logged
from headrace.settings import Settings
from headrace.store.audit import AuditStore
from headrace.store.buckets import BucketStore
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.notices import NoticeStore
from headrace.store.packages import PackageStore
from headrace.store.pools import PoolStore
from headrace.store.privileges import PrivilegeStore
from headrace.store.queues import QueueStore
from headrace.store.tags import TagStore
from headrace.store.topics import TopicStore
from headrace.store.variables import VariableStore
from tests.support import contract
from tests.support.notices import SIGNER, courier_of
from tests.support.people import VAULT, accounts_of, seed
from tests.support.serving import serving

PROJECT = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
GOLDEN = Path(__file__).with_name("golden")
MAIN = "org.apache.flink.examples.streaming.JavaQueueStream"


class ReadRuntime:
    """The questions that the API asks of a runtime."""

    def __init__(self) -> None:
        self.graphs: dict[str, dict[str, Any]] = {}
        self.counted: dict[str, Records] = {}
        self.logged: dict[int, tuple[Logged, ...]] = {}

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        return self.graphs.get(name)

    def logs(self, job_id: int) -> tuple[Logged, ...]:
        return self.logged.get(job_id, ())

    def records(self, name: str) -> Records | None:
        return self.counted.get(name)


class Keys(dict[str, SignedKey]):
    """A directory of its own: keys, and tokens by their text."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, Principal] = {}

    def key(self, access_key: str) -> SignedKey | None:
        return self.get(access_key)

    def token(self, token: str) -> Principal | None:
        return self.tokens.get(token)

    def role(self, project_id: str, user_name: str) -> str | None:
        of_name = (key.principal for key in self.values() if key.principal.user_name == user_name)
        return next((principal.role_in(project_id) for principal in of_name), None)

    def add(self, access_key: str, user: str, role: str = "admin", project: str = PROJECT, **more: Any) -> None:
        principal = Principal(f"id-of-{user}", user, roles={project: role}, **more)
        self[access_key] = SignedKey(access_key, f"secret of {access_key}", principal)
        self.tokens[f"token of {access_key}"] = principal


class Clock:
    """Time stands still until it is set."""

    ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.ms


def class_file(name: str) -> bytes:
    """A class with nothing but ``public static void main(String[])``."""

    def utf8(value: str) -> bytes:
        return b"\x01" + struct.pack(">H", len(value)) + value.encode()

    pool = [
        utf8(name.replace(".", "/")),
        b"\x07" + struct.pack(">H", 1),
        utf8("java/lang/Object"),
        b"\x07" + struct.pack(">H", 3),
        utf8("main"),
        utf8("([Ljava/lang/String;)V"),
    ]
    head = struct.pack(">IHHH", 0xCAFEBABE, 0, 52, len(pool) + 1) + b"".join(pool)
    return head + struct.pack(">HHHHHHHHHHH", 0x21, 2, 4, 0, 0, 1, 0x9, 5, 6, 0, 0)


def write_jar(path: Path, *classes: str, main: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n" + (f"Main-Class: {main}\r\n" if main else ""))
        for name in classes:
            jar.writestr(name.replace(".", "/") + ".class", class_file(name))
    return path


def check_jar(check: JarCheck) -> None:
    jars = [preflight.inspect(file) for file in (check.entrypoint, *check.dependency_jars)]
    preflight.check_main_class(jars, check.main_class)


def check_flink(spec: JobSpec, _shape: Shape) -> None:
    config.check_options(parse_runtime_config(spec.runtime_config))


class Stand:
    """The application over a real store, and a client that signs."""

    def __init__(self, home: Path, settings: Settings, objects: Objects | None = None) -> None:
        self.home = home
        self.clock = Clock()
        self.runtime = ReadRuntime()
        self.nudged: list[int] = []
        self.database = Database(home / "db.sqlite")
        objects, files = objects or FolderObjects(home / "objects"), PackageFiles(home / "packages")
        packages = PackageStore(self.database)
        buckets = BucketStore(self.database)
        self.keys = Keys()
        self.keys.add("AK", "tester")
        self.keys.add("OTHER", "stranger", project=OTHER)
        self.keys.add("ADMIN", "boss", is_system_admin=True)
        self.keys.add("SUB", "sub", "member")
        self.keys.add("SUB2", "sub2", "member")
        topics, notices = TopicStore(self.database), NoticeStore(self.database)
        self.courier = courier = courier_of(settings, notices, self.clock)
        self.services = Services(
            settings=settings,
            jobs=JobStore(self.database),
            queues=QueueStore(self.database),
            packages=packages,
            package_files=files,
            objects=objects,
            artifacts=ArtifactResolver(objects, files, packages.object_key, buckets.owner),
            runtime=cast("Runtime", self.runtime),
            directory=self.keys,
            privileges=PrivilegeStore(self.database),
            audit=AuditStore(self.database),
            buckets=buckets,
            variables=VariableStore(self.database),
            pools=PoolStore(self.database),
            tags=TagStore(self.database),
            vault=VAULT,
            topics=topics,
            notices=notices,
            channels=courier.channels,
            certificate_name=SIGNER.certificate_name,
            certificate_pem=SIGNER.certificate_pem,
            topic_exists=lambda project_id, name: topics.find(project_id, name) is not None,
            wake_courier=lambda: None,
            accounts=accounts_of(self.database, settings, self.clock),
            bucket_owner=buckets.owner,
            nudge=self.nudged.append,
            resolve_engine=lambda asked: catalog.resolve(asked, aliases={"1.12": "1.17"}),
            check_jar=check_jar,
            check_flink=check_flink,
            memory_capacity_mb=lambda: 64 * 1024,
            now_ms=self.clock,
        )
        self.app = create_app(self.services)
        self.client = TestClient(self.app)
        self.client.event_hooks = {"response": [contract.check_answer]}  # whatever is asked, however

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        content: bytes | None = None,
        content_type: str = "application/json",
        ak: str = "AK",
        secret: str | None = None,
        at_ms: int | None = None,
        unsigned: bool = False,
        more: dict[str, str] | None = None,
    ) -> Any:
        """A signed request; ``path`` as on the wire, ``{p}`` is the project; ``more``: headers that are not signed."""
        path = path.replace("{p}", PROJECT)
        data = content if content is not None else b"" if body is None else json.dumps(body).encode()
        at = datetime.fromtimestamp((at_ms or self.clock()) / 1000, UTC)
        headers = {"host": "testserver", "content-type": content_type, "x-sdk-date": signing.timestamp(at)}
        if content_type != "application/json":
            headers["x-sdk-content-sha256"] = signing.UNSIGNED
        target, _, query = path.partition("?")
        request = signing.SignedRequest(method, target, query, list(headers.items()), sha256(data).hexdigest())
        if not unsigned:
            headers["authorization"] = signing.sign(request, ak, secret or f"secret of {ak}")
        return self.client.request(method, path, content=data, headers={**headers, **(more or {})})

    def ok(self, method: str, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """The body of an answer that must have this status."""
        answer = self.send(method, path, body, **options)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str, str]:
        """(status, code, message) of a refusal."""
        answer = self.send(method, path, body, **options)
        assert set(answer.json()) == {"error_code", "error_msg"}
        assert len(answer.headers["X-Request-Id"]) == 32
        return answer.status_code, answer.json()["error_code"], answer.json()["error_msg"]

    def put_object(self, bucket: str, key: str, content: bytes) -> None:
        path = f"/headrace/v1/{{p}}/objects/{bucket}/{key}"
        self.ok("PUT", path, content=content, content_type="application/octet-stream", status=201)

    def jar(self, *classes: str, main: str = "") -> bytes:
        """A JAR with these classes, each with a main()."""
        return write_jar(self.home / "made.jar", *classes, main=main).read_bytes()

    def create(self, **fields: Any) -> int:
        body = {"name": "job", "queue_name": "q", "entrypoint": "obs://b/app.jar", **fields}
        return int(self.ok("POST", "/v1.0/{p}/streaming/flink-jobs", body)["job"]["job_id"])

    def show(self, job_id: int) -> Any:
        return self.ok("GET", f"/v1.0/{{p}}/streaming/jobs/{job_id}")["job_detail"]

    def run(self, *job_ids: int, ak: str = "AK", **more: Any) -> Any:
        return self.send("POST", "/v1.0/{p}/streaming/jobs/run", {"job_ids": list(job_ids), **more}, ak=ak)

    def stop(self, *job_ids: int, ak: str = "AK", **more: Any) -> Any:
        return self.send("POST", "/v1.0/{p}/streaming/jobs/stop", {"job_ids": list(job_ids), **more}, ak=ak)

    def job(self, job_id: int) -> Job:
        return self.services.jobs.get(job_id)

    def move(self, job_id: int, *phases: Phase, **record: Any) -> None:
        """What the reconciler would record: every request is taken up."""
        for phase in phases:
            job = self.job(job_id)
            attempt = job.record.attempt + (phase is Phase.PREPARING)
            changed = job.record.evolve(phase=phase, attempt=attempt, request_seen=job.desired.request_no, **record)
            self.services.jobs.move(job, changed, now_ms=self.clock())

    def bring(self, job_id: int, phase: Phase, **record: Any) -> None:
        """Moves a fresh job to where ``phase`` can be."""
        live = (Phase.PREPARING, Phase.WAITING, Phase.STARTING, Phase.RUNNING)
        way = live[: live.index(phase) + 1] if phase in live else () if phase is Phase.DRAFT else (*live, phase)
        if way:
            assert self.run(job_id).status_code == 200
            self.move(job_id, *way[:-1])
            self.move(job_id, way[-1], **record)

    def rows(self) -> dict[str, int]:
        """How much of everything there is."""
        tables: tuple[str, ...] = ("jobs", "queues", "packages", "job_history", "deployments", "grants", "outbox")
        tables += ("topics", "subscriptions", "messages", "deliveries")
        tables += ("users", "projects", "members", "access_keys", "tokens")
        with self.database.read() as connection:
            counts = {
                name: int(connection.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one()) for name in tables
            }
        return {**counts, "files": sum(path.is_file() for path in (self.home / "packages").rglob("*"))}


@pytest.fixture(scope="session", autouse=True)
def _one_loop() -> Iterator[None]:
    """All requests are served in one event loop, as in a server: one for each takes longer than the request."""
    with start_blocking_portal("asyncio") as portal, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TestClient, "portal", portal)
        yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, max_body_kb=64, max_object_mb=2)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with users and nothing else, made once: migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "db.sqlite"
    database = Database(path)
    seed(database, PROJECT, OTHER)
    database.close()
    return path


@pytest.fixture(scope="session")
def furnished_home(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """The home of ``stand``, made once."""
    home = tmp_path_factory.mktemp("furnished") / "home"
    home.mkdir()
    shutil.copyfile(migrated, home / "db.sqlite")
    with standing(home, Settings(home=home)) as stand:
        furnish(stand)
    return home


@contextmanager
def standing(home: Path, settings: Settings, objects: Objects | None = None) -> Iterator[Stand]:
    """A server on a home that is laid out."""
    stand = Stand(home, settings, objects)
    yield stand
    stand.client.close()
    stand.database.close()


@pytest.fixture
def bare(tmp_path: Path, settings: Settings, migrated: Path) -> Iterator[Stand]:
    """An empty server."""
    shutil.copyfile(migrated, tmp_path / "db.sqlite")
    with standing(tmp_path, settings) as stand:
        yield stand


@pytest.fixture
def stand(tmp_path: Path, settings: Settings, furnished_home: Path) -> Iterator[Stand]:
    """A server with a bucket ``b`` that holds ``app.jar`` and ``data.txt``, a general queue ``q`` of 16 CUs, and the
    topics that jobs of tests name.
    """
    shutil.copytree(furnished_home, tmp_path, dirs_exist_ok=True)
    with standing(tmp_path, settings) as stand:
        yield stand


def furnish(bare: Stand) -> Stand:
    bare.ok("PUT", "/headrace/v1/{p}/buckets/b", status=201)
    bare.put_object("b", "app.jar", bare.jar(MAIN, "a.B", main=MAIN))
    bare.put_object("b", "data.txt", b"data")
    bare.ok("POST", "/v1.0/{p}/queues", {"queue_name": "q", "queue_type": "general", "cu_count": 16})
    for name in ("topic", "alarm", "iac", "told"):
        bare.services.topics.create(PROJECT, name, "", "tester", now_ms=bare.clock())
    return bare


@contextmanager
def furnished(folder: Path) -> Iterator[tuple[Stand, str]]:
    """The same outside of pytest, with the id of its project."""
    database = Database(folder / "db.sqlite")
    seed(database, PROJECT, OTHER)
    database.close()
    with standing(folder, Settings(home=folder, max_body_kb=64, max_object_mb=2)) as stand:
        yield furnish(stand), PROJECT


@pytest.fixture
def url(stand: Stand) -> Iterator[str]:
    """Serves ``stand`` on a real socket, with the real time."""
    stand.clock.ms = int(time.time() * 1000)
    with serving(stand.app) as address:
        yield address


@pytest.fixture
def golden() -> Any:
    """Compares a body with ``golden/<name>.json``; with HEADRACE_WRITE_GOLDEN=1 it is written instead."""

    def check(name: str, body: Any) -> None:
        file = GOLDEN / f"{name}.json"
        if os.environ.get("HEADRACE_WRITE_GOLDEN"):
            file.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        expected = json.loads(file.read_text(encoding="utf-8"))
        assert json.dumps(body, indent=1) == json.dumps(expected, indent=1)  # 1, 1.0 and true are three things

    return check
