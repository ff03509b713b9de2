"""A store in a folder: an object is a plain file."""
