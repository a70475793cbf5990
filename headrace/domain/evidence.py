"""What is known of one failure, and the form of a rule that looks at it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.observation import DeploymentView, LostTaskManager, Sight, Trace

_BY_SIGNAL = 128
_ASKED = ("SIGTERM", "SIGINT", "SIGHUP")
_CRASHES = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)
_SILENT = Trace()
_LOSS = re.compile(
    r"TaskManager with id \S+ is no longer reachable|The TaskExecutor is shutting down"
    r"|eartbeat of TaskManager with id |remote task manager .* (?:lost|closed)|task manager .* has been lost"
    r"|TaskManager .* disconnected"
)
"""What Flink says of a job whose TaskManager is gone: a consequence; the cause is how that ended."""
_NUMBER = re.compile(r"taskmanager-(\d+)\b")


class Speaker(StrEnum):
    """Whose words they are."""

    FLINK = "Flink"
    JOBMANAGER = "the JobManager"
    TASKMANAGER = "a TaskManager"


@dataclass(frozen=True)
class Evidence:
    """What is known of one failure.

    Attributes:
        view: the deployment.
        by: whose words ``trace`` has, or whose end it is.
        trace: what was said.
        lost: the TaskManager whose end is the failure, if one's is.
        log: where to look, relative to Headrace's home; "" = not known.
    """

    view: DeploymentView
    by: Speaker
    trace: Trace = _SILENT
    lost: LostTaskManager | None = None
    log: str = ""

    @property
    def exit_code(self) -> int | None:
        """Of the process that ended: the lost TaskManager, or the JobManager."""
        return self.lost.exit_code if self.lost is not None else self.view.exit_code

    @property
    def oom_killed(self) -> bool:
        """The kernel ended the process for want of memory."""
        return self.lost.oom_killed if self.lost is not None else self.view.oom_killed

    @property
    def who(self) -> str:
        """The process, for a sentence."""
        return "the JobManager" if self.lost is None else f"TaskManager {self.lost.number}"


@dataclass(frozen=True)
class Rule:
    """One known cause.

    Attributes:
        name: for tests and the documentation.
        sees: what it looks for, for people.
        cause: one sentence without its full stop; what was said follows it. ``{groups}`` are those of the pattern,
            ``{who}`` is the process, ``{ended}`` how that ended.
        suggestion: what to do, with the names of DLI's fields; ``{groups}`` too.
        pattern: a regular expression over the lines that were said; "" = the words do not matter.
        by: only words of this process; None = of any.
        when: what must hold besides.
        root: the root is shown, rather than the line that the pattern was found in.
        heals: a new deployment may go better without anybody changing the job.
    """

    name: str
    sees: str
    cause: str
    suggestion: str
    pattern: str = ""
    by: Speaker | None = None
    when: Callable[[Evidence], bool] | None = None
    root: bool = False
    heals: bool = True

    def match(self, evidence: Evidence) -> re.Match[str] | None:
        """Where the rule's words are in what was said (an empty match for a rule without words), None = nowhere."""
        if self.by not in (None, evidence.by) or (self.when is not None and not self.when(evidence)):
            return None
        return re.search(self.pattern, "\n".join(evidence.trace.causes), re.MULTILINE)


def gather(view: DeploymentView) -> Evidence:
    """The evidence that counts: a lost TaskManager's, where the failure is its end; else Flink's; else the log's.

    Who is killed has no time to say why: the last error in its log is of something else.
    """
    failure = _flinks(view)
    lost = _blamed(view, failure)
    if lost is not None:
        said = _SILENT if was_killed(lost.exit_code) else lost.trace if lost.trace.causes else _one(lost.evidence)
        return Evidence(view, Speaker.TASKMANAGER, said, lost, lost.log)
    if failure.causes:
        return Evidence(view, Speaker.FLINK, failure, log=_log_of_task(view))
    killed = view.sight is Sight.DEAD and was_killed(view.exit_code)
    said = _SILENT if killed else view.trace if view.trace.causes else _one(view.evidence)
    return Evidence(view, Speaker.JOBMANAGER, said, log=view.log)


def ended(exit_code: int | None) -> str:
    """How a process ended: "exit code 3", "killed by SIGKILL".

    A JVM that a signal asks to end (SIGTERM …) exits with 128 + its number.
    """
    if exit_code is None:
        return "exit code not known"
    number = -exit_code if exit_code < 0 else exit_code - _BY_SIGNAL
    named = next((each.name for each in signal.Signals if each == number), "")
    if exit_code < 0 or named in _ASKED:
        return f"killed by {named or f'signal {number}'}"
    return f"exit code {exit_code}"


def was_killed(exit_code: int | None) -> bool:
    """Whether somebody else ended the process: by a signal (not one of its own crash), or in a way that nobody saw."""
    if exit_code is None:
        return True
    return ended(exit_code).startswith("killed by") and -exit_code not in _CRASHES


def _flinks(view: DeploymentView) -> Trace:
    if view.flink is None:
        return _SILENT
    return view.flink.trace if view.flink.trace.causes else _one(view.flink.failure)


def _one(line: str) -> Trace:
    return Trace((line,)) if line else _SILENT


def _blamed(view: DeploymentView, failure: Trace) -> LostTaskManager | None:
    """The TaskManager whose end is the failure. One that ended long ago and was replaced is not to blame for what Flink
    says now, unless that is just its loss.
    """
    if not view.lost_taskmanagers:
        return None
    told = next((line for line in reversed(failure.causes) if _LOSS.search(line)), "")
    if failure.causes and not told:
        return None
    if not failure.causes and view.sight is Sight.DEAD and (view.trace.causes or view.evidence):
        return None
    named = _NUMBER.search(told)
    by_number = {str(lost.number): lost for lost in view.lost_taskmanagers}
    return by_number.get(named[1], view.lost_taskmanagers[-1]) if named else view.lost_taskmanagers[-1]


def _log_of_task(view: DeploymentView) -> str:
    """The log of the TaskManager whose task failed, beside the JobManager's."""
    number = _NUMBER.search(view.flink.failed_on if view.flink is not None else "")
    folder, slash, _ = view.log.rpartition("/")
    return f"{folder}{slash}taskmanager-{number[1]}.log" if number and view.log else view.log
