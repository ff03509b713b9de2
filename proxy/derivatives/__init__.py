"""Locating and generating derivatives."""
