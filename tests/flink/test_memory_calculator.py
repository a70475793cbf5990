"""Our arithmetic against Flink's own calculator."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.flink import catalog, memory
from headrace.flink.engines import Engine, EngineStore

pytestmark = pytest.mark.flink

TM, JM = "taskmanager.memory.", "jobmanager.memory."
QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a JVM that lives half a second."""
TASKMANAGERS: list[tuple[int, dict[str, str]]] = [
    (1728, {}),
    (4096, {}),
    (8191, {TM + "managed.fraction": "0.15", TM + "network.max": "256m"}),
    (16384, {TM + "jvm-overhead.fraction": "0.07", TM + "network.fraction": "0.033"}),
    (4096, {TM + "task.heap.size": "1g", TM + "network.max": "2g"}),
    (4096, {TM + "flink.size": "3400m", TM + "managed.size": "0"}),
    (4096, {TM + "task.heap.size": "1300m", TM + "managed.size": "1 gb", TM + "task.off-heap.size": "64m"}),
    (65536, {TM + "framework.heap.size": "256m", TM + "jvm-metaspace.size": "512 mb"}),
]
JOBMANAGERS: list[tuple[int, dict[str, str]]] = [
    (1600, {}),
    (4096, {JM + "enable-jvm-direct-memory-limit": "true"}),
    (8192, {JM + "off-heap.size": "256m", JM + "jvm-overhead.fraction": "0.07"}),
    (2048, {JM + "heap.size": "1400m"}),
    (2048, {JM + "flink.size": "1500m"}),
    (2048, {JM + "flink.size": "1500m", JM + "heap.size": "1g"}),
]


def ask(engine: Engine, command: str, conf: Path, options: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """JVM arguments and options by ``BashJavaUtils``, as Flink's start scripts call it."""
    class_path = f"{engine.home / 'bin' / 'bash-java-utils.jar'}:{engine.lib_jars[-1]}"
    main = "org.apache.flink.runtime.util.bash.BashJavaUtils"
    given = [f"-D{name}={value}" for name, value in options.items()]
    asked = subprocess.run(
        [engine.java, *QUICK, "-cp", class_path, main, command, "--configDir", conf, *given],
        capture_output=True,
        text=True,
        check=True,
    )
    mark = "BASH_JAVA_UTILS_EXEC_RESULT:"
    arguments, answer = [line.removeprefix(mark) for line in asked.stdout.splitlines() if line.startswith(mark)]
    pairs = (word.split("=", 1) for word in answer.split() if word != "-D")
    return arguments.split(), {name: value for name, value in pairs if name != "external-resources"}


@pytest.mark.parametrize("version", catalog.TESTED)
def test_the_split_is_flinks_own(engine_store: EngineStore, tmp_path: Path, version: str) -> None:
    engine = engine_store.install(version)
    for name in ("flink-conf.yaml", "config.yaml"):
        (tmp_path / name).touch()

    def of_a_taskmanager(case: tuple[int, dict[str, str]]) -> None:
        size, options = case
        task = memory.taskmanager(size, options, slots=3, cpu=2)
        shape = {
            TM + "process.size": f"{size}m",
            "taskmanager.numberOfTaskSlots": "3",
            "taskmanager.cpu.cores": "2",
        }
        expected = ask(engine, "GET_TM_RESOURCE_PARAMS", tmp_path, {**options, **shape})
        assert list(task.jvm_args()) == expected[0], (size, options)
        assert task.options().items() >= expected[1].items(), (size, options)
        assert task.process == size << 20

    def of_a_jobmanager(case: tuple[int, dict[str, str]]) -> None:
        size, options = case
        job = memory.jobmanager(size, options)
        expected = ask(engine, "GET_JM_RESOURCE_PARAMS", tmp_path, {**options, JM + "process.size": f"{size}m"})
        assert list(job.jvm_args()) == expected[0], (size, options)
        assert job.options().items() >= expected[1].items(), (size, options)

    with engine_store.hold(engine), ThreadPoolExecutor(2) as pool:
        list(pool.map(of_a_taskmanager, TASKMANAGERS))
        list(pool.map(of_a_jobmanager, JOBMANAGERS))


@pytest.mark.parametrize("version", catalog.TESTED)
def test_flink_accepts_the_small_shapes(engine_store: EngineStore, tmp_path: Path, version: str) -> None:
    """What we pass at the floor is a complete, consistent set to Flink: it derives the same from it."""
    engine = engine_store.install(version)
    for name in ("flink-conf.yaml", "config.yaml"):
        (tmp_path / name).touch()
    with engine_store.hold(engine):
        for size in (memory.FLOOR_TASKMANAGER_MB, 1280):
            task = memory.taskmanager(size, {}, slots=1, cpu=1)
            arguments, options = ask(engine, "GET_TM_RESOURCE_PARAMS", tmp_path, task.options())
            assert list(task.jvm_args()) == arguments
            assert task.options().items() >= options.items()
        job = memory.jobmanager(memory.FLOOR_JOBMANAGER_MB, {})
        assert list(job.jvm_args()) == ask(engine, "GET_JM_RESOURCE_PARAMS", tmp_path, job.options())[0]
