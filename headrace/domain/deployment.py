"""What is to be started: everything a runtime needs to know of one deployment, fixed before anything starts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite

from headrace.domain.errors import BadField
from headrace.domain.job import Job, JobSpec
from headrace.domain.places import SCHEMES, bare
from headrace.domain.sizing import Shape, size
from headrace.domain.variables import check_length, names_in, put_in

_BUCKET = re.compile(f"{SCHEMES}([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True)
class DeploymentPlan:
    """One deployment, in Flink's terms.

    Attributes:
        name: ``job-{id}-{attempt}``.
        engine: exact Flink version, e.g. "1.20.5".
        args: what main() receives, verbatim; values of variables are in.
        options: the user's Flink configuration (``runtime_config``), as given, values of variables put in.
        restore_path: savepoint or checkpoint to start from; "" = a clean start.
        checkpoint_dir: where checkpoints go; "" = the runtime's own folder.
        restarts_left: restarts that Flink may make in place within the next hour; None = without limit.
        first_attempt: the attempt with which the present run began: its files are used again.
        needed: states that some job may still be restored from.
        buckets: those that its definition names anywhere, sorted; whether they are its project's is not looked at.
        log_bucket: where its logs are to be kept; "" = nowhere but on this machine (``log_enabled`` is off).
    """

    name: str
    job_id: int
    attempt: int
    job_name: str
    engine: str
    shape: Shape
    entrypoint: str
    dependency_jars: tuple[str, ...] = ()
    dependency_files: tuple[str, ...] = ()
    main_class: str = ""
    args: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    checkpoint_interval_s: int | None = None
    exactly_once: bool = True
    restarts_left: int | None = 0
    first_attempt: int = 0
    needed: frozenset[str] = frozenset()
    checkpoint_dir: str = ""
    restore_path: str = ""
    log_levels: Mapping[str, str] = field(default_factory=dict)
    project_id: str = ""
    log_bucket: str = ""
    buckets: tuple[str, ...] = ()


def plan(job: Job, engine: str, memory_per_cu_mb: int, restarts_left: int | None = 0) -> DeploymentPlan:
    """The plan of the job's current attempt.

    Flink itself may restart it only where it would come back as the job says: a restart in place goes on from the
    latest checkpoint, so without ``resume_checkpoint`` each restart is a new deployment.

    Raises:
        BadField: a stored field can no longer be honoured (e.g. after a change of settings), or names a variable that
            the job was begun without.
    """
    spec = filled(job.spec, dict(job.variables))
    options = parse_runtime_config(spec.runtime_config)
    return DeploymentPlan(
        name=job.deployment,
        job_id=job.id,
        attempt=job.record.attempt,
        job_name=spec.name,
        engine=engine,
        shape=size(spec, options, memory_per_cu_mb),
        entrypoint=spec.entrypoint,
        dependency_jars=spec.dependency_jars,
        dependency_files=spec.dependency_files,
        main_class=spec.main_class,
        args=parse_args(spec.entrypoint_args),
        options=options,
        checkpoint_interval_s=spec.checkpoint_interval if spec.checkpoint_enabled else None,
        exactly_once=spec.checkpoint_mode == 1,
        restarts_left=restarts_left if spec.resume_checkpoint else 0,
        first_attempt=job.record.first_attempt,
        checkpoint_dir=checkpoint_dir(job),
        restore_path=job.record.restore_path,
        log_levels=parse_log_config(spec.flink_log_config),
        project_id=job.project_id,
        log_bucket=spec.obs_bucket if spec.log_enabled else "",
        buckets=_buckets(job, spec, options),
    )


def _buckets(job: Job, spec: JobSpec, options: Mapping[str, str]) -> tuple[str, ...]:
    """Buckets that the job names: in its fields, and as ``obs://bucket`` in its arguments and options."""
    texts = [checkpoint_dir(job), triggered_savepoint_dir(job), job.record.restore_path, spec.entrypoint]
    texts += [*spec.dependency_jars, *spec.dependency_files, *parse_args(spec.entrypoint_args), *options.values()]
    found = {bucket for text in texts for bucket in _BUCKET.findall(text)}
    return tuple(sorted(found | ({spec.obs_bucket} if spec.obs_bucket else set())))


