"""Copies of JPEG, PNG and WebP files without their metadata: the compressed pixels stay as they are."""
