"""How often receivers are asked to confirm: who may create topics is not to fill the mailboxes of strangers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from headrace.domain.errors import AskedTooOften
from headrace.domain.topics import ALL_RECEIVERS, ONE_RECEIVER, paces_of, wait_ms
from headrace.store.outgoing import Kind
from headrace.store.schema import deliveries, messages


def refuse_too_often(connection: Connection, project_id: str, row: Row[Any], *, known: bool, now_ms: int) -> None:
    """Looks whether the receiver of this row of ``subscriptions`` may be asked now.

    Args:
        known: it has confirmed another subscription of the project: asking it again is no harassment.

    Raises:
        AskedTooOften: it, or too many others, have been asked of late.
    """
    since_ms = now_ms - max((pace.within_ms for pace in paces_of(row.protocol)), default=0)
    asked = _asked(connection, project_id, row.protocol, since_ms)
    mine = [at_ms for endpoint, at_ms in asked if endpoint.lower() == row.endpoint.lower()]
    wait = wait_ms(ONE_RECEIVER.get(row.protocol, ()), mine, now_ms)
    if wait and not known:
        raise _refusal(f"{row.endpoint} was asked to confirm {len(mine)} times", wait)
    wait = wait_ms(ALL_RECEIVERS.get(row.protocol, ()), [at_ms for _, at_ms in asked], now_ms)
    if wait:
        raise _refusal(f"The project has asked for {len(asked)} confirmations by {row.protocol}", wait)


def _asked(connection: Connection, project_id: str, protocol: str, since_ms: int) -> Sequence[tuple[str, int]]:
    """(endpoint, when) of each confirmation that was asked for since, newest first; also of deleted subscriptions."""
    query = (
        select(deliveries.c.endpoint, messages.c.created_ms)
        .join(messages, messages.c.message_id == deliveries.c.message_id)
        .where(messages.c.project_id == project_id, messages.c.kind == Kind.SUBSCRIPTION_CONFIRMATION)
        .where(messages.c.created_ms > since_ms, deliveries.c.protocol == protocol)
        .order_by(messages.c.created_ms.desc())
    )
    return [(row.endpoint, row.created_ms) for row in connection.execute(query)]


def _refusal(what: str, wait: int) -> AskedTooOften:
    seconds = -(-wait // 1000)
    return AskedTooOften(f"{what} of late. Wait for {seconds} s: nobody was subscribed or asked now.", seconds)
