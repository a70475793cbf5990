"""The schema: its migrations, and homes of older and newer versions."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text

from headrace.domain.errors import HomeUnusable
from headrace.domain.job import Goal, Phase
from headrace.store.database import Database
from headrace.store.jobs import JobStore
from headrace.store.journal import Kind
from headrace.store.notices import NoticeStore
from headrace.store.queues import QueueStore
from headrace.store.schema import metadata

ROWS = """
INSERT INTO queues (id, project_id, name, queue_type, cu_milli, owner, created_ms, description, details)
    VALUES (1, 'p', 'wide', 'general', 4000, 'u', 1, '', '{}');
INSERT INTO jobs (id, project_id, name, queue_name, user_name, spec, tags, goal, request_no, resume_savepoint,
    trigger_savepoint, requested_ms, phase, attempt, request_seen, outcome, restore_path, savepoint_path, note, version,
    created_ms, updated_ms, started_ms, ended_ms) VALUES (
    7, 'p', 'old', 'wide', 'u', '{"name": "old", "queue_name": "wide"}', '[["k", "v"]]',
    'run', 3, 0, 0, 5, 'running', 2, 3, NULL, '', 'obs://b/savepoint-1', '', 6, 1, 2, 3, NULL);
INSERT INTO deployments VALUES (7, 2, 1);
INSERT INTO grants VALUES (7, 1, 2000, 8192);
INSERT INTO outbox (created_ms, project_id, job_id, topic, body) VALUES (1, 'p', 7, 'alarm', '{}');
INSERT INTO job_history (job_id, at_ms, attempt, phase, outcome, note) VALUES (7, 1, 0, 'draft', NULL, '');
"""
SINCE_0004 = "UPDATE jobs SET first_attempt = attempt, ran = 1;"


def scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "headrace.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def at_revision(path: Path, revision: str, rows: str = "") -> None:
    """A database as an older Headrace left it."""
    engine = create_engine(f"sqlite:///{path}")
    config = _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in rows.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def revision_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    revision = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    connection.close()
    return revision


def test_the_migrations_make_the_schema_of_the_code(tmp_path: Path) -> None:
    Database(tmp_path / "headrace.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'headrace.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        migrated = {row[0] for row in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'index'"))}
    engine.dispose()
    assert {"one_job_of_a_name", "one_live_deployment_of_a_job"} <= migrated


def test_conditions_of_the_code_stand_in_the_migrated_tables(tmp_path: Path) -> None:
    """What alembic does not compare: checks and the conditions of partial indexes."""
    Database(tmp_path / "migrated.db").close()
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    created = create_engine(f"sqlite:///{tmp_path / 'created.db'}")
    metadata.create_all(created)
    for table in metadata.sorted_tables:
        found = [
            (
                sorted(check["sqltext"] for check in inspect(engine).get_check_constraints(table.name)),
                sorted(
                    (index["name"] or "", str(index.get("dialect_options", {}).get("sqlite_where", "")))
                    for index in inspect(engine).get_indexes(table.name)
                ),
                sorted(
                    (tuple(key["constrained_columns"]), key["referred_table"])
                    for key in inspect(engine).get_foreign_keys(table.name)
                ),
            )
            for engine in (migrated, created)
        ]
        assert found[0] == found[1], table.name
    migrated.dispose()
    created.dispose()


def test_the_migrations_are_one_line() -> None:
    assert len(scripts().get_heads()) == 1
    assert len(scripts().get_bases()) == 1


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(HomeUnusable, match="9999"):
        Database(path)
    assert revision_of(path) == "9999"
    assert [file.name for file in tmp_path.glob("*.bak")] == []


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    path.write_text("a letter to the operator" * 100)
    with pytest.raises(HomeUnusable, match="not a database"):
        Database(path)
    assert path.read_text().startswith("a letter")


@pytest.mark.parametrize("revision", sorted(script.revision for script in scripts().walk_revisions())[:-1])
def test_an_older_schema_is_copied_and_migrated_with_all_its_rows(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "headrace.db"
    at_revision(path, revision, ROWS + (SINCE_0004 if revision >= "0004" else ""))
    database = Database(path)
    job = JobStore(database).get(7)
    assert (job.spec.name, job.tags, job.record.phase, job.desired.goal) == (
        "old",
        (("k", "v"),),
        Phase.RUNNING,
        Goal.RUN,
    )
    assert job.record.savepoint_path == "obs://b/savepoint-1"
    assert (job.record.attempt, job.record.first_attempt, job.record.ran) == (2, 2, True)
    assert (job.record.restarts, job.record.flink_restarts, job.record.failure) == (0, 0, "")
    assert JobStore(database).live_deployments() == [(7, 2)]
    history = JobStore(database).history(7)
    assert [(entry.phase, entry.kind) for entry in history] == [(Phase.DRAFT, Kind.MOVED)]
    assert QueueStore(database).find("p", "wide").used_milli == 2000
    assert len(JobStore(database).notices()) == 1
    if revision < "0005":
        assert NoticeStore(database).owed() == [], "what happened long ago is told to nobody"
    database.close()
    assert revision_of(path) == scripts().get_current_head()

    copy = tmp_path / f"headrace.db.schema-{revision}.bak"
    assert revision_of(copy) == revision
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT id, name FROM jobs").fetchall() == [(7, "old")]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_what_was_not_yet_checkpointed_into_the_file_is_copied_too(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    at_revision(path, "0001")
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO queues VALUES (1, 'p', 'late', 'general', 4000, 'u', 1, '', '{}')")
    writer.commit()
    Database(path).close()
    writer.close()
    copy = sqlite3.connect(tmp_path / "headrace.db.schema-0001.bak")
    assert copy.execute("SELECT name FROM queues").fetchall() == [("late",)]
    copy.close()


def test_a_database_of_this_version_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        Database(tmp_path / "headrace.db").close()
    assert list(tmp_path.glob("*.bak")) == []


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path) -> None:
    path = tmp_path / "headrace.db"
    at_revision(path, "0001", ROWS + "CREATE TABLE packages (id INTEGER);")  # in the way of 0002
    with pytest.raises(Exception, match="packages"):
        Database(path)
    assert revision_of(path) == "0001"
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    connection.execute("DROP TABLE packages")
    connection.close()
    Database(path).close()
    assert revision_of(path) == scripts().get_current_head()
