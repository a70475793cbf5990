"""Jobs, queues, grants, deployments, history, outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates the first schema."""
    op.create_table(
        "queues",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("queue_type", sa.String, nullable=False),
        sa.Column("cu_milli", sa.Integer, sa.CheckConstraint("cu_milli > 0"), nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.UniqueConstraint("project_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("queue_name", sa.String, nullable=False),
        sa.Column("user_name", sa.String, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("tags", sa.JSON, nullable=False),
        sa.Column("goal", sa.String, nullable=False),
        sa.Column("request_no", sa.Integer, nullable=False),
        sa.Column("resume_savepoint", sa.Boolean, nullable=False),
        sa.Column("trigger_savepoint", sa.Boolean, nullable=False),
        sa.Column("requested_ms", sa.BigInteger, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("request_seen", sa.Integer, sa.CheckConstraint("request_seen <= request_no"), nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("restore_path", sa.String, nullable=False),
        sa.Column("savepoint_path", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.Column("started_ms", sa.BigInteger),
        sa.Column("ended_ms", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "one_job_of_a_name",
        "jobs",
        ["project_id", "name"],
        unique=True,
        sqlite_where=sa.text("goal <> 'delete' AND phase <> 'deleted'"),
    )
    op.create_table(
        "deployments",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("live", sa.Boolean, nullable=False),
    )
    op.create_index(
        "one_live_deployment_of_a_job", "deployments", ["job_id"], unique=True, sqlite_where=sa.text("live")
    )
    op.create_table(
        "grants",
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("queue_id", sa.Integer, sa.ForeignKey("queues.id"), nullable=False),
        sa.Column("cu_milli", sa.Integer, sa.CheckConstraint("cu_milli > 0"), nullable=False),
        sa.Column("memory_mb", sa.Integer, sa.CheckConstraint("memory_mb > 0"), nullable=False),
    )
    for verb in ("INSERT", "UPDATE"):
        op.execute(
            f"""
            CREATE TRIGGER never_grant_more_than_the_queue_has_{verb.lower()} BEFORE {verb} ON grants
            WHEN (SELECT COALESCE(SUM(cu_milli), 0) FROM grants
                  WHERE queue_id = NEW.queue_id AND job_id <> NEW.job_id) + NEW.cu_milli
                 > (SELECT cu_milli FROM queues WHERE id = NEW.queue_id)
            BEGIN SELECT RAISE(ABORT, 'more CUs granted than the queue has'); END
            """
        )
    op.execute(
        """
        CREATE TRIGGER never_shrink_a_queue_below_its_grants BEFORE UPDATE OF cu_milli ON queues
        WHEN NEW.cu_milli < (SELECT COALESCE(SUM(cu_milli), 0) FROM grants WHERE queue_id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'more CUs granted than the queue has'); END
        """
    )
    op.create_table(
        "job_history",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False, index=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("outcome", sa.String),
        sa.Column("note", sa.String, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("delivered_ms", sa.BigInteger),
    )
