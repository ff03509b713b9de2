"""Removal of the copies that a CDN holds; one module a provider."""
