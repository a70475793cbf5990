"""Prepares a deployment in the background: its engine, its files, and what can be checked before anything starts."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import HeadraceError, StoreSilent, Unavailable
from headrace.domain.observation import Preparation, PreparationState
from headrace.flink import command, config, preflight
from headrace.flink.command import Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.installer import InstallProgress
from headrace.objects.cache import Staged, Told
from headrace.runtimes.s3 import S3Store

log = logging.getLogger(__name__)

OBS_PLUGIN = Path(__file__).parent.parent / "flink" / "plugins" / "headrace-obs.jar"
PREPARED = "prepared.json"

Fetch = Callable[[str, str, Path, Told], Staged]
"""(project id, reference, where to, who is told how far it is) -> what the file is that was put there; raises Refused,
Unavailable.
"""

SHOWN_FILES = 20
"""So many of a job's files the journal tells of."""


@dataclass(frozen=True)
class Prepared:
    """What the preparation found out; kept in the deployment's folder.

    Attributes:
        engine: exact Flink version.
        main_class: whose ``main`` is called.
        files: base names of the job's files.
        contents: base name -> its content; empty of a deployment that an older Headrace has prepared.
    """

    engine: str
    main_class: str
    files: tuple[str, ...]
    contents: Mapping[str, Staged]

    @property
    def told(self) -> str:
        """What the journal says of the run: which content of which file."""
        shown = [
            f"{name} (sha256 {self.contents[name].sha256[:12]}, {self.contents[name].size} bytes)"
            for name in self.contents
        ]
        more = f" and {len(shown) - SHOWN_FILES} more" if len(shown) > SHOWN_FILES else ""
        files = ", ".join(shown[:SHOWN_FILES])
        return f"Flink {self.engine} is to run {files}{more}." if files else f"Flink {self.engine} is to run it."


class Staging:
    """Preparations of this process. What is lost with it is simply begun again."""

    def __init__(self, engines: EngineStore, fetch: Fetch, s3: S3Store | None = None) -> None:
        """``s3``: the endpoint behind which the buckets are; None = they are folders of this machine."""
        self._s3 = s3
        self._engines = engines
        self._fetch = fetch
        self._going: dict[str, Preparation] = {}
        self._lock = threading.Lock()

    def begin(self, plan: DeploymentPlan, layout: Layout, earlier: Layout | None = None) -> None:
        """Begins, unless it goes on already or is done; returns at once. What an ``earlier`` attempt of the same run
        has is taken from there.

        Raises:
            Unavailable: it failed, but may go better: the next call begins it anew.
        """
        with self._lock:
            if plan.name in self._going and self._going[plan.name].heals:
                raise Unavailable(self._going.pop(plan.name).note)
            if plan.name in self._going or (layout.folder / PREPARED).exists():
                return
            self._going[plan.name] = Preparation(PreparationState.IN_PROGRESS, "preparing")
        # A daemon: the end of this process does not wait for a download; the next process begins it anew.
        threading.Thread(
            target=self._run, args=(plan, layout, earlier), name=f"staging-{plan.name}", daemon=True
        ).start()

    def look(self, name: str, layout: Layout) -> Preparation:
        """How far it is."""
        if (layout.folder / PREPARED).exists():
            return Preparation(PreparationState.READY, load_prepared(layout).told)
        with self._lock:
            return self._going.get(name, Preparation())

    def forget(self, name: str) -> None:
        """The deployment is no more: what is fetched for it is not waited for."""
        with self._lock:
            self._going.pop(name, None)

    def _run(self, plan: DeploymentPlan, layout: Layout, earlier: Layout | None) -> None:
        def progress(of: InstallProgress) -> None:
            self._say(plan.name, _told(of))

        try:
            engine = self._engines.find(plan.engine)
            if engine is None:
                self._say(plan.name, f"installing Flink {plan.engine}")
                engine = self._engines.install(plan.engine, progress)
            if self._s3 is not None:
                self._s3.install(engine.version, progress)
            self._say(plan.name, "staging the job's files")
            _stage(plan, layout, engine, _Files(plan, self._wanted, earlier))
        except _ForgottenError:
            log.info("%s: nobody wants it any more; its preparation ends", plan.name)
        except HeadraceError as error:
            self._fail(
                plan.name, str(error), heals=isinstance(error, Unavailable), passes=isinstance(error, StoreSilent)
            )
        except OSError as error:
            reason = f"The job's files could not be staged: {error}. Check the disk and its free space."
            self._fail(plan.name, reason, heals=True)
        except Exception as error:  # a thread's last words would be lost
            log.exception("%s: preparation failed", plan.name)
            self._fail(plan.name, f"The preparation failed: {type(error).__name__}: {error}")

    def _wanted(self, plan: DeploymentPlan, reference: str, target: Path) -> Staged:
        """Fetches a file, as long as the deployment is wanted."""

        def told(note: str) -> None:
            if not self._say(plan.name, note):
                raise _ForgottenError

        return self._fetch(plan.project_id, reference, target, told)

    def _say(self, name: str, note: str) -> bool:
        """False if it is forgotten."""
        with self._lock:
            if name in self._going:
                self._going[name] = Preparation(PreparationState.IN_PROGRESS, note)
            return name in self._going

    def _fail(self, name: str, reason: str, *, heals: bool = False, passes: bool = False) -> None:
        with self._lock:
            if name in self._going:
                self._going[name] = Preparation(PreparationState.FAILED, reason, heals, passes)


