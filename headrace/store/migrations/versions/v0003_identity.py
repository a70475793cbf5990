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
    _pool_rules()


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


def _pool_rules() -> None:
    """What jobs hold of a pool's queues is never more than the pool has; a pool with queues stays."""
    held = """(SELECT COALESCE(SUM(grants.cu_milli), 0) FROM grants JOIN queues AS mates ON mates.id = grants.queue_id
               WHERE mates.project_id = {project} AND mates.pool_name = {pool} AND {other})"""
    for verb in ("INSERT", "UPDATE"):
        total = held.format(project="pools.project_id", pool="pools.name", other="grants.job_id <> NEW.job_id")
        op.execute(
            f"""
            CREATE TRIGGER never_grant_more_than_the_pool_has_{verb.lower()} BEFORE {verb} ON grants
            WHEN EXISTS (SELECT 1 FROM queues JOIN pools
                         ON pools.project_id = queues.project_id AND pools.name = queues.pool_name
                         WHERE queues.id = NEW.queue_id AND {total} + NEW.cu_milli > pools.max_cu * 1000)
            BEGIN SELECT RAISE(ABORT, 'more CUs granted than the pool has'); END
            """
        )
        op.execute(
            f"""
            CREATE TRIGGER a_queue_is_in_a_pool_that_exists_{verb.lower()} BEFORE {verb} ON queues
            WHEN NEW.pool_name <> '' AND NOT EXISTS (
                SELECT 1 FROM pools WHERE pools.project_id = NEW.project_id AND pools.name = NEW.pool_name)
            BEGIN SELECT RAISE(ABORT, 'there is no such pool'); END
            """
        )
    mine = "(SELECT COALESCE(SUM(cu_milli), 0) FROM grants WHERE queue_id = NEW.id)"
    total = held.format(project="NEW.project_id", pool="NEW.pool_name", other="mates.id <> NEW.id")
    op.execute(
        f"""
        CREATE TRIGGER a_queue_never_overfills_the_pool_it_joins BEFORE UPDATE OF pool_name ON queues
        WHEN NEW.pool_name <> '' AND {mine} + {total} > (
            SELECT max_cu * 1000 FROM pools WHERE project_id = NEW.project_id AND name = NEW.pool_name)
        BEGIN SELECT RAISE(ABORT, 'more CUs granted than the pool has'); END
        """
    )
    total = held.format(project="NEW.project_id", pool="NEW.name", other="1")
    op.execute(
        f"""
        CREATE TRIGGER never_shrink_a_pool_below_its_grants BEFORE UPDATE OF max_cu ON pools
        WHEN NEW.max_cu * 1000 < {total}
        BEGIN SELECT RAISE(ABORT, 'more CUs granted than the pool has'); END
        """
    )
    op.execute(
        """
        CREATE TRIGGER a_pool_with_queues_stays BEFORE DELETE ON pools
        WHEN EXISTS (SELECT 1 FROM queues WHERE project_id = OLD.project_id AND pool_name = OLD.name)
        BEGIN SELECT RAISE(ABORT, 'the pool has queues'); END
        """
    )
