"""Admission, locks, batching, back-off: small parts that know nothing of each other."""
