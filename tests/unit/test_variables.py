from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.control.reconciler import Reconciler
from headrace.control.scheduler import Scheduler
from headrace.domain.deployment import filled, known_part, parse_args, parse_runtime_config, plan, references
from headrace.domain.errors import BadField, VariableNotFound, VariableTaken
from headrace.domain.job import Goal, Job, JobSpec, Phase, Record
from headrace.domain.rights import Caller
from headrace.domain.variables import MAX_FILLED, is_name, names_in, put_in
from headrace.runtimes.fake import FakeRuntime
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.queues import Queue, QueueStore
from headrace.store.variables import Variable, VariableStore
from tests.support.clocks import job_clock

SPEC = JobSpec("job", entrypoint="obs://b/a.jar")


# -- names and references ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "A_1", "1a", "x" * 128])
def test_names(name: str) -> None:
    assert is_name(name)
    assert names_in("{{" + name + "}}") == {name}


@pytest.mark.parametrize("name", ["", "_a", "12", "a-b", "a b", " a", "a\n", "é", "٣a", "x" * 129, "{a}"])
def test_what_is_no_name_is_no_reference(name: str) -> None:
    assert not is_name(name)
    assert names_in("{{" + name + "}}") <= {"a"}


@pytest.mark.parametrize(
    ("text", "filled_in"),
    [
        ("", ""),
        ("{{a}}", "1"),
        ("x{{a}}y{{b}}{{a}}", "x1y{{a}}1"),  # what b holds is not looked at again
        ("{{{a}}}", "{1}"),
        ("{{ a }}", "{{ a }}"),
        ("{a} {{a} {{}} {{a-b}} {{_a}} {{12}}", "{a} {{a} {{}} {{a-b}} {{_a}} {{12}}"),
        ("{{e}}", ""),
    ],
)
def test_put_in(text: str, filled_in: str) -> None:
    assert put_in(text, {"a": "1", "b": "{{a}}", "e": ""}, "entrypoint_args") == filled_in


def test_a_name_that_is_missing_is_told() -> None:
    with pytest.raises(BadField, match=r"entrypoint_args='\{\{topic\}\}'.*no global variable topic") as refusal:
        put_in("--topic {{topic}}", {}, "entrypoint_args")
    assert refusal.value.field == "entrypoint_args"


def test_long_values_are_refused_before_they_are_put_in() -> None:
    with pytest.raises(BadField, match="1000000000 characters"):
        put_in("{{a}}" * 100_000, {"a": "x" * 10_000}, "runtime_config")
    assert len(put_in("{{a}}" * 10, {"a": "x" * 10_000}, "runtime_config")) == MAX_FILLED


# -- in a definition --------------------------------------------------------------------------------------------------

AWKWARD = ["two words", "it's", '"', "\\", "$HOME `id`", "a\nb", "", "{{a}}", "  ", "-x --y=z", "ä 中"]


@pytest.mark.parametrize("value", AWKWARD)
def test_a_value_stays_one_argument(value: str) -> None:
    spec = filled(SPEC.evolve(entrypoint_args="--a {{v}} -b='{{v}}!' c"), {"v": value})
    assert parse_args(spec.entrypoint_args) == ("--a", value, f"-b={value}!", "c")


@given(st.lists(st.text(max_size=5), max_size=4), st.text(max_size=8))
def test_arguments_are_what_they_were(words: list[str], value: str) -> None:
    args = [*words, "{{v}}"]
    text = " ".join("'" + word.replace("'", "'\\''") + "'" for word in args)
    expected = tuple(word.replace("{{v}}", value) for word in parse_args(text))
    assert parse_args(filled(SPEC.evolve(entrypoint_args=text), {"v": value}).entrypoint_args) == expected


@pytest.mark.parametrize("text", ["k={{v}}\nl=1", '[{"key":"k","value":"{{v}}"},{"key":"l","value":1}]'])
def test_options(text: str) -> None:
    spec = filled(SPEC.evolve(runtime_config=text), {"v": '2 "x", = \\'})
    assert parse_runtime_config(spec.runtime_config) == {"k": '2 "x", = \\', "l": "1"}


