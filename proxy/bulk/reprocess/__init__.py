"""Reprocessing: rendering missing and stale derivatives."""
