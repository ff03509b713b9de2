"""Render processes and the memory they share."""