@pytest.mark.parametrize("value", ["1\nrest.port: 1", "\x00"])
def test_an_option_takes_no_line_break(value: str) -> None:
    spec = filled(SPEC.evolve(runtime_config="k={{v}}"), {"v": value})
    with pytest.raises(BadField, match="line breaks"):
        parse_runtime_config(spec.runtime_config)


def test_a_key_is_no_place_for_a_variable() -> None:
    with pytest.raises(BadField, match="runtime_config"):
        plan(Job(1, "p", SPEC.evolve(runtime_config="{{v}}=1"), variables=(("v", "x"),)), "1.20.5", 4096)


def test_other_fields_are_left_alone() -> None:
    spec = SPEC.evolve(name="{{v}}", main_class="{{v}}", entrypoint="obs://b/{{v}}.jar", desc="{{v}}")
    assert references(spec) == frozenset()
    assert filled(spec, {"v": "1"}) == spec


@pytest.mark.parametrize("field", ["entrypoint_args", "runtime_config"])
def test_many_values_together_are_limited(field: str) -> None:
    text = " ".join(["{{v}}"] * 11) if field == "entrypoint_args" else "\n".join(f"k{n}={{{{v}}}}" for n in range(11))
    with pytest.raises(BadField, match=field):
        filled(SPEC.evolve(**{field: text}), {"v": "x" * 10_000})


def test_what_is_known_so_far() -> None:
    spec = SPEC.evolve(
        entrypoint_args="{{a}} {{b}} c", runtime_config="x={{a}}\ntaskmanager.memory.process.size={{b}}\ny=1"
    )
    known = known_part(spec, {"a": "1"})
    assert parse_args(known.entrypoint_args) == ("1", "c")
    assert parse_runtime_config(known.runtime_config) == {"x": "1", "y": "1"}
    assert known_part(spec, {"a": "1", "b": "2"}) == filled(spec, {"a": "1", "b": "2"})


def test_references_of_what_cannot_be_read() -> None:
    assert references(SPEC.evolve(entrypoint_args="{{a}} '", runtime_config="{{b}}")) == frozenset()
    assert references(SPEC.evolve(entrypoint_args="{{a}} '", runtime_config="k={{b}}")) == {"b"}
    assert references(SPEC.evolve(entrypoint_args="{{na''me}}")) == {"name"}


# -- in a plan --------------------------------------------------------------------------------------------------------


def test_the_plan_has_the_values_of_the_attempt() -> None:
    spec = SPEC.evolve(
        entrypoint_args="--topic {{topic}}", runtime_config="taskmanager.memory.process.size={{size}}", cu_number=4
    )
    job = Job(7, "p", spec, variables=(("size", "8 GB"), ("topic", "a b")))
    made = plan(job, "1.20.5", 4096)
    assert made.args == ("--topic", "a b")
    assert made.options == {"taskmanager.memory.process.size": "8 GB"}
    assert made.shape.taskmanager_memory_mb == 8192


def test_a_plan_without_the_value_is_refused() -> None:
    with pytest.raises(BadField, match="no global variable x"):
        plan(Job(7, "p", SPEC.evolve(entrypoint_args="{{x}}")), "1.20.5", 4096)


# -- in the store -----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "db.sqlite")


def variable(name: str, value: str = "v", *, project: str = "p", sensitive: bool = False) -> Variable:
    return Variable(project, name, value, sensitive, "ann", "id-of-ann", 1, 1)


def test_one_of_a_name_in_a_project(database: Database) -> None:
    store = VariableStore(database)
    made = store.create(variable("a"))
    store.create(variable("a", project="q"))
    store.create(variable("A"))
    with pytest.raises(VariableTaken, match="a global variable a already"):
        store.create(variable("a", "w"))
    assert store.find("p", "a") == made


def test_what_was_deleted_meanwhile(database: Database) -> None:
    store = VariableStore(database)
    made = store.create(variable("a"))
    store.delete(made)
    again = store.create(variable("a"))
    assert again.id > made.id
    with pytest.raises(VariableNotFound):
        store.delete(made)
    with pytest.raises(VariableNotFound):
        store.set_value(made, "w", now_ms=2)
    assert store.find("p", "a") == again


def test_sensitive_values_are_not_given_out(database: Database) -> None:
    store = VariableStore(database)
    store.create(variable("a", "1"))
    store.create(variable("b", "2", sensitive=True))
    store.create(variable("c", "3", project="q"))
    assert store.values("p", ["a", "b", "c", "d"]) == {"a": "1"}
    assert store.values("p", []) == {}


