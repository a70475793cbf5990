"""Prepares a deployment in the background: its engine, its files, and what can be checked before anything starts."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import HeadraceError, Unavailable
from headrace.domain.observation import Preparation, PreparationState
from headrace.flink import command, config, preflight
from headrace.flink.command import Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.flink.installer import InstallProgress

log = logging.getLogger(__name__)

OBS_PLUGIN = Path(__file__).parent.parent / "flink" / "plugins" / "headrace-obs.jar"
PREPARED = "prepared.json"

Locate = Callable[[str, str], Path]
"""(project id, reference) -> the file it names; raises Refused."""


@dataclass(frozen=True)
class Prepared:
    """What the preparation found out; kept in the deployment's folder."""

    engine: str
    main_class: str
    files: tuple[str, ...]


class Staging:
    """Preparations of this process. What is lost with it is simply begun again."""

    def __init__(self, engines: EngineStore, locate: Locate) -> None:
        self._engines = engines
        self._locate = locate
        self._going: dict[str, Preparation] = {}
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(4)

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
            return Preparation(PreparationState.READY, f"Flink {load_prepared(layout).engine} is to run it.")
        with self._lock:
            return self._going.get(name, Preparation())

    def forget(self, name: str) -> None:
        """The deployment is no more."""
        with self._lock:
            self._going.pop(name, None)

    def _run(self, plan: DeploymentPlan, layout: Layout, earlier: Layout | None) -> None:
        with self._places:
            self._prepare(plan, layout, earlier)

    def _prepare(self, plan: DeploymentPlan, layout: Layout, earlier: Layout | None) -> None:
        try:
            engine = self._engines.find(plan.engine)
            if engine is None:
                self._say(plan.name, f"installing Flink {plan.engine}")
                engine = self._engines.install(plan.engine, lambda p: self._say(plan.name, _told(p)))
            self._say(plan.name, "staging the job's files")
            _stage(plan, layout, engine, _Files(plan, self._locate, earlier))
        except HeadraceError as error:
            self._fail(plan.name, str(error), heals=isinstance(error, Unavailable))
        except OSError as error:
            reason = f"The job's files could not be staged: {error}. Check the disk and its free space."
            self._fail(plan.name, reason, heals=True)
        except Exception as error:  # a thread's last words would be lost
            log.exception("%s: preparation failed", plan.name)
            self._fail(plan.name, f"The preparation failed: {type(error).__name__}: {error}")

    def _say(self, name: str, note: str) -> None:
        with self._lock:
            if name in self._going:
                self._going[name] = Preparation(PreparationState.IN_PROGRESS, note)

    def _fail(self, name: str, reason: str, *, heals: bool = False) -> None:
        with self._lock:
            self._going[name] = Preparation(PreparationState.FAILED, reason, heals)


@dataclass(frozen=True)
class _Files:
    """Where the user's files come from."""

    plan: DeploymentPlan
    locate: Locate
    earlier: Layout | None

    def put(self, reference: str, folder: Path, old: Path | None) -> Path:
        """A file of its own: what is replaced in the bucket later does not change a running job. ``old``: the folder
        that an earlier attempt has it in.
        """
        target = folder / reference.rsplit("/", 1)[-1]
        if old is not None and (old / target.name).is_file():
            target.unlink(missing_ok=True)
            os.link(old / target.name, target)
            return target
        temporary = folder / f".{target.name}.part"
        shutil.copyfile(self.locate(self.plan.project_id, reference), temporary)
        temporary.rename(target)
        return target

    def jars(self, layout: Layout) -> list[Path]:
        """The entrypoint and the JARs it depends on."""
        old = self.earlier.usrlib if self.earlier else None
        return [self.put(ref, layout.usrlib, old) for ref in (self.plan.entrypoint, *self.plan.dependency_jars)]

    def data(self, layout: Layout) -> list[Path]:
        """The files that the code finds as ``userData/<name>``."""
        old = self.earlier.classpath / "userData" if self.earlier else None
        return [self.put(ref, layout.classpath / "userData", old) for ref in self.plan.dependency_files]


def load_prepared(layout: Layout) -> Prepared:
    """What was found out when this deployment was prepared."""
    data = json.loads((layout.folder / PREPARED).read_text())
    return Prepared(data["engine"], data["main_class"], tuple(data["files"]))


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
    }
    temporary = layout.folder / f"{PREPARED}.tmp"
    temporary.write_text(json.dumps(prepared))
    temporary.rename(layout.folder / PREPARED)


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink():
        link.symlink_to(target)
