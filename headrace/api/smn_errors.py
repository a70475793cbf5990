"""SMN's words for errors, which clients of its routes read: ``{"request_id", "code", "message"}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

from headrace.domain import errors
from headrace.domain.errors import BadField

PATHS = re.compile(r"/v2/[^/]*/notifications(/.*)?|/rest/v2/notifications/.*|/smn(/.*)?", re.S)
"""Of SMN's routes."""

FIELDS: Mapping[str, str] = {
    "name": "SMN.0002",
    "display_name": "SMN.0003",
    "topic_urn": "SMN.0005",
    "protocol": "SMN.0011",
    "endpoint": "SMN.0012",
    "subscription_urn": "SMN.0014",
    "offset": "SMN.0015",
    "limit": "SMN.0015",
    "remark": "SMN.0017",
    "message_structure": "SMN.0021",
    "attribute": "SMN.0046",
    "value": "SMN.0047",
}
"""Field that is wrong -> SMN's code of it."""

TYPES: Mapping[type[Exception], tuple[int, str]] = {
    errors.TopicNotFound: (404, "SMN.0006"),
    errors.SubscriptionNotFound: (404, "SMN.0014"),
    errors.TooManySubscriptions: (403, "SMN.0007"),
    errors.QuotaExceeded: (403, "SMN.0004"),
}
"""Error -> HTTP status and code. What SMN has no code for is ``SMN.0<status>``: our choice."""


def code_of(error: Exception, status: int) -> tuple[int, str]:
    """(HTTP status, SMN's code) of an error that has this status elsewhere."""
    if isinstance(error, BadField):
        return status, FIELDS.get(error.field.rpartition(".")[2], f"SMN.0{status}")
    found = next((TYPES[kind] for kind in type(error).__mro__ if kind in TYPES), None)
    return found or (status, f"SMN.0{status}")
