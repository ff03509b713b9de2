"""Signed webhooks: verification of incoming ones, and delivery of callbacks when jobs end."""
