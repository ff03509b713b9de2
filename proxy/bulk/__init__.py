"""Runs over many originals."""
