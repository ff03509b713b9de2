"""Comparison of two files that should show the same image."""
