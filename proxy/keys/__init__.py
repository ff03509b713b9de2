"""Keys: their syntax, and how the key of a derivative follows from that of its original."""
