"""Promotion: copying derivatives from the shadow to their live names."""
