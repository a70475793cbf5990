"""What holds for all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Seconds say nothing here: two workers share the cores with each other, and perhaps with more.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
