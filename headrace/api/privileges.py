"""Privileges on jobs, queues and packages."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
