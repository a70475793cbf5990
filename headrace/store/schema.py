"""The tables. What must not be is refused here, by the database itself, whatever the code above it does."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData()

queues = Table(
    "queues",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("queue_type", String, nullable=False),
    Column("cu_milli", Integer, CheckConstraint("cu_milli > 0"), nullable=False),
    Column("owner", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("description", String, nullable=False),
    Column("details", JSON, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("queue_name", String, nullable=False),
    Column("user_name", String, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("tags", JSON, nullable=False),
    Column("goal", String, nullable=False),
    Column("request_no", Integer, nullable=False),
    Column("resume_savepoint", Boolean, nullable=False),
    Column("trigger_savepoint", Boolean, nullable=False),
    Column("requested_ms", BigInteger, nullable=False),
    Column("phase", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("request_seen", Integer, CheckConstraint("request_seen <= request_no"), nullable=False),
    Column("outcome", String),
    Column("restore_path", String, nullable=False),
    Column("savepoint_path", String, nullable=False),
    Column("note", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("ended_ms", BigInteger),
    sqlite_autoincrement=True,
)
Index(
    "one_job_of_a_name",
    jobs.c.project_id,
    jobs.c.name,
    unique=True,
    sqlite_where=text("goal <> 'delete' AND phase <> 'deleted'"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("live", Boolean, nullable=False),
)
Index("one_live_deployment_of_a_job", deployments.c.job_id, unique=True, sqlite_where=text("live"))

grants = Table(
    "grants",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("queue_id", Integer, ForeignKey("queues.id"), nullable=False),
    Column("cu_milli", Integer, CheckConstraint("cu_milli > 0"), nullable=False),
    Column("memory_mb", Integer, CheckConstraint("memory_mb > 0"), nullable=False),
)

# Triggers of migration 0001 refuse a grant over the queue's CUs, and a queue smaller than its grants.

job_history = Table(
    "job_history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False, index=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("phase", String, nullable=False),
    Column("outcome", String),
    Column("note", String, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("project_id", String, nullable=False),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False),
    Column("topic", String, nullable=False),
    Column("body", JSON, nullable=False),
    Column("delivered_ms", BigInteger),
)

packages = Table(
    "packages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("group_name", String, nullable=False),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("object_key", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    Column("details", JSON, nullable=False),
    UniqueConstraint("project_id", "group_name", "name"),
)
