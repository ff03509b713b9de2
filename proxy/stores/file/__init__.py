"""A store in a folder: each blob is a plain file."""
