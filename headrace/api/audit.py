"""The audit trail."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
