from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.errors import BadField
from headrace.flink import memory
from headrace.flink.memory_options import MB, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("5b", 5),
        ("256m", 256 * MB),
        (" 1 GB ", 1 << 30),
        ("2kibibytes", 2048),
        ("1t", 1 << 40),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size("x", text) == size


@pytest.mark.parametrize("text", ["", "m", "1.5g", "-1m", "1 xb", "9999999999t", "1m 2", "१m"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(BadField, match=r"taskmanager\.memory\.managed\.size"):
        memory.taskmanager(4096, {"taskmanager.memory.managed.size": text}, 1, 1)


def test_flinks_own_default_taskmanager() -> None:
    """The figures that Flink's documentation and its calculator give for 1728m."""
    parts = memory.taskmanager(1728, {}, 1, 1)
    assert parts.jvm_args() == (
        "-Xmx536870902",
        "-Xms536870902",
        "-XX:MaxDirectMemorySize=268435458",
        "-XX:MaxMetaspaceSize=268435456",
    )
    assert parts.options() == {
        "taskmanager.memory.process.size": "1811939328b",
        "taskmanager.memory.framework.heap.size": "134217728b",
        "taskmanager.memory.task.heap.size": "402653174b",
        "taskmanager.memory.framework.off-heap.size": "134217728b",
        "taskmanager.memory.task.off-heap.size": "0b",
        "taskmanager.memory.network.min": "134217730b",
        "taskmanager.memory.network.max": "134217730b",
        "taskmanager.memory.managed.size": "536870920b",
        "taskmanager.memory.jvm-metaspace.size": "268435456b",
        "taskmanager.memory.jvm-overhead.min": "201326592b",
        "taskmanager.memory.jvm-overhead.max": "201326592b",
        "taskmanager.cpu.cores": "1.0",
        "taskmanager.numberOfTaskSlots": "1",
    }


def test_flinks_own_default_jobmanager() -> None:
    parts = memory.jobmanager(1600, {})
    assert parts.jvm_args() == ("-Xmx1073741824", "-Xms1073741824", "-XX:MaxMetaspaceSize=268435456")
    limited = memory.jobmanager(1600, {"jobmanager.memory.enable-jvm-direct-memory-limit": "true"})
    assert limited.jvm_args()[2] == "-XX:MaxDirectMemorySize=134217728"


@given(st.integers(memory.FLOOR_TASKMANAGER_MB, 300_000))
def test_a_taskmanager_adds_up_and_grows(process_mb: int) -> None:
    smaller, larger = (memory.taskmanager(size, {}, 1, 1) for size in (process_mb, process_mb + 1))
    assert smaller.process == process_mb * MB
    assert 200 * MB <= smaller.task_heap <= larger.task_heap
    assert 64 * MB <= smaller.network <= larger.network


@given(st.integers(memory.FLOOR_JOBMANAGER_MB, 300_000))
def test_a_jobmanager_adds_up_and_grows(process_mb: int) -> None:
    smaller, larger = (memory.jobmanager(size, {}) for size in (process_mb, process_mb + 1))
    assert smaller.process == process_mb * MB
    assert 300 * MB <= smaller.heap <= larger.heap


def test_below_the_floor() -> None:
    with pytest.raises(BadField, match=r"tm_cus='1023 MB': must be at least 1024 MB"):
        memory.taskmanager(1023, {}, 1, 1, field="tm_cus")
    with pytest.raises(BadField, match=r"jobmanager\.memory\.process\.size='767 MB': must be at least 768 MB"):
        memory.jobmanager(767, {})


TM = "taskmanager.memory."


@pytest.mark.parametrize(
    ("process_mb", "options", "message"),
    [
        (1728, {TM + "managed.size": "2g"}, "the parts of memory need"),
        (1728, {TM + "managed.fraction": "1.5"}, "managed.fraction='1.5'"),
        (1728, {TM + "managed.fraction": "x"}, "managed.fraction='x'"),
        (1728, {TM + "jvm-overhead.max": "100m"}, "jvm-overhead.max='100m': is less than"),
        (4096, {TM + "flink.size": "1g"}, "remain for jvm-overhead"),
        (4096, {TM + "flink.size": "5g"}, "the parts of memory need"),
        (4096, {TM + "task.heap.size": "1g", TM + "managed.size": "1g"}, "remain for jvm-overhead"),
        (4096, {TM + "task.heap.size": "5g"}, "task.heap.size='5g'"),
        (4096, {"taskmanager.cpu.cores": "many"}, "taskmanager.cpu.cores='many'"),
    ],
)
def test_options_that_do_not_fit(process_mb: int, options: dict[str, str], message: str) -> None:
    with pytest.raises(BadField) as refusal:
        memory.taskmanager(process_mb, options, 1, 1)
    assert message in str(refusal.value)


def test_options_are_honoured_at_small_sizes_too() -> None:
    parts = memory.taskmanager(1024, {TM + "managed.size": "0", TM + "jvm-metaspace.size": "200m"}, 2, 0.5)
    assert (parts.managed, parts.metaspace, parts.slots, parts.cpu) == (0, 200 * MB, 2, 0.5)
    assert parts.task_heap > 400 * MB


def test_an_old_name_is_still_read() -> None:
    assert memory.taskmanager(4096, {"taskmanager.memory.size": "1g"}, 1, 1).managed == 1024 * MB
