"""Counted records, where Flink keeps the truth of them: at the operators of each subtask.

The numbers at vertex level stay 0 for a source or sink that is chained into its vertex, and the first question about
a metric is never answered: then the count is None, not known yet.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from headrace.flink.rest import FlinkRest

_SOURCE, _SINK = "Source", "Sink"


def count(rest: FlinkRest, job_id: str) -> tuple[dict[str, int | None], dict[str, int | None]]:
    """({source: records read}, {sink: records written}) by operator name.

    Raises:
        FlinkSilent, FlinkRefused: REST cannot tell.
    """
    sources: dict[str, int | None] = {}
    sinks: dict[str, int | None] = {}
    for vertex in rest.job(job_id)["vertices"]:
        for operator in _operators(vertex["name"]):
            if operator.startswith(_SOURCE):
                sources.setdefault(operator, None)
            elif _is_sink(operator):
                sinks.setdefault(operator, None)
        base = f"/jobs/{job_id}/vertices/{vertex['id']}/subtasks/metrics"
        wanted = _wanted(rest.get(base))
        if not wanted:
            continue
        listed = ",".join(quote(metric, safe="") for metric in wanted)
        sums = {entry["id"]: entry.get("sum") for entry in rest.get(f"{base}?agg=sum&get={listed}")}
        for metric, (kind, operator) in wanted.items():
            if sums.get(metric) is not None:
                counts = sources if kind == _SOURCE else sinks
                name = _spelled(operator, counts)
                counts[name] = (counts.get(name) or 0) + int(sums[metric])
    return sources, sinks


def _operators(vertex: str) -> list[str]:
    """Operator names of a vertex's name: "Source: a -> (b -> Sink: c, Sink: d)"."""
    for mark in ("(", ")", ","):
        vertex = vertex.replace(mark, "->")
    return [part.strip() for part in vertex.split("->") if part.strip()]


def _wanted(metrics: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """{metric id: (kind, operator)}: what sources emit, and what sinks' writers take in."""
    wanted = {}
    for metric in metrics:
        operator, _, name = metric["id"].rpartition(".")
        if name == "numRecordsOut" and operator.startswith(_SOURCE):
            wanted[metric["id"]] = (_SOURCE, operator)
        elif name == "numRecordsIn" and _is_sink(operator):
            wanted[metric["id"]] = (_SINK, operator)
    return wanted


def _is_sink(operator: str) -> bool:
    """Sinks of the old kind are named "Sink: x"; those of the new kind are a Writer and a Committer, "x: Writer"."""
    return (operator.startswith(_SINK) or operator.endswith("Writer")) and not operator.endswith("Committer")


def _spelled(operator: str, names: dict[str, int | None]) -> str:
    """The operator's name as the job spells it; metric ids have "_" for every character that is not plain."""

    def plain(name: str) -> str:
        return "".join(char if char.isalnum() and char.isascii() else "_" for char in name)

    return next((name for name in names if plain(name) == plain(operator)), operator)
