"""Bulk commands: runs over many originals."""