class _ForgottenError(Exception):
    """The deployment is no more."""


class _Files:
    """Where the user's files come from, and what they are."""

    def __init__(
        self, plan: DeploymentPlan, fetch: Callable[[DeploymentPlan, str, Path], Staged], earlier: Layout | None
    ) -> None:
        self._plan = plan
        self._fetch = fetch
        self._earlier = earlier
        self._before = _contents(earlier)
        self.contents: dict[str, Staged] = {}

    def jars(self, layout: Layout) -> list[Path]:
        """The entrypoint and the JARs it depends on."""
        old = self._earlier.usrlib if self._earlier else None
        return [self._put(ref, layout.usrlib, old) for ref in (self._plan.entrypoint, *self._plan.dependency_jars)]

    def data(self, layout: Layout) -> list[Path]:
        """The files that the code finds as ``userData/<name>``."""
        old = self._earlier.classpath / "userData" if self._earlier else None
        return [self._put(ref, layout.classpath / "userData", old) for ref in self._plan.dependency_files]

    def _put(self, reference: str, folder: Path, old: Path | None) -> Path:
        """What is replaced in the bucket later does not change a running job. ``old``: the folder that an earlier
        attempt of the same run has it in.
        """
        target = folder / reference.rsplit("/", 1)[-1]
        if old is not None and (old / target.name).is_file():
            target.unlink(missing_ok=True)
            os.link(old / target.name, target)
            if target.name in self._before:
                self.contents[target.name] = self._before[target.name]
        else:
            self.contents[target.name] = self._fetch(self._plan, reference, target)
        return target


def load_prepared(layout: Layout) -> Prepared:
    """What was found out when this deployment was prepared."""
    data = json.loads((layout.folder / PREPARED).read_text())
    contents = {name: Staged(sha256, size) for name, (sha256, size) in data.get("contents", {}).items()}
    return Prepared(data["engine"], data["main_class"], tuple(data["files"]), contents)


def _contents(layout: Layout | None) -> Mapping[str, Staged]:
    return load_prepared(layout).contents if layout is not None and (layout.folder / PREPARED).exists() else {}


def _told(progress: InstallProgress) -> str:
    if progress.total_bytes:
        return f"installing {progress.what}: {100 * progress.done_bytes // progress.total_bytes} %"
    return f"installing {progress.what}: {progress.note}"


def _stage(plan: DeploymentPlan, layout: Layout, engine: Engine, given: _Files) -> None:
    """Lays out the folder and checks what can be checked; its last step makes the deployment READY."""
    config.check_options(plan.options)
    # No parents: the folder of a deployment that was erased meanwhile does not come back.
    for folder in (layout.usrlib, layout.classpath, layout.plugins, layout.log, layout.tmp, layout.archive):
        folder.mkdir(exist_ok=True)
    (layout.classpath / "userData").mkdir(exist_ok=True)
    jars, data = given.jars(layout), given.data(layout)
    reports = [preflight.inspect(jar) for jar in jars]
    main_class = preflight.check_main_class(reports, plan.main_class)
    preflight.check_java(reports, main_class, engine.java_major, engine.version)
    _link(layout.lib, engine.home / "lib")
    for plugin in (engine.home / "plugins").iterdir():
        if plugin.is_dir():
            _link(layout.plugins / plugin.name, plugin)
    (layout.plugins / "obs").mkdir(exist_ok=True)
    shutil.copyfile(OBS_PLUGIN, layout.plugins / "obs" / OBS_PLUGIN.name)
    # Memory and options are tried out now, so that nothing can be refused when the CUs are held.
    options = config.user_options(plan.options)
    command.jobmanager(plan, engine, layout, options, main_class)
    command.taskmanager(plan, engine, layout, options, 1)
    prepared = {
        "engine": engine.version,
        "main_class": main_class,
        "files": [path.name for path in (*jars, *data)],
        "contents": {name: (content.sha256, content.size) for name, content in given.contents.items()},
    }
    temporary = layout.folder / f"{PREPARED}.tmp"
    temporary.write_text(json.dumps(prepared))
    temporary.rename(layout.folder / PREPARED)


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)
