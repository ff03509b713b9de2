"""Admission control, locks, batching, caching and back-off, independent of derivatives and HTTP."""
