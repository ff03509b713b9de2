"""Removal of a picture from every place that has a copy."""
