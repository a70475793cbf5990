"""Stop-with-savepoint of one deployment, on record so that its answer is found whoever was there to hear it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.domain.errors import Unavailable
from headrace.domain.observation import FlinkState, SavepointState, SavepointView
from headrace.flink.rest import FlinkRefused, FlinkRest
from headrace.flink.stacktrace import root_cause
from headrace.runtimes import files


class StopRequest:
    """One request, in three records: what is asked (before Flink is), what Flink answered, and how it ended."""

    def __init__(self, folder: Path, stop_id: int, local: Callable[[str], Path]) -> None:
        """``local``: the folder of this machine behind a URI."""
        self._name = f"{folder.name}/{stop_id}"
        self._intent = folder / f"stop-{stop_id}.intent.json"
        self._answer = folder / f"stop-{stop_id}.answer.json"
        self._done = folder / f"stop-{stop_id}.done.json"
        self._local = local

    def ask(self, rest: FlinkRest, directory: str) -> None:
        """Asks Flink once. The trigger id follows from the request, so that asking again after a lost answer finds
        the first one (Flink 1.15 and later).

        Raises:
            Unavailable: Flink cannot be asked now.
        """
        if not self._intent.exists():
            running = [job["jid"] for job in rest.jobs() if job["state"] == FlinkState.RUNNING]
            if not running:
                raise Unavailable("Flink has no running job that could make a savepoint")
            trigger = uuid.uuid5(uuid.NAMESPACE_URL, self._name).hex
            files.write(self._intent, {"job": running[0], "trigger": trigger, "directory": directory})
        if self._answer.exists() or self._done.exists():
            return
        intent = files.read(self._intent)
        try:
            trigger = rest.stop(intent["job"], intent["trigger"], intent["directory"])
        except FlinkRefused as error:
            self._record("", str(error))
        else:
            files.write(self._answer, {"trigger": trigger})

    def recorded(self) -> SavepointView:
        """The end of the request, if somebody has heard of it; else NONE."""
        if not self._done.exists():
            return SavepointView()
        done = files.read(self._done)
        if done["path"]:
            return SavepointView(SavepointState.DONE, done["path"])
        return SavepointView(SavepointState.FAILED, reason=done["reason"])

    def look(self, rest: FlinkRest) -> SavepointView:
        """How it stands, from Flink. Reading the result also lets the JobManager go.

        Raises:
            FlinkSilent, FlinkRefused: Flink cannot tell.
        """
        known = self.recorded()
        if known.state is not SavepointState.NONE or not self._intent.exists():
            return known
        intent = files.read(self._intent)
        if self._answer.exists():
            answer = files.read(self._answer)
            return self._judge(rest.stop_status(intent["job"], answer["trigger"]))
        try:
            return self._judge(rest.stop_status(intent["job"], intent["trigger"]))
        except FlinkRefused:
            return SavepointView()  # Flink has not heard of it: ask

    def find(self) -> SavepointView:
        """How it ended when Flink can no longer be asked: complete if its ``_metadata`` is there, which comes last."""
        known = self.recorded()
        if known.state is not SavepointState.NONE or not self._intent.exists():
            return known
        directory = files.read(self._intent)["directory"]
        folder = self._local(directory)
        complete = sorted(folder.glob("savepoint-*/_metadata")) if folder.is_dir() else []
        if len(complete) != 1:
            return SavepointView()
        return SavepointView(SavepointState.DONE, f"{directory}/{complete[0].parent.name}")

    def _judge(self, status: dict[str, Any]) -> SavepointView:
        if status["status"]["id"] != "COMPLETED":
            return SavepointView(SavepointState.IN_PROGRESS)
        operation = status.get("operation") or {}
        if operation.get("location"):
            return self._record(_spelled(operation["location"]), "")
        trace = (operation.get("failure-cause") or {}).get("stack-trace", "no reason given")
        return self._record("", root_cause(str(trace)))

    def _record(self, path: str, reason: str) -> SavepointView:
        files.write(self._done, {"path": path, "reason": reason})
        return self.recorded()


def _spelled(location: str) -> str:
    """Flink writes local places as ``file:/x``, others as ``file:///x``: the latter, everywhere."""
    return "file:///" + location.removeprefix("file:").lstrip("/") if location.startswith("file:") else location
