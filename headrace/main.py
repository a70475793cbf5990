"""The composition root: reads settings, builds every object, starts and stops them. The only place that knows all."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from headrace.api.app import create_app
from headrace.api.connections import HttpServer, listening, server_config
from headrace.api.services import JarCheck, Services
from headrace.control.courier import Courier
from headrace.control.driver import Driver
from headrace.control.logs import LogShipper
from headrace.control.postroom import Clerk, open_post
from headrace.control.reconciler import Planner, Reconciler
from headrace.control.scheduler import Scheduler
from headrace.control.shipping import Rolling
from headrace.domain.deployment import parse_runtime_config, plan
from headrace.domain.job import JobSpec, Phase
from headrace.domain.sizing import Shape
from headrace.flink import catalog, config, memory, preflight
from headrace.flink.engines import EngineStore
from headrace.home import Home, write_private
from headrace.identity.accounts import Accounts
from headrace.identity.founding import Founded, Identity, open_identity
from headrace.identity.keystone import ExternalKeystone
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.cache import StageCache
from headrace.objects.packages import PackageFiles
from headrace.runtimes import logfiles, machine
from headrace.runtimes.limits import Limits
from headrace.runtimes.local import LocalRuntime
from headrace.runtimes.logfiles import Logged
from headrace.runtimes.object_server import ObjectServer
from headrace.runtimes.processes import boot_id
from headrace.settings import Settings
from headrace.storage import fetcher, flinks_way, open_storage
from headrace.store.audit import AuditStore
from headrace.store.buckets import BucketStore
from headrace.store.database import Database, Step, no_step
from headrace.store.jobs import JobStore
from headrace.store.notices import NoticeStore
from headrace.store.outsiders import OutsiderStore
from headrace.store.packages import PackageStore
from headrace.store.pools import PoolStore
from headrace.store.privileges import PrivilegeStore
from headrace.store.queues import QueueStore
from headrace.store.tags import TagStore
from headrace.store.timeline import JobClock
from headrace.store.topics import TopicStore
from headrace.store.variables import VariableStore

log = logging.getLogger(__name__)


def now_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Server:
    """All parts of one server, built and wired; nothing is started yet."""

    settings: Settings
    home: Home
    identity: Identity
    jobs: JobStore
    runtime: LocalRuntime
    driver: Driver
    logs: LogShipper
    courier: Courier
    services: Services
    object_server: ObjectServer | None

    def start(self) -> None:
        """Starts all that works on its own, but for the courier, whose links need a server that answers."""
        self.driver.start()
        self.logs.start()

    def stop(self) -> None:
        """Ends it; running jobs are left as they are."""
        self.driver.stop()
        self.logs.stop()
        self.courier.stop()


@dataclass(frozen=True)
class Seams:
    """Where a test reaches into a running server.

    Attributes:
        now_ms: the wall clock.
        step: is told each point between which a crash may come (``Database``, ``Reconciler``,
            ``Courier``).
    """

    now_ms: Callable[[], int] = now_ms
    step: Step = no_step


NO_SEAMS = Seams()


@contextlib.contextmanager
def build(
    settings: Settings,
    init_admin: str | None = None,
    founded: Callable[[Founded], None] = lambda _: None,
    seams: Seams = NO_SEAMS,
    *,
    ending: bool = False,
) -> Iterator[Server]:
    """Holds the home and builds the server; lets go of both at the end. Running jobs are left as they are.

    Args:
        settings: all of them.
        init_admin: name of the first administrator of a shared installation, whose keys ``founded`` is told.
        founded: called at once, as nothing else will know the secret key and the password.
        seams: for tests.
        ending: it is to end jobs only, with a store or without.

    Raises:
        HomeUnusable: another server holds the home, a newer version has made it, or its key file is missing.
    """
    os.umask(0o077)
    home = Home(settings.home)
    with home.held(), contextlib.closing(Database(home.database, seams.step)) as database, ExitStack() as held:
        home.database.chmod(0o600)
        package_files = PackageFiles(home.folder / "packages")
        packages = PackageStore(database)
        buckets = BucketStore(database)
        identity = open_identity(
            database, home, settings, now_ms, init_admin=init_admin, external=_external(settings, database)
        )
        if identity.founded is not None:
            founded(identity.founded)
        storage = held.enter_context(open_storage(settings, home, identity, buckets, now_ms, ending=ending))
        staged, asked = (
            ArtifactResolver(objects, package_files, packages.object_key, storage.owner(objects))
            for objects in (storage.objects, storage.asked)
        )
        engines = EngineStore(settings.engine_store, settings.engine_java_homes)
        runtime = LocalRuntime(
            home.folder,
            engines,
            fetcher(staged, StageCache(home.folder / "cache", settings.stage_cache_mb << 20)),
            endpoint=flinks_way(settings, storage),
            limits=Limits(
                settings.unresponsive_after_seconds,
                settings.taskmanager_silent_after_seconds,
                settings.kept_attempts,
                settings.log_spool_mb << 20,
                settings.log_wait_seconds,
            ),
        )
        jobs, queues = JobStore(database), QueueStore(database)
        capacity = _capacity(settings)
        scheduler = Scheduler(queues, capacity, settings.memory_per_cu_mb)
        resolve = _resolver(settings, engines)
        reconciler = Reconciler(
            jobs=jobs,
            queues=queues,
            runtime=runtime,
            scheduler=scheduler,
            planner=_planner(settings, resolve),
            patience={
                Phase.STARTING: settings.start_patience_seconds,
                Phase.SAVING: settings.savepoint_patience_seconds,
                Phase.SAVEPOINTING: settings.savepoint_patience_seconds,
                Phase.CANCELING: settings.cancel_patience_seconds,
            },
            monotonic=time.monotonic,
            now_ms=seams.now_ms,
            clock=JobClock(database, boot_id=boot_id(), boottime_ms=_since_boot_ms, wall_ms=seams.now_ms),
            step=seams.step,
        )
        driver = Driver(reconciler, settings.sweep_seconds)
        logs = LogShipper(
            functools.partial(_owed_logs, home.folder / "deployments"),
            storage.objects.put,
            jobs,
            seams.now_ms,
            settings.log_period_seconds,
            Rolling(settings.log_segment_mb << 20, settings.log_roll_minutes * 60_000),
            head=storage.objects.head,
        )
        topics, notices = TopicStore(database), NoticeStore(database)
        post = open_post(settings, home, notices, topics, Clerk(identity.vault.open, seams.now_ms, seams.step))
        services = Services(
            settings=settings,
            jobs=jobs,
            queues=queues,
            packages=packages,
            package_files=package_files,
            objects=storage.asked,
            artifacts=asked,
            runtime=runtime,
            directory=identity.directory,
            privileges=PrivilegeStore(database),
            audit=AuditStore(database),
            buckets=buckets,
            variables=VariableStore(database),
            pools=PoolStore(database),
            tags=TagStore(database),
            vault=identity.vault,
            topics=topics,
            notices=notices,
            channels=post.courier.channels,
            certificate_name=post.signer.certificate_name,
            certificate_pem=post.signer.certificate_pem,
            topic_exists=post.topic_exists,
            wake_courier=post.courier.wake,
            accounts=Accounts(identity, settings, now_ms, time.monotonic),
            bucket_owner=storage.owner(storage.asked),
            nudge=driver.nudge,
            resolve_engine=resolve,
            check_jar=_jar_checker(engines),
            check_flink=_check_flink,
            memory_capacity_mb=capacity,
            now_ms=seams.now_ms,
        )
        with contextlib.closing(runtime):
            yield Server(settings, home, identity, jobs, runtime, driver, logs, post.courier, services, storage.server)


def serve(
    settings: Settings,
    ready: Callable[[str], None],
    init_admin: str | None = None,
    founded: Callable[[Founded], None] = lambda _: None,
    seams: Seams = NO_SEAMS,
) -> None:
    """Serves until SIGTERM or SIGINT; ``ready`` is told the URL. Running jobs go on and are found again next time.

    Raises:
        HomeUnusable: another server holds the home, or the address cannot be used; see ``build``.
    """
    with build(settings, init_admin, founded, seams) as server, listening(settings) as listener:
        http = HttpServer(server_config(create_app(server.services), settings))
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{listener.getsockname()[1]}"
        server.home.server_file.unlink(missing_ok=True)  # of one that was killed
        server.courier.base_url = settings.public_url or url
        server.start()
        server.courier.start()
        announcer = threading.Thread(target=_announce, args=(http, server, url, ready), daemon=True)
        announcer.start()
        previous = {number: signal.signal(number, http.leave) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            http.run(sockets=[listener])
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            server.home.server_file.unlink(missing_ok=True)
            server.stop()
            log.info("stopped; running jobs go on")


def _owed_logs(deployments: Path) -> Iterator[Logged]:
    logfiles.bound_unkept(deployments)
    return logfiles.all_owed(deployments)


def _external(settings: Settings, database: Database) -> ExternalKeystone | None:
    if not settings.keystone_url:
        return None
    return ExternalKeystone(settings, OutsiderStore(database), now_ms, time.monotonic)


def _capacity(settings: Settings) -> Callable[[], int]:
    limit = settings.memory_limit_mb if settings.memory_limit_mb is not None else machine.memory_mb()
    promised = max(0, limit - settings.memory_reserve_mb)
    return lambda: promised


def _resolver(settings: Settings, engines: EngineStore) -> Callable[[str], str]:
    def resolve(flink_version: str) -> str:
        return catalog.resolve(
            flink_version,
            aliases=settings.engine_aliases,
            default=settings.engine_default,
            installed=[engine.version for engine in engines.installed()],
        )

    return resolve


def _planner(settings: Settings, resolve: Callable[[str], str]) -> Planner:
    return lambda job, restarts_left: plan(
        job, resolve(job.spec.flink_version), settings.memory_per_cu_mb, restarts_left
    )


def _since_boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def _check_flink(spec: JobSpec, shape: Shape) -> None:
    options = parse_runtime_config(spec.runtime_config)
    config.check_options(options)
    v2 = spec.resource_config_version == "v2"
    memory.check(
        shape,
        config.user_options(options),
        jobmanager_field="resource_config.jobmanager_resource_spec.memory" if v2 else "manager_cu_number",
        taskmanager_field="resource_config.taskmanager_resource_spec.memory" if v2 else "tm_cus",
    )


def _jar_checker(engines: EngineStore) -> Callable[[JarCheck], None]:
    def check(jar: JarCheck) -> None:
        reports = [preflight.inspect(jar.entrypoint, jar.reference)]
        reports += [preflight.inspect(file) for file in jar.dependency_jars]
        main_class = preflight.check_main_class(reports, jar.main_class)
        engine = engines.find(jar.engine)
        if engine is not None:  # else its Java is looked at when it is installed
            preflight.check_java(reports, main_class, engine.java_major, engine.version)

    return check


def _announce(http: uvicorn.Server, server: Server, url: str, ready: Callable[[str], None]) -> None:
    """Writes ``server.json`` when requests are answered."""
    while not http.started:
        if http.should_exit:
            return
        time.sleep(0.02)
    told: dict[str, object] = {"url": url, "project_id": server.identity.first_project.id, "pid": os.getpid()}
    keys = server.identity.published()
    if keys is not None:
        told |= {"access_key": keys.access_key, "secret_key": keys.secret_key}
    if server.object_server is not None:
        told["s3_endpoint"] = server.object_server.endpoint
    write_private(server.home.server_file, told)
    ready(url)
