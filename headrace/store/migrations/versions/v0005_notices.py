"""Topics, their subscriptions, messages and their deliveries."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds who is told. What older versions have noted of failures is not told any more: it is long known."""
    op.alter_column("outbox", "delivered_ms", new_column_name="told_ms")
    op.add_column("outbox", sa.Column("message_id", sa.String, nullable=False, server_default=sa.text("''")))
    op.execute("UPDATE outbox SET told_ms = created_ms, message_id = lower(hex(randomblob(16)))")
    _topics()
    _messages()


def _topics() -> None:
    op.create_table(
        "topics",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String, nullable=False, unique=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("introduction", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("project_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uid", sa.String, nullable=False, unique=True),
        sa.Column("topic_id", sa.Integer, sa.ForeignKey("topics.id"), nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("endpoint", sa.String, nullable=False),
        sa.Column("remark", sa.String, nullable=False),
        sa.Column(
            "status", sa.String, sa.CheckConstraint("status IN ('pending', 'confirmed', 'canceled')"), nullable=False
        ),
        sa.Column("token_hash", sa.String, nullable=False, unique=True),
        sa.Column("sealed_token", sa.String, nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("asked_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("topic_id", "protocol", "endpoint"),
        sqlite_autoincrement=True,
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("message_id", sa.String, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False, index=True),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("message", sa.String, nullable=False),
        sa.Column("variants", sa.JSON, nullable=False),
        sa.Column("job_id", sa.Integer),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("message_id", sa.String, sa.ForeignKey("messages.message_id"), nullable=False),
        sa.Column("subscription_id", sa.Integer, nullable=False),
        sa.Column("protocol", sa.String, nullable=False),
        sa.Column("endpoint", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_ms", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
        sa.Column("delivered_ms", sa.BigInteger),
        sa.Column("dead_ms", sa.BigInteger),
        sa.Column("error", sa.String, nullable=False),
        sa.UniqueConstraint("message_id", "subscription_id"),
        sa.CheckConstraint("delivered_ms IS NULL OR dead_ms IS NULL"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "waiting_deliveries",
        "deliveries",
        ["next_ms"],
        sqlite_where=sa.text("delivered_ms IS NULL AND dead_ms IS NULL"),
    )
