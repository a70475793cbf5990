"""Deployments are prepared out of a real S3 server, without a Flink: what is fetched, how often, what hinders it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import cast

import pytest

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.domain.job import JobSpec
from headrace.domain.observation import Preparation, PreparationState
from headrace.domain.sizing import size
from headrace.flink.command import Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.s3 import S3Plugins
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.cache import AT_ONCE, StageCache, Staged, Told
from headrace.objects.packages import PackageFiles
from headrace.objects.s3 import S3Objects
from headrace.runtimes.s3 import S3Store
from headrace.runtimes.staging import Fetch, Staging
from tests.api.conftest import MAIN, write_jar
from tests.support.seaweed import Seaweed, seaweed
from tests.support.server import wait_until
from tests.support.stores import access_to
from tests.support.uploads import by_boto3, by_obs_sdk

NUMBERS = count(1)
BUCKET = "jars"


class Engines:
    """One engine of no files: nothing is started here."""

    def __init__(self, folder: Path) -> None:
        for name in ("lib", "plugins"):
            (folder / name).mkdir(parents=True)
        self._engine = Engine("1.20.5", folder, folder / "java", 11, (), folder / "lock", 0)

    def find(self, _version: str) -> Engine:
        return self._engine


class Counting(S3Objects):
    """Counts what is fetched; ``hold`` is waited for in the midst of it."""

    def __init__(self, server: Seaweed, timeout_s: float) -> None:
        super().__init__(access_to(server, timeout_s=timeout_s))
        self.fetched: list[tuple[str, int]] = []
        self.midst: Callable[[int], None] = lambda _done: None

    def get_stream(self, bucket: str, key: str, begin: int = 0, version: str = "") -> tuple[int, Iterator[bytes]]:
        whole, pieces = super().get_stream(bucket, key, begin, version)
        self.fetched.append((key, begin))
        return whole, self._watched(pieces, begin)

    def _watched(self, pieces: Iterator[bytes], done: int) -> Iterator[bytes]:
        for piece in pieces:
            done += len(piece)
            yield piece
            self.midst(done)


@dataclass
class Site:
    """A place where deployments are prepared."""

    folder: Path
    objects: Counting
    fetch: Fetch
    staging: Staging

    def layout(self, plan: DeploymentPlan) -> Layout:
        return Layout(self.folder / plan.name)

    def plan(self, *jars: str, attempt: int = 1, number: int | None = None) -> DeploymentPlan:
        number = number or next(NUMBERS)
        entrypoint, *others = jars
        spec = JobSpec(name="j", cu_number=2, main_class=MAIN)
        shape = size(spec, {}, 4096)
        plan = DeploymentPlan(
            name=f"job-{number}-{attempt}",
            job_id=number,
            attempt=attempt,
            job_name="j",
            engine="1.20.5",
            shape=shape,
            entrypoint=entrypoint,
            dependency_jars=tuple(others),
            main_class=MAIN,
            project_id="p",
        )
        self.layout(plan).folder.mkdir(mode=0o700)
        return plan

    def begin(self, plan: DeploymentPlan, earlier: DeploymentPlan | None = None) -> None:
        self.staging.begin(plan, self.layout(plan), self.layout(earlier) if earlier else None)

    def settled(self, plan: DeploymentPlan) -> Preparation:
        def look() -> Preparation | None:
            found = self.staging.look(plan.name, self.layout(plan))
            return found if found.state in (PreparationState.READY, PreparationState.FAILED) else None

        return wait_until(f"{plan.name} is prepared, or cannot be", look)

    def prepared(self, plan: DeploymentPlan, earlier: DeploymentPlan | None = None) -> str:
        """What the journal says."""
        self.begin(plan, earlier)
        found = self.settled(plan)
        assert found.state is PreparationState.READY, found.note
        return found.note


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed(tmp_path_factory.mktemp("weed")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def site(tmp_path: Path, weed: Seaweed) -> Site:
    objects = Counting(weed, 3.0)
    resolver = ArtifactResolver(objects, PackageFiles(tmp_path / "packages"), lambda *_: "", {BUCKET: "p"}.get)
    cache = StageCache(tmp_path / "cache", 1 << 30)

    def fetch(project_id: str, reference: str, target: Path, told: Told) -> Staged:
        return cache.put(resolver.locate(project_id, reference), target, told)

    return Site(tmp_path, objects, fetch, Staging(cast("EngineStore", Engines(tmp_path / "engine")), fetch))


@pytest.mark.parametrize("upload", [by_boto3, by_obs_sdk])
def test_what_a_users_tools_upload_is_staged(
    site: Site, weed: Seaweed, tmp_path: Path, upload: Callable[..., None]
) -> None:
    jar = write_jar(tmp_path / "app.jar", MAIN)
    key = f"{upload.__name__}/app.jar"
    upload(weed, BUCKET, jar, key)
    plan = site.plan(f"s3a://{BUCKET}/{key}")
    note = site.prepared(plan)
    assert (site.layout(plan).usrlib / "app.jar").read_bytes() == jar.read_bytes()
    assert note.startswith("Flink 1.20.5 is to run app.jar (sha256 ")
    assert f"{jar.stat().st_size} bytes" in note


def test_fifty_jobs_stage_a_jar_once(site: Site, weed: Seaweed, tmp_path: Path) -> None:
    by_boto3(weed, BUCKET, write_jar(tmp_path / "app.jar", MAIN), "fifty/app.jar")
    by_boto3(weed, BUCKET, tmp_path / "app.jar", "fifty/same.jar")
    plans = [site.plan(f"obs://{BUCKET}/fifty/app.jar", f"obs://{BUCKET}/fifty/same.jar") for _ in range(50)]
    for plan in plans:
        site.begin(plan)
    assert {site.settled(plan).state for plan in plans} == {PreparationState.READY}
    assert sorted(site.objects.fetched) == [("fifty/app.jar", 0), ("fifty/same.jar", 0)]
    (content,) = (tmp_path / "cache" / "contents").iterdir()
    assert content.stat().st_nlink == 101


def test_a_jar_that_is_replaced_counts_from_the_next_run_on(site: Site, weed: Seaweed, tmp_path: Path) -> None:
    by_boto3(weed, BUCKET, write_jar(tmp_path / "app.jar", MAIN), "replaced/app.jar")
    first = site.plan(f"obs://{BUCKET}/replaced/app.jar")
    told = site.prepared(first)
    by_boto3(weed, BUCKET, write_jar(tmp_path / "app.jar", MAIN, "a.New"), "replaced/app.jar")
    restarted = site.plan(f"obs://{BUCKET}/replaced/app.jar", attempt=2, number=first.job_id)
    assert site.prepared(restarted, first) == told
    anew = site.plan(f"obs://{BUCKET}/replaced/app.jar")
    assert site.prepared(anew) != told
    assert (site.layout(anew).usrlib / "app.jar").read_bytes() == (tmp_path / "app.jar").read_bytes()


def test_what_is_missing_is_final_and_says_so(site: Site) -> None:
    for reference, words in ((f"obs://{BUCKET}/none.jar", "does not exist"), ("obs://other/a.jar", "no such bucket")):
        plan = site.plan(reference)
        site.begin(plan)
        found = site.settled(plan)
        assert (found.state, found.heals, found.passes) == (PreparationState.FAILED, False, False)
        assert words in found.note


def test_the_storage_is_killed_in_the_midst_and_staging_goes_on(site: Site, weed: Seaweed, tmp_path: Path) -> None:
    jar = write_jar(tmp_path / "app.jar", MAIN)
    with jar.open("rb") as file:  # a ZIP may have anything before it
        tail = file.read()
    big = tmp_path / "big.jar"
    big.write_bytes(bytes(range(256)) * (48 << 12) + tail)
    by_boto3(weed, BUCKET, big, "killed/big.jar")
    reached = threading.Event()

    def kill(done: int) -> None:
        if done >= 8 << 20 and not reached.is_set():
            reached.set()
            weed.kill()

    site.objects.midst = kill
    plan = site.plan(f"obs://{BUCKET}/killed/big.jar")
    site.begin(plan)
    found = site.settled(plan)
    assert (found.state, found.heals, found.passes) == (PreparationState.FAILED, True, True), found.note
    for _ in range(3):  # as the driver does
        with pytest.raises(Unavailable, match="The object storage at"):
            site.begin(plan)
        site.begin(plan)
        assert site.settled(plan).passes
    weed.start()

    def once_more() -> bool:
        try:
            site.begin(plan)
        except Unavailable:  # the next call begins it anew
            return False
        return site.settled(plan).state is PreparationState.READY

    wait_until("it is staged", once_more)
    assert (site.layout(plan).usrlib / "big.jar").read_bytes() == big.read_bytes()
    begins = [begin for key, begin in site.objects.fetched if key == "killed/big.jar"]
    assert begins[0] == 0
    assert begins[-1] >= 8 << 20


def test_without_flinks_s3_plugin_a_first_run_fails_and_says_how_to_get_it(
    site: Site, weed: Seaweed, tmp_path: Path
) -> None:
    """As without an engine: it does not pass by itself; it heals, so that a restart is tried again."""
    by_boto3(weed, BUCKET, write_jar(tmp_path / "app.jar", MAIN), "plugin/app.jar")
    (tmp_path / "engines").mkdir()
    plugins = S3Plugins(tmp_path / "engines", tmp_path / "given", {})
    store = S3Store(access_to(weed), site.objects, plugins, lambda *_: True)
    site.staging = Staging(cast("EngineStore", Engines(tmp_path / "other")), site.fetch, store)
    plan = site.plan(f"obs://{BUCKET}/plugin/app.jar")
    for _ in range(2):
        site.begin(plan)
        found = site.settled(plan)
        assert (found.state, found.heals, found.passes) == (PreparationState.FAILED, True, False)
        with pytest.raises(Unavailable, match=r"is not in s3_plugin_folder.*put .*flink-s3-fs-hadoop-1.20.1.jar there"):
            site.begin(plan)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "flink-s3-fs-hadoop-1.20.1.jar").write_bytes(b"the plugin")
    site.prepared(plan)


@dataclass
class Held:
    """Fetches of ``/slow/`` that stand still after their first piece, until they may go on."""

    site: Site
    go_on: threading.Event = field(default_factory=threading.Event)
    plans: list[DeploymentPlan] = field(default_factory=list)

    def begin(self, jar: str) -> None:
        self.site.objects.midst = self._wait
        self.plans.append(self.site.plan(jar))
        self.site.begin(self.plans[-1])

    def _wait(self, _done: int) -> None:
        assert self.go_on.wait(60)

    def runs(self, plan: DeploymentPlan) -> bool:
        return any(thread.name == f"staging-{plan.name}" for thread in threading.enumerate())

    def note(self, plan: DeploymentPlan) -> str:
        return self.site.staging.look(plan.name, self.site.layout(plan)).note


@pytest.fixture
def held(site: Site, weed: Seaweed, tmp_path: Path) -> Iterator[Held]:
    """As many as are fetched at once."""
    jar = write_jar(tmp_path / "large.jar", MAIN).read_bytes()
    one = Held(site)
    try:
        for number in range(AT_ONCE):
            (tmp_path / "large.jar").write_bytes(bytes([number]) * (3 << 20) + jar)
            by_boto3(weed, BUCKET, tmp_path / "large.jar", f"slow/{tmp_path.name}-{number}.jar")
            one.begin(f"obs://{BUCKET}/slow/{tmp_path.name}-{number}.jar")
        wait_until("all of them are fetched", lambda: len(site.objects.fetched) == AT_ONCE)
        yield one
    finally:
        one.go_on.set()
        for plan in one.plans:
            wait_until(f"{plan.name} ends", partial(lambda plan: not one.runs(plan), plan))


def test_slow_fetches_hold_up_no_other_preparation(site: Site, held: Held, weed: Seaweed, tmp_path: Path) -> None:
    by_boto3(weed, BUCKET, write_jar(tmp_path / "app.jar", MAIN, "a.Other"), "quick/app.jar")
    late = site.plan(f"obs://{BUCKET}/quick/app.jar")
    site.begin(late)
    wait_until(
        "it says what it waits for", lambda: held.note(late) == "waiting with app.jar: 4 other files are fetched now"
    )
    again = site.plan(held.plans[0].entrypoint)
    site.begin(again)
    wait_until("it says so too", lambda: held.note(again).startswith("waiting for another job, which fetches"))
    wait_until("it is fetched", lambda: held.note(held.plans[0]).startswith("fetching "))
    held.go_on.set()
    for plan in (*held.plans, late, again):
        assert site.settled(plan).state is PreparationState.READY
    assert len(site.objects.fetched) == AT_ONCE + 1


def test_what_is_in_the_cache_is_not_waited_for(site: Site, held: Held, weed: Seaweed, tmp_path: Path) -> None:
    held.go_on.set()
    site.prepared(site.plan(held.plans[0].entrypoint))
    for plan in held.plans:
        site.settled(plan)
    held.go_on.clear()
    for number in range(AT_ONCE):
        by_boto3(weed, BUCKET, tmp_path / "large.jar", f"slow/{tmp_path.name}-more-{number}.jar")
        held.begin(f"obs://{BUCKET}/slow/{tmp_path.name}-more-{number}.jar")
    wait_until("all places are taken", lambda: len(site.objects.fetched) == 2 * AT_ONCE)
    site.prepared(site.plan(held.plans[0].entrypoint))


def test_a_fetch_ends_with_the_deployment(site: Site, held: Held, weed: Seaweed, tmp_path: Path) -> None:
    gone, *others = held.plans
    site.staging.forget(gone.name)
    held.go_on.set()
    for plan in others:
        assert site.settled(plan).state is PreparationState.READY
    wait_until("its thread ends", lambda: not held.runs(gone))
    assert site.staging.look(gone.name, site.layout(gone)) == Preparation()
    assert not (site.layout(gone).usrlib / gone.entrypoint.rsplit("/")[-1]).exists()
    assert len(list((tmp_path / "cache" / "parts").glob("*.part"))) == 1, "what came is kept"
    site.prepared(site.plan(gone.entrypoint))
    assert site.objects.fetched[-1][1] > 0
