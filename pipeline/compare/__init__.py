"""Two files that should show the same picture, compared."""