def checkpoint_dir(job: Job) -> str:
    """Where the job's checkpoints go: to ``checkpoint_path`` if given (DLI: the folder that the code uses), else as DLI
    lays it out: ``<bucket>/jobs/checkpoint/<job id>``; "" without a bucket.
    """
    if job.spec.checkpoint_path:
        return f"obs://{bare(job.spec.checkpoint_path).strip('/')}"
    return f"obs://{job.spec.obs_bucket}/jobs/checkpoint/{job.id}" if job.spec.obs_bucket else ""


def savepoint_dir(job: Job) -> str:
    """Where the savepoint of the present request goes, as DLI lays it out: ``<bucket>/jobs/savepoint/
    {job_id}/{yyyy-mm-dd_hh-mm-ss}``; "" without a bucket.
    """
    if not job.spec.obs_bucket:
        return ""
    requested = datetime.fromtimestamp(job.desired.requested_ms / 1000, UTC).strftime("%Y-%m-%d_%H-%M-%S")
    return f"obs://{job.spec.obs_bucket}/jobs/savepoint/{job.id}/{requested}"


def triggered_savepoint_dir(job: Job) -> str:
    """Where a savepoint goes that was asked for by itself: to the folder that was named, else as those of stops."""
    return job.desired.savepoint_target or savepoint_dir(job)


def claim_size(spec: JobSpec, memory_per_cu_mb: int) -> Shape:
    """The shape alone, for admission and for the API's checks."""
    return size(spec, parse_runtime_config(spec.runtime_config), memory_per_cu_mb)


def references(spec: JobSpec) -> frozenset[str]:
    """Names of the variables that the arguments and the options refer to; none of a field that cannot be read."""
    texts: list[str] = []
    with suppress(BadField):
        texts += parse_args(spec.entrypoint_args)
    with suppress(BadField):
        texts += parse_runtime_config(spec.runtime_config).values()
    return frozenset().union(*map(names_in, texts))


def filled(spec: JobSpec, values: Mapping[str, str]) -> JobSpec:
    """The definition with the values of variables put in, each within its one argument or option, whatever it holds.

    Raises:
        BadField: ``values`` lacks a name, the text becomes too long, or a field cannot be read.
    """
    if not references(spec):
        return spec
    args = [put_in(text, values, "entrypoint_args") for text in parse_args(spec.entrypoint_args)]
    options = {
        key: put_in(text, values, "runtime_config") for key, text in parse_runtime_config(spec.runtime_config).items()
    }
    check_length("entrypoint_args", args)
    check_length("runtime_config", options.values())
    return spec.evolve(entrypoint_args=shlex.join(args), runtime_config=json.dumps(options))


def known_part(spec: JobSpec, values: Mapping[str, str]) -> JobSpec:
    """As ``filled``, for a definition that is not run yet: options whose variables are not all there are left out, and
    so are such arguments.
    """
    if references(spec) <= values.keys():
        return filled(spec, values)
    args = [text for text in parse_args(spec.entrypoint_args) if names_in(text) <= values.keys()]
    options = parse_runtime_config(spec.runtime_config)
    known = {key: text for key, text in options.items() if names_in(text) <= values.keys()}
    return filled(spec.evolve(entrypoint_args=shlex.join(args), runtime_config=json.dumps(known)), values)


def parse_args(text: str) -> tuple[str, ...]:
    """``entrypoint_args`` as main() receives them: split at blanks, quotes and backslashes as in a POSIX shell.

    Raises:
        BadField: a quote is not closed.
    """
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise BadField("entrypoint_args", text, f"{error}; close the quote or escape it with a backslash") from error


