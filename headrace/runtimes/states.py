"""The checkpoints and savepoints of one deployment: noted while it lives, found when it is gone.

Files, kept apart from the deployment's folder (``<home>/state/job-7/records/``), so that nothing is forgotten where
somebody clears that away::

    job-7-1.lineage.json   {directory, before}   where its checkpoints go, and whose were there before it started
    job-7-1.heard.json     {jobs, id, path}      its Flink jobs, and the newest state that Flink told to be complete
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from headrace.domain.errors import Unavailable
from headrace.domain.lineage import State, newest, one_spelling, same_place
from headrace.domain.observation import StateView
from headrace.flink import joblog
from headrace.flink.command import Layout
from headrace.flink.watch import Completed
from headrace.runtimes import files
from headrace.runtimes.places import Places

log = logging.getLogger(__name__)

FLINK_JOB = re.compile(r"[0-9a-f]{32}")
COMMAND = "command.json"
RECORDS = "records"
HEARD = ".heard.json"


class States:
    """What one deployment has completed."""

    def __init__(self, layout: Layout, state: Path, places: Places) -> None:
        """``state``: the job's folder for what outlives deployments; ``places``: looks into those of checkpoints."""
        self._layout = layout
        self._records = state / RECORDS
        self._lineage = self._records / f"{layout.folder.name}.lineage.json"
        self._heard = self._records / f"{layout.folder.name}{HEARD}"
        self._look = places

    def begin(self, directory: str) -> None:
        """Before anything of the deployment is started: notes where its checkpoints will go.

        Raises:
            Unavailable: the disk does not take it, or that place cannot be looked into now.
        """
        if not self._lineage.exists():
            self._make_folder()
            files.write(self._lineage, {"directory": directory, "before": self._jobs_in(directory)})

    @property
    def answered(self) -> bool:
        """Whether Flink has ever told of its jobs."""
        return self._heard.exists()

    def hear(self, seen: dict[str, Completed | None]) -> None:
        """Notes what Flink tells of its jobs, by their ids.

        Raises:
            Unavailable: the disk does not take it.
        """
        completed = max(filter(None, seen.values()), key=lambda one: one.checkpoint_id, default=None)
        content = {
            "jobs": sorted(seen),
            "id": completed.checkpoint_id if completed else None,
            "path": completed.path if completed else "",
        }
        if not self._heard.exists() or files.read(self._heard) != content:
            self._make_folder()
            files.write(self._heard, content)

    def newest(self, restored_from: str, savepoints: Sequence[str]) -> StateView:
        """The state from which the lineage goes on; nothing of the deployment may live any more.

        Args:
            restored_from: what the deployment was restored from; "" = it began clean.
            savepoints: those that it made.

        Raises:
            Unavailable: its records cannot be read, or a place cannot be looked into now.
        """
        heard = self._known()
        if not self._lineage.exists() and not heard["jobs"] and (self._layout.role("jobmanager") / COMMAND).exists():
            return StateView(problem="it was started, but the record of where its checkpoints are is missing")
        elsewhere = [place for place in self._places() if not self._look.visible(place)]
        if elsewhere and heard["id"] is not None:
            return StateView(problem=f"its checkpoints are in {elsewhere[0]}, which Headrace cannot look into")
        own = [*self._checkpoints(), *(self._state(path) for path in savepoints)]
        floor = self._state(restored_from) if restored_from else None
        return newest(own, floor, heard["id"])

    def forget(self, needed: Iterable[str]) -> bool:
        """Deletes the deployment's checkpoints, but for Flink jobs of which one is ``needed``; whether none is.

        Of Flink jobs that Flink told to be its own only: the folder may be shared by later attempts and other jobs.
        Where a place cannot be looked into now, they are kept until the next time: no run waits for that.
        """
        try:
            kept = self._delete([one_spelling(path) for path in needed])
        except Unavailable as error:
            log.warning("%s: its old checkpoints are kept for now: %s", self._layout.folder.name, error)
            return False
        if not kept:
            self._lineage.unlink(missing_ok=True)
            self._heard.unlink(missing_ok=True)
        return not kept

    def _delete(self, needed: Sequence[str]) -> bool:
        """Deletes all but what is needed; whether anything was."""
        kept = False
        told = self._known()["jobs"]
        for uri in (uri for uri in self._job_uris() if _name(uri) in told):
            if any(self._within(path, uri) for path in needed):
                kept = True
            else:
                self._look.delete(uri)
        return kept

    def _within(self, path: str, folder: str) -> bool:
        return self._look.visible(path) and self._look.path(path).is_relative_to(self._look.path(folder))

    def _make_folder(self) -> None:
        try:
            self._records.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._records} cannot be written: {error}") from error

    def _checkpoints(self) -> list[State]:
        return [
            State(f"{uri}/{name}", _name(uri), self._look.checkpoint_id(f"{uri}/{name}"))
            for uri in self._job_uris()
            for name in self._look.folders(uri)
            if name.startswith("chk-")
        ]

    def _state(self, path: str) -> State:
        return State(path, checkpoint_id=self._look.checkpoint_id(path))

    def _job_uris(self) -> list[str]:
        """The folders with the checkpoints of each Flink job of this deployment."""
        heard = self._known()
        before: list[str] = files.read(self._lineage)["before"] if self._lineage.exists() else []
        found = []
        for place in self._places():
            own = [name for name in self._jobs_in(place) if name not in before]
            known = [name for name in own if name in heard["jobs"]]
            # Flink tells them; what died before it could is known by being new, and nobody else's.
            found += [f"{place.rstrip('/')}/{name}" for name in known or sorted(set(own) - self._of_others())]
        return found

    def _of_others(self) -> set[str]:
        """Flink jobs that other deployments have, which may put their checkpoints into the same folder."""
        records = self._records.parent.parent.glob(f"*/{RECORDS}/*{HEARD}")
        return {name for other in records if other != self._heard for name in files.read(other)["jobs"]}

    def _places(self) -> list[str]:
        """Where checkpoints are: where we told Flink to put them, and where the code put them instead."""
        places = [one_spelling(files.read(self._lineage)["directory"])] if self._lineage.exists() else []
        match = re.fullmatch(r"(.+)/[0-9a-f]{32}/chk-\d+/?", self._known()["path"])
        if match is not None and not any(same_place(match[1], place) for place in places):
            places.append(one_spelling(match[1]))
        return places

    def _jobs_in(self, directory: str) -> list[str]:
        return [name for name in self._look.folders(directory) if FLINK_JOB.fullmatch(name)]

    def _known(self) -> dict[str, Any]:
        """What was heard, and what Flink's log tells besides: the last words of one that died unheard."""
        heard = files.read(self._heard) if self._heard.exists() else {"jobs": [], "id": None, "path": ""}
        logged = joblog.completed(self._layout.log / "jobmanager.log")
        numbers = [number for number in (heard["id"], *logged.values()) if number is not None]
        return {**heard, "jobs": sorted({*heard["jobs"], *logged}), "id": max(numbers, default=None)}


def _name(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]
