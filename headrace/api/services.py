"""All that the API needs of the rest of Headrace; ``headrace.main`` builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Protocol

from fastapi import Depends, Request

from headrace.domain.job import JobSpec
from headrace.domain.sizing import Shape
from headrace.objects.artifacts import ArtifactResolver
from headrace.objects.folder import ObjectStore
from headrace.objects.packages import PackageFiles
from headrace.runtimes.base import Runtime
from headrace.settings import Settings
from headrace.store.jobs import JobStore
from headrace.store.packages import PackageStore
from headrace.store.queues import QueueStore


@dataclass(frozen=True)
class AccessKey:
    """One access key: its secret, and whom it speaks for."""

    access_key: str
    secret_key: str
    project_id: str
    user_name: str


class AccessKeys(Protocol):
    """Where access keys are known."""

    def find(self, access_key: str) -> AccessKey | None:
        """The key, None if there is none (any more)."""


@dataclass(frozen=True)
class JarCheck:
    """What is to be found in a job's JARs before it is accepted.

    Attributes:
        entrypoint: the JAR, as a file of this machine.
        reference: the JAR as the user named it.
        dependency_jars: further JARs, in which the main class may be too.
        main_class: "" = the one that the JAR's manifest names.
        engine: exact Flink version that will run it.
    """

    entrypoint: Path
    reference: str
    dependency_jars: tuple[Path, ...]
    main_class: str
    engine: str


@dataclass(frozen=True)
class Services:
    """The parts that routes work with.

    Attributes:
        runtime: asked for execution graphs and records only.
        nudge: the job has a new request; look at it soon.
        resolve_engine: ``flink_version`` ("" = the default) -> the exact version; raises EngineUnknown.
        check_jar: raises BadJar.
        check_flink: raises BadField for Flink options that Headrace itself sets, and for processes too small for Flink.
        memory_capacity_mb: memory that may be promised to all jobs of this machine.
        now_ms: the clock, in epoch milliseconds.
    """

    settings: Settings
    jobs: JobStore
    queues: QueueStore
    packages: PackageStore
    package_files: PackageFiles
    objects: ObjectStore
    artifacts: ArtifactResolver
    runtime: Runtime
    access: AccessKeys
    nudge: Callable[[int], None]
    resolve_engine: Callable[[str], str]
    check_jar: Callable[[JarCheck], None]
    check_flink: Callable[[JobSpec, Shape], None]
    memory_capacity_mb: Callable[[], int]
    now_ms: Callable[[], int]


def _services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


Parts = Annotated[Services, Depends(_services)]
"""The services, for routes."""
