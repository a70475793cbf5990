"""The table of known causes that nobody speaks of: how processes end. Then, whose code an unknown exception is from."""

from __future__ import annotations

from headrace.domain.evidence import Evidence, Rule, was_killed
from headrace.domain.observation import FlinkState, Sight

FLINKS_CODES = frozenset({1, 2, 127, 163, 239})
"""Exit codes of Flink's own: start failed, failed while running, no process (the keeper's), FAILED, fatal error."""


def _lost(evidence: Evidence) -> bool:
    return evidence.lost is not None


def _dead(evidence: Evidence) -> bool:
    """The JobManager has ended, and Flink has left no word of why the job failed."""
    failure = evidence.view.flink.failure if evidence.view.flink is not None else ""
    return evidence.lost is None and evidence.view.sight is Sight.DEAD and not failure


def _exited(evidence: Evidence) -> bool:
    """It ended by itself, without a word, and with a code that neither Flink nor the JVM use."""
    code = evidence.exit_code
    return not evidence.trace.causes and not was_killed(code) and code not in FLINKS_CODES


SIGHTS: tuple[Rule, ...] = (
    Rule(
        "finished, but not in order",
        "Flink's FINISHED, but a JobManager that did not exit with 0",
        "Flink has finished the job, but its JobManager did not end in order ({ended}), so nobody knows whether main() "
        "had more to do",
        "See whether the output is complete, and run the job again only if it is not.",
        when=lambda evidence: (
            evidence.view.sight in (Sight.DEAD, Sight.UNRESPONSIVE)
            and evidence.view.flink is not None
            and evidence.view.flink.state is FlinkState.FINISHED
        ),
        heals=False,
    ),
    Rule(
        "machine was started anew",
        "another boot of the machine",
        "The machine was started anew while the job ran",
        "With restart_when_exception on, the job goes on by itself; else run it again.",
        when=lambda evidence: _dead(evidence) and evidence.view.rebooted,
    ),
    Rule(
        "JobManager is silent",
        "Flink's REST is silent past its deadline",
        "The JobManager lives but does not answer any more; it was ended",
        "With restart_when_exception on, the job goes on by itself; else run it again. If it happens again, it has too "
        "little memory (manager_cu_number) or CPU, or somebody stops it.",
        when=lambda evidence: evidence.view.sight is Sight.UNRESPONSIVE,
    ),
    Rule(
        "deployment has vanished",
        "neither processes nor their records",
        "The deployment has vanished: its folder or processes were removed by somebody else",
        "Run the job again.",
        when=lambda evidence: evidence.view.sight in (Sight.ABSENT, Sight.REMOVED),
    ),
    Rule(
        "cancelled through Flink",
        "Flink's CANCELED, not asked for by Headrace",
        "The job was cancelled by somebody else than Headrace, through Flink",
        "Stop jobs through Headrace; to go on, run the job again.",
        when=lambda evidence: evidence.view.flink is not None and evidence.view.flink.state is FlinkState.CANCELED,
    ),
)
"""These come first: they were seen, and what was said before does not matter."""

PROCESSES: tuple[Rule, ...] = (
    Rule(
        "TaskManager is silent",
        "no heartbeat of a TaskManager",
        "A TaskManager lived, but was not heard of any more",
        "With restart_when_exception on, the job goes on by itself; else run it again. If it happens again, it has too "
        "little memory (tm_cus) or CPU, or somebody stops it.",
        pattern=r"^java\.util\.concurrent\.TimeoutException: (?:The h|H)eartbeat of TaskManager with id \S+ timed out",
    ),
    Rule(
        "TaskManager ends",
        "Flink's The TaskExecutor is shutting down",
        "A TaskManager ended in order, though nobody of Headrace had asked it to",
        "If its log says RECEIVED SIGNAL, somebody else has ended it: run the job again. Else the code that its tasks "
        "run has called System.exit(): take that call out.",
        r"^org\.apache\.flink\.util\.FlinkExpectedException: The TaskExecutor is shutting down",
        when=lambda evidence: not _lost(evidence),
    ),
    Rule(
        "TaskManager was silent",
        "Headrace ended a TaskManager that was silent",
        "A TaskManager lived, but was not heard of any more, so it was ended",
        "With restart_when_exception on, the job goes on by itself; else run it again. If it happens again, it has too "
        "little memory (tm_cus) or CPU, or somebody stops it.",
        when=lambda evidence: evidence.lost is not None and evidence.lost.silent,
    ),
    Rule(
        "TaskManager was killed",
        "a signal, or no exit code, of a TaskManager",
        "A TaskManager was {ended}, by somebody else than Headrace",
        "With restart_when_exception on, the job goes on by itself; else run it again.",
        when=lambda evidence: _lost(evidence) and was_killed(evidence.exit_code),
    ),
    Rule(
        "exit in a task",
        "an exit code of a TaskManager, and no word of Flink or the JVM",
        "A TaskManager ended by itself with {ended}: some code that its tasks run has called System.exit()",
        "Take that call out of the code, or have it throw an exception in its place.",
        when=lambda evidence: _lost(evidence) and _exited(evidence),
    ),
    Rule(
        "JobManager was killed",
        "a signal, or no exit code, of the JobManager",
        "The JobManager was {ended}, by somebody else than Headrace",
        "With restart_when_exception on, the job goes on by itself; else run it again.",
        when=lambda evidence: _dead(evidence) and was_killed(evidence.exit_code),
    ),
    Rule(
        "exit in main()",
        "an exit code of the JobManager, and no word of Flink or the JVM",
        "main() ended the JobManager with {ended} before Flink finished the job: it has called System.exit()",
        "Take that call out of main(), or correct entrypoint_args if it ends because of them.",
        when=lambda evidence: _dead(evidence) and _exited(evidence),
    ),
)

OWN_CODE: tuple[Rule, ...] = (
    Rule(
        "main() fails",
        "Flink's The main method caused an error",
        "main() failed before there was a job",
        "Correct entrypoint_args, if the message speaks of them; else what it speaks of, or the code.",
        r"ProgramInvocationException: The main method caused an error",
        root=True,
    ),
    Rule(
        "code fails",
        "an exception that the job's own code has thrown",
        "The job's own code failed",
        "Correct what its message speaks of: the data, entrypoint_args, or the code.",
        when=lambda evidence: bool(evidence.trace.thrown_at),
    ),
)
"""These come last: what is known of an exception matters more than whose code it went through."""
