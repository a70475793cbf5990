"""Starts the processes of a prepared deployment. Every step can be repeated: a role is started once, by its keeper."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import Unavailable
from headrace.flink import command, config
from headrace.flink.command import Command, Layout
from headrace.flink.engines import Engine, EngineStore
from headrace.runtimes import files, processes, taskmanagers
from headrace.runtimes.ports import free_ports
from headrace.runtimes.processes import Life
from headrace.runtimes.s3 import S3Store
from headrace.runtimes.staging import PREPARED, load_prepared
from headrace.runtimes.states import States

STARTED, REMOVED = "started.json", "removed"


@dataclass(frozen=True)
class Commands:
    """What starts the processes of one deployment."""

    plan: DeploymentPlan
    engine: Engine
    layout: Layout
    options: Mapping[str, str]
    main_class: str

    def jobmanager(self) -> Command:
        """Its JobManager."""
        return command.jobmanager(self.plan, self.engine, self.layout, self.options, self.main_class)

    def taskmanager(self, number: int) -> Command:
        """One of its TaskManagers."""
        return command.taskmanager(self.plan, self.engine, self.layout, self.options, number)


class Starter:
    """Starts deployments below one home."""

    def __init__(
        self,
        home: Path,
        engines: EngineStore,
        state_of: Callable[[int], Path],
        spool_bytes: int,
        s3: S3Store | None = None,
    ) -> None:
        """Takes the places of all.

        Args:
            state_of: the folder with the checkpoints and savepoints of a job without a bucket, by its id.
            spool_bytes: so much of each log stays on this machine.
            s3: the endpoint behind which the buckets are; None = they are folders of the home.
        """
        self._s3 = s3
        self._spool_bytes = spool_bytes
        self._home = home
        self._engines = engines
        self._state_of = state_of
        self._ports = threading.Lock()

    def start(self, plan: DeploymentPlan, layout: Layout, states: States) -> None:
        """Starts all roles.

        Raises:
            Unavailable: something is missing, or the disk does not take it.
        """
        if not (layout.folder / PREPARED).exists():
            raise Unavailable(
                f"The prepared files of {plan.name} are gone from {layout.folder}. Stop the job and run it again."
            )
        commands = self._commands(plan, layout)
        states.begin(config.checkpoint_dir(commands.options))
        self._begin("jobmanager", commands.jobmanager(), commands)
        for number in range(1, plan.shape.taskmanagers + 1):
            self._begin(taskmanagers.role(number), commands.taskmanager(number), commands)
        files.write(layout.folder / STARTED, {"taskmanagers": plan.shape.taskmanagers})

    def replace(self, plan: DeploymentPlan, layout: Layout, total: int) -> None:
        """Starts TaskManagers until there were ``total`` in place of others.

        Raises:
            Unavailable: something is missing, or the disk does not take it.
        """
        commands = self._commands(plan, layout)
        first = first_taskmanagers(layout) + 1
        for number in range(first, first + total):
            role = taskmanagers.role(number)
            if processes.look(layout.role(role)).life is Life.NEVER:
                self._begin(role, commands.taskmanager(number), commands)

    def _commands(self, plan: DeploymentPlan, layout: Layout) -> Commands:
        prepared = load_prepared(layout)
        engine = self._engines.find(prepared.engine)
        if engine is None:
            raise Unavailable(f"Flink {prepared.engine} is no longer in the engine store")
        options = config.build(plan, engine.minor, self._places(plan, layout, engine))
        return Commands(plan, engine, layout, options, prepared.main_class)

    def _begin(self, role: str, what: Command, commands: Commands) -> None:
        layout, engine = commands.layout, commands.engine
        config.write(layout.conf(role), what.options, engine.minor)
        config.write_log4j(layout.conf(role) / "log4j.properties", commands.plan.log_levels)
        work = layout.work(role)
        work.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # a deploy may be repeated, and several may do it at once
            (work / "userData").symlink_to(layout.classpath / "userData")
        ordered = {
            "argv": what.argv,
            "env": dict(what.env),
            "cwd": str(work),
            "output": str(layout.logs(role)[".out"]),
            "fence": str(layout.folder),
            "holds": [str(engine.use_lock)],
            "spool": {"files": [str(path) for path in layout.logs(role).values()], "bytes": self._spool_bytes},
        }
        files.write(layout.role(role) / "command.json", ordered)
        processes.start(layout.role(role))
        fenced = (layout.folder / REMOVED).exists()
        if not fenced and processes.look(layout.role(role)).life is Life.NEVER:
            raise Unavailable(f"The {role} could not be started: see {layout.role(role) / 'keeper.log'}")

    def _places(self, plan: DeploymentPlan, layout: Layout, engine: Engine) -> config.Places:
        """Folders, and ports that stay the same when a deploy is repeated."""
        path = layout.folder / "ports.json"
        with self._ports:
            if not path.exists():
                others = (self._home / "deployments").glob("*/ports.json")
                taken = {port for other in others for port in files.read(other)["ports"]}
                files.write(path, {"ports": free_ports(2, taken)})
            rpc, rest = files.read(path)["ports"]
        state = self._state_of(plan.job_id)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        s3 = self._s3.write(plan, layout, engine.version) if self._s3 else None
        return config.Places(layout.folder, self._home / "objects", state, rpc, rest, s3)


def first_taskmanagers(layout: Layout) -> int:
    """How many TaskManagers the deployment was started with.

    Raises:
        Unavailable: its record cannot be read.
    """
    return int(files.read(layout.folder / STARTED)["taskmanagers"])
