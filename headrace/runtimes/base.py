"""What every runtime promises: a place that can run deployments.

The contract suite (``tests/contract``) holds for each implementation. The promises behind it:

- Every call is idempotent: performed twice, there is one deployment.
- ``remove`` fences the name: once the view says REMOVED, no process of that name lives, and no later ``deploy`` of it
  (a repeated or delayed call) starts anything.
- ``observe`` never guesses: what cannot be judged is UNREACHABLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from headrace.domain.deployment import DeploymentPlan
from headrace.domain.observation import DeploymentView, Preparation, StateView
from headrace.runtimes.logfiles import Logged


@dataclass(frozen=True)
class Artifact:
    """One file of the user, resolved to a local path; ``name`` is its base name on the class path or in userData."""

    name: str
    source: str
    """Path of the file on this machine."""


@dataclass(frozen=True)
class Records:
    """Records read by a job's sources and written by its sinks, by operator name; None = not known yet."""

    sources: Mapping[str, int | None]
    sinks: Mapping[str, int | None]
    read_rate: float | None = None
    write_rate: float | None = None


class Runtime(Protocol):
    """A place that can run deployments. Calls block; they raise ``Unavailable`` when the place cannot be reached.

    What is asked of a deployment that does not run (cancel, stop, savepoint) does nothing.
    """

    def prepare(self, plan: DeploymentPlan) -> None:
        """Begins to install the engine and to stage the artifacts; returns at once. After a preparation that failed but
        may heal, it first raises ``Unavailable`` with the reason, and begins anew the next time.
        """

    def preparation(self, name: str) -> Preparation:
        """How far the preparation of this deployment is."""

    def deploy(self, plan: DeploymentPlan) -> None:
        """Starts the processes of a prepared deployment, unless it was started or removed before."""

    def observe(self, name: str, request_no: int = 0) -> DeploymentView:
        """What can be seen of the deployment now; its ``savepoint`` is that of the request ``request_no``."""

    def stop_with_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """Asks Flink to stop the job with a savepoint below ``savepoint_dir`` ("" = a folder of the runtime's own).

        ``request_no`` tells this request from the others of the same deployment; the same request is made once.
        """

    def trigger_savepoint(self, name: str, request_no: int, savepoint_dir: str) -> None:
        """Asks Flink to make a savepoint of the job, which goes on; the rest as with ``stop_with_savepoint``."""

    def end_taskmanagers(self, name: str, numbers: tuple[int, ...]) -> None:
        """Ends these TaskManagers of the deployment (SIGKILL), which are silent; they are lost ones then."""

    def replace_taskmanagers(self, plan: DeploymentPlan, total: int) -> None:
        """Starts TaskManagers until there were ``total`` in place of others, in all."""

    def newest_state(self, name: str, restored_from: str) -> StateView:
        """The newest state of a removed deployment's lineage: of its own checkpoints and savepoints, else what it was
        restored from ("" = it began clean). See ``domain/lineage.py``.
        """

    def cancel(self, name: str) -> None:
        """Asks Flink to cancel the job."""

    def remove(self, name: str) -> None:
        """Fences the name, and ends all processes of the deployment: repeat it until the view says REMOVED."""

    def names(self) -> tuple[str, ...]:
        """All deployments that are not REMOVED, for the orphan sweep."""

    def remains(self, job_id: int) -> bool:
        """Whether anything of the job is left."""

    def erase(self, job_id: int) -> None:
        """Deletes everything of the job; its deployments must be REMOVED."""

    def execution_graph(self, name: str) -> dict[str, Any] | None:
        """Flink's own ``/jobs/:id`` document with its plan, live or from the archive; None = there is none."""

    def logs(self, job_id: int) -> tuple[Logged, ...]:
        """The logs of all attempts of the job that are on this machine, the oldest first."""

    def records(self, name: str) -> Records | None:
        """Counted records of the running job; None = nothing known."""
