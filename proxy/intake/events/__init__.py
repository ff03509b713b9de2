"""Notifications of object stores about their buckets: each is a hint to look at one original."""
