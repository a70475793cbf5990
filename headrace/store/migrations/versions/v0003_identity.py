"""Projects, users, keys, privileges, the audit trail, owners of buckets, variables, pools; savepoints on demand."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds who may do what, and who did it."""
    _identity()
    _trail()
    _things()


def _identity() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("password_hash", sa.String, nullable=False),
        sa.Column("is_admin", sa.Boolean, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "members",
        sa.Column("user_id", sa.String, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("project_id", sa.String, sa.ForeignKey("projects.id"), primary_key=True),
        sa.Column("role", sa.String, sa.CheckConstraint("role IN ('admin', 'member')"), nullable=False),
    )
    op.create_table(
        "access_keys",
        sa.Column("access_key", sa.String, primary_key=True),
        sa.Column("user_id", sa.String, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("sealed_secret", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger),
        sa.Column("token_hash", sa.String),
        sa.Column("project_id", sa.String, sa.ForeignKey("projects.id")),
    )
    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.String, primary_key=True),
        sa.Column("user_id", sa.String, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("project_id", sa.String, sa.ForeignKey("projects.id")),
        sa.Column("issued_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "privileges",
        sa.Column("project_id", sa.String, primary_key=True),
        sa.Column("user_name", sa.String, primary_key=True),
        sa.Column("object", sa.String, primary_key=True),
        sa.Column("privilege", sa.String, primary_key=True),
    )


def _trail() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("project_id", sa.String, nullable=False, index=True),
        sa.Column("user_name", sa.String, nullable=False),
        sa.Column("trace_name", sa.String, nullable=False),
        sa.Column("resource_type", sa.String, nullable=False),
        sa.Column("resource_id", sa.String, nullable=False),
        sa.Column("resource_name", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("source_ip", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"""
            CREATE TRIGGER the_trail_is_never_changed_{verb.lower()} BEFORE {verb} ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END
            """
        )


def _things() -> None:
    op.create_table(
        "buckets",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "variables",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("value", sa.String, nullable=False),
        sa.Column("is_sensitive", sa.Boolean, nullable=False),
        sa.Column("user_name", sa.String, nullable=False),
        sa.Column("user_id", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_ms", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("project_id", "name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "pools",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("project_id", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("min_cu", sa.Integer, sa.CheckConstraint("min_cu > 0"), nullable=False),
        sa.Column("max_cu", sa.Integer, sa.CheckConstraint("max_cu >= min_cu"), nullable=False),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.UniqueConstraint("project_id", "name"),
        sqlite_autoincrement=True,
    )
    op.add_column("queues", sa.Column("pool_name", sa.String, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("user_id", sa.String, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("savepoint_target", sa.String, nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("variables", sa.JSON, nullable=False, server_default="[]"))
