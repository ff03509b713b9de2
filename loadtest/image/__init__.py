"""Tests of the built image: its size, its start time, and the main job in it."""
