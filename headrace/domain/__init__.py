"""The rules of a job's life: pure functions and frozen values; no I/O, no clock, no randomness."""
