"""Tests of the built image: its size, its start time, its memory, and the demo in it."""
