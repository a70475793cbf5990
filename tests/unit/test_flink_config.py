"""Flink's configuration of a deployment: what wins, what is refused, and how it is written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.errors import BadField
from headrace.domain.job import JobSpec
from headrace.domain.sizing import OVERRIDES, size
from headrace.flink import config

PLAN = DeploymentPlan("job-1-1", 1, 1, "job", "1.20.5", size(JobSpec("job"), {}), "obs://b/a.jar")
PLACES = config.Places(Path("/d"), Path("/o"), Path("/s"), 1111, 2222)


@pytest.mark.parametrize(
    "key",
    [
        "jobmanager.rpc.address",
        "jobmanager.rpc.port",
        "rest.port",
        "rest.bind-address",
        "high-availability",
        "high-availability.type",
        "kubernetes.jobmanager.replicas",
        "taskmanager.numberOfTaskSlots",
        "parallelism.default",
        "restart-strategy",
        "restart-strategy.type",
        "restart-strategy.fixed-delay.attempts",
        "state.savepoints.dir",
        "state.checkpoints.create-subdir",
        "execution.checkpointing.create-subdir",
        "execution.savepoint.path",
        "fs.obs.local.root",
        "flink.dli.job.scale.enable",
        "env.java.home",
        "io.tmp.dirs",
    ],
)
def test_a_key_that_headrace_owns_is_refused_with_its_name(key: str) -> None:
    with pytest.raises(BadField, match=key):
        config.check_options({key: "x"})


@pytest.mark.parametrize(
    "key",
    [
        "max_records_per_file",
        "taskmanager.memory.managed.fraction",
        "state.backend.rocksdb.block.cache-size",
        "table.exec.mini-batch.enabled",
        "flink.hadoop.dfs.replication",
        "s3.upload.min.part.size",
        "fs.s3a.threads.max",
        "s3a.connection.maximum",
        "restarting",
        "restful",
        *sorted(OVERRIDES),
    ],
)
def test_other_keys_are_the_users(key: str) -> None:
    config.check_options({key: "x"})


def test_options_of_the_jvm_are_handed_on_but_not_sizes_nor_the_launch() -> None:
    options = {"env.java.opts.all": "-Dk='a b'", "env.java.opts.taskmanager": "-XX:+UseSerialGC"}
    assert config.jvm_options("taskmanager", options) == ["-Dk=a b", "-XX:+UseSerialGC"]
    assert config.jvm_options("jobmanager", options) == ["-Dk=a b"]
    for word in (
        "-Xmx64g",
        "-XX:MaxDirectMemorySize=9g",
        "-XX:MaxRAMPercentage=9",
        "-cp",
        "-jar",
        "@file",
        "Main",
        "'",
    ):
        with pytest.raises(BadField, match=r"env\.java\.opts"):
            config.check_options({"env.java.opts": word})


def test_the_users_options_win_over_defaults_and_headrace_over_both() -> None:
    plan = replace(
        PLAN,
        checkpoint_interval_s=10,
        options={"execution.checkpointing.interval": "7 s", "rest.port": "1", "kubernetes.taskmanager.cpu": "2"},
    )
    options = config.build(plan, (1, 20), PLACES)
    assert options["execution.checkpointing.interval"] == "7 s"
    assert options["execution.checkpointing.mode"] == "EXACTLY_ONCE"
    assert options["rest.port"] == "2222"
    assert "kubernetes.taskmanager.cpu" not in options


@pytest.mark.parametrize(
    ("left", "minor", "expected"),
    [
        (0, (1, 17), {"restart-strategy": "none"}),
        (0, (2, 3), {"restart-strategy.type": "none"}),
        (None, (1, 17), {"restart-strategy": "exponential-delay"}),
        (None, (1, 20), {"restart-strategy.type": "exponential-delay"}),
        (5, (1, 20), {"restart-strategy.failure-rate.max-failures-per-interval": "5"}),
        (2**31 - 1, (1, 20), {"restart-strategy.failure-rate.max-failures-per-interval": "3600"}),
    ],
)
def test_a_restart_strategy_is_always_set(left: int | None, minor: tuple[int, int], expected: dict[str, str]) -> None:
    options = config.build(replace(PLAN, restarts_left=left), minor, PLACES)
    assert expected.items() <= options.items()


def test_what_is_written_is_what_a_yaml_library_reads(tmp_path: Path) -> None:
    odd = {"a": "1e3", "b": "on", "c": "a: b # c", "d": '"quoted"', "e": "数据", "f": "", "g": "0777"}
    config.write(tmp_path, odd, (1, 20))
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")) == odd


def test_the_old_notation_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    config.write(tmp_path, {"b": "x: y", "a": "1"}, (1, 17))
    assert (tmp_path / "flink-conf.yaml").read_text() == "a: 1\nb: x: y\n"
    with pytest.raises(BadField, match=r"runtime_config\.c"):
        config.write(tmp_path, {"c": "a#b"}, (1, 17))


def test_log_levels_reach_log4j(tmp_path: Path) -> None:
    path = tmp_path / "log4j.properties"
    config.write_log4j(path, {"": "WARN", "com.example": "DEBUG"})
    text = path.read_text()
    assert "rootLogger.level = WARN" in text
    number = next(line.split(".")[1] for line in text.splitlines() if line.endswith("name = com.example"))
    assert f"logger.{number}.level = DEBUG" in text
