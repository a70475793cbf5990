"""What a user asks for while things break: asked until it is on record, and followed to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from headrace.cli.client import ApiError
from headrace.domain.job import AT_REST, Phase
from headrace.faults.oracle import Promise, PromiseBroken
from headrace.faults.subject import Subject
from headrace.flink import metadata


class Request(Protocol):
    """Something that is asked for."""

    def ask(self) -> bool:
        """Asks, unless it is on record that it was asked for; whether it is. Raises NotReadable."""

    def settled(self) -> bool:
        """Carries it on; whether it has come to its end. Raises NotReadable."""


class Asked:
    """One call of the API, made again until it is on record: its answer may be lost with the server."""

    def __init__(self, subject: Subject, call: Callable[[], None]) -> None:
        self._subject = subject
        self._call = call
        self._before: int | None = None

    def made(self) -> bool:
        """Makes it, unless it is on record; whether it is. Raises NotReadable."""
        requests = self._subject.recorded.requests
        if self._before is None:
            self._before = requests
        if requests > self._before:
            return True
        try:
            self._call()
        except ApiError as error:  # there is no server, or the job is not as it must be for this: later
            self._subject.refused = str(error)
            return False
        return True


class Saving:
    """A savepoint is triggered. Where the job fails meanwhile there will be none; that is told, and no loss."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._asked = Asked(subject, subject.save)

    def ask(self) -> bool:
        """See Request."""
        return self._asked.made()

    def settled(self) -> bool:
        """See Request; raises PromiseBroken if a savepoint is on record that cannot be read."""
        if not self.ask():
            return False
        recorded = self._subject.recorded
        if recorded.pending or recorded.phase is Phase.SAVING:
            return False
        check_savepoint(self._subject, recorded.savepoint_path)
        return True


class Resuming:
    """A stop with savepoint, and a run from it."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._stop = Asked(subject, subject.stop)
        self._run: Asked | None = None

    def ask(self) -> bool:
        """See Request."""
        return self._stop.made()

    def settled(self) -> bool:
        """See Request; raises PromiseBroken if the job has stopped without a state to go on from."""
        if self._run is not None:
            return self._run.made()
        if not self.ask():
            return False
        recorded = self._subject.recorded
        if recorded.pending:
            return False
        if recorded.phase is Phase.STOP_FAILED:
            self._stop = Asked(self._subject, self._subject.stop)
            return False
        if recorded.phase not in AT_REST:
            return False
        if not recorded.savepoint_path:
            raise PromiseBroken(Promise.SAVED, f"{self._subject.name} has stopped, and there is nothing to go on from")
        check_savepoint(self._subject, recorded.savepoint_path)
        self._run = Asked(self._subject, lambda: self._subject.run(resume=True))
        return self._run.made()


def check_savepoint(subject: Subject, path: str) -> None:
    """Raises PromiseBroken if it cannot be read; "" is none."""
    if path and metadata.checkpoint_id(subject.served.local(path)) is None:
        raise PromiseBroken(
            Promise.SAVED, f"the savepoint of {subject.name}, {path}, has no _metadata that can be read"
        )
