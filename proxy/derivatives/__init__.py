"""Where a derivative is, and how it is made if it is missing."""
