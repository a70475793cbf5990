"""Typed client of one JobManager's REST API. The only place that knows its paths; short timeouts, no retries."""

from __future__ import annotations

import json
from typing import Any

import urllib3

from headrace.domain.errors import Unavailable
from headrace.domain.observation import FlinkState

MAX_EXCEPTIONS = 1000
"""More than any exception history of ours holds."""
TIMEOUT = urllib3.Timeout(connect=2.0, read=5.0)


class FlinkSilent(Unavailable):
    """REST does not answer (not yet, not any more, or not in time)."""


class FlinkRefused(Unavailable):
    """REST answered with an error; the message is Flink's."""

    def __init__(self, message: str, status: int = 500) -> None:
        """``status``: the HTTP status."""
        super().__init__(message)
        self.status = status


class FlinkRest:
    """One JobManager on a loopback port."""

    def __init__(self, port: int) -> None:
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=2, timeout=TIMEOUT, retries=False)

    def get(self, path: str) -> Any:
        """The JSON document at ``path``.

        Raises:
            FlinkSilent: no answer.
            FlinkRefused: an error answer.
        """
        return self._call("GET", path)

    def jobs(self) -> list[dict[str, Any]]:
        """``/jobs/overview``: {jid, name, state, start-time, …, tasks: {total, running, …}} of each job."""
        return list(self.get("/jobs/overview")["jobs"])

    def job(self, job_id: str) -> dict[str, Any]:
        """``/jobs/:id`` with vertices and plan."""
        return dict(self.get(f"/jobs/{job_id}"))

    def exceptions(self, job_id: str) -> dict[str, Any]:
        """``{root-exception, exceptionHistory: {entries: [{exceptionName, stacktrace, timestamp, …}]}}``."""
        return dict(self.get(f"/jobs/{job_id}/exceptions?maxExceptions={MAX_EXCEPTIONS}"))

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """``{counts, latest: {completed, savepoint, failed, restored}, history}``."""
        return dict(self.get(f"/jobs/{job_id}/checkpoints"))

    def config(self, job_id: str) -> dict[str, Any]:
        """``{execution-config: {restart-strategy, …}}`` of the job."""
        return dict(self.get(f"/jobs/{job_id}/config"))

    def taskmanagers(self) -> frozenset[str]:
        """Resource ids of the TaskManagers that the JobManager knows and hears."""
        return frozenset(str(entry["id"]) for entry in self.get("/taskmanagers")["taskmanagers"])

    def status(self, job_id: str) -> FlinkState:
        """``/jobs/:id/status``, which is never old."""
        return FlinkState(self.get(f"/jobs/{job_id}/status")["status"])

    def restarts(self, job_id: str) -> int:
        """How often Flink has restarted the job in place; 0 while the metric is not there yet."""
        values = {m["id"]: m.get("value") for m in self.get(f"/jobs/{job_id}/metrics?get=numRestarts")}
        return int(values.get("numRestarts") or 0)

    def cancel(self, job_id: str) -> None:
        """Asks for cancellation."""
        self._call("PATCH", f"/jobs/{job_id}?mode=cancel")

    def stop(self, job_id: str, trigger_id: str, directory: str) -> str:
        """Asks for stop-with-savepoint; the trigger id under which its status is found."""
        body = {"targetDirectory": directory, "drain": False, "triggerId": trigger_id}
        return str(self._call("POST", f"/jobs/{job_id}/stop", body)["request-id"])

    def savepoint(self, job_id: str, trigger_id: str, directory: str) -> str:
        """Asks for a savepoint, after which the job goes on; the trigger id under which its status is found."""
        body = {"target-directory": directory, "cancel-job": False, "triggerId": trigger_id}
        return str(self._call("POST", f"/jobs/{job_id}/savepoints", body)["request-id"])

    def savepoint_status(self, job_id: str, trigger_id: str) -> dict[str, Any]:
        """``{status: {id: IN_PROGRESS | COMPLETED}, operation: {location} | {failure-cause: …}}``, of a stop too."""
        return dict(self.get(f"/jobs/{job_id}/savepoints/{trigger_id}"))

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def _call(self, method: str, path: str, body: object = None) -> Any:
        try:
            response = self._pool.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            content = json.loads(response.data or b"{}")
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise FlinkSilent(f"Flink's REST does not answer: {error}") from error
        if response.status >= 400:
            raise FlinkRefused(_first_error(content, response.status), response.status)
        return content


def _first_error(content: Any, status: int) -> str:
    errors = content.get("errors") if isinstance(content, dict) else None
    lines = str(errors[-1] if errors else f"HTTP {status}").strip().splitlines()
    return lines[0][:500] if lines else f"HTTP {status}"
