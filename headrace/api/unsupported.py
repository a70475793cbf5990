"""What DLI has and Headrace does not: SQL jobs and templates."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
