"""Rendering pipeline: one original file in, derivative files out."""
