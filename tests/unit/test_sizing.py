"""CUs -> processes: DLI's own numbers, and what holds for all."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.domain.errors import BadField
from headrace.domain.job import JobSpec, ResourceConfig, ResourceSpec
from headrace.domain.sizing import OVERRIDES, Shape, cus, memory_mb, size

always = settings(max_examples=300, deadline=None, derandomize=True)


def v1(cu_number: int, manager: int, parallel: int, tm_cus: int = 1, slots: int = 0) -> JobSpec:
    return JobSpec(
        "j",
        cu_number=cu_number,
        manager_cu_number=manager,
        parallel_number=parallel,
        tm_cus=tm_cus,
        tm_slot_num=slots,
    )


def v2(
    parallel: int,
    max_slot: int,
    jobmanager: tuple[float, int] = (1.0, 4096),
    taskmanager: tuple[float, int] = (1.0, 4096),
) -> JobSpec:
    config = ResourceConfig(max_slot, parallel, ResourceSpec(*jobmanager), ResourceSpec(*taskmanager))
    return JobSpec("j", resource_config_version="v2", resource_config=config, cu_number=77, parallel_number=77)


@pytest.mark.parametrize(
    ("spec", "taskmanagers", "slots", "cu_milli"),
    [
        (JobSpec("defaults of a live service"), 1, 1, 2000),
        (v1(2, 1, 1, 1, 1), 1, 1, 2000),  # the documented example request
        (v1(4, 1, 3), 3, 1, 4000),
        (v1(2, 1, 4), 1, 4, 2000),  # 4 x (cu_number - manager_cu_number)
        (v1(5, 1, 16), 4, 4, 5000),
        (v1(9, 1, 16, tm_cus=2), 4, 4, 9000),  # (16 * 2) / (9 - 1) = 4 slots
        (v1(6, 2, 4, tm_cus=4), 1, 4, 6000),
        (v1(3, 2, 1), 1, 1, 3000),
        (v1(10, 1, 6, tm_cus=3, slots=2), 3, 2, 10000),  # slots given: parallelism / slots TaskManagers
        (v1(10, 1, 5, slots=2), 3, 2, 4000),  # ... rounded up, and that is what is charged
        (v1(10, 1, 1, slots=8), 1, 8, 2000),
        (v1(5, 1, 5), 4, 2, 5000),  # 5 / 4 = 1.25 slots, rounded up so that they hold the parallelism
        (v1(15, 1, 1), 14, 1, 15000),  # slots unset: all that fit, (cu_number - manager_cu_number) / tm_cus
        (v1(8, 1, 3, tm_cus=3), 2, 2, 7000),  # 7 / 3 = 2 fit
        (v2(1, 1), 1, 1, 2000),
        (v2(5, 2), 3, 2, 4000),
        (v2(1, 1, (0.5, 2048), (0.5, 2048)), 1, 1, 1000),
        (v2(1, 1, (1.0, 8192), (1.0, 4096)), 1, 1, 3000),  # memory weighs more
        (v2(2, 1, (2.0, 4096), (1.5, 4096)), 2, 1, 5000),  # CPU weighs more
        (v2(1, 1, (0.5, 2048), (1.0, 4100)), 1, 1, 1501),  # rounded up to a thousandth
    ],
)
def test_the_shape(spec: JobSpec, taskmanagers: int, slots: int, cu_milli: int) -> None:
    shape = size(spec, {})
    assert (shape.taskmanagers, shape.slots, shape.cu_milli) == (taskmanagers, slots, cu_milli)


def test_one_cu_is_one_vcpu_and_four_gb() -> None:
    assert size(v1(7, 2, 2, tm_cus=2), {}) == Shape(
        jobmanager_cpu=2.0,
        jobmanager_memory_mb=8192,
        taskmanager_cpu=2.0,
        taskmanager_memory_mb=8192,
        taskmanagers=2,
        slots=1,
        parallelism=2,
        cu_milli=6000,
    )


def test_a_smaller_cu_scales_memory_and_nothing_else() -> None:
    whole, quarter = size(v1(4, 1, 3), {}), size(v1(4, 1, 3), {}, memory_per_cu_mb=1024)
    assert quarter == replace(whole, jobmanager_memory_mb=1024, taskmanager_memory_mb=1024)
    assert (whole.memory_mb, quarter.memory_mb) == (16384, 4096)


@pytest.mark.parametrize(
    ("options", "jobmanager", "taskmanager", "cu_milli"),
    [
        ({}, (1.0, 4096), (1.0, 4096), 2000),
        ({"jobmanager.memory.process.size": "8 GB"}, (1.0, 8192), (1.0, 4096), 3000),
        ({"taskmanager.memory.process.size": "2048m"}, (1.0, 4096), (1.0, 2048), 2000),
        ({"kubernetes.jobmanager.cpu": "0.5", "kubernetes.taskmanager.cpu": "0.5"}, (0.5, 4096), (0.5, 4096), 2000),
        (
            {
                "kubernetes.jobmanager.cpu": "0.5",
                "kubernetes.taskmanager.cpu": "0.5",
                "jobmanager.memory.process.size": "2",
                "taskmanager.memory.process.size": "2",
            },
            (0.5, 2048),
            (0.5, 2048),
            1000,
        ),
        ({"kubernetes.taskmanager.cpu": "3"}, (1.0, 4096), (3.0, 4096), 4000),
        ({"taskmanager.memory.managed.fraction": "0.1"}, (1.0, 4096), (1.0, 4096), 2000),
    ],
)
@pytest.mark.parametrize("spec", [JobSpec("j"), v2(1, 1)])
def test_runtime_config_wins_over_the_form(
    spec: JobSpec,
    options: dict[str, str],
    jobmanager: tuple[float, int],
    taskmanager: tuple[float, int],
    cu_milli: int,
) -> None:
    shape = size(spec, options)
    assert (shape.jobmanager_cpu, shape.jobmanager_memory_mb) == jobmanager
    assert (shape.taskmanager_cpu, shape.taskmanager_memory_mb) == taskmanager
    assert shape.cu_milli == cu_milli


@pytest.mark.parametrize(
    ("spec", "options", "field", "message"),
    [
        (v1(1, 1, 1), {}, "cu_number", "greater than manager_cu_number=1"),
        (v1(2, 3, 1), {}, "cu_number", "greater than manager_cu_number=3"),
        (v1(2, 1, 1, tm_cus=2), {}, "tm_cus", "= 1 CUs"),
        (v1(2, 1, 5), {}, "parallel_number", "= 4"),
        (JobSpec("j"), {"kubernetes.jobmanager.cpu": "0.4"}, "runtime_config.kubernetes.jobmanager.cpu", "0.5"),
        (JobSpec("j"), {"kubernetes.taskmanager.cpu": "-1"}, "runtime_config.kubernetes.taskmanager.cpu", "vCPUs"),
        (JobSpec("j"), {"kubernetes.taskmanager.cpu": "1/2"}, "runtime_config.kubernetes.taskmanager.cpu", "vCPUs"),
        (JobSpec("j"), {"kubernetes.taskmanager.cpu": "nan"}, "runtime_config.kubernetes.taskmanager.cpu", "vCPUs"),
        (
            JobSpec("j"),
            {"jobmanager.memory.process.size": "2047m"},
            "runtime_config.jobmanager.memory.process.size",
            "at least 2 GB",
        ),
        (
            JobSpec("j"),
            {"taskmanager.memory.process.size": "much"},
            "runtime_config.taskmanager.memory.process.size",
            "such as",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(
    spec: JobSpec, options: dict[str, str], field: str, message: str
) -> None:
    with pytest.raises(BadField) as refusal:
        size(spec, options)
    assert refusal.value.field == field
    assert message in str(refusal.value)


@pytest.mark.parametrize("field", ["cu_number", "manager_cu_number", "tm_cus", "parallel_number"])
def test_v2_ignores_the_form_of_v1(field: str) -> None:
    assert size(replace(v2(5, 2), **{field: 99}), {}) == size(v2(5, 2), {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [
        ("4 GB", 4096),
        ("4G", 4096),
        ("4g", 4096),
        ("4GiB", 4096),
        ("4", 4096),
        (" 4 gb ", 4096),
        ("2048MB", 2048),
        ("2048 m", 2048),
        ("2048mib", 2048),
        ("2.5g", 2560),
        ("0", 0),
    ],
)
def test_memory(text: str, megabytes: int) -> None:
    assert memory_mb(text, "f") == megabytes


@pytest.mark.parametrize("text", ["", "GB", "4 TB", "4 GB GB", "-4g", "4,5g", "1e3", "four", "4k", "9999999999", "٤"])
def test_no_memory(text: str) -> None:
    with pytest.raises(BadField, match="f="):
        memory_mb(text, "f")


@pytest.mark.parametrize(("milli", "text"), [(2000, "2"), (500, "0.5"), (1501, "1.501"), (0, "0"), (400_000, "400")])
def test_cus_as_a_person_reads_them(milli: int, text: str) -> None:
    assert cus(milli) == text


@st.composite
def forms(draw: st.DrawFn) -> JobSpec:
    manager, compute = draw(st.integers(1, 4)), draw(st.integers(1, 400))
    return v1(
        manager + compute,
        manager,
        draw(st.integers(1, 4 * compute)),
        draw(st.integers(1, compute)),
        draw(st.integers(0, 8)),
    )


process = st.tuples(st.sampled_from([0.5, 0.7, 1.0, 1.5, 4.0]), st.integers(2048, 65536))
specs = forms() | st.builds(v2, st.integers(1, 2000), st.integers(1, 64), process, process)


@always
@given(specs)
def test_the_slots_hold_the_parallelism_on_as_many_taskmanagers_as_dli_counts(spec: JobSpec) -> None:
    shape = size(spec, {})
    assert shape.slots >= 1
    assert shape.parallelism <= shape.taskmanagers * shape.slots
    if spec.resource_config_version == "v1" and spec.tm_slot_num == 0:
        assert shape.taskmanagers == (spec.cu_number - spec.manager_cu_number) // spec.tm_cus
        assert shape.cu_milli <= spec.cu_number * 1000
    else:
        assert (shape.taskmanagers - 1) * shape.slots < shape.parallelism


@always
@given(specs, st.integers(256, 65536))
def test_the_charge_is_the_larger_of_cpu_and_memory_whatever_a_cu_holds_here(spec: JobSpec, per_cu_mb: int) -> None:
    shape = size(spec, {})
    cpu = Fraction(str(shape.jobmanager_cpu)) + shape.taskmanagers * Fraction(str(shape.taskmanager_cpu))
    assert shape.cu_milli == ceil(max(cpu, Fraction(shape.memory_mb, 4096)) * 1000)
    here = size(spec, {}, per_cu_mb)
    assert here.cu_milli == shape.cu_milli
    assert here.memory_mb <= Fraction(shape.memory_mb * per_cu_mb, 4096)


@always
@given(forms())
def test_without_slots_of_its_own_a_job_never_costs_more_than_its_cus(spec: JobSpec) -> None:
    shape = size(replace(spec, tm_slot_num=0), {})
    assert shape.cu_milli <= spec.cu_number * 1000


@always
@given(specs, st.dictionaries(st.sampled_from(sorted(OVERRIDES)), st.text(max_size=8)))
def test_any_option_is_taken_or_refused(spec: JobSpec, options: dict[str, str]) -> None:
    try:
        shape = size(spec, options)
    except BadField as refusal:
        assert refusal.field.removeprefix("runtime_config.") in options  # noqa: PT017
    else:
        assert shape.cu_milli >= 1000
