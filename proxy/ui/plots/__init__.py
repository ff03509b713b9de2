"""Numbers of the last hour, and their plots."""
