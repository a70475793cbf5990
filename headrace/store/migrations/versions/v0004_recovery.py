"""Restarts and their sliding hour, the job clock, and the journal of a job."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds what a restart needs; a job of before is in its first attempt of a run."""
    for name in ("first_attempt", "restarts", "flink_restarts", "replacements"):
        op.add_column("jobs", sa.Column(name, sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("ran", sa.Boolean, nullable=False, server_default=sa.text("0")))
    op.add_column("jobs", sa.Column("failure", sa.String, nullable=False, server_default=sa.text("''")))
    op.add_column("jobs", sa.Column("retry_ms", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE jobs SET first_attempt = attempt, ran = started_ms IS NOT NULL")
    op.add_column("job_history", sa.Column("kind", sa.String, nullable=False, server_default=sa.text("'moved'")))
    op.create_table(
        "restarts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("in_place", sa.Boolean, nullable=False),
        sa.Column("clock_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "job_clock",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("clock_ms", sa.BigInteger, nullable=False),
        sa.Column("boot_id", sa.String, nullable=False),
        sa.Column("boottime_ms", sa.BigInteger, nullable=False),
        sa.Column("wall_ms", sa.BigInteger, nullable=False),
    )
