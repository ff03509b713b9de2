"""Uploads: the URL for one original, and the way of its bytes to the store."""
