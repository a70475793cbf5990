"""How much of what a project may have (dli-contract §1.22)."""

from __future__ import annotations

UNLIMITED = -1

LIMITED = ("CU", "QUEUE", "ELASTIC_RESOURCE_POOL", "SL_PKG_RESOURCE")
"""What an operator can limit: CUs of queues and pools, queues, pools, packages."""

ABSENT = ("DATABASE", "TABLE", "TEMPLATE", "SL_SESSION")
"""What DLI counts and Headrace has none of."""

KINDS = (*LIMITED, "JOB_CU", *ABSENT)
"""All kinds. JOB_CU, what jobs hold, is bounded by the queues."""


def quota_of(kind: str, limits: dict[str, int]) -> int:
    """The project's quota of a kind; UNLIMITED = no limit."""
    return 0 if kind in ABSENT else limits.get(kind, UNLIMITED)
