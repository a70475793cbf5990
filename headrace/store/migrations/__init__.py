"""Alembic migrations of the home's database."""
