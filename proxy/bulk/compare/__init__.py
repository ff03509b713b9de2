"""Compare old derivatives with new ones."""
