"""Render again what is missing or stale."""
