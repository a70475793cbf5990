"""The database: jobs, queues, grants, history. The only user of SQLAlchemy."""