def test_an_attempt_keeps_the_values_that_it_was_begun_with(database: Database) -> None:
    jobs, variables = JobStore(database), VariableStore(database)
    topic = variables.create(variable("topic", "one"))
    variables.create(variable("other", "x"))
    variables.create(variable("secret", "sealed", sensitive=True))
    spec = SPEC.evolve(entrypoint_args="{{topic}} {{secret}} {{none}}")
    job = jobs.create(Caller("p", "ann"), spec, now_ms=1)
    job = jobs.request(job, replace(job.desired, goal=Goal.RUN, request_no=1))
    assert job.variables == ()
    job = jobs.move(job, Record(Phase.PREPARING, attempt=1, request_seen=1), now_ms=2)
    variables.set_value(topic, "two", now_ms=3)
    assert job.variables == (("topic", "one"),)
    job = jobs.move(job, job.record.evolve(phase=Phase.WAITING), now_ms=4)
    assert job.variables == (("topic", "one"),)
    job = jobs.move(job, job.record.evolve(phase=Phase.CANCELING), now_ms=5)
    job = jobs.move(job, job.record.evolve(phase=Phase.STOPPED), now_ms=5)
    job = jobs.move(job, job.record.evolve(phase=Phase.PREPARING, attempt=2), now_ms=6)
    assert job.variables == (("topic", "two"),)
    assert job.spec.entrypoint_args == "{{topic}} {{secret}} {{none}}"


# -- in a run ---------------------------------------------------------------------------------------------------------


class Run:
    """A job with a queue, a scheduler and a reconciler over a runtime that starts nothing."""

    def __init__(self, database: Database, spec: JobSpec) -> None:
        self.jobs, self.queues = JobStore(database), QueueStore(database)
        self.queues.create(Queue(0, "p", "q", "general", 8000))
        self.scheduler = Scheduler(self.queues, lambda: 64 * 1024, 4096)
        self.runtime = FakeRuntime()
        self.reconciler = Reconciler(
            jobs=self.jobs,
            queues=self.queues,
            runtime=self.runtime,
            scheduler=self.scheduler,
            planner=lambda job, left: plan(job, "1.20.5", 4096, left),
            patience={},
            monotonic=lambda: 0.0,
            now_ms=lambda: 1,
            clock=job_clock(database),
        )
        self.id = self.jobs.create(Caller("p", "ann"), spec.evolve(queue_name="q"), now_ms=1).id
        job = self.job
        self.jobs.request(job, replace(job.desired, goal=Goal.RUN, request_no=1))

    @property
    def job(self) -> Job:
        return self.jobs.get(self.id)

    def until(self, *phases: Phase) -> Job:
        """Ticks until the job is in one of the phases."""
        for _ in range(20):
            if self.job.record.phase in phases:
                return self.job
            self.reconciler.tick(self.id)
            self.scheduler.run()
        raise AssertionError(f"{self.job.record} after 20 ticks")


def test_the_ledger_charges_what_the_variables_ask_for(database: Database) -> None:
    size = VariableStore(database).create(variable("size", "8 GB"))
    run = Run(database, SPEC.evolve(runtime_config="taskmanager.memory.process.size={{size}}"))
    run.until(Phase.WAITING)
    VariableStore(database).set_value(size, "32 GB", now_ms=2)
    job = run.until(Phase.STARTING)
    shape = plan(job, "1.20.5", 4096).shape
    held = run.queues.held_by(job.id)
    assert held is not None
    assert (held.cu_milli, held.memory_mb) == (shape.cu_milli, shape.memory_mb) == (3000, 4096 + 8192)


def test_a_variable_that_goes_before_the_run_begins(database: Database) -> None:
    """The run was accepted with it."""
    topic = VariableStore(database).create(variable("topic"))
    run = Run(database, SPEC.evolve(entrypoint_args="{{topic}}"))
    VariableStore(database).delete(topic)
    job = run.until(Phase.SUBMIT_FAILED, Phase.WAITING)
    assert job.record.phase is Phase.SUBMIT_FAILED
    assert "no global variable topic" in job.record.note
