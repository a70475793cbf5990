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
    Column("pool_name", String, nullable=False, server_default=text("''")),
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
    Column("user_id", String, nullable=False, server_default=text("''")),
    Column("savepoint_target", String, nullable=False, server_default=text("''")),
    Column("variables", JSON, nullable=False, server_default="[]"),
    Column("first_attempt", Integer, nullable=False, server_default="0"),
    Column("restarts", Integer, nullable=False, server_default="0"),
    Column("flink_restarts", Integer, nullable=False, server_default="0"),
    Column("replacements", Integer, nullable=False, server_default="0"),
    Column("ran", Boolean, nullable=False, server_default=text("0")),
    Column("failure", String, nullable=False, server_default=text("''")),
    Column("retry_ms", BigInteger, nullable=False, server_default="0"),
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
    Column("kind", String, nullable=False, server_default=text("'moved'")),
)

restarts = Table(
    "restarts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("in_place", Boolean, nullable=False),
    Column("starting", Boolean, nullable=False, server_default=text("0")),
    Column("clock_ms", BigInteger, nullable=False),
)

job_clock = Table(
    "job_clock",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("clock_ms", BigInteger, nullable=False),
    Column("boot_id", String, nullable=False),
    Column("boottime_ms", BigInteger, nullable=False),
    Column("wall_ms", BigInteger, nullable=False),
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
    Column("told_ms", BigInteger),
    Column("message_id", String, nullable=False, server_default=text("''")),
)

topics = Table(
    "topics",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String, nullable=False, unique=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("display_name", String, nullable=False),
    Column("introduction", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String, nullable=False, unique=True),
    Column("topic_id", Integer, ForeignKey("topics.id"), nullable=False),
    Column("protocol", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("remark", String, nullable=False),
    Column("status", String, CheckConstraint("status IN ('pending', 'confirmed', 'canceled')"), nullable=False),
    Column("token_hash", String, nullable=False, unique=True),
    Column("sealed_token", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    UniqueConstraint("topic_id", "protocol", "endpoint"),
    sqlite_autoincrement=True,
)

messages = Table(
    "messages",
    metadata,
    Column("message_id", String, primary_key=True),
    Column("project_id", String, nullable=False, index=True),
    Column("topic", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("message", String, nullable=False),
    Column("variants", JSON, nullable=False),
    Column("job_id", Integer),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("message_id", String, ForeignKey("messages.message_id"), nullable=False),
    Column("subscription_id", Integer, nullable=False),
    Column("protocol", String, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Column("delivered_ms", BigInteger),
    Column("dead_ms", BigInteger),
    Column("error", String, nullable=False),
    UniqueConstraint("message_id", "subscription_id"),
    CheckConstraint("delivered_ms IS NULL OR dead_ms IS NULL"),
    sqlite_autoincrement=True,
)

Index(
    "waiting_deliveries",
    deliveries.c.next_ms,
    sqlite_where=text("delivered_ms IS NULL AND dead_ms IS NULL"),
)

Index(
    "waiting_of_subscription",
    deliveries.c.subscription_id,
    deliveries.c.id,
    sqlite_where=text("delivered_ms IS NULL AND dead_ms IS NULL"),
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

projects = Table(
    "projects",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("description", String, nullable=False),
    Column("password_hash", String, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("user_id", String, ForeignKey("users.id"), primary_key=True),
    Column("project_id", String, ForeignKey("projects.id"), primary_key=True),
    Column("role", String, CheckConstraint("role IN ('admin', 'member')"), nullable=False),
)

access_keys = Table(
    "access_keys",
    metadata,
    Column("access_key", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.id"), nullable=False),
    Column("sealed_secret", String, nullable=False),
    Column("description", String, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("published", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("token_hash", String),
    Column("project_id", String, ForeignKey("projects.id")),
)

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("user_id", String, ForeignKey("users.id"), nullable=False),
    Column("project_id", String, ForeignKey("projects.id")),
    Column("issued_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)

privileges = Table(
    "privileges",
    metadata,
    Column("project_id", String, primary_key=True),
    Column("user_name", String, primary_key=True),
    Column("object", String, primary_key=True),
    Column("privilege", String, primary_key=True),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("project_id", String, nullable=False, index=True),
    Column("user_name", String, nullable=False),
    Column("trace_name", String, nullable=False),
    Column("resource_type", String, nullable=False),
    Column("resource_id", String, nullable=False),
    Column("resource_name", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("source_ip", String, nullable=False),
    sqlite_autoincrement=True,
)

# Triggers of migration 0003 refuse every change of the audit trail.

buckets = Table(
    "buckets",
    metadata,
    Column("name", String, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

variables = Table(
    "variables",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("value", String, nullable=False),
    Column("is_sensitive", Boolean, nullable=False),
    Column("user_name", String, nullable=False),
    Column("user_id", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("updated_ms", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

pools = Table(
    "pools",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("project_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("description", String, nullable=False),
    Column("min_cu", Integer, CheckConstraint("min_cu > 0"), nullable=False),
    Column("max_cu", Integer, CheckConstraint("max_cu >= min_cu"), nullable=False),
    Column("owner", String, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("details", JSON, nullable=False),
    UniqueConstraint("project_id", "name"),
    sqlite_autoincrement=True,
)

# Triggers of migration 0003 refuse grants over the pool's CUs, a pool smaller than its grants or deleted with queues in
# it, and a queue in a pool that does not exist.
