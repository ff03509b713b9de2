"""Rendering of an original's derivatives."""