def parse_runtime_config(text: str) -> dict[str, str]:
    """``runtime_config`` in either notation: a JSON array ``[{"key":…,"value":…}]`` or lines of ``key=value``.

    Raises:
        BadField: neither notation, an empty key, or one key twice.
    """
    field_name = "runtime_config"
    if not text.strip():
        return {}
    pairs = _json_pairs(text) if text.lstrip()[0] in "[{" else _line_pairs(text)
    options: dict[str, str] = {}
    for key, value in pairs:
        if re.fullmatch(r"[A-Za-z0-9_.$-]{1,255}", key) is None:
            raise BadField(field_name, key, "a key has letters, digits and _ . - $ only")
        if any(ord(char) < 32 or 0xD800 <= ord(char) < 0xE000 for char in value):
            raise BadField(field_name, f"{key}={value}", "must not hold control characters, line breaks or surrogates")
        if key in options:
            raise BadField(field_name, key, "is given twice; keep one of them")
        options[key] = value
    return options


def _json_pairs(text: str) -> list[tuple[str, str]]:
    remedy = 'must be a JSON array such as [{"key":"taskmanager.memory.managed.fraction","value":"0.2"}]'
    try:
        data = json.loads(text, object_pairs_hook=_no_key_twice("runtime_config"))
    except (ValueError, RecursionError) as error:
        raise BadField("runtime_config", text, remedy) from error
    if isinstance(data, dict):
        data = [{"key": key, "value": value} for key, value in data.items()]
    pairs = []
    for item in data:
        if not isinstance(item, dict) or set(item) != {"key", "value"} or not isinstance(item["key"], str):
            raise BadField("runtime_config", item, remedy)
        value = item["value"]
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
            raise BadField("runtime_config", item, remedy)
        pairs.append((item["key"].strip(), str(value)))
    return pairs


def _no_key_twice(field_name: str) -> Callable[[list[tuple[str, object]]], dict[str, object]]:
    """For JSON within a field: an object whose members have different names."""

    def members_of(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members: dict[str, object] = {}
        for key, value in pairs:
            if key in members:
                raise BadField(field_name, key, "is given twice; keep one of them")
            members[key] = value
        return members

    return members_of


def _line_pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.splitlines():
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise BadField("runtime_config", line, "each line must be key=value")
        pairs.append((key.strip(), value.strip()))
    return pairs


LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")


def parse_log_config(text: str) -> dict[str, str]:
    """``flink_log_config`` -> {logger: level}; the root logger's name is "".

    Raises:
        BadField: not JSON of DLI's form, or an unknown level.
    """
    if not text.strip():
        return {}
    remedy = 'must be JSON such as {"root_logger_level":"INFO","loggers_level_of_class":{"org.apache.flink":"WARN"}}'
    try:
        data = json.loads(text, object_pairs_hook=_no_key_twice("flink_log_config"))
    except (ValueError, RecursionError) as error:
        raise BadField("flink_log_config", text, remedy) from error
    if not isinstance(data, dict) or not isinstance(data.get("loggers_level_of_class", {}), dict):
        raise BadField("flink_log_config", text, remedy)
    unknown = set(data) - {"root_logger_level", "loggers_level_of_class"}
    if unknown:
        raise BadField("flink_log_config", sorted(unknown)[0], remedy)
    levels = dict(data.get("loggers_level_of_class", {}))
    if "root_logger_level" in data:
        levels[""] = data["root_logger_level"]
    for logger, level in levels.items():
        if level not in LOG_LEVELS:
            raise BadField("flink_log_config", level, f"must be one of {', '.join(LOG_LEVELS)}")
        if not all(char.isalnum() or char in "._$-" for char in logger):
            raise BadField("flink_log_config", logger, "is not the name of a class or package")
    return levels
