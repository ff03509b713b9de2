"""Signed webhooks: verified when they come in, delivered when a job ends."""
