"""Settings of the server, its engines, the machine, and how jobs are looked after."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


def data_home() -> Path:
    """Where folders are by default."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "headrace"


class MachineSettings(BaseModel):
    """Fields of Settings: the server itself, engines, memory, patience, logs."""

    model_config = ConfigDict(frozen=True)

    home: Annotated[Path, Field(description="Folder with all state of one server; created with mode 0700.")] = Field(
        default_factory=lambda: data_home() / "home"
    )
    host: Annotated[str, Field(description="Address to listen on. Beyond loopback needs `--insecure-bind`.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 7373

    engine_store: Annotated[
        Path, Field(description="Folder with the installed Flink engines and their Java, shared by all homes.")
    ] = Field(default_factory=lambda: data_home() / "engines")
    engine_default: Annotated[str, Field(description="Flink version of a job that names none.")] = "1.20"
    engine_aliases: Annotated[
        dict[str, str],
        Field(description='Flink versions that jobs name → the one that runs them, e.g. {"1.15": "1.17"}.'),
    ] = {}
    engine_java_homes: Annotated[
        dict[str, Path],
        Field(description='JDK of your own per Flink version or minor, e.g. {"1.20": "/opt/jdk-17"}.'),
    ] = {}

    memory_per_cu_mb: Annotated[
        int, Field(ge=256, le=65536, description="Memory of 1 CU in MB. DLI's is 4096; smaller suits a laptop.")
    ] = 4096
    memory_reserve_mb: Annotated[
        int, Field(ge=0, description="Memory that is never promised to jobs: for the system and Headrace itself.")
    ] = 1024
    memory_limit_mb: Annotated[
        int | None,
        Field(ge=0, description="Memory of this machine for jobs and reserve; default: the machine's or cgroup's."),
    ] = None

    sweep_seconds: Annotated[float, Field(gt=0, description="Period at which every active job is looked at.")] = 1.0
    start_patience_seconds: Annotated[
        float, Field(gt=0, description="How long a deployment may take until all its tasks run.")
    ] = 300.0
    savepoint_patience_seconds: Annotated[
        float,
        Field(
            gt=0,
            description="How long a savepoint may take before it is given up (and the stop with it is called failed).",
        ),
    ] = 600.0
    cancel_patience_seconds: Annotated[
        float, Field(gt=0, description="How long Flink may take to cancel a job before its processes are ended.")
    ] = 30.0
    unresponsive_after_seconds: Annotated[
        float, Field(gt=0, description="A live JobManager whose REST is silent for so long is ended.")
    ] = 120.0
    taskmanager_silent_after_seconds: Annotated[
        float,
        Field(gt=0, description="A live TaskManager that Flink has not heard of for so long is ended and replaced."),
    ] = 30.0
    kept_attempts: Annotated[
        int,
        Field(
            ge=1,
            description="Logs and checkpoints of so many attempts of a job are kept, and older checkpoints that a job "
            "may still be restored from.",
        ),
    ] = 5

    log_period_seconds: Annotated[
        float,
        Field(gt=0, le=60, description="Period at which logs of jobs with log_enabled go to their bucket."),
    ] = 2.0
    log_spool_mb: Annotated[
        int,
        Field(ge=1, description="So much of each log stays on this machine, the newest; what is older goes."),
    ] = 128
    log_segment_mb: Annotated[
        int,
        Field(ge=1, le=128, description="A log's object in the bucket is at most so large; then the next one begins."),
    ] = 4
    log_roll_minutes: Annotated[
        int,
        Field(ge=1, le=1440, description="A log's next object in the bucket begins after so long, and with each day."),
    ] = 60
    log_wait_seconds: Annotated[
        float,
        Field(ge=0, description="So long the logs of a deleted job wait for a bucket that cannot be written to."),
    ] = 3600.0

    @field_validator("engine_store")
    @classmethod
    def _fits_a_class_path(cls, path: Path) -> Path:
        if ":" in str(path):
            message = "must not have ':' in it: that separates the entries of a Java class path"
            raise ValueError(message)
        return path
