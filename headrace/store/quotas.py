"""What a project has of what is limited, and the refusal of more."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from sqlalchemy import Connection, func, select

from headrace.domain.errors import QuotaExceeded
from headrace.domain.quotas import ABSENT
from headrace.domain.sizing import MILLI
from headrace.store.schema import grants, packages, pools, queues


def used(connection: Connection, project_id: str) -> dict[str, int]:
    """Kind -> how much of it the project has. CU is the capacity of all queues outside pools, and of all pools."""

    def ask(what: object, table: object, *where: object) -> int:
        query = select(what).select_from(table).where(*where)  # type: ignore[call-overload]
        return int(connection.execute(query).scalar_one())

    mine = queues.c.project_id == project_id
    own_milli = ask(func.coalesce(func.sum(queues.c.cu_milli), 0), queues, mine, queues.c.pool_name == "")
    held_milli = ask(func.coalesce(func.sum(grants.c.cu_milli), 0), grants.join(queues), mine)
    pooled = ask(func.coalesce(func.sum(pools.c.max_cu), 0), pools, pools.c.project_id == project_id)
    return {
        "CU": ceil(own_milli / MILLI) + pooled,
        "QUEUE": ask(func.count(), queues, mine),
        "ELASTIC_RESOURCE_POOL": ask(func.count(), pools, pools.c.project_id == project_id),
        "SL_PKG_RESOURCE": ask(func.count(), packages, packages.c.project_id == project_id),
        "JOB_CU": ceil(held_milli / MILLI),
        **dict.fromkeys(ABSENT, 0),
    }


def check(connection: Connection, project_id: str, limits: Mapping[str, int], *kinds: str) -> None:
    """Refuses what the transaction has just added of these kinds, if it is too much.

    Raises:
        QuotaExceeded: the project now has more of a kind than ``limits`` allow; the caller's transaction is undone.
    """
    limited = [kind for kind in kinds if kind in limits]
    if not limited:
        return
    having = used(connection, project_id)
    for kind in limited:
        if having[kind] > limits[kind]:
            raise QuotaExceeded(
                f"The quota is insufficient: with this the project would have {having[kind]} {kind}, it may have "
                f"{limits[kind]}. Delete what is not needed, or ask the operator to raise the setting quotas."
            )
