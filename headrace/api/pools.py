"""Elastic resource pools."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
