"""Evidence -> cause and suggestion: the text of ``status_desc``.

A rule matches only what Flink, the JVM or the kernel say. Where no rule matches, the evidence itself is shown.
"""

from __future__ import annotations

import re
import signal

from headrace.domain.observation import DeploymentView, FlinkState, Sight

UNREACHABLE = "The job's processes cannot be seen at the moment; its last known state is shown. Nothing is done to it."

RULES: tuple[tuple[str, str], ...] = (
    (
        r"NoResourceAvailableException|Could not acquire the minimum required resources",
        "The job asks for more slots than its TaskManagers have. Raise parallel_number (or tm_slot_num, cu_number) to "
        "the parallelism that the code sets.",
    ),
    (
        r"OutOfMemoryError: Metaspace",
        "The JVM ran out of metaspace. Raise taskmanager.memory.jvm-metaspace.size in runtime_config.",
    ),
    (
        r"OutOfMemoryError",
        "The JVM ran out of memory. Give the job more memory: raise tm_cus or manager_cu_number.",
    ),
    (
        r"NoSuchMethodError|NoSuchFieldError|IncompatibleClassChangeError|AbstractMethodError",
        "The JAR was built against another version of a library than the one that runs it. Build it against the "
        "job's flink_version and keep Flink's own classes out of it (scope provided).",
    ),
    (
        r"NoClassDefFoundError|ClassNotFoundException",
        "A class is missing. Put its JAR into dependency_jars, or choose the flink_version the JAR was built for.",
    ),
    (
        r"UnsupportedClassVersionError",
        "The JAR was compiled for a newer Java than its engine runs on. Compile with an older --release.",
    ),
    (
        r"Cannot map checkpoint/savepoint state|Failed to rollback to checkpoint/savepoint|Cannot find.*_metadata",
        "The state does not fit the job or cannot be read. Run without resume_savepoint for a clean start, or restore "
        "the operators' uids.",
    ),
    (
        r"BindException|Address already in use",
        "A port was taken by another program. Run the job again.",
    ),
    (
        r"No space left on device",
        "The disk is full. Free some space in Headrace's home and run the job again.",
    ),
)
"""(pattern over Flink's, the JVM's or the kernel's words, suggestion); the first match wins."""


def explain(view: DeploymentView) -> str:
    """Cause and suggestion for a deployment that has failed."""
    cause = _cause(view)
    said = " ".join(part for part in (view.flink.failure if view.flink else "", view.evidence) if part)
    suggestion = next((advice for pattern, advice in RULES if re.search(pattern, said)), "")
    if not suggestion and view.exit_code == -signal.SIGKILL:
        suggestion = "If nobody killed it, the kernel was short of memory: look for its OOM message, use fewer CUs."
    return " ".join(part for part in (cause, suggestion) if part)


UNHEALABLE = ("NoSuchMethodError", "NoClassDefFoundError", "ClassNotFoundException", "UnsupportedClassVersionError")


def heals(view: DeploymentView) -> bool:
    """Whether a new deployment may go better, without anybody changing the job."""
    said = " ".join(part for part in (view.flink.failure if view.flink else "", view.evidence) if part)
    return not any(word in said for word in UNHEALABLE)


def never_started(last_note: str) -> str:
    """Why a deployment is given up whose processes could not be started in time; ``last_note`` tells the obstacle."""
    return f"The job's processes could not be started within the start patience. {last_note}".rstrip()


def never_ran(view: DeploymentView) -> str:
    """Why a deployment is given up whose tasks did not all run in time."""
    state = view.flink.state if view.flink else "not answering yet"
    detail = f" Flink says {state}." + (f" {view.flink.failure}" if view.flink and view.flink.failure else "")
    return (
        f"The job's tasks did not all run within the start patience.{detail} Check that parallel_number is at least "
        "the parallelism in the code, or raise start_patience_seconds."
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
    cause = f": {view.flink.failure}" if view.flink.failure else "."
    return f"Flink is restarting the job (restart {view.flink.restarts}){cause}"


def _cause(view: DeploymentView) -> str:
    if view.sight is Sight.UNRESPONSIVE:
        return "The JobManager lives but does not answer any more; it was ended."
    if view.sight in (Sight.ABSENT, Sight.REMOVED):
        return "The deployment has vanished: its folder or processes were removed by somebody else."
    if view.flink is not None and view.flink.state is FlinkState.CANCELED:
        return "The job was cancelled by somebody else than Headrace, through Flink."
    if view.flink is not None and view.flink.failure:
        return f"Flink: {view.flink.failure}"
    if view.flink is not None and view.flink.state is FlinkState.FAILED:
        return _sentence("Flink gave the job up without a reason", view.evidence)
    if view.sight is Sight.LIVE and view.lost_taskmanagers:
        ended = ", ".join(_exit(lost.exit_code) for lost in view.lost_taskmanagers)
        return _sentence(f"A TaskManager ended ({ended})", view.evidence)
    if view.sight is Sight.DEAD and view.exit_code == 0:
        return _sentence("main() ended the JobManager with exit code 0 before Flink finished the job", view.evidence)
    return _sentence(f"The JobManager ended ({_exit(view.exit_code)})", view.evidence)


def _sentence(text: str, evidence: str) -> str:
    return f"{text}: {evidence}" if evidence else f"{text}."


def _exit(code: int | None) -> str:
    if code is None:
        return "exit code not known"
    if code < 0:
        named = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
        return f"killed by {named}"
    return f"exit code {code}"
