"""One savepoint of one deployment, on record so that its answer is found whoever was there to hear it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from headrace.domain.errors import Unavailable
from headrace.domain.observation import FlinkState, SavepointState, SavepointView
from headrace.flink.rest import FlinkRefused, FlinkRest
from headrace.flink.stacktrace import root_cause
from headrace.runtimes import files
from headrace.runtimes.places import Places


class SavepointRequest:
    """One request, in three records: what is asked (before Flink is), what Flink answered, and how it ended.

    With a stop and without one it goes alike; a number belongs to one request of either kind.
    """

    def __init__(self, folder: Path, request_no: int, places: Places) -> None:
        """``places``: looks into those of savepoints."""
        self._name = f"{folder.name}/{request_no}"
        self._intent = folder / f"savepoint-{request_no}.intent.json"
        self._answer = folder / f"savepoint-{request_no}.answer.json"
        self._done = folder / f"savepoint-{request_no}.done.json"
        self._places = places

    def ask(self, rest: FlinkRest, directory: str, *, stop: bool) -> None:
        """Asks Flink once. The trigger id follows from the request, so that asking again after a lost answer finds
        the first one (Flink 1.15 and later).

        Raises:
            Unavailable: Flink cannot be asked now, or the folder cannot be looked into.
        """
        if not self._intent.exists():
            running = [job["jid"] for job in rest.jobs() if job["state"] == FlinkState.RUNNING]
            if not running:
                raise Unavailable("Flink has no running job that could make a savepoint")
            intent = {
                "job": running[0],
                "trigger": uuid.uuid5(uuid.NAMESPACE_URL, self._name).hex,
                "directory": directory,
                "stop": stop,
                "before": self._complete(directory, running[0]),
            }
            files.write(self._intent, intent)
        if self._answer.exists() or self._done.exists():
            return
        intent = files.read(self._intent)
        call = rest.stop if intent["stop"] else rest.savepoint
        try:
            trigger = call(intent["job"], intent["trigger"], intent["directory"])
        except FlinkRefused as error:
            self._record("", str(error))
        else:
            files.write(self._answer, {"trigger": trigger})

    @property
    def stops(self) -> bool:
        """Whether the job was to stop with it."""
        return self._intent.exists() and bool(files.read(self._intent)["stop"])

    def recorded(self) -> SavepointView:
        """The end of the request, if somebody has heard of it; else NONE."""
        if not self._done.exists():
            return SavepointView()
        done = files.read(self._done)
        if done["path"]:
            return SavepointView(SavepointState.DONE, done["path"])
        return SavepointView(SavepointState.FAILED, reason=done["reason"])

    def look(self, rest: FlinkRest) -> SavepointView:
        """How it stands, from Flink. Reading the result of a stop also lets the JobManager go.

        Raises:
            FlinkSilent, FlinkRefused: Flink cannot tell.
            Unavailable: it may have been made, but the folder cannot be looked into now.
        """
        known = self.recorded()
        if known.state is not SavepointState.NONE or not self._intent.exists():
            return known
        intent = files.read(self._intent)
        trigger = files.read(self._answer)["trigger"] if self._answer.exists() else intent["trigger"]
        try:
            return self._judge(rest.savepoint_status(intent["job"], trigger))
        except FlinkRefused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return self._unknown(error)

    def find(self) -> SavepointView:
        """How it ended when Flink cannot tell: complete if its ``_metadata`` is there, which comes last.

        Raises:
            Unavailable: the folder cannot be looked into now.
        """
        known = self.recorded()
        if known.state is not SavepointState.NONE or not self._intent.exists():
            return known
        intent = files.read(self._intent)
        made = set(self._complete(intent["directory"], intent["job"])) - set(intent["before"])
        if len(made) != 1:
            return SavepointView()
        return SavepointView(SavepointState.DONE, f"{intent['directory']}/{made.pop()}")

    def _complete(self, directory: str, flink_job: str) -> list[str]:
        """Names of the savepoints of this Flink job in the folder, which others may use too."""
        named = [name for name in self._places.folders(directory) if name.startswith(f"savepoint-{flink_job[:6]}-")]
        return [name for name in named if self._places.complete(f"{directory}/{name}")]

    def _unknown(self, error: FlinkRefused) -> SavepointView:
        """Flink does not know the trigger: it was never asked, or (5 minutes after the end) has forgotten."""
        found = self.find()
        if found.state is SavepointState.DONE:
            return self._record(found.path, "")
        if self._answer.exists():
            return self._record("", f"Flink no longer tells how it ended: {error}")
        return found

    def _judge(self, status: dict[str, Any]) -> SavepointView:
        if status["status"]["id"] != "COMPLETED":
            return SavepointView(SavepointState.IN_PROGRESS)
        operation = status.get("operation") or {}
        if operation.get("location"):
            return self._record(_spelled(operation["location"]), "")
        trace = (operation.get("failure-cause") or {}).get("stack-trace", "no reason given")
        found = self.find()  # complete although the stop failed (FLINK-33522): it is as good as any
        return self._record(found.path, "" if found.path else root_cause(str(trace)))

    def _record(self, path: str, reason: str) -> SavepointView:
        files.write(self._done, {"path": path, "reason": reason})
        return self.recorded()


class Savepoints:
    """All savepoints of one deployment."""

    def __init__(self, folder: Path, places: Places) -> None:
        """``places``: looks into those of savepoints."""
        self._folder = folder
        self._places = places

    def request(self, number: int) -> SavepointRequest:
        """The one of this request."""
        return SavepointRequest(self._folder, number, self._places)

    def look(self, number: int, rest: FlinkRest) -> SavepointView:
        """How this request stands, from Flink. An earlier stop that was given up may have been carried out meanwhile:
        then the job has stopped with that savepoint, and the request is answered by it.

        Raises:
            FlinkSilent, FlinkRefused: Flink cannot tell.
        """
        return self._answered(number, lambda request: request.look(rest))

    def find(self, number: int) -> SavepointView:
        """As ``look``, when Flink cannot be asked any more."""
        return self._answered(number, SavepointRequest.find)

    def recorded(self, number: int) -> SavepointView:
        """As ``look``, of what was heard already."""
        return self._answered(number, SavepointRequest.recorded)

    def made(self) -> list[str]:
        """Paths of all savepoints that were made, whoever has heard of it; oldest request first."""
        found = [self.request(number).find() for number in self._numbers()]
        return [view.path for view in found if view.state is SavepointState.DONE]

    def _answered(self, number: int, ask: Callable[[SavepointRequest], SavepointView]) -> SavepointView:
        view = ask(self.request(number))
        if view.state is SavepointState.DONE:
            return view
        earlier = [self.request(one) for one in reversed(self._numbers()) if one < number]
        for request in earlier:
            if request.stops and (before := ask(request)).state is SavepointState.DONE:
                return before
        return view

    def _numbers(self) -> list[int]:
        return sorted(
            int(path.name.split("-")[1].split(".")[0]) for path in self._folder.glob("savepoint-*.intent.json")
        )


def _spelled(location: str) -> str:
    """Flink writes local places as ``file:/x``, others as ``file:///x``: the latter, everywhere."""
    return "file:///" + location.removeprefix("file:").lstrip("/") if location.startswith("file:") else location
