"""Comparison of old derivatives with new ones."""
