"""Evidence -> cause, suggestion and where to look: the text of ``status_desc``.

The known causes are a table: ``causes`` has those of which Flink, the JVM or the kernel speak, ``endings`` the others.
Where no rule matches, the cause is called unknown and the evidence is shown.
"""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.causes import SPOKEN
from headrace.domain.endings import OWN_CODE, PROCESSES, SIGHTS
from headrace.domain.evidence import Evidence, Rule, Speaker, ended, gather
from headrace.domain.observation import DeploymentView, FlinkState, Sight

UNREACHABLE = "The job's processes cannot be seen at the moment; its last known state is shown. Nothing is done to it."

RULES: tuple[Rule, ...] = (*SIGHTS, *SPOKEN, *PROCESSES, *OWN_CODE)
"""The first that matches wins."""


@dataclass(frozen=True)
class Diagnosis:
    """Why a deployment has failed.

    Attributes:
        cause: one sentence, with the words of Flink, the JVM or the kernel.
        suggestion: what to do, with the names of DLI's fields; "" = the cause is unknown.
        where: "Look at …": the log file, relative to Headrace's home; "" = there is none.
        heals: a new deployment may go better without anybody changing the job; if not, none is made.
        rule: the name of the rule, "" = unknown.
    """

    cause: str
    suggestion: str
    where: str
    heals: bool
    rule: str


def diagnose(view: DeploymentView) -> Diagnosis:
    """Why this deployment has failed; total: what no rule knows is shown as it is."""
    evidence = gather(view)
    where = f"Look at {evidence.log}." if evidence.log else ""
    for rule in RULES:
        found = rule.match(evidence)
        if found is None:
            continue
        filled = {**found.groupdict(), "who": evidence.who, "ended": ended(evidence.exit_code)}
        cause, suggestion = rule.cause.format(**filled), rule.suggestion.format(**filled)
        cause = f"T{cause[1:]}" if cause.startswith("the ") else cause
        said = _said(evidence, -1 if rule.root or not rule.pattern else found.string[: found.start()].count("\n"))
        return Diagnosis(_sentence(cause, said), suggestion, where, rule.heals, rule.name)
    return Diagnosis(_unknown(evidence), "", where, heals=True, rule="")


def explain(view: DeploymentView) -> str:
    """Cause, suggestion and where to look, for a person in a hurry."""
    found = diagnose(view)
    return " ".join(part for part in (found.cause, found.suggestion, found.where) if part)


def heals(view: DeploymentView) -> bool:
    """Whether a new deployment may go better, without anybody changing the job."""
    return diagnose(view).heals


def never_started(last_note: str) -> str:
    """Why a deployment is given up whose processes could not be started in time; ``last_note`` tells the obstacle."""
    return f"The job's processes could not be started within the start patience. {last_note}".rstrip()


def never_ran(view: DeploymentView) -> str:
    """Why a deployment is given up whose tasks did not all run in time."""
    where = f" Look at {view.log}." if view.log else ""
    if view.flink is None:
        return (
            "main() did not submit a job within the start patience. See what it waits for, or raise "
            f"start_patience_seconds.{where}"
        )
    detail = f" Flink says {view.flink.state}." + (f" {view.flink.failure}" if view.flink.failure else "")
    return (
        f"The job's tasks did not all run within the start patience.{detail} Check that parallel_number is at least "
        f"the parallelism in the code, or raise start_patience_seconds.{where}"
    )


def savepoint_failed(view: DeploymentView) -> str:
    """Why a stop with savepoint failed; the job goes on."""
    reason = view.savepoint.reason or "it did not complete in time"
    return (
        f"Stop failed: the savepoint could not be made ({reason}). The job still runs. Stop it again, or without "
        "trigger_savepoint."
    )


def not_saved(view: DeploymentView) -> str:
    """Why the savepoint of a running job was not made; the job goes on as if it had not been asked for."""
    reason = view.savepoint.reason or "it did not complete in time"
    return (
        f"The savepoint could not be made ({reason}). The job runs on unharmed. Trigger the savepoint again, or with "
        "another savepoint_path."
    )


def restarting(view: DeploymentView) -> str:
    """What to say of a running job: "" if all is well."""
    if view.flink is None or view.flink.state not in (FlinkState.RESTARTING, FlinkState.FAILING):
        return ""
    again = f"Flink is restarting the job (restart {view.flink.restarts})."
    return f"{again} {explain(view)}" if view.flink.failure else again


def _unknown(evidence: Evidence) -> str:
    view = evidence.view
    said = _said(evidence, -1)
    if evidence.by is Speaker.FLINK:
        return _sentence("The cause is not known. Flink says", said)
    if evidence.lost is None and view.flink is not None and view.flink.state is FlinkState.FAILED:
        return _sentence("The cause is not known. Flink gave the job up without a reason", said)
    if evidence.lost is None and view.sight is not Sight.DEAD:
        return _sentence("The cause is not known", said)
    how = f"{evidence.who} ended ({ended(evidence.exit_code)})"
    last = "; the last error in its log is" if said else ""
    return _sentence(f"The cause is not known: {how}{last}", said)


def _said(evidence: Evidence, line: int) -> str:
    """The words that count, and where in the job's code they were thrown if they are of that."""
    trace = evidence.trace
    if not trace.causes:
        return ""
    at = f" (at {trace.thrown_at})" if trace.thrown_at else ""
    return f"{trace.causes[line].rstrip('.')}{at}"


def _sentence(text: str, said: str) -> str:
    return f"{text}: {said}." if said else f"{text}."
