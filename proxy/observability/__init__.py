"""Logs, readiness checks and metrics."""
