"""Pixels: one original file in, derivative files out."""
