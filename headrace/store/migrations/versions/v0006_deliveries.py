"""Messages that expire; what waits for one subscription is found without looking at all that waits; restarts of a job
that had not come up yet are told apart.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds them. A message of before has no time to live of its own: nobody noted which one had."""
    op.add_column("restarts", sa.Column("starting", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.add_column("messages", sa.Column("expires_ms", sa.BigInteger))
    op.create_index(
        "waiting_of_subscription",
        "deliveries",
        ["subscription_id", "id"],
        sqlite_where=sa.text("delivered_ms IS NULL AND dead_ms IS NULL"),
    )
