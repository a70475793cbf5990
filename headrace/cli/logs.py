"""``headrace jobs logs``: what the processes of a job say, while it runs and after its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headrace.cli.client import ApiClient

LOGS = "/headrace/v1/{p}/jobs/{job_id}/logs"
PAGE_BYTES = 256 << 10
GONE = "[Headrace: {lost} bytes of the log are missing here: they were gone before they could be shown]\n"


def listed(client: ApiClient, job_id: int) -> list[dict[str, Any]]:
    """{attempt, role, name, size, gone} of each log on the server's machine; raises ApiError."""
    return list(client.call("GET", LOGS.replace("{job_id}", str(job_id)))["logs"])


def chosen(logs: list[dict[str, Any]], attempt: int | None, name: str) -> dict[str, Any] | None:
    """The log of this short name; of the newest attempt if none is given."""
    newest = max((log["attempt"] for log in logs), default=0) if attempt is None else attempt
    return next((log for log in logs if log["attempt"] == newest and short(log) == name), None)


def short(log: dict[str, Any]) -> str:
    """Its process and what it is: taskmanager-1.log, taskmanager-1.out, jobmanager.gc.log, jobmanager.exit.json."""
    kind = log["role"].partition("-")[0]
    return f"{log['role']}.{log['name'].removeprefix(f'{kind}.')}"


def text(client: ApiClient, job_id: int, log: dict[str, Any], tail_bytes: int) -> Iterator[tuple[str, bool]]:
    """(text, whether nothing follows any more) of the log from its last ``tail_bytes`` on; then, as often as it is
    asked, what has come since. What was gone before it could be asked for is told by a line with its number; raises
    ApiError.
    """
    path = f"{LOGS.replace('{job_id}', str(job_id))}/content"
    offset = max(log["gone"], log["size"] - tail_bytes)
    begun = False  # a line that is not at its end yet
    while True:
        query = {key: log[key] for key in ("attempt", "role", "name")}
        part = client.call("GET", path, query={**query, "offset": offset, "limit": PAGE_BYTES})
        lost = part["offset"] - offset
        told = ("\n" if begun else "") + GONE.format(lost=lost) if lost > 0 else ""
        text = told + part["text"]
        offset, begun = part["next_offset"], not text.endswith("\n") if text else begun
        yield text, bool(part["over"])


def shown(parts: Iterator[tuple[str, bool]], *, follow: bool, wait: Callable[[], None]) -> Iterator[str]:
    """What is to be printed: all that there is, and with ``follow`` what comes until nothing can come any more."""
    for part, over in parts:
        if part:
            yield part
        elif over or not follow:
            return
        else:
            wait()
