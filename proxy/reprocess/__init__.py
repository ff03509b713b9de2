"""Every original of a store, seen to once more."""
