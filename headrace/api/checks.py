"""What must hold of a job beyond the shape of each field: at create, at update, and again at run."""

from __future__ import annotations

from headrace.api.access import Access
from headrace.api.services import JarCheck, Services
from headrace.domain.deployment import claim_size, filled, known_part, parse_args, parse_log_config, references
from headrace.domain.errors import BadField, NotSupported, PackageNotFound, QueueNotFound
from headrace.domain.job import JobSpec
from headrace.domain.places import bare
from headrace.domain.rights import PackageRight, package_thing
from headrace.domain.sizing import Shape
from headrace.objects.artifacts import base_name
from headrace.objects.paths import PackageRef, parse_reference
from headrace.objects.sources import Source
from headrace.store.queues import Queue

GENERAL = "general"

CHANGEABLE_WHILE_ACTIVE = frozenset(
    {
        "smn_topic",
        "restart_when_exception",
        "resume_checkpoint",
        "resume_max_num",
        "checkpoint_path",
        "obs_bucket",
        "name",
        "desc",
    }
)
"""The six that DLI names for running jobs, and the two that its console edits in any state."""


def check_job(services: Services, project_id: str, spec: JobSpec, *, running: bool = False) -> Shape:
    """Refuses a definition that could not run; returns its shape.

    Args:
        services: all of them.
        project_id: whose job it is.
        spec: the definition.
        running: it shall run now, so each variable that it refers to must be there; until then they may come later.

    Raises:
        BadField, NotSupported, EngineUnknown, BadJar: the definition is wrong.
        BucketNotFound, QueueNotFound, PackageNotFound, ObjectNotFound: it names what does not exist.
    """
    if spec.feature == "custom" or spec.image:
        raise NotSupported(
            "feature=custom and image: custom images need containers, which Headrace does not run. Leave image empty, "
            "set feature to basic, and choose the engine with flink_version."
        )
    parse_args(spec.entrypoint_args)
    parse_log_config(spec.flink_log_config)
    values = services.variables.values(project_id, references(spec))
    spec = filled(spec, values) if running else known_part(spec, values)
    shape = claim_size(spec, services.settings.memory_per_cu_mb)
    services.check_flink(spec, shape)
    _refuse_same_names(spec)
    engine = services.resolve_engine(spec.flink_version)
    check_bucket(services, project_id, spec)
    if spec.queue_name:
        general_queue(services, project_id, spec.queue_name)
    _check_files(services, project_id, spec, engine)
    return shape


def check_bucket(services: Services, project_id: str, spec: JobSpec) -> None:
    """The buckets for logs, checkpoints and savepoints; raises BadField, BucketNotFound."""
    if spec.obs_bucket:
        services.require_bucket(project_id, spec.obs_bucket)
    if spec.checkpoint_path:
        services.require_bucket(project_id, bare(spec.checkpoint_path).partition("/")[0])
    for field in ("checkpoint_enabled", "log_enabled"):
        if getattr(spec, field) and not spec.obs_bucket:
            raise BadField("obs_bucket", spec.obs_bucket, f"must name a bucket when {field} is true")


def check_use(access: Access, services: Services, spec: JobSpec, before: JobSpec | None = None) -> None:
    """Whoever names a package in a job must be allowed to use it, and see the queue; to run in that is asked at a run.

    What the job named ``before`` is not asked again.

    Raises:
        NotAuthorised, PackageNotFound, QueueNotFound, BadField.
    """
    if spec.queue_name and (before is None or spec.queue_name != before.queue_name):
        queue = services.queues.find(access.project_id, spec.queue_name)
        if not access.sees_queue(queue):
            raise QueueNotFound.of(spec.queue_name)
    for field in ("entrypoint", "dependency_jars", "dependency_files"):
        for reference in _references(spec, field) - (_references(before, field) if before else frozenset()):
            wanted = parse_reference(reference, field)
            if isinstance(wanted, PackageRef):
                package = services.packages.find(access.project_id, wanted.group, wanted.name)
                if not access.sees_package(package):
                    raise PackageNotFound.of(wanted.group, wanted.name)
                access.demand(PackageRight.USE_RESOURCE, package_thing(package.group, package.name, package.owner))


def _references(spec: JobSpec, field: str) -> frozenset[str]:
    value = getattr(spec, field)
    return frozenset(value if isinstance(value, tuple) else (value,)) - {""}


def general_queue(services: Services, project_id: str, name: str) -> Queue:
    """The queue, if it can run JAR jobs; raises QueueNotFound, BadField."""
    queue = services.queues.find(project_id, name)
    if queue.queue_type != GENERAL:
        raise BadField(
            "queue_name", name, f"is a queue of type {queue.queue_type}; a JAR job needs one of type general"
        )
    return queue


def _refuse_same_names(spec: JobSpec) -> None:
    """Files lie side by side under their base names, on the class path and in ``userData``."""
    jars = (*((spec.entrypoint,) if spec.entrypoint else ()), *spec.dependency_jars)
    for field, listed in (("dependency_jars", jars), ("dependency_files", spec.dependency_files)):
        names = [base_name(reference) for reference in listed]
        for reference, name in zip(listed, names, strict=True):
            if names.count(name) > 1:
                raise BadField(field, reference, f"another file of the job is named {name} too; rename one of them")


def _check_files(services: Services, project_id: str, spec: JobSpec, engine: str) -> None:
    def locate(reference: str, field: str) -> Source:
        return services.artifacts.locate(project_id, reference, field)

    entrypoint = locate(spec.entrypoint, "entrypoint") if spec.entrypoint else None
    jars = tuple(locate(reference, "dependency_jars") for reference in spec.dependency_jars)
    for reference in spec.dependency_files:
        locate(reference, "dependency_files")
    if entrypoint is not None:
        services.check_jar(JarCheck(entrypoint, spec.entrypoint, jars, spec.main_class, engine))
